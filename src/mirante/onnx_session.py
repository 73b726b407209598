"""Opening a graph in ONNX Runtime: the one place where its options are set."""

from __future__ import annotations

import os
from typing import Any


def open_session(model: str | bytes, threads: int = 0) -> Any:
    """Return a session for a graph, given its path or its content. Raises ONNX Runtime's errors: one class per status code.

    threads  threads per call; 0 means one per core, or as many as OMP_NUM_THREADS says, as for PyTorch
    """
    import onnxruntime

    if os.environ.get("ORT_DISABLE_TELEMETRY") == "1":  # read when it was loaded, perhaps before Mirante was
        onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors in a graph are raised as exceptions anyway
    told = os.environ.get("OMP_NUM_THREADS", "")
    options.intra_op_num_threads = threads or (int(told) if told.isdecimal() else 0)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
