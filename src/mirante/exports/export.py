"""`mirante export`: one form of a finished model, written into a folder of its own and tried on real images before it is kept."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import onnx

from mirante import runfolder
from mirante.errors import RequestError
from mirante.exports.any_size import with_resize
from mirante.exports.int8 import Quantised, compare, relative_speed, write_int8
from mirante.exports.to_hub import write_hub
from mirante.exports.to_web import write_web
from mirante.exports.verify import TOLERANCE, images_to_try, largest_difference, require_agreement, whole_sizes
from mirante.files import write_file
from mirante.images import Pixels
from mirante.locale import language
from mirante.model.running import open_graph
from mirante.prediction.onnx_model import OnnxModel
from mirante.run import Run

Form = Literal["onnx", "keras", "torch", "web", "hub-folder", "openvino", "coreml", "litert"]
_IN_8_BITS = ("onnx", "openvino", "litert")
_ANY_SIZE = "model-any-size.onnx"
_ANY_SIZE_TOLERANCE = 1e-3  # decoders differ; the resize does not
_COARSE_TOLERANCE = (
    1e-2  # where the resize is computed in 32 bits: a pixel in a thousand is one step brighter or darker
)
_CALIBRATED = 256


@dataclass(frozen=True)
class Exported:
    """An export: its folder, how many images it was tried on, the largest difference in any probability, what its
    pixels must be, what 8 bits brought, and under openvino and litert how many times as fast it is as ONNX Runtime here."""

    folder: Path
    images: int
    difference: float
    takes: str
    quantised: Quantised | None = None
    speed: float | None = None


def export(
    run: str | Path | Run,
    form: Form = "onnx",
    *,
    int8: bool = False,
    out: str | Path | None = None,
    overwrite: bool = False,
    images: str | Path | None = None,
    runtime: str | None = None,
    lang: str | None = None,
) -> Exported:
    """Write a finished run in another form.

    form       onnx (any image size), keras, torch, web (a page for the browser), hub-folder (for the Hugging Face Hub), openvino,
               coreml, litert
    int8       under onnx, openvino and litert: also a model in 8 bits
    out        the folder to make; RUN/exports/FORM when None
    overwrite  replace an existing export
    images     a folder of images to try it on; None takes the run's own
    runtime    under web: a package of onnxruntime-web
    lang       en or pt, of the page; the system's when None

    Raises RequestError when it cannot be done as asked, WorkError when the export disagrees with the model; nothing is left then.
    """
    if form not in get_args(Form):
        raise RequestError(f"form {form!r}: must be one of {', '.join(get_args(Form))}.")
    opened = run if isinstance(run, Run) else Run(run)
    path = opened.path
    if int8 and form not in _IN_8_BITS:
        raise RequestError(f"--int8 works with --to {', '.join(_IN_8_BITS)}, not with --to {form}.")
    model = opened.model()
    target = Path(out).expanduser() if out is not None else path / "exports" / form
    if target.exists() and not (overwrite and _is_export(target)) and (not target.is_dir() or any(target.iterdir())):
        raise RequestError(
            f"{target}: already exists; name another folder with --out, or replace an export with --overwrite."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    tried = images_to_try(model, opened, images)
    quantised, speed = None, None
    with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as made:
        folder = Path(made) / "export"
        folder.mkdir()
        weights = opened.file(runfolder.WEIGHTS)
        tolerance = TOLERANCE
        if form == "keras":
            from mirante.exports.to_keras import write_keras

            difference = largest_difference(model, tried, write_keras(model.info, weights, folder / "model.keras"))
        elif form == "torch":
            from mirante.exports.to_torch import write_torch

            difference = largest_difference(model, tried, write_torch(path.name, model.info, weights, folder))
        elif form == "coreml":
            from mirante.exports.to_coreml import write_coreml

            difference = largest_difference(model, tried, write_coreml(model.info, weights, folder / "model.mlpackage"))
        elif form == "litert":
            from mirante.exports.to_litert import write_litert, write_litert_int8

            file = folder / "model.tflite"
            answers = write_litert(model.path, model.info, file)
            difference, speed = (
                largest_difference(model, tried, answers),
                relative_speed(model.run, answers, tried.pixels, 1),
            )
            if int8:
                small = folder / "model-int8.tflite"
                rounded = write_litert_int8(file, small)
                quantised = compare(model, answers, rounded, _sizes(small, file), small.name, tried, 1)
        else:
            tolerance = _ANY_SIZE_TOLERANCE
            any_size = with_resize(onnx.load(model.path), model.info)
            whole = whole_sizes(tried, model)
            difference = _any_size_difference(model, any_size, whole, tried.pixels)
            if form == "openvino":
                from mirante.exports.to_openvino import write_openvino

                answers = write_openvino(any_size.SerializeToString(), model.info, folder / "model.xml")
                require_agreement(largest_difference(model, tried, answers), TOLERANCE, f"The {form} export")
                found, tolerance = np.concatenate([answers(image[None]) for image in whole]), _COARSE_TOLERANCE
                difference = float(np.abs(found - model.run(tried.pixels).probabilities).max())
                speed = relative_speed(model.run, answers, tried.pixels)
            elif form == "onnx":
                write_file(folder / _ANY_SIZE, lambda part: onnx.save_model(any_size, str(part)))
            elif form == "web":
                write_web(path.name, model.info, any_size.SerializeToString(), folder, runtime, language(lang))
            else:
                write_hub(opened, model.info, any_size.SerializeToString(), folder)
        require_agreement(difference, tolerance, f"The {form} export")
        if int8 and form != "litert":
            learned = images_to_try(model, opened, images, "train", _CALIBRATED)
            small = folder / "model-int8.onnx"
            write_int8(model, learned.pixels, small)
            other = OnnxModel(small)
            if form == "openvino":
                from mirante.exports.to_openvino import write_openvino

                any_size = with_resize(onnx.load(small), model.info)
                rounded = write_openvino(any_size.SerializeToString(), model.info, folder / "model-int8.xml")
                sizes = _sizes(folder / "model-int8.bin", folder / "model.bin")
                quantised = compare(model, answers, rounded, sizes, "model-int8.xml", tried)
                small.unlink()
            else:
                sizes = _sizes(small, model.path)
                quantised = compare(
                    model, model.run, lambda pixels: other.run(pixels).probabilities, sizes, small.name, tried
                )
        (folder / _MARK).write_text("An export made by Mirante, which can be made again.\n", encoding="utf-8")
        if target.exists():
            shutil.rmtree(target)
        folder.rename(target)
    return Exported(target, len(tried.pictures), difference, model.info.takes(language(lang)), quantised, speed)


_MARK = ".mirante-export"


def _sizes(small: Path, large: Path) -> tuple[int, int]:
    return small.stat().st_size, large.stat().st_size


def _is_export(folder: Path) -> bool:
    return (folder / _MARK).is_file()


def _any_size_difference(model: OnnxModel, graph: onnx.ModelProto, whole: list[Pixels], pixels: Pixels) -> float:
    """Return the largest difference in any probability between images resized in the graph and outside it."""
    session = open_graph(graph)
    found = [session.run(["probabilities"], {"images": image[None]})[0][0] for image in whole]
    return float(np.abs(np.stack(found) - model.run(pixels).probabilities).max())
