"""Cross-validation: each fold is answered by a network that saw neither its images nor theirs of the same group.

What is learned from answers (the temperature, a threshold) is learned for each fold from the answers of the other folds, so that no
image has a part in how it is judged itself.
"""

from __future__ import annotations

import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from mirante.data.dataset import Dataset
from mirante.experiment.calibrate import HeldOut
from mirante.experiment.fit_network import Choices, ask, fit_network
from mirante.experiment.heatmaps import write_heatmaps
from mirante.files import write_file
from mirante.images import Pixels
from mirante.model.network import Network
from mirante.runfolder import ModelInfo
from mirante.training.recipe import Recipe

FOLDER = "folds"
"""In a run that is not finished: what each fold came to."""


def out_of_fold(
    run: Path,
    dataset: Dataset,
    pixels: Pixels,
    recipe: Recipe,
    info: ModelInfo,
    network: Network,
    place: torch.device,
) -> tuple[HeldOut, Choices]:
    """Train the network on each fold's other folds and have it answer that fold; it is then as it was before.

    Also returns what most of the folds chose, for the network that is trained on all.

    What is finished is kept in the run and not done again.
    """
    parts, chosen = [], []
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for number, fold in enumerate(dataset.folds):
        kept = run / FOLDER / f"{fold}-{recipe.seed}.npz"
        asking = dataset.asking(fold)
        rows = asking.rows("test")
        stored = _read(kept, len(rows))
        if stored is None:
            print(f"fold {number + 1} of {len(dataset.folds)}: {len(rows):,} images are kept apart", file=sys.stderr)
            folder = kept.with_suffix("")
            folder.mkdir(parents=True, exist_ok=True)
            network.load_state_dict(start)
            taught = fit_network(folder, asking, pixels, recipe, info, network, place)
            logits, strange = ask(taught, dataset, pixels, rows)
            if number == 0:
                write_heatmaps(run, taught, asking, pixels, rows, logits)
            stored = made = {
                "logits": logits,
                "ood_score": strange,
                "strength": np.array(taught.choices.strength),
                "tuned": np.array(taught.choices.tuned),
            }
            write_file(kept, partial(_write, values=made))
            shutil.rmtree(folder)
        parts.append((rows, np.full(len(rows), number), stored["logits"], stored["ood_score"]))
        chosen.append((float(stored["strength"]), bool(stored["tuned"])))
    rows, folds, logits, strange = (np.concatenate(part) for part in zip(*parts, strict=True))
    network.load_state_dict(start)
    order = np.argsort(rows)
    strength = float(np.exp(np.median(np.log([max(one, 1e-9) for one, _ in chosen]))))
    tuned = 2 * sum(tuned for _, tuned in chosen) > len(chosen)
    return HeldOut(rows[order], logits[order], strange[order], folds[order]), Choices(strength, tuned)


def _write(part: Path, values: dict[str, NDArray[Any]]) -> None:
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, **values)


def _read(path: Path, count: int) -> dict[str, NDArray[Any]] | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            values = {name: stored[name] for name in ("logits", "ood_score", "strength", "tuned")}
    except (OSError, ValueError, KeyError, BadZipFile):  # not there yet, or damaged: trained again
        return None
    return values if len(values["logits"]) == count else None
