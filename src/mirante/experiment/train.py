"""Train: from a word that says where images are to a finished run; and go on with a run that was stopped."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mirante import runfolder
from mirante.data.check.quick import quick_notes
from mirante.data.dataset import SPLITS, VAL_SHARE, Dataset, Task
from mirante.data.notes import Note
from mirante.errors import RequestError, RunError, WorkError
from mirante.evaluation.judge import Answers
from mirante.evaluation.texts import TextAnswers
from mirante.experiment.calibrate import CALIBRATED, HeldOut, answers_across, answers_of, learn_from
from mirante.experiment.defaults import changed, choose_recipe, fit_to_data, input_shape, untrained, usual_fit
from mirante.experiment.distributed import begun_before, led_by_rank_zero, load, remember
from mirante.experiment.evaluate import Run, judge_run, tell_skipped
from mirante.experiment.folder import data_json, make_run, read_recipe_toml, recipe_toml, require_free, require_space
from mirante.experiment.objectives import Objectives
from mirante.experiment.texts import learn_from_texts, texts_of, write_attention
from mirante.files import write_file, write_text
from mirante.images import FITS, Fit, Pixels
from mirante.locale import Language, language
from mirante.model.notation import is_own_code, is_pretrained
from mirante.prediction.classifier import Classifier
from mirante.prediction.reader import Reader
from mirante.runfolder import ModelInfo
from mirante.training.recipe import Recipe
from mirante.training.tracking import Tracker, require_trackers, tracking

if TYPE_CHECKING:
    import torch

    from mirante.model.network import Network

_CHECKED_PIXELS = 1 << 19
_LOOKED_AT = 500  # test images among which the heat maps of the report are chosen


@led_by_rank_zero
def train(
    data: str | Path | Dataset,
    recipe: str | Recipe | None = None,
    *,
    changes: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    labels: str | Path | None = None,
    group: str | None = None,
    by: str | None = None,
    classes: Sequence[str] | None = None,
    root: str | Path | None = None,
    folds: int = 0,
    plan: Objectives | None = None,
    size: tuple[int, int] | None = None,
    fit: Fit | None = None,
    task: Task = "class",
    text: str | None = None,
    length: int | None = None,
    device: str = "auto",
    strict: bool = False,
    overwrite: bool = False,
    track: Sequence[str] = (),
    lang: str | None = None,
) -> Run:
    """Train a classifier and write its run folder.

    data         where the images are (docs/data.md), or a Dataset already opened
    recipe       a recipe's name, a .toml file, or a Recipe; None chooses by the images, and says why
    changes      fields of the recipe that are to be others: {"epochs": 3}
    out          the run folder to make; runs/DATA-RECIPE, numbered, when None
    labels, group, by, classes, root, folds, task, text, length   as in Dataset.open
    plan         a threshold for an aim, a prevalence, repetitions
    size         (height, width) in pixels of the network's input; chosen from the data when None
    fit          how images of another shape come to that size: crop, pad or squash; None crops, and squashes those with a text
    device       auto, cpu, cuda or mps
    strict       make an unreadable image an error instead of leaving it out
    overwrite    replace a run that is at `out`
    track        also tell these: tensorboard, mlflow, wandb
    lang         en or pt, of plots and report; the system's when None

    Raises RequestError when something asked for cannot be done, WorkError when the work fails.
    """
    change = dict(changes or {})
    if (begun := begun_before()) is not None:
        return resume(begun, layers=change.get("layers"), device=device, track=track, lang=lang)
    if recipe is None and is_pretrained(change.get("layers", "")):
        recipe = "transfer"
    elif recipe is None and "layers" in change:
        recipe = "fast"
    chosen = None if recipe is None else changed(recipe, change)
    if fit is None:
        fit = usual_fit(task)
    elif fit not in FITS:
        raise RequestError(f"fit {fit!r}: it can be {', '.join(FITS)}.")
    say = language(lang)
    require_trackers(track)
    val_share = change.get("val_share", VAL_SHARE) if chosen is None else chosen.val_share
    if isinstance(data, Dataset):
        dataset = Dataset.open(data.location, **data.options, val_share=val_share)
    else:
        options = {"labels": labels, "group": group, "by": by, "classes": classes, "root": root, "folds": folds}
        asked = {"task": task, "text": text, "length": length}
        dataset = Dataset.open(data, **options, **asked, val_share=val_share)  # type: ignore[arg-type]
    if chosen is None:
        chosen = changed(choose_recipe(dataset), change)
    plan = plan or Objectives()
    if dataset.task == "code":
        plan.require_no_classes()
        if chosen.flip or chosen.flip_tta:
            print("Letters are not mirrored, whatever the recipe says.", file=sys.stderr)
            chosen = chosen.changed(flip=False, flip_tta=False)
    min_size = chosen.min_size
    target = None if out is None else Path(out).expanduser()
    if target is not None:
        require_free(target, overwrite)

    def shape_at(largest: int) -> tuple[int, int, Literal[1, 3]]:
        return input_shape(dataset, largest, min_size, size)

    plan = plan.of(dataset.classes)
    if plan.aim is not None and not dataset.folds and not len(dataset.rows("val")):
        raise RequestError(
            "a threshold is chosen on validation images, and this recipe keeps none; --folds does without."
        )
    from mirante.experiment.fit_network import new_network

    chosen, spent = fit_to_data(chosen, dataset.asking("") if dataset.folds else dataset, shape_at, device)
    shape = shape_at(chosen.max_size)
    info = untrained(dataset, shape, fit, chosen)
    network, place = new_network(chosen, info, device)
    dataset, pixels = load(dataset, info)
    tell_skipped(dataset, strict)
    if dataset.task == "class":
        dataset = replace(dataset, notes=(*dataset.notes, *quick_notes(dataset, pixels)))
    require_space(target or Path("runs"), dataset)
    run = make_run(target, f"{dataset.name}-{chosen.name}", overwrite)
    write_text(run / runfolder.RECIPE, recipe_toml(chosen, info, dataset, plan, device))
    write_text(run / runfolder.DATA, data_json(dataset))
    (run / runfolder.CHECKPOINT).mkdir(exist_ok=True)
    remember(run)
    _tell(dataset, info, run)
    with tracking(run, track, chosen) as tracker:
        return _train_and_judge(run, dataset, pixels, chosen, info, plan, network, place, tracker, say, spent)


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
    """Go on with a training that was stopped or killed, to the weights that it would have had.

    data    where the images are now, when they have moved
    layers  path.py:function, which must be given again: nothing that a run names is executed

    Raises RunError when it is no run, or the data are not what they were.
    """
    path = Path(run).expanduser()
    runfolder.require_run(path)
    require_trackers(track)
    say = language(lang)
    if not (path / runfolder.CHECKPOINT).is_dir():
        print(f"{path} is finished; there is nothing to go on with.", file=sys.stderr)
        return Run(path, runfolder.read_json(path, runfolder.METRICS))
    values = read_recipe_toml(path)
    chosen = Recipe.from_dict(values["recipe"], str(path / runfolder.RECIPE))
    if is_own_code(chosen.layers) and layers != chosen.layers:
        raise RunError(f"{path}: its network is {chosen.layers}; to run that file, say so: --model {chosen.layers}")
    stored = runfolder.read_json(path, runfolder.DATA)
    word = str(data) if data is not None else stored["location"]
    dataset = Dataset.open(word, **stored["options"], val_share=chosen.val_share)
    try:
        shape = (int(values["input"]["height"]), int(values["input"]["width"]), values["input"]["channels"])
        info = untrained(dataset, shape, values["input"]["fit"], chosen)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path / runfolder.RECIPE}: damaged: no [input]; train again with --overwrite.") from error
    dataset, pixels = load(dataset, info)
    if dataset.fingerprint != stored["fingerprint"]:
        raise RunError(
            f"{word}: the images or labels have changed since {path} was begun; train again with another --out."
        )
    _tell(dataset, info, path)
    plan = Objectives.from_dict(values.get("plan", {}))
    from mirante.experiment.fit_network import new_network

    network, place = new_network(chosen, info, device)
    with tracking(path, track, chosen) as tracker:
        return _train_and_judge(path, dataset, pixels, chosen, info, plan, network, place, tracker, say)


def _train_and_judge(
    run: Path,
    dataset: Dataset,
    pixels: Pixels,
    recipe: Recipe,
    info: ModelInfo,
    plan: Objectives,
    network: Network,
    place: torch.device,
    tracker: Tracker,
    say: Language,
    spent: float = 0.0,
) -> Run:
    from safetensors.torch import save_file

    from mirante.experiment.cross_validation import FOLDER, out_of_fold
    from mirante.experiment.fit_network import ask, fit_network, spread
    from mirante.experiment.heatmaps import write_heatmaps
    from mirante.model.export import TOLERANCE, largest_difference, write_onnx

    if dataset.folds:
        known, chosen = out_of_fold(run, dataset, pixels, recipe, info, network, place)
        whole = dataset.asking("")
        taught = fit_network(run, whole, pixels, recipe, info, network, place, tracker.epoch, spent, chosen)
    else:
        taught = fit_network(run, dataset, pixels, recipe, info, network, place, tracker.epoch, spent)
        rows = spread(dataset.rows("val"), CALIBRATED)
        known = HeldOut(rows, *ask(taught, dataset, pixels, rows))
    info, model = taught.info, taught.model
    info = learn_from_texts(known, dataset, info) if info.characters else learn_from(known, dataset, info, plan)
    write_onnx(model, info, run / runfolder.ONNX)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_file(run / runfolder.WEIGHTS, lambda part: save_file(weights, part))
    write_text(run / runfolder.MODEL, info.to_json() + "\n")
    # 64 small images, fewer large ones
    count = max(8, min(64, _CHECKED_PIXELS // (info.height * info.width)))
    checked = np.ascontiguousarray(pixels[spread(dataset.rows(dataset.folds[0] if dataset.folds else "test"), count)])
    difference = largest_difference(network, info, run / runfolder.ONNX, checked)
    warnings = []
    if not difference <= TOLERANCE:
        text = "model.onnx does not agree with the trained network: probabilities differ by up to {difference}. Do not use it."
        warnings.append(Note(text, {"difference": f"{difference:.2g}"}))
    answers: Answers | TextAnswers
    again: list[Answers] = []
    if info.characters:
        write_attention(run, model, dataset, pixels, dataset.rows("test"))
        answers = texts_of(Reader(run), pixels, dataset.rows("test"))
    elif known.folds is None:
        few = spread(dataset.rows("test"), _LOOKED_AT)
        write_heatmaps(run, taught, dataset, pixels, few, ask(taught, dataset, pixels, few)[0])
        answers = answers_of(Classifier(run), dataset, pixels, dataset.rows("test"))
    else:
        answers = answers_across(known, dataset, info, plan)
    if plan.repeats > 1:
        from mirante.experiment.seeds import repeat

        again = repeat(run, dataset, pixels, recipe, replace(info, positive=None, class_weights=()), plan, str(place))
    metrics = judge_run(run, run, answers, again, info, dataset, pixels, None, warnings, say)
    tracker.finish(metrics)
    for unfinished in (runfolder.CHECKPOINT, FOLDER):
        shutil.rmtree(run / unfinished, ignore_errors=True)
    for part in run.rglob("*.part"):  # left by a kill in the middle of writing
        part.unlink()
    if warnings:
        raise WorkError(f"{run / runfolder.ONNX}: {warnings[0]} Please report this with the line of layers.")
    print(f"model.onnx agrees with torch on {len(checked)} images to {difference:.0e}.", file=sys.stderr)
    return Run(run, metrics)


def _tell(dataset: Dataset, info: ModelInfo, run: Path) -> None:
    splits = (*dataset.folds, "test") if dataset.folds else SPLITS
    parts = ", ".join(f"{len(dataset.rows(split)):,} {split}" for split in splits if len(dataset.rows(split)))
    kinds = f"of {len(dataset.classes)} classes"
    if dataset.task == "code":
        kinds = f"with texts of up to {dataset.characters} characters out of {len(dataset.classes) - 1} ({''.join(dataset.classes)})"
    print(
        f"{dataset.location}: {len(dataset):,} images {kinds} ({parts}), shown at "
        f"{info.height}×{info.width}×{info.channels}",
        *(f"  note: {note}" for note in dataset.notes),
        f"{info.layers}  →  {run}",
        sep="\n",
        file=sys.stderr,
    )
