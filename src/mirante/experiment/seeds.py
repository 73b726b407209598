"""How much chance matters: the same training again with other seeds, and with folds drawn anew."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

from mirante.data.dataset import Dataset
from mirante.evaluation.judge import Answers
from mirante.experiment.calibrate import CALIBRATED, HeldOut, answers_across, calibrated, learn_from
from mirante.experiment.cross_validation import FOLDER, out_of_fold
from mirante.experiment.fit_network import ask, fit_network, new_network, spread
from mirante.experiment.objectives import Objectives
from mirante.images import Pixels
from mirante.prediction.decision import decide
from mirante.runfolder import ModelInfo
from mirante.training.recipe import Recipe


def repeat(
    run: Path, dataset: Dataset, pixels: Pixels, recipe: Recipe, info: ModelInfo, plan: Objectives, device: str
) -> list[Answers]:
    """Return the answers of each further training that the plan asks for; the run keeps nothing of them but figures."""
    return [_once(run, dataset, pixels, recipe, info, plan, device, number) for number in range(1, plan.repeats)]


def _once(
    run: Path,
    dataset: Dataset,
    pixels: Pixels,
    recipe: Recipe,
    info: ModelInfo,
    plan: Objectives,
    device: str,
    number: int,
) -> Answers:
    print(f"repetition {number + 1} of {plan.repeats}", file=sys.stderr)
    recipe = replace(recipe, seed=recipe.seed + number)
    network, place = new_network(recipe, info, device)
    if dataset.folds:
        redrawn = dataset.redrawn(number)
        known, _ = out_of_fold(run, redrawn, pixels, recipe, info, network, place)
        return answers_across(known, redrawn, info, plan)
    folder = run / FOLDER / f"repetition{number}"
    folder.mkdir(parents=True, exist_ok=True)
    taught = fit_network(folder, dataset, pixels, recipe, info, network, place)
    held, rows = spread(dataset.rows("val"), CALIBRATED), dataset.rows("test")
    learned = learn_from(HeldOut(held, *ask(taught, dataset, pixels, held)), dataset, info, plan)
    shares = calibrated(ask(taught, dataset, pixels, rows)[0], learned)
    shutil.rmtree(folder)
    return Answers(rows, shares, decide(shares, learned))
