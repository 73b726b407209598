"""ONNX with the resize inside, for ONNX Runtime anywhere: a file that takes any image size, and if asked one in 8 bits."""

from __future__ import annotations

import onnx

from mirante.exports.form import ANY_SIZE, Job, Written, sizes
from mirante.exports.int8 import Quantised, compare, quantise
from mirante.files import write_file
from mirante.prediction.onnx_model import OnnxModel


def write(job: Job) -> Written:
    """Write model-any-size.onnx."""
    write_file(job.folder / ANY_SIZE, lambda part: onnx.save_model(job.any_size, str(part)))
    return job.any_size_written()


def write_int8(job: Job, written: Written) -> Quantised:
    """Write model-int8.onnx, for images of the model's own size."""
    small = job.folder / "model-int8.onnx"
    quantise(job.model, job.learned().pixels, small)
    other = OnnxModel(small)
    measured = sizes(small, job.model.path)
    return compare(
        job.model, job.model.run, lambda pixels: other.run(pixels).probabilities, measured, small.name, job.tried
    )
