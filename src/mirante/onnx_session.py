"""Opening a graph in ONNX Runtime, and how many images it is given: the one place where that is set."""

from __future__ import annotations

import os
from typing import Any

_MOST = 64
_PIXELS = (
    1 << 18
)  # of all images at once: of more, every layer's maps take memory, which is kept, and nothing is faster


def parts_of(count: int, size: tuple[int, int]) -> list[slice]:
    """Return the parts in which `count` images of this height and width are given to a network."""
    step = min(_MOST, max(1, _PIXELS // (size[0] * size[1])))
    return [slice(start, start + step) for start in range(0, count, step)]


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
