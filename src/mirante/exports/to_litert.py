"""A .tflite for LiteRT, formerly TensorFlow Lite: Android, microcontrollers, small boards. It takes one image of the model's size.

The converter is the program onnx2tf, which needs no TensorFlow. It asks for one exact release of all that it uses, so it lives in an
environment of its own (pipx install onnx2tf), and only its command is used here.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante.errors import RequestError, WorkError
from mirante.exports.form import Answers, Job, Written, sizes
from mirante.exports.int8 import Quantised, compare, relative_speed
from mirante.files import write_bytes, write_text
from mirante.images import Pixels
from mirante.model_info import ModelInfo

_CONVERTER = "onnx2tf"
_SECONDS = 600
_FILE = "model.tflite"


def write(job: Job) -> Written:
    """Write model.tflite and labels.txt; asked image by image, as phones do. Raises as `write_litert` does."""
    answers = write_litert(job.model.path, job.info, job.folder / _FILE)
    speed = relative_speed(job.model.run, answers, job.tried.pixels, 1)
    text = "Image by image, on this processor, it is {speed} times as fast as ONNX Runtime."
    remark = job.say(text, speed=job.say.number(speed, 1))
    return Written(job.difference(answers), answers=answers, speed=speed, remark=remark)


def write_int8(job: Job, written: Written) -> Quantised:
    """Write model-int8.tflite, from the other. Raises WorkError when that fails."""
    small = job.folder / "model-int8.tflite"
    rounded = write_litert_int8(job.folder / _FILE, small)
    assert written.answers is not None
    return compare(job.model, written.answers, rounded, sizes(small, job.folder / _FILE), small.name, job.tried, 1)


def write_litert(graph: Path, info: ModelInfo, path: Path) -> Answers:
    """Write model.onnx as `path` (.tflite), and the names of its classes beside it; return what it answers to pixels (N, H, W, C).

    Raises RequestError when what that needs is not installed, WorkError when the network cannot be converted.
    """
    program = shutil.which(_CONVERTER)
    if program is None:
        raise RequestError(
            "--to litert needs the converter onnx2tf in an environment of its own; run pipx install onnx2tf (Python 3.12 or newer)."
        )
    _require_litert()
    with tempfile.TemporaryDirectory(prefix="mirante-") as made:
        words = [program, "-i", str(graph.resolve()), "-o", made, "-n", "-kat", "images"]
        try:
            done = subprocess.run(words, capture_output=True, cwd=made, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise WorkError(f"{graph}: onnx2tf did not finish ({error}).") from error
        found = Path(made) / f"{graph.stem}_float32.tflite"
        if done.returncode or not found.is_file():
            said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
            raise WorkError(
                f"{graph}: onnx2tf could not convert this network ({said[-1] if said else 'it said nothing'})."
            )
        shutil.copyfile(found, path)
    write_text(path.with_name("labels.txt"), "".join(f"{name}\n" for name in info.classes))
    return _answers(path)


def write_litert_int8(float32: Path, path: Path) -> Answers:
    """Write a .tflite whose weights are in 8 bits; return what it answers. Raises WorkError when that fails."""
    _require_litert()
    level = logging.getLogger().level
    with _quiet(), contextlib.redirect_stdout(io.StringIO()):
        from ai_edge_quantizer import quantizer, recipe

        try:
            made = quantizer.Quantizer(str(float32), recipe.dynamic_wi8_afp32()).quantize()
            write_bytes(path, bytes(made.quantized_model))
        except Exception as error:  # the quantiser has no errors of its own
            raise WorkError(f"{float32}: this network could not be quantised ({error}).") from error
        finally:
            logging.getLogger().setLevel(level)
    return _answers(path)


def _require_litert() -> None:
    if find_spec("ai_edge_litert") is None or find_spec("ai_edge_quantizer") is None:
        raise RequestError("--to litert needs more packages; pip install 'mirante[litert]'.")


def _answers(path: Path) -> Answers:
    """Return what a .tflite answers, asked one image after the other."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        with _quiet():  # it tells on stderr which of its parts it uses
            interpreter: Any = Interpreter(str(path))
            interpreter.allocate_tensors()
        (taken,) = interpreter.get_input_details()
        (given,) = (one for one in interpreter.get_output_details() if one["name"].startswith("probabilities"))
    except (RuntimeError, ValueError) as error:
        raise WorkError(f"{path.name}: LiteRT cannot open what onnx2tf made ({error}).") from error

    def answers(pixels: Pixels) -> NDArray[np.floating]:
        found = []
        for image in pixels:
            interpreter.set_tensor(taken["index"], image[None].astype(taken["dtype"]))
            interpreter.invoke()
            found.append(interpreter.get_tensor(given["index"])[0])
        return np.stack(found)

    return answers


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Send away what libraries write to stderr, from Python or not."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
