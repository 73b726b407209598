"""How much chance matters: the same training again with other seeds, and with newly drawn folds."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace

from mirante import runfolder
from mirante.data.partition import spread
from mirante.evaluation.objectives import Objectives
from mirante.experiment.cross_validation import out_of_fold, predict_folds
from mirante.experiment.fit_network import CALIBRATED, ask, fit_network, new_network
from mirante.experiment.training import Training
from mirante.predictions import Predictions
from mirante.run import Run

_log = logging.getLogger("mirante")


def repeat(run: Run, training: Training, objectives: Objectives) -> list[Predictions]:
    """Return the predictions of each further training requested; the run keeps only their figures."""
    return [_once(run, training, objectives, number) for number in range(1, objectives.repeats)]


def _once(run: Run, training: Training, objectives: Objectives, number: int) -> Predictions:
    _log.info(f"repetition {number + 1} of {objectives.repeats}")
    recipe = replace(training.recipe, seed=training.recipe.seed + number)
    network, device = new_network(recipe, training.info, str(training.device))
    folder = run.path / runfolder.FOLDS / f"repetition{number}"
    training = training.changed(folder=folder, recipe=recipe, network=network, device=device)
    dataset, pixels, task = training.dataset, training.pixels, training.info.asks
    if dataset.folds:
        redrawn = dataset.redrawn(number)
        known = out_of_fold(run, training.changed(dataset=redrawn), first=False)
        return predict_folds(known, redrawn, replace(training.info, seen_with=run.info.seen_with), objectives)
    folder.mkdir(parents=True, exist_ok=True)
    fitted = fit_network(training)
    held, rows = spread(dataset.rows("val"), CALIBRATED), dataset.rows("test")
    learned = task.calibrate(ask(fitted, dataset, pixels, held), held, dataset, fitted.info, objectives)
    output = ask(fitted, dataset, pixels, rows).with_calibration(learned)
    shutil.rmtree(folder)
    return task.predict(output, rows, dataset, learned)
