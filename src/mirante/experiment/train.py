"""Train: from a word that says where images are to a finished run; and go on with a run that was stopped."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.data.check.quick import shortcut_notes
from mirante.data.dataset import VAL_SHARE, Dataset, input_size
from mirante.data.notes import Note
from mirante.errors import RequestError, RunError, WorkError
from mirante.experiment.choice import changed, choose_recipe, fit_to_data
from mirante.experiment.evaluate import Run, judge_run, tell_skipped
from mirante.experiment.folder import data_json, make_run, read_recipe_toml, recipe_toml, require_free, require_space
from mirante.files import write_file, write_text
from mirante.images import FITS, Fit, Pixels
from mirante.locale import Language, language
from mirante.model.notation import is_own_code, is_pretrained
from mirante.prediction.calibration import fit_temperature
from mirante.prediction.classifier import Classifier
from mirante.runfolder import ModelInfo
from mirante.training.history import Epoch, write_history
from mirante.training.recipe import Recipe
from mirante.training.tensorboard import require_tensorboard, tensorboard_events

if TYPE_CHECKING:
    import torch

    from mirante.model.network import Network

_CHECKED_PIXELS = 1 << 19
_CALIBRATED = 2000  # validation images that the temperature is fitted on: they fix it to a percent or two


def train(
    data: str | Path | Dataset,
    recipe: str | Recipe | None = None,
    *,
    changes: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    labels: str | Path | None = None,
    group: str | None = None,
    classes: Sequence[str] | None = None,
    root: str | Path | None = None,
    size: tuple[int, int] | None = None,
    fit: Fit = "crop",
    device: str = "auto",
    strict: bool = False,
    overwrite: bool = False,
    tensorboard: bool = False,
    lang: str | None = None,
) -> Run:
    """Train a classifier and write its run folder.

    data         where the images are (docs/data.md), or a Dataset already opened
    recipe       a recipe's name, a .toml file, or a Recipe; None chooses by the images, and says why
    changes      fields of the recipe that are to be others: {"epochs": 3}
    out          the run folder to make; runs/DATA-RECIPE, numbered, when None
    labels, group, classes, root   as in Dataset.open
    size         (height, width) in pixels of the network's input; chosen from the data when None
    fit          how images of another shape come to that size: crop, pad or squash
    device       auto, cpu, cuda or mps
    strict       make an unreadable image an error instead of leaving it out
    overwrite    replace a run that is at `out`
    tensorboard  also write TensorBoard events into the run
    lang         en or pt, of plots and report; the system's when None

    Raises RequestError when something asked for cannot be done, WorkError when the work fails.
    """
    change = dict(changes or {})
    if recipe is None and is_pretrained(change.get("layers", "")):
        recipe = "transfer"
    elif recipe is None and "layers" in change:
        recipe = "fast"
    chosen = None if recipe is None else changed(recipe, change)
    if fit not in FITS:
        raise RequestError(f"fit {fit!r}: it can be {', '.join(FITS)}.")
    say = language(lang)
    if tensorboard:
        require_tensorboard()
    val_share = change.get("val_share", VAL_SHARE) if chosen is None else chosen.val_share
    if isinstance(data, Dataset):
        dataset = Dataset.open(data.word, **data.options, val_share=val_share)
    else:
        options = {"labels": labels, "group": group, "classes": classes, "root": root}
        dataset = Dataset.open(data, **options, val_share=val_share)  # type: ignore[arg-type]
    if chosen is None:
        chosen = changed(choose_recipe(dataset), change)
    least_size = chosen.least_size
    target = None if out is None else Path(out).expanduser()
    if target is not None:
        require_free(target, overwrite)

    def shape_at(largest: int) -> tuple[int, int, Literal[1, 3]]:
        return (*(size or input_size(dataset.sizes, largest, least_size)), dataset.channels)

    chosen, spent = fit_to_data(chosen, dataset, shape_at, device)
    shape = shape_at(chosen.largest_size)
    info = ModelInfo(dataset.classes, *shape, fit, chosen.layers, mirror=chosen.mirror)
    network, place = _new_network(chosen, info, device)
    dataset, pixels = dataset.load(info.size, info.channels, fit)
    tell_skipped(dataset, strict)
    dataset = replace(dataset, notes=(*dataset.notes, *shortcut_notes(dataset, pixels)))
    require_space(target or Path("runs"), dataset)
    run = make_run(target, f"{dataset.name}-{chosen.name}", overwrite)
    write_text(run / runfolder.RECIPE, recipe_toml(chosen, info, dataset, device))
    write_text(run / runfolder.DATA, data_json(dataset))
    (run / runfolder.CHECKPOINT).mkdir(exist_ok=True)
    _tell(dataset, info, run)
    return _train_and_judge(run, dataset, pixels, chosen, info, network, place, tensorboard, say, spent)


def resume(
    run: str | Path,
    *,
    data: str | Path | None = None,
    layers: str | None = None,
    device: str = "auto",
    tensorboard: bool = False,
    lang: str | None = None,
) -> Run:
    """Go on with a training that was stopped or killed, to the weights that it would have had.

    data    where the images are now, when they have moved
    layers  path.py:function, which must be given again: nothing that a run names is executed

    Raises RunError when it is no run, or the data are not what they were.
    """
    path = Path(run).expanduser()
    runfolder.require_run(path)
    say = language(lang)
    if not (path / runfolder.CHECKPOINT).is_dir():
        print(f"{path} is finished; there is nothing to go on with.", file=sys.stderr)
        return Run(path, runfolder.read_json(path, runfolder.METRICS))
    values = read_recipe_toml(path)
    chosen = Recipe.from_dict(values["recipe"], str(path / runfolder.RECIPE))
    if is_own_code(chosen.layers) and layers != chosen.layers:
        raise RunError(f"{path}: its network is {chosen.layers}; to run that file, say so: --model {chosen.layers}")
    stored = runfolder.read_json(path, runfolder.DATA)
    word = str(data) if data is not None else stored["word"]
    dataset = Dataset.open(word, **stored["options"], val_share=chosen.val_share)
    try:
        shape = (int(values["input"]["height"]), int(values["input"]["width"]), values["input"]["channels"])
        info = ModelInfo(dataset.classes, *shape, values["input"]["fit"], chosen.layers, mirror=chosen.mirror)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path / runfolder.RECIPE}: damaged: no [input]; train again with --overwrite.") from error
    dataset, pixels = dataset.load(info.size, info.channels, info.fit)
    if dataset.fingerprint != stored["fingerprint"]:
        raise RunError(
            f"{word}: the images or labels have changed since {path} was begun; train again with another --out."
        )
    _tell(dataset, info, path)
    network, place = _new_network(chosen, info, device)
    return _train_and_judge(path, dataset, pixels, chosen, info, network, place, tensorboard, say)


def _new_network(recipe: Recipe, info: ModelInfo, device: str) -> tuple[Network, torch.device]:
    """Return the network with the weights that the seed gives it, and where it will be trained."""
    from mirante.training.memory import keep_memory

    keep_memory()
    import torch

    from mirante.model.network import build_network
    from mirante.training.engine import best_device

    place = best_device(device)
    torch.manual_seed(recipe.seed)
    shape = info.height, info.width, info.channels
    return build_network(info.layers, shape, len(info.classes), info.mirror, recipe.weights), place


def _train_and_judge(
    run: Path,
    dataset: Dataset,
    pixels: Pixels,
    recipe: Recipe,
    info: ModelInfo,
    network: Network,
    place: torch.device,
    tensorboard: bool,
    say: Language,
    spent: float = 0.0,
) -> Run:
    from safetensors.torch import save_file

    from mirante.model.backbone import Backbone
    from mirante.model.export import TOLERANCE, build_onnx, largest_difference, write_onnx
    from mirante.training.engine import Images, hold
    from mirante.training.loop import fit

    held = hold(pixels, place)
    train_images, val_images = (Images(held, dataset.labels, dataset.rows(split)) for split in ("train", "val"))
    test_images = Images(pixels, dataset.labels, dataset.rows("test"))
    watch = test_images if recipe.watch == "test" else val_images
    graph = before = None
    if isinstance(network.body, Backbone):
        from mirante.experiment.transfer import teach_head

        info = replace(info, licence=network.body.licence)
        graph, before = teach_head(network, dataset, pixels, info)
        spent = before.seconds
        write_history(run / runfolder.HISTORY, [before])
    if recipe.epochs or recipe.seconds > spent:
        untuned = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        watched = watch if len(watch) else None
        with tensorboard_events(run, tensorboard) as report:
            history = fit(network, train_images, watched, recipe, run, place, report, before, spent)
        if before is not None and _is_better(before, history[-1]):
            network.load_state_dict(untuned)
            print(
                "Tuning made it worse on the validation images, so the network is kept as it was before.",
                file=sys.stderr,
            )
        else:
            graph = None
    model = build_onnx(network, info, graph)
    write_onnx(model, info, run / runfolder.ONNX)
    if len(val_images):
        rows = _spread(val_images.rows, _CALIBRATED)
        _, logits = Classifier(run / runfolder.ONNX).run(pixels[rows])
        info = replace(info, temperature=fit_temperature(logits, dataset.labels[rows]))
        write_onnx(model, info, run / runfolder.ONNX)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_file(run / runfolder.WEIGHTS, lambda part: save_file(weights, part))
    write_text(run / runfolder.MODEL, info.to_json() + "\n")
    # 64 small images, fewer large ones
    count = max(8, min(64, _CHECKED_PIXELS // (info.height * info.width)))
    checked = np.ascontiguousarray(pixels[_spread(dataset.rows("test"), count)])
    difference = largest_difference(network, info, run / runfolder.ONNX, checked)
    warnings = []
    if not difference <= TOLERANCE:
        text = "model.onnx does not agree with the trained network: probabilities differ by up to {difference}. Do not use it."
        warnings.append(Note(text, {"difference": f"{difference:.2g}"}))
    metrics = judge_run(run, run, Classifier(run), dataset, pixels, None, warnings, say)
    shutil.rmtree(run / runfolder.CHECKPOINT)
    for part in run.rglob("*.part"):  # left by a kill in the middle of writing
        part.unlink()
    if warnings:
        raise WorkError(f"{run / runfolder.ONNX}: {warnings[0]} Please report this with the line of layers.")
    print(f"model.onnx agrees with torch on {len(checked)} images to {difference:.0e}.", file=sys.stderr)
    return Run(run, metrics)


def _is_better(one: Epoch, other: Epoch) -> bool:
    return one.val_loss is not None and other.val_loss is not None and one.val_loss < other.val_loss


def _spread(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return so many of the rows, or all, at even distances."""
    chosen: NDArray[np.int64] = rows[np.linspace(0, len(rows) - 1, min(len(rows), count)).astype(int)]
    return chosen


def _tell(dataset: Dataset, info: ModelInfo, run: Path) -> None:
    parts = ", ".join(f"{len(dataset.rows(split)):,} {split}" for split in ("train", "val", "test"))
    print(
        f"{dataset.word}: {len(dataset):,} images of {len(dataset.classes)} classes ({parts}), shown at "
        f"{info.height}×{info.width}×{info.channels}",
        *(f"  note: {note}" for note in dataset.notes),
        f"{info.layers}  →  {run}",
        sep="\n",
        file=sys.stderr,
    )
