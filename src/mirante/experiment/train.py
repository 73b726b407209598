"""Train, from the location of images to a finished run; and resume a stopped run."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.data.dataset import VAL_SHARE, DataOptions, Dataset
from mirante.data.notes import Note
from mirante.data.partition import SPLITS, spread
from mirante.errors import RequestError, RunError, WorkError
from mirante.evaluation.objectives import Objectives
from mirante.experiment.data_diff import require_locked
from mirante.experiment.defaults import changed, choose_recipe, fit_to_data, input_shape, suited, untrained
from mirante.experiment.distributed import begun_before, led_by_rank_zero, load, remember
from mirante.experiment.evaluate import judge_run, tell_skipped
from mirante.experiment.options import Asked, TrainOptions, sort_options, with_options_of_run
from mirante.experiment.training import Training
from mirante.images import Pixels
from mirante.locale import Language, language
from mirante.model.notation import is_own_code, is_pretrained
from mirante.model_info import ModelInfo
from mirante.prediction.onnx_model import Output
from mirante.prediction.sketch import sketch
from mirante.predictions import Predictions
from mirante.resize import FITS, Fit
from mirante.run import Run, hold_run, require_free, require_space
from mirante.training.recipe import Recipe
from mirante.training.tracking import Tracker, require_trackers, tracking

if TYPE_CHECKING:
    from mirante.experiment.fit_network import FittedNetwork

_log = logging.getLogger("mirante")

_CHECKED_PIXELS = 1 << 19
_COMPARED = 2000  # test images that images in use are compared with (mirante.monitoring)
_LOOKED_AT = 500  # test images among which the heat maps of the report are chosen


@led_by_rank_zero
def train(
    data: str | Path | Dataset,
    recipe: str | Recipe | None = None,
    *,
    out: str | Path | None = None,
    size: int | tuple[int, int] | None = None,
    fit: Fit | None = None,
    device: str = "auto",
    strict: bool = False,
    overwrite: bool = False,
    track: Sequence[str] = (),
    lang: str | None = None,
    locked: str | Path | None = None,
    **options: Unpack[TrainOptions],
) -> Run:
    """Train a model on labelled images and write its run folder.

    data       where the images are (docs/data.md), or a Dataset, which is used as is
    recipe     a recipe's name, a .toml file, or a Recipe; None chooses one by the images, and says why
    out        the run folder to make; runs/DATA-RECIPE, numbered, when None
    size       (height, width) in pixels of the network's input, or one number for both; chosen from the data when None
    fit        how images of another shape are brought to that size: crop, pad or squash; None leaves it to the task
    device     auto, cpu, cuda or mps
    strict     treat an unreadable image as an error instead of leaving it out
    overwrite  replace an existing run at `out`
    track      also log to these: tensorboard, mlflow, wandb
    lang       language of plots and report, en or pt; the system's when None
    locked     a lock file (mirante data freeze): train on these images with these labels and splits, or not at all
    options    by name: those of Dataset.open (labels, group, classes, folds, task …), fields of the recipe (epochs, time, seed …), and
               objectives (sensitivity, prevalence, repeats …)

    Raises RequestError when something asked for cannot be done, WorkError when the work fails.
    """
    wanted = with_options_of_run(recipe, {**options, "size": size, "fit": fit}, not isinstance(data, Dataset))
    size, fit = wanted.pop("size", None), wanted.pop("fit", None)
    asked = sort_options(wanted)
    if (begun := begun_before()) is not None:
        return resume(begun, layers=asked.recipe.get("layers"), device=device, track=track, lang=lang)
    say = language(lang)
    require_trackers(track)
    dataset, chosen = _open(data, recipe, asked)
    if locked is not None:
        require_locked(dataset, locked)
        text = "The images, labels and splits are those of {lock}, written down with `mirante data freeze`."
        dataset = replace(dataset, notes=(*dataset.notes, Note(text, {"lock": str(locked)}, grave=None)))
    target = None if out is None else Path(out).expanduser()
    if target is not None:
        require_free(target, overwrite)
    objectives = _require_objectives(asked.objectives, dataset)
    training, spent = prepare(dataset, chosen, size, fit, device)
    tell_skipped(training.dataset, strict)
    dataset = training.dataset
    dataset = replace(dataset, notes=(*dataset.notes, *dataset.asks.quick_notes(dataset, training.pixels)))
    require_space(target or Path("runs"), dataset)
    path = Run.create(target, f"{dataset.name}-{training.recipe.name}", overwrite)
    as_given = isinstance(data, Dataset)
    with hold_run(path), tracking(path, track, training.recipe) as tracker:
        run = Run.record(path, training.recipe, training.info, dataset, objectives, device, as_given)
        remember(path)
        _tell(dataset, training.info, path)
        return _train_and_judge(run, training.changed(folder=path, dataset=dataset), objectives, tracker, say, spent)


def prepare(
    dataset: Dataset, recipe: Recipe, size: int | tuple[int, int] | None, fit: Fit | None, device: str
) -> tuple[Training, float]:
    """Return the training, with pixels decoded and its folder still to be set, and the seconds this took to decide.

    Raises RequestError when something asked for cannot be done.
    """
    from mirante.experiment.fit_network import new_network

    shown = fit or dataset.asks.fit
    if shown not in FITS:
        raise RequestError(f"fit {fit!r}: must be one of {', '.join(FITS)}.")
    min_size = recipe.min_size

    def shape_at(max_size: int) -> tuple[int, int, Literal[1, 3]]:
        return input_shape(dataset, max_size, min_size, size)

    recipe, spent = fit_to_data(recipe, dataset.asking("") if dataset.folds else dataset, shape_at, device)
    info = untrained(dataset, shape_at(recipe.max_size), shown, recipe)
    network, place = new_network(recipe, info, device)
    readable, pixels = load(dataset, info)
    return Training(Path(), readable, pixels, recipe, info, network, place), spent


@led_by_rank_zero
def resume(
    run: str | Path,
    *,
    data: str | Path | None = None,
    layers: str | None = None,
    device: str = "auto",
    track: Sequence[str] = (),
    lang: str | None = None,
) -> Run:
    """Resume a training that was stopped or killed, to the same weights that it would have reached.

    data    where the images are now, if they have moved
    layers  path.py:function, which must be given again: nothing that a run names is executed

    Raises RunError when it is not a run, or the data has changed.
    """
    opened = Run(run)
    require_trackers(track)
    say = language(lang)
    if not (opened.path / runfolder.CHECKPOINT).is_dir():
        _log.info(f"{opened.path} is finished; there is nothing to resume.")
        return opened
    chosen = opened.recipe
    if is_own_code(chosen.layers) and layers != chosen.layers:
        raise RunError(
            f"{opened.path}: its network is {chosen.layers}; to allow that file to run, add --model {chosen.layers}"
        )
    dataset = opened.dataset(data)
    try:
        given = opened.settings["input"]
        shape = (int(given["height"]), int(given["width"]), given["channels"])
        info = untrained(dataset, shape, given["fit"], chosen)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{opened.path / runfolder.RECIPE}: damaged: no [input]; train again with --overwrite."
        ) from error
    dataset, pixels = load(dataset, info)
    if dataset.fingerprint != opened.data["fingerprint"]:
        raise RunError(
            f"{dataset.location}: the images or labels changed after {opened.path} was started; train again with another --out."
        )
    _tell(dataset, info, opened.path)
    from mirante.experiment.fit_network import new_network

    network, place = new_network(chosen, info, device)
    training = Training(opened.path, dataset, pixels, chosen, info, network, place)
    with hold_run(opened.path), tracking(opened.path, track, chosen) as tracker:
        return _train_and_judge(opened, training, opened.objectives, tracker, say)


def _open(data: str | Path | Dataset, recipe: str | Recipe | None, asked: Asked) -> tuple[Dataset, Recipe]:
    """Return the data set and the recipe. Raises RequestError for data options given with a Dataset."""
    if recipe is None and is_pretrained(asked.recipe.get("layers", "")):
        recipe = "transfer"
    elif recipe is None and "layers" in asked.recipe:
        recipe = "fast"
    chosen = None if recipe is None else changed(recipe, asked.recipe)
    if isinstance(data, Dataset):
        if asked.data:
            raise RequestError(
                f"{', '.join(asked.data)}: not allowed with a Dataset, which is used as is; pass it to Dataset.open instead."
            )
        dataset = data
    else:
        val_share = asked.recipe.get("val_share", VAL_SHARE) if chosen is None else chosen.val_share
        options: DataOptions = {"val_share": val_share, **asked.data}
        dataset = Dataset.open(data, **options)
    if chosen is None:
        chosen = changed(choose_recipe(dataset, asked.recipe), asked.recipe)
    return dataset, suited(chosen, dataset)


def _require_objectives(objectives: Objectives, dataset: Dataset) -> Objectives:
    trainings = [dataset.asking(fold) for fold in dataset.folds] or [dataset]
    if not all(len(one.rows("train")) for one in trainings):
        raise RequestError(f"{dataset.location}: no training images.")
    objectives = dataset.asks.require_objectives(objectives, dataset.classes)
    if (objectives.aim is not None or objectives.aims) and not dataset.folds and not len(dataset.rows("val")):
        raise RequestError(
            "a threshold is chosen on validation images, and this recipe keeps none; use --folds, which needs none."
        )
    if not dataset.folds and not len(dataset.rows("test")):
        raise RequestError(f"{dataset.location}: no test images, so nothing could be said about the model.")
    return objectives


def _train_and_judge(
    run: Run, training: Training, objectives: Objectives, tracker: Tracker, say: Language, spent: float = 0.0
) -> Run:
    from mirante.evaluation.plots.drawing import get_ready
    from mirante.experiment.seeds import repeat

    recipe = training.recipe
    if is_pretrained(recipe.layers) and not (recipe.epochs or recipe.seconds or objectives.repeats > 1):
        get_ready()  # the last layer is there in a moment, and the plots are most of what is left
    fitted, info, predictions = _fit_and_predict(run, training, objectives, tracker, spent)
    if fitted.augment:
        text = "Each time the training images were seen, they were changed: {augment}."
        run.note(Note(text, {"augment": ", ".join(fitted.augment)}, grave=None))
    checked, difference = _check_graph(run, training, info, fitted)
    if checked is None:
        text = "model.onnx does not agree with the trained network: probabilities differ by up to {difference}. Do not use it."
        wrong = Note(text, {"difference": f"{difference:.2g}"}, grave=True)
        run.note(wrong)
    again: list[Predictions] = []
    if objectives.repeats > 1:
        again = repeat(run, training, objectives)
    _log.info(f"figures, plots and report of {len(predictions):,} test images")
    metrics = judge_run(run, run.path, predictions, training.dataset, training.pixels, say, again=again)
    tracker.finish(metrics)
    run.finish()
    if checked is None:
        raise WorkError(f"{run.path / runfolder.ONNX}: {wrong} Please report this with the line of layers.")
    _log.info(f"model.onnx agrees with torch on {checked} images to {difference:.0e}.")
    return run


def _fit_and_predict(
    run: Run, training: Training, objectives: Objectives, tracker: Tracker, spent: float
) -> tuple[FittedNetwork, ModelInfo, Predictions]:
    """Train, calibrate on held-out images, publish the model, and have it predict the test images."""
    from mirante.experiment.cross_validation import out_of_fold, predict_folds
    from mirante.experiment.fit_network import CALIBRATED, ask, fit_network

    dataset, pixels, task = training.dataset, training.pixels, training.info.asks
    if dataset.folds:
        known = out_of_fold(run, training)
        whole = training.changed(dataset=dataset.asking(""))
        fitted = fit_network(whole, tracker.epoch, spent, known.chosen)
        info = task.calibrate(known.output, known.rows, dataset, fitted.info, objectives)
        run.publish(fitted.model, info, fitted.network)
        if fitted.probed:  # what it sees was learned from other images: even its training images look as new ones do
            _publish_reference(run, whole, fitted, known.rows, known.output)
            shutil.rmtree(run.path / runfolder.FOLD_MODELS, ignore_errors=True)  # its own does for all folds
        return fitted, info, predict_folds(known, dataset, info, objectives)
    fitted = fit_network(training, tracker.epoch, spent)
    held = spread(dataset.rows("val"), CALIBRATED)
    info = task.calibrate(ask(fitted, dataset, pixels, held), held, dataset, fitted.info, objectives)
    run.publish(fitted.model, info, fitted.network)
    rows = dataset.rows("test")
    output = (
        ask(fitted, dataset, pixels, rows).with_calibration(info)
        if fitted.probed
        else run.model(features=True).run(pixels[rows])
    )
    _publish_reference(run, training, fitted, rows, output)
    few = spread(np.arange(len(rows)), _LOOKED_AT)
    run.publish_heatmaps(fitted.attention(dataset, pixels, rows[few], output.logits[few]))
    return fitted, info, task.predict(output, rows, dataset, info)


def _publish_reference(
    run: Run, training: Training, fitted: FittedNetwork, rows: NDArray[np.int64], output: Output
) -> None:
    """Keep what the network sees in some of these rows, where it has features, to compare images in use with them."""
    from mirante.experiment.transfer import backbone_features

    features = output.values.get("features")
    if fitted.probed:  # a backbone's features are kept, so that the next training does not look again
        features = backbone_features(fitted.network, training.dataset, training.pixels, fitted.info, rows)
    if features is not None:
        compared = spread(np.arange(len(rows)), _COMPARED)
        run.publish_reference(compared, sketch(features[compared]), output.ood_scores[compared])


def _check_graph(run: Run, training: Training, info: ModelInfo, fitted: FittedNetwork) -> tuple[int | None, float]:
    """Return on how many images the written graph agrees with the network (None if it does not) and the largest difference."""
    from mirante.model.export import TOLERANCE, largest_difference

    dataset = training.dataset
    count = max(8, min(64, _CHECKED_PIXELS // (info.height * info.width)))  # 64 small images, fewer large ones
    rows = spread(dataset.rows(dataset.folds[0] if dataset.folds else "test"), count)
    images: Pixels = np.ascontiguousarray(training.pixels[rows])
    difference = largest_difference(fitted.network, info, run.path / runfolder.ONNX, images)
    return (len(images) if difference <= TOLERANCE else None), difference


def _tell(dataset: Dataset, info: ModelInfo, run: Path) -> None:
    splits = (*dataset.folds, "test") if dataset.folds else SPLITS
    parts = ", ".join(f"{len(dataset.rows(split)):,} {split}" for split in splits if len(dataset.rows(split)))
    _log.info(
        f"{dataset.location}: {len(dataset):,} images {dataset.asks.described(dataset)} ({parts}), shown at "
        f"{info.height}×{info.width}×{info.channels}"
    )
    for note in dataset.notes:
        _log.info(f"  note: {note}")
    _log.info(f"{info.layers}  →  {run}")
