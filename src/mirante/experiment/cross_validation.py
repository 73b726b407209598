"""Cross-validation: each fold is answered by a network that saw neither its images nor others of their groups.

What is learned from answers (the temperature, a threshold) is learned for each fold from the answers of the other folds, so that
no image affects how it is judged itself.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.data.dataset import Dataset
from mirante.evaluation.objectives import Objectives
from mirante.experiment.fit_network import Choices, ask, fit_network
from mirante.experiment.training import Training
from mirante.files import write_file
from mirante.model.export import write_onnx
from mirante.model.last_layer import seen_as
from mirante.model_info import ModelInfo
from mirante.prediction.onnx_model import Output
from mirante.predictions import Predictions
from mirante.run import Run

_log = logging.getLogger("mirante")


@dataclass(frozen=True)
class OutOfFold:
    """What networks answer for images that they were not trained on.

    rows    (N,) rows of the data set
    folds   (N,) the fold number of each, from 0
    chosen  what most of the folds chose, for a network that is trained on all
    """

    rows: NDArray[np.int64]
    output: Output
    folds: NDArray[np.int64]
    chosen: Choices


def out_of_fold(run: Run, training: Training, first: bool = True) -> OutOfFold:
    """Train the network on each fold's other folds and have it answer that fold; its weights are then restored.

    Finished folds are kept in the run folder and not trained again. Of the first training, not of its repetitions, the networks that
    may learn from photos are kept too, and the first fold's shows where it looks.
    """
    dataset, pixels, network = training.dataset, training.pixels, training.network
    parts, chosen = [], []
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for number, fold in enumerate(dataset.folds):
        kept = run.path / runfolder.FOLDS / f"{fold}-{training.recipe.seed}.npz"
        asking = dataset.asking(fold)
        rows = asking.rows("test")
        stored = _read(kept, len(rows))
        if stored is None:
            _log.info(f"fold {number + 1} of {len(dataset.folds)}: {len(rows):,} images set aside")
            folder = kept.with_suffix("")
            folder.mkdir(parents=True, exist_ok=True)
            network.load_state_dict(start)
            fitted = fit_network(training.changed(folder=folder, dataset=asking))
            output = ask(fitted, dataset, pixels, rows)
            if first and number == 0:
                run.publish_heatmaps(fitted.attention(asking, pixels, rows, output.logits))
            if first and fitted.info.asks.is_taught and seen_as(fitted.model) is not None:
                (run.path / runfolder.FOLD_MODELS).mkdir(exist_ok=True)
                write_onnx(fitted.model, fitted.info, run.path / runfolder.FOLD_MODELS / f"{fold}.onnx")
            stored = made = {
                "logits": output.logits,
                "ood_score": output.ood_scores,
                "strength": np.array(fitted.choices.strength),
                "tuned": np.array(fitted.choices.tuned),
            }
            write_file(kept, partial(_write, values=made))
            shutil.rmtree(folder)
        parts.append((rows, np.full(len(rows), number), stored["logits"], stored["ood_score"]))
        chosen.append((float(stored["strength"]), bool(stored["tuned"])))
    rows, folds, logits, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
    network.load_state_dict(start)
    order = np.argsort(rows)
    strength = float(np.exp(np.median(np.log([max(one, 1e-9) for one, _ in chosen]))))
    tuned = 2 * sum(tuned for _, tuned in chosen) > len(chosen)
    output = Output.of_logits(logits[order], scores[order], training.info)
    return OutOfFold(rows[order], output, folds[order], Choices(strength, tuned))


def predict_folds(known: OutOfFold, dataset: Dataset, info: ModelInfo, objectives: Objectives) -> Predictions:
    """Return the predictions for all folds; each fold's calibration was learned from the other folds."""
    parts, order = [], []
    for fold in np.unique(known.folds):
        mine = known.folds == fold
        others, rows = known.output.only(~mine), known.rows[mine]
        learned = info.asks.calibrate(others, known.rows[~mine], dataset, info, objectives)
        output = known.output.only(mine).with_calibration(learned)
        parts.append(replace(info.asks.predict(output, rows, dataset, learned), folds=known.folds[mine]))
        order.append(np.flatnonzero(mine))
    return Predictions.join(parts, np.argsort(np.concatenate(order)))


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
