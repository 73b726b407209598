"""One experiment from images to report: open the data, train, calibrate, export, judge. Writes one run folder.

What `mirante train` and `mirante evaluate` do, and what `mirante.train` and `mirante.evaluate` are in Python.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import tomli_w

import mirante
from mirante import runfolder
from mirante.data.dataset import Dataset, Note, input_size
from mirante.errors import DataError, RequestError, RunError, WorkError
from mirante.evaluation.judge import judge
from mirante.evaluation.report import Story, write_report
from mirante.files import system_reason, to_json, write_file, write_text
from mirante.images import FITS, Fit, Pixels
from mirante.locale import Language, language
from mirante.prediction.calibration import fit_temperature
from mirante.prediction.classifier import Classifier
from mirante.runfolder import ModelInfo
from mirante.training.history import Epoch, read_history
from mirante.training.recipe import Recipe

if TYPE_CHECKING:
    import torch

    from mirante.training.loop import Images

_CHECKED_IMAGES = 64


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, and the content of its metrics.json."""

    path: Path
    metrics: dict[str, Any]

    @property
    def accuracy(self) -> float:
        return float(self.metrics["accuracy"]["value"])

    def classifier(self) -> Classifier:
        """Return its model, ready to predict."""
        return Classifier(self.path)


def train(
    data: str | Path | Dataset,
    recipe: str | Recipe = "fast",
    *,
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
    recipe       a recipe's name, a .toml file, or a Recipe
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
    chosen = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
    if fit not in FITS:
        raise RequestError(f"fit {fit!r}: it can be {', '.join(FITS)}.")
    say = language(lang)
    if tensorboard:
        _require_tensorboard()
    if isinstance(data, Dataset):
        dataset = Dataset.open(data.word, **data.options, val_share=chosen.val_share)
    else:
        options = {"labels": labels, "group": group, "classes": classes, "root": root}
        dataset = Dataset.open(data, **options, val_share=chosen.val_share)  # type: ignore[arg-type]
    target = None if out is None else Path(out).expanduser()
    if target is not None:
        _require_free(target, overwrite)
    shape = (*(size or input_size(dataset.sizes, chosen.largest_size)), dataset.channels)
    info = ModelInfo(dataset.classes, *shape, fit, chosen.layers)
    network, place = _new_network(chosen, info, device)
    dataset, pixels = dataset.load(info.size, info.channels, fit)
    _tell_skipped(dataset, strict)
    run = _make_run(target, f"{dataset.name}-{chosen.name}", overwrite)
    _require_space(run, dataset)
    write_text(run / runfolder.RECIPE, _recipe_toml(chosen, info, dataset, device))
    write_text(run / runfolder.DATA, _data_json(dataset))
    (run / runfolder.CHECKPOINT).mkdir(exist_ok=True)
    _tell(dataset, info, run)
    return _train_and_judge(run, dataset, pixels, chosen, info, network, place, tensorboard, say)


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
    values = _read_recipe_toml(path)
    chosen = Recipe.from_dict(values["recipe"], str(path / runfolder.RECIPE))
    if ".py:" in chosen.layers and layers != chosen.layers:
        raise RunError(f"{path}: its network is {chosen.layers}; to run that file, say so: --model {chosen.layers}")
    stored = runfolder.read_json(path, runfolder.DATA)
    word = str(data) if data is not None else stored["word"]
    dataset = Dataset.open(word, **stored["options"], val_share=chosen.val_share)
    try:
        shape = (int(values["input"]["height"]), int(values["input"]["width"]), values["input"]["channels"])
        info = ModelInfo(dataset.classes, *shape, values["input"]["fit"], chosen.layers)
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


def evaluate(
    run: str | Path,
    data: str | Path | None = None,
    *,
    labels: str | Path | None = None,
    group: str | None = None,
    classes: Sequence[str] | None = None,
    root: str | Path | None = None,
    lang: str | None = None,
) -> Run:
    """Judge a run again: on its own test images, or on other labelled images with the same classes.

    Of its own, the figures, plots and report in the run are made anew; of other data they go to evaluations/NAME in the
    run. Raises RunError when it is no run, or its test images are not what they were.
    """
    path = Path(run).expanduser()
    runfolder.require_run(path)
    say = language(lang)
    classifier = Classifier(path)
    stored = runfolder.read_json(path, runfolder.DATA)
    folder, evaluated = path, None
    if data is None:
        recipe = Recipe.from_dict(_read_recipe_toml(path)["recipe"], str(path / runfolder.RECIPE))
        dataset = Dataset.open(stored["word"], **stored["options"], val_share=recipe.val_share)
    else:
        options: dict[str, Any] = {"labels": labels, "group": group, "classes": classes, "root": root}
        dataset = Dataset.open(data, **options, as_test_of=classifier.classes)
        folder, evaluated = path / "evaluations" / dataset.name, str(data)
        folder.mkdir(parents=True, exist_ok=True)
    dataset, pixels = dataset.load(classifier.info.size, classifier.info.channels, classifier.info.fit)
    _tell_skipped(dataset, strict=False)
    if data is None and sorted(dataset.digests[row] for row in dataset.rows("test")) != _tested(stored):
        raise RunError(
            f"{stored['word']}: its test images are not those that {path} was tested on; give the data to test on: mirante "
            f"evaluate {path} DATA"
        )
    metrics = _judge(path, folder, classifier, dataset, pixels, evaluated, [], say)
    return Run(folder, metrics)


def _new_network(recipe: Recipe, info: ModelInfo, device: str) -> tuple[Network, torch.device]:
    """Return the network with the weights that the seed gives it, and where it will be trained."""
    from mirante.training.memory import keep_memory

    keep_memory()
    import torch

    from mirante.model.network import build_network
    from mirante.training.loop import best_device

    place = best_device(device)
    torch.manual_seed(recipe.seed)
    return build_network(info.layers, (info.height, info.width, info.channels), len(info.classes)), place


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
) -> Run:
    from safetensors.torch import save_file

    from mirante.model.export import TOLERANCE, largest_difference, write_onnx
    from mirante.training.loop import Images, fit, logits_of

    train_images, val_images, test_images = (
        Images(pixels, dataset.labels, dataset.rows(split)) for split in ("train", "val", "test")
    )
    watch = test_images if recipe.watch == "test" else val_images
    with _events(run, tensorboard) as report:
        fit(network, train_images, watch if len(watch) else None, recipe, run, place, report)

    if len(val_images):
        logits = logits_of(network, val_images, place).numpy()
        info = replace(info, temperature=fit_temperature(logits, val_images.labels[val_images.rows]))
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_file(run / runfolder.WEIGHTS, lambda part: save_file(weights, part))
    write_text(run / runfolder.MODEL, info.to_json() + "\n")
    write_onnx(network, info, run / runfolder.ONNX)
    checked = _some_images(test_images)
    difference = largest_difference(network, info, run / runfolder.ONNX, checked)
    warnings = []
    if not difference <= TOLERANCE:
        text = "model.onnx does not agree with the trained network: probabilities differ by up to {difference}. Do not use it."
        warnings.append(Note(text, {"difference": f"{difference:.2g}"}))
    metrics = _judge(run, run, Classifier(run), dataset, pixels, None, warnings, say)
    shutil.rmtree(run / runfolder.CHECKPOINT)
    if warnings:
        raise WorkError(f"{run / runfolder.ONNX}: {warnings[0]} Please report this with the line of layers.")
    print(f"model.onnx agrees with torch on {len(checked)} images to {difference:.0e}.", file=sys.stderr)
    return Run(run, metrics)


def _judge(
    run: Path,
    folder: Path,
    classifier: Classifier,
    dataset: Dataset,
    pixels: Pixels,
    evaluated: str | None,
    warnings: list[Note],
    say: Language,
) -> dict[str, Any]:
    """Measure, draw and report into `folder` what the run answers to the test images of the data set."""
    values = _read_recipe_toml(run)
    data = runfolder.read_json(run, runfolder.DATA)
    history: list[Epoch] = read_history(run / runfolder.HISTORY) if evaluated is None else []
    watched = values["recipe"].get("watch", "val")
    judgement = judge(classifier, dataset, pixels, dataset.rows("test"), folder, history, watched, say)
    notes = [*warnings, *(Note(text, given) for text, given in data["notes"])]
    story = Story(
        name=run.name,
        data=data,
        model=classifier.info,
        recipe=values["recipe"],
        versions=values["versions"],
        seconds=history[-1].seconds if history else None,
        evaluated=evaluated,
        warnings=[say(note.text, **note.values) for note in notes],
    )
    write_report(folder / runfolder.REPORT, judgement, story, say)
    return judgement.metrics


def _some_images(images: Images) -> Pixels:
    """Return up to 64 images spread over the test images."""
    spread = np.linspace(0, len(images) - 1, min(_CHECKED_IMAGES, len(images))).astype(int)
    return np.ascontiguousarray(images.pixels[images.rows[spread]])


def _require_free(out: Path, overwrite: bool) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not runfolder.is_run(out):
        raise RequestError(f"{out}: exists and is not a run of Mirante; choose another --out.")
    if not overwrite:
        raise RequestError(
            f"{out}: exists; choose another --out, replace it with --overwrite, or go on with a stopped training with "
            "--resume."
        )


def _make_run(out: Path | None, name: str, overwrite: bool) -> Path:
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


def _require_space(run: Path, dataset: Dataset) -> None:
    """Say before the first epoch that the run would not fit on the disk; the answers are the part that grows."""
    needed = (64 << 20) + len(dataset.rows("test")) * (120 + 14 * len(dataset.classes)) + 130 * len(dataset)
    free = shutil.disk_usage(run).free
    if free < needed:
        raise WorkError(
            f"{run}: about {needed >> 20} MiB are needed and {free >> 20} MiB are free; free some space or choose another "
            "--out."
        )


def _tell_skipped(dataset: Dataset, strict: bool) -> None:
    if not dataset.skipped:
        return
    lines = "\n".join(f"  {one.path}: {one.reason}" for one in dataset.skipped)
    if strict:
        raise DataError(f"{dataset.word}: images that cannot be used (--strict): {len(dataset.skipped)}\n{lines}")
    print(f"Left out, because they cannot be used: {len(dataset.skipped)}\n{lines}", file=sys.stderr)


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


def _recipe_toml(recipe: Recipe, info: ModelInfo, dataset: Dataset, device: str) -> str:
    import onnxruntime
    import torch

    values = {
        "recipe": recipe.to_dict(),
        "input": {"height": info.height, "width": info.width, "channels": info.channels, "fit": info.fit},
        "data": {"word": dataset.word, **dataset.options},
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


def _read_recipe_toml(run: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(runfolder.read_text(run, runfolder.RECIPE))
        if not isinstance(values["recipe"], dict) or not isinstance(values["versions"], dict):
            raise KeyError("recipe")
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise RunError(f"{run / runfolder.RECIPE}: damaged; restore the file or train again.") from error
    return values


def _data_json(dataset: Dataset) -> str:
    files = zip(dataset.paths, dataset.digests, dataset.labels.tolist(), dataset.splits.tolist(), strict=True)
    value = {
        "format": runfolder.FORMAT,
        "word": dataset.word,
        "options": dataset.options,
        "classes": list(dataset.classes),
        "counts": dataset.counts(),
        "split_by": dataset.split_by,
        "notes": [[note.text, note.values] for note in dataset.notes],
        "skipped": [{"path": one.path, "reason": one.reason} for one in dataset.skipped],
        "fingerprint": dataset.fingerprint,
    }
    # the files stand one a line: the list is long, and is searched by people
    lines = ",\n".join(
        "    " + to_json([path, digest, dataset.classes[label], split], None) for path, digest, label, split in files
    )
    return to_json(value)[:-2] + f',\n  "files": [\n{lines}\n  ]\n}}\n'


def _tested(stored: dict[str, Any]) -> list[str]:
    return sorted(digest for _, digest, _, split in stored["files"] if split == "test")


def _require_tensorboard() -> None:
    from importlib.util import find_spec

    if find_spec("tensorboard") is None:
        raise RequestError("--tensorboard needs one more package; pip install 'mirante[tensorboard]'.")


class _events:  # noqa: N801  (used as a context manager, like open)
    """TensorBoard's event file in the run while entered; gives what reports an epoch to it, or None."""

    def __init__(self, run: Path, wanted: bool) -> None:
        self._writer: Any = None
        if wanted:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(run / "tensorboard"))

    def __enter__(self) -> Callable[[Epoch], None] | None:
        return None if self._writer is None else self._report

    def __exit__(self, *error: object) -> Literal[False]:
        if self._writer is not None:
            self._writer.close()
        return False

    def _report(self, epoch: Epoch) -> None:
        for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr"):
            if (value := getattr(epoch, name)) is not None:
                self._writer.add_scalar(name, value, epoch.epoch)
