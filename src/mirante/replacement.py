"""A run's model replaced by another as one step: all of it is made in a folder in the run first, then moved; a later process
finishes that.

model.onnx is moved last, so that a server changes over once.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from mirante import runfolder
from mirante.errors import RunError
from mirante.files import move, write_json

FILES = (
    runfolder.RECIPE, runfolder.DATA, runfolder.HISTORY, runfolder.MODEL, runfolder.WEIGHTS, runfolder.METRICS, runfolder.PREDICTIONS,
    runfolder.REFERENCE, runfolder.LEARNED, runfolder.FOLD_MODELS, runfolder.CARD, runfolder.REPORT, runfolder.PLOTS,
    runfolder.SNAPSHOTS, runfolder.ONNX,
)  # fmt: skip
"""What makes a model and its report."""

STAGED, _NAMES = "replacement", "names.json"
PART = f"{STAGED}.part"
"""The folder in a run of a model that is to come."""


def copy_model(source: Path, target: Path) -> None:
    """Copy what makes a model into a new folder."""
    target.mkdir(parents=True)
    for name in FILES:
        if (source / name).is_dir():  # the networks of folds never change
            copy = _link_or_copy if name == runfolder.FOLD_MODELS else shutil.copyfile
            shutil.copytree(source / name, target / name, copy_function=copy)
        elif (source / name).exists():
            shutil.copyfile(source / name, target / name)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # the file system has no links
        shutil.copyfile(source, target)


def stage(run: Path, source: Path) -> Path:
    """Copy the model of a folder into the run, where it may be changed until `commit` makes it the run's own."""
    part = run / PART
    shutil.rmtree(part, ignore_errors=True)
    copy_model(source, part)
    return part


def commit(run: Path, part: Path) -> None:
    """Put a staged model in the place of the run's."""
    write_json(part / _NAMES, [name for name in FILES if (part / name).exists()])
    part.rename(run / STAGED)
    finish(run)


def is_pending(run: Path) -> bool:
    """Tell whether a process was stopped while it replaced the model of a run."""
    return (run / STAGED).is_dir()


def finish(run: Path) -> None:
    """Move what is left of a staged model into its place, if there is one. Raises RunError when it is damaged."""
    if not is_pending(run):
        return
    staged = run / STAGED
    try:
        names = json.loads((staged / _NAMES).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{staged}: damaged; remove it, and `mirante rollback {run}` brings an earlier model back."
        ) from error
    for name in FILES:
        place = run / name
        if (staged / name).exists() or name not in names:
            if place.is_dir():
                shutil.rmtree(place)
            elif name not in names:
                place.unlink(missing_ok=True)
        if (staged / name).exists():
            move(staged / name, place)
    part = run / PART
    shutil.rmtree(part, ignore_errors=True)
    staged.rename(part)  # nothing is pending any more
    shutil.rmtree(part, ignore_errors=True)
