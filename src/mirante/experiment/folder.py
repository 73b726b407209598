"""The run folder as an experiment makes it: its place, recipe.toml and data.json."""

from __future__ import annotations

import os
import platform
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

import mirante
from mirante import runfolder
from mirante.data.dataset import Dataset
from mirante.errors import RequestError, RunError, WorkError
from mirante.experiment.objectives import Objectives
from mirante.files import system_reason, to_json
from mirante.runfolder import ModelInfo
from mirante.training.recipe import Recipe


def require_free(out: Path, overwrite: bool) -> None:
    """Raise RequestError when something stands at `out` that is not to be replaced."""
    if not out.exists() or (out.is_dir() and not any(_begun(out))):
        return
    if not runfolder.is_run(out):
        raise RequestError(f"{out}: exists and is not a run of Mirante; choose another --out.")
    if not overwrite:
        raise RequestError(
            f"{out}: exists; choose another --out, replace it with --overwrite, or go on with a stopped training with "
            "--resume."
        )


def _begun(out: Path) -> Iterator[Path]:
    """Yield what is in a folder, but for what a training leaves that was killed before it had begun."""
    return (path for path in out.iterdir() if path.name != runfolder.RECIPE and path.suffix != ".part")


def make_run(out: Path | None, name: str, overwrite: bool) -> Path:
    """Make the run folder: the one asked for, or the next free name under runs/."""
    try:
        if out is not None:
            if overwrite and runfolder.is_run(out):
                shutil.rmtree(out)
            out.mkdir(parents=True, exist_ok=True)
            return out
        number = 1
        while True:
            path = Path("runs") / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir(parents=True)
                return path
            except FileExistsError:
                number += 1
    except OSError as error:
        where = out if out is not None else Path("runs").resolve()
        raise RequestError(f"{where}: the run folder cannot be made there: {system_reason(error)}.") from error


def require_space(run: Path, dataset: Dataset) -> None:
    """Say before the first epoch that the run would not fit on the disk; the answers are the part that grows."""
    tested = len(dataset) if dataset.folds else len(dataset.rows("test"))
    needed = (64 << 20) + tested * (120 + 14 * len(dataset.classes)) + 130 * len(dataset)
    there = next(path for path in (run, *run.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise WorkError(
            f"{run}: about {needed >> 20} MiB are needed and {free >> 20} MiB are free; free some space or choose another "
            "--out."
        )


def recipe_toml(recipe: Recipe, info: ModelInfo, dataset: Dataset, plan: Objectives, device: str) -> str:
    """Return the text of recipe.toml: the recipe, the input, the data and the versions of everything."""
    import onnxruntime
    import torch

    values = {
        "recipe": recipe.to_dict(),
        "input": {"height": info.height, "width": info.width, "channels": info.channels, "fit": info.fit},
        "data": {"location": dataset.location, **dataset.options},
        "plan": plan.to_dict(),
        "versions": {
            "Mirante": mirante.__version__,
            "Python": platform.python_version(),
            "PyTorch": torch.__version__,
            "ONNX Runtime": onnxruntime.__version__,
            "NumPy": np.__version__,
            "System": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, device {device}",
        },
    }
    header = "# Everything needed to train this again: mirante train DATA --recipe this/file\n"
    return header + tomli_w.dumps(values)


def read_recipe_toml(run: Path) -> dict[str, Any]:
    """Return the content of a run\'s recipe.toml; raises RunError when it is damaged."""
    try:
        values = tomllib.loads(runfolder.read_text(run, runfolder.RECIPE))
        if not isinstance(values["recipe"], dict) or not isinstance(values["versions"], dict):
            raise KeyError("recipe")
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise RunError(f"{run / runfolder.RECIPE}: damaged; restore the file or train again.") from error
    return values


def data_json(dataset: Dataset) -> str:
    """Return the text of data.json: what the images are and how they were split, file by file."""
    files = zip(dataset.paths, dataset.digests, dataset.names, dataset.splits.tolist(), strict=True)
    value = {
        "format": runfolder.FORMAT,
        "location": dataset.location,
        "options": dataset.options,
        "classes": list(dataset.classes),
        "counts": dataset.counts(),
        "task": dataset.task,
        "split_by": dataset.split_by,
        "groups": None if dataset.groups is None else len(set(dataset.groups)),
        "notes": [[note.text, note.values, note.grave] for note in dataset.notes],
        "skipped": [{"path": one.path, "reason": one.reason} for one in dataset.skipped],
        "fingerprint": dataset.fingerprint,
    }
    # the files stand one a line: the list is long, and is searched by people
    lines = ",\n".join("    " + to_json([path, digest, name, split], None) for path, digest, name, split in files)
    return to_json(value)[:-2] + f',\n  "files": [\n{lines}\n  ]\n}}\n'
