"""What a run notes of itself when it begins: the texts of recipe.toml and data.json."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from typing import Any

import numpy as np

import mirante
from mirante import runfolder
from mirante.data.dataset import Dataset
from mirante.data.films import parted
from mirante.evaluation.objectives import Objectives
from mirante.files import to_json
from mirante.model_info import ModelInfo
from mirante.training.recipe import Recipe


def recipe_toml(recipe: Recipe, info: ModelInfo, dataset: Dataset, objectives: Objectives, device: str) -> str:
    """Return the text of recipe.toml: the recipe, the input, the data and the versions of everything."""
    import onnxruntime
    import tomli_w
    import torch

    values = {
        "recipe": recipe.to_dict(),
        "input": {"height": info.height, "width": info.width, "channels": info.channels, "fit": info.fit},
        "data": {"location": dataset.location, **dataset.options},
        "objectives": objectives.to_dict(),
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


def data_json(dataset: Dataset, as_given: bool) -> str:
    """Return the text of data.json."""
    tested = [row for row, split in enumerate(dataset.splits.tolist()) if split not in ("train", "val")]
    files = zip(dataset.paths, dataset.digests, dataset.names, dataset.splits.tolist(), strict=True)
    value = {
        "format": runfolder.FORMAT,
        "location": dataset.location,
        "options": dataset.options,
        **({"as_given": True, "group_of": dataset.groups, "subgroup_of": dataset.subgroups} if as_given else {}),
        "task": dataset.task,
        "classes": list(dataset.classes),
        "counts": dataset.counts(),
        "split_by": dataset.split_by,
        "groups": None if dataset.groups is None else len({dataset.groups[row] for row in tested}),
        "films": _films(dataset, tested),
        "notes": [[note.text, note.values, note.grave] for note in dataset.notes],
        "skipped": [{"path": one.path, "reason": one.reason} for one in dataset.skipped],
        "fingerprint": dataset.fingerprint,
        "files": [list(file) for file in files],
    }
    return with_files(value)


def _films(dataset: Dataset, rows: Sequence[int]) -> int | None:
    """Return how many films these images are frames of; None if any is not, or belongs to another group than its film."""
    frames = [parted(dataset.paths[row]) for row in rows]
    if dataset.groups is None or not all(
        frame is not None and dataset.groups[row] == frame[0] for row, frame in zip(rows, frames, strict=True)
    ):
        return None
    return len({dataset.groups[row] for row in rows})


def with_files(value: dict[str, Any]) -> str:
    """Return data.json with one file per line: the list is long, and people search it."""
    lines = ",\n".join("    " + to_json(file, None) for file in value["files"])
    rest = to_json({key: item for key, item in value.items() if key != "files"})
    return rest[:-2] + f',\n  "files": [\n{lines}\n  ]\n}}\n'
