"""`mirante export`: one form of a finished model, written into a folder of its own and tried on real images before it is kept."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

from mirante import runfolder
from mirante.errors import RequestError
from mirante.exports import forms, module_of
from mirante.exports.form import Job
from mirante.exports.int8 import Quantised
from mirante.exports.verify import images_to_try, require_agreement
from mirante.locale import language
from mirante.run import Run

_CALIBRATED = 256


@dataclass(frozen=True)
class Exported:
    """An export: its folder, how many images it was tried on, the largest difference in any probability, what its
    pixels must be, what 8 bits brought, how many times as fast it is as ONNX Runtime here where that was measured, and what else is
    to be said of it, in words."""

    folder: Path
    images: int
    difference: float
    takes: str
    quantised: Quantised | None = None
    speed: float | None = None
    remark: str = ""


def export(
    run: str | Path | Run,
    form: str = "onnx",
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
    int8       under onnx, openvino, coreml and litert: also a model in 8 bits
    out        the folder to make; RUN/exports/FORM when None
    overwrite  replace an existing export
    images     a folder of images to try it on; None takes the run's own
    runtime    under web: a package of onnxruntime-web
    lang       en or pt, of the page; the system's when None

    Raises RequestError when it cannot be done as asked, WorkError when the export disagrees with the model; nothing is left then.
    """
    if form not in forms():
        raise RequestError(f"form {form!r}: must be one of {', '.join(forms())}.")
    opened = run if isinstance(run, Run) else Run(run)
    path = opened.path
    writer = import_module(module_of(form))  # its libraries are imported only now
    if int8 and not hasattr(writer, "write_int8"):
        raise RequestError(f"--int8: there is no --to {form} in 8 bits; leave it out, or choose another form.")
    model = opened.model()
    target = Path(out).expanduser() if out is not None else path / runfolder.EXPORTS / form
    if target.exists() and not (overwrite and _is_export(target)) and (not target.is_dir() or any(target.iterdir())):
        raise RequestError(
            f"{target}: already exists; name another folder with --out, or replace an export with --overwrite."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    tried = images_to_try(model, opened, images)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as made:
        folder = Path(made) / "export"
        folder.mkdir()
        learned = partial(images_to_try, model, opened, images, "train", _CALIBRATED)
        job = Job(opened, model, folder, tried, learned, runtime, language(lang))
        written = writer.write(job)
        require_agreement(written.difference, written.tolerance, form)
        quantised = writer.write_int8(job, written) if int8 else None
        mark = f"An export made by Mirante, which can be made again.\n{model.version}\n"
        (folder / runfolder.EXPORT).write_text(mark, encoding="utf-8")
        if target.exists():
            shutil.rmtree(target)
        folder.rename(target)
    takes = model.info.takes(language(lang))
    return Exported(target, len(tried.pictures), written.difference, takes, quantised, written.speed, written.remark)


def _is_export(folder: Path) -> bool:
    return (folder / runfolder.EXPORT).is_file()
