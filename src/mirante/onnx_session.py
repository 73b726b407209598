"""Opening a graph in ONNX Runtime: the one place where it is told how."""

from __future__ import annotations

from typing import Any


def open_session(model: str | bytes, threads: int = 0) -> Any:
    """Return a session of a graph, by the path of its file or its content. Raises what ONNX Runtime raises: a class per status code.

    threads  that one call uses; 0 takes one per core
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong with a graph is an exception
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
