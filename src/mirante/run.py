"""A run: the only reader and writer of a run folder. Its content is read once, when first asked for.

    run = Run("runs/pets")
    run.recipe, run.task, run.classes, run.metrics.accuracy
    run.dataset(), run.model(), run.predictions()

A training makes one (`create`), records what it will do (`record`), and stores the model (`publish`).
"""

from __future__ import annotations

import os
import shutil
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.data.dataset import Dataset
from mirante.data.entries import SYSTEM_FILES
from mirante.data.notes import Note
from mirante.errors import RequestError, RunError, WorkError
from mirante.evaluation.figure import Metrics
from mirante.evaluation.objectives import Objectives
from mirante.files import next_free, system_reason, write_bytes, write_file, write_json, write_text
from mirante.lock import held
from mirante.model_info import ModelInfo, read_model_info
from mirante.notebook import Drawn
from mirante.predictions import Predictions
from mirante.replacement import FILES, PART, STAGED, finish, is_pending
from mirante.run_record import data_json, recipe_toml, with_files
from mirante.training.history import Epoch, read_history
from mirante.training.recipe import Recipe
from mirante.training.snapshots import Snapshot, read_snapshots

if TYPE_CHECKING:
    import onnx

    from mirante.evaluation.judgement import Judgement
    from mirante.model.network import Network
    from mirante.prediction.model import Model


class Run:
    """A run folder, finished or not."""

    def __init__(self, path: str | Path) -> None:
        """Open it; raises RunError when it is not a Mirante run."""
        self.path = Path(path).expanduser()
        if is_pending(self.path):
            with (
                suppress(RequestError, OSError),
                hold_run(self.path),
            ):  # another process may be at it, or nobody may write here
                pass
        runfolder.require_run(self.path)

    def __repr__(self) -> str:
        return f"<Run {self.path}>"

    def _repr_html_(self) -> str:
        """Return how it shows itself in a notebook: its key figures with their intervals, and the curves of its training."""
        from mirante import notebook
        from mirante.locale import language

        say, parts = language(None), [notebook.text(str(self.path), strong=True)]
        if self.is_finished:
            title, rows = self.info.asks.key_figures(self.metrics, say)
            parts += [notebook.text(title), notebook.table(rows)]
        history = self.history
        for title, kind in ((say("Loss"), "loss"), (say("Accuracy"), "accuracy")):
            lines = {
                say("training"): [getattr(epoch, f"train_{kind}") for epoch in history],
                say("validation"): [getattr(epoch, f"val_{kind}") for epoch in history],
            }
            parts.append(notebook.curves(title, lines, say))
        return notebook.block(*parts)

    def plot(self, name: str) -> Drawn:
        """Return a plot of its report, which shows itself in a notebook: curves, confusion, predictions, mistakes and the like.

        Raises RequestError, naming those there are.
        """
        drawn = {path.stem: path for path in (self.path / runfolder.PLOTS).glob("*.png")}
        if name not in drawn:
            raise RequestError(f"{self.path}: no plot {name!r}; there are {', '.join(sorted(drawn)) or 'none'}.")
        from PIL import Image

        with Image.open(drawn[name]) as image:
            return Drawn(drawn[name].read_bytes(), str(image.info.get("Description", name)))

    def __fspath__(self) -> str:
        return str(self.path)

    # --- what it holds

    @property
    def name(self) -> str:
        """The name of its folder; of an earlier model RUN/earlier/N."""
        path = self.path.resolve()
        if path.name == PART:
            return path.parent.name
        is_kept = path.name.isdigit() and path.parent.name == runfolder.EARLIER and runfolder.is_run(path.parents[1])
        return "/".join(path.parts[-3:]) if is_kept else path.name

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The content of recipe.toml. Raises RunError when it is damaged."""
        try:
            values = tomllib.loads(runfolder.read_text(self.path, runfolder.RECIPE))
            if not isinstance(values["recipe"], dict) or not isinstance(values["versions"], dict):
                raise KeyError("recipe")
        except (tomllib.TOMLDecodeError, KeyError) as error:
            raise RunError(f"{self.path / runfolder.RECIPE}: damaged; restore the file or train again.") from error
        return values

    @cached_property
    def data(self) -> dict[str, Any]:
        """The content of data.json: what the images are and how they were split, file by file. Raises RunError."""
        return runfolder.read_json(self.path, runfolder.DATA)

    @cached_property
    def recipe(self) -> Recipe:
        return Recipe.from_dict(self.settings["recipe"], str(self.path / runfolder.RECIPE))

    @cached_property
    def objectives(self) -> Objectives:
        """The objectives given to the training."""
        return Objectives.from_dict(self.settings.get("objectives", {}))

    @property
    def task(self) -> str:
        return str(self.data["task"])

    @property
    def classes(self) -> tuple[str, ...]:
        return self.info.classes if self.is_finished else tuple(self.data["classes"])

    @cached_property
    def info(self) -> ModelInfo:
        """What the model takes and answers (model.json). Raises RunError."""
        return read_model_info(self.path)

    @cached_property
    def metrics(self) -> Metrics:
        """The figures of the test images, each with its 95% interval. Raises RunError when the training has not finished."""
        return Metrics.of_json(runfolder.read_json(self.path, runfolder.METRICS))

    @property
    def history(self) -> list[Epoch]:
        return read_history(self.path / runfolder.HISTORY)

    @property
    def digests(self) -> dict[str, str]:
        """Path → digest of the content of every image of its data."""
        return {path: digest for path, digest, *_ in self.data["files"]}

    @property
    def seen(self) -> set[str]:
        """The digests of the images that the model was made from: trained on, calibrated with, or learned from later."""
        folded = bool(self.data["options"].get("folds"))
        trained = {digest for _, digest, _, split in self.data["files"] if folded or split != "test"}
        return trained.union(self.learned)

    @property
    def learned(self) -> tuple[str, ...]:
        """The digests of the photos that it has learned from after its training (mirante photos learn). Raises RunError."""
        path = self.path / runfolder.LEARNED
        if not path.exists():
            return ()
        (digests,) = read_arrays(path, digests=np.str_)
        return tuple(map(str, digests))

    @property
    def notes(self) -> list[Note]:
        """What you should know about the data."""
        return [Note(*stored) for stored in self.data["notes"]]

    @property
    def snapshots(self) -> list[Snapshot]:
        """What was kept of the training, epoch by epoch."""
        return read_snapshots(self.path)

    def file(self, name: str) -> Path:
        """Return the path of a file of it. Raises RunError when it is not there."""
        return runfolder.require_file(self.path, name)

    @property
    def report(self) -> Path:
        return self.path / runfolder.REPORT

    @property
    def card(self) -> str:
        """The model card, Markdown. Raises RunError."""
        return runfolder.read_text(self.path, runfolder.CARD)

    @property
    def heatmaps(self) -> bytes | None:
        """PNG of where the network looked in a few images, if one was drawn."""
        file = self.path / runfolder.PLOTS / runfolder.HEATMAPS
        return file.read_bytes() if file.exists() else None

    @property
    def is_finished(self) -> bool:
        return (self.path / runfolder.METRICS).is_file() and not (self.path / runfolder.CHECKPOINT).is_dir()

    def predictions(self) -> Predictions:
        """Return the model's predictions for the test images; with folds, for all images. Raises RunError."""
        return Predictions.read(self.file(runfolder.PREDICTIONS), self.info)

    def model(self, threads: int = 0, features: bool = False) -> Model:
        """Return the model, ready to predict; its output has the features too if they are asked for. Raises RunError."""
        from mirante.prediction.model import Model

        return Model(self.path, threads, features)

    def dataset(self, location: str | Path | None = None, subgroup: str | None = None) -> Dataset:
        """Return the data it was trained on, split as it was then.

        location  where the images are now, if they have moved
        subgroup  another column by which figures are broken down

        Raises DataError when it can no longer be opened; `require_same` checks whether it is unchanged.
        """
        options = self.data["options"] | ({"subgroup": subgroup} if subgroup else {})
        opened = Dataset.open(self.data["location"] if location is None else location, **options)
        if self.data.get("as_given"):  # a Dataset that was not made from its options alone
            opened = self._as_given(opened)
        return opened.known_as(self.info.classes) if (self.path / runfolder.MODEL).exists() else opened

    def _as_given(self, opened: Dataset) -> Dataset:
        files, classes = self.data["files"], tuple(self.data["classes"])
        kept = opened.only([path for path, *_ in files])
        output = (*opened.output[:-1], len(classes))
        targets = kept.asks.encode_labels([label for _, _, label, _ in files], classes, output)
        splits = np.array([split for *_, split in files])
        named = {name: tuple(self.data[name]) if self.data.get(name) else None for name in ("group_of", "subgroup_of")}
        groups, subgroups = named.values()
        return replace(
            kept, classes=classes, output=output, targets=targets, splits=splits, groups=groups, subgroups=subgroups
        )

    def require_same(self, dataset: Dataset, tested: NDArray[np.int64]) -> None:
        """Raise RunError unless these rows of the data set are the images, with the labels, that the run was tested on."""
        folded, targets, classes = bool(dataset.folds), dataset.targets, dataset.classes
        if dataset.asks.several_labels:  # of which it may have learned more since
            known = len(self.data["classes"])
            targets, classes = targets[:, :known], classes[:known]
        names = dataset.asks.label_names(targets, classes)
        before = sorted((digest, name) for _, digest, name, split in self.data["files"] if (split == "test") != folded)
        if sorted((dataset.digests[row], names[row]) for row in tested) != before:
            raise RunError(
                f"{self.data['location']}: its test images or their labels are not the ones that {self.path} was tested on; "
                f"give the data to test on: mirante evaluate {self.path} DATA"
            )

    @property
    def parameters(self) -> int:
        """The number of weights of the network. Raises RunError."""
        from safetensors import safe_open

        file = self.path / runfolder.WEIGHTS
        try:
            with safe_open(file, "np") as weights:
                names = [name for name in weights.keys() if not name.endswith("num_batches_tracked")]  # noqa: SIM118
                return sum(int(np.prod(weights.get_slice(name).get_shape())) for name in names)
        except Exception as error:  # safetensors has its own errors, none of which says more
            raise RunError(f"{file}: missing or damaged; train the model again.") from error

    # --- making one

    @classmethod
    def create(cls, out: Path | None, name: str, overwrite: bool) -> Path:
        """Make the folder of a run: the one asked for, or the next free name under runs/. Raises RequestError."""
        try:
            if out is not None:
                if overwrite and runfolder.is_run(out):
                    require_free(out, overwrite)
                    with hold_run(out):
                        if os.name != "nt":  # where a file that is open cannot be removed
                            shutil.rmtree(out)
                    shutil.rmtree(out, ignore_errors=os.name != "nt")
                out.mkdir(parents=True, exist_ok=True)
                return out
            while True:
                path = next_free(Path("runs") / name)
                try:
                    path.mkdir(parents=True)
                    return path
                except FileExistsError:  # another training was faster
                    continue
        except OSError as error:
            where = out if out is not None else Path("runs").resolve()
            raise RequestError(f"{where}: the run folder cannot be made there: {system_reason(error)}.") from error

    @classmethod
    def record(
        cls,
        path: Path,
        recipe: Recipe,
        info: ModelInfo,
        dataset: Dataset,
        objectives: Objectives,
        device: str,
        as_given: bool = False,
    ) -> Run:
        """Write recipe.toml and data.json into a folder, from which a training can be resumed, and return the run.

        as_given  whether to keep the data set as it is, rather than as its options would reopen it
        """
        write_text(path / runfolder.RECIPE, recipe_toml(recipe, info, dataset, objectives, device))
        write_text(path / runfolder.DATA, data_json(dataset, as_given))
        (path / runfolder.CHECKPOINT).mkdir(exist_ok=True)
        return cls(path)

    def publish(self, model: onnx.ModelProto, info: ModelInfo, network: Network) -> None:
        """Write the finished model: model.onnx, its weights, and what it takes and answers."""
        from safetensors.torch import save_file

        from mirante.model.export import write_onnx

        write_onnx(model, info, self.path / runfolder.ONNX)
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
        write_file(self.path / runfolder.WEIGHTS, lambda part: save_file(weights, part))
        self.publish_info(info)

    def publish_info(self, info: ModelInfo) -> None:
        """Write what the model takes and answers."""
        write_text(self.path / runfolder.MODEL, info.to_json() + "\n")
        self.__dict__["info"] = info

    def publish_reference(
        self, rows: NDArray[np.int64], sketches: NDArray[np.float16], ood_scores: NDArray[np.float32]
    ) -> None:
        """Keep what some test images look like to the network: rows (N,) of predictions.csv, sketches (N, width), ood_scores (N,)."""

        def write(part: Path) -> None:
            with part.open("wb") as file:
                np.savez(file, rows=rows, sketches=sketches, ood_scores=ood_scores)

        write_file(self.path / runfolder.REFERENCE, write)

    def reference(self) -> tuple[NDArray[np.int64], NDArray[np.float16], NDArray[np.float32]] | None:
        """Return what `publish_reference` kept, or None. Raises RunError when it is damaged."""
        path = self.path / runfolder.REFERENCE
        if not path.exists():
            return None
        rows, sketches, scores = read_arrays(path, rows=np.int64, sketches=np.float16, ood_scores=np.float32)
        return rows, sketches, scores

    def publish_heatmaps(self, drawn: bytes | None) -> None:
        """Keep where the network looked: the network may be gone when the run is evaluated."""
        if drawn is not None:
            (self.path / runfolder.PLOTS).mkdir(exist_ok=True)
            write_bytes(self.path / runfolder.PLOTS / runfolder.HEATMAPS, drawn)

    def publish_judgement(self, folder: Path, predictions: Predictions, judgement: Judgement) -> Metrics:
        """Write predictions.csv, metrics.json and the plots into the run's own folder, or into one for other images."""
        predictions.write(folder / runfolder.PREDICTIONS)
        values = {"format": runfolder.FORMAT, "task": predictions.task, **judgement.metrics}
        write_json(folder / runfolder.METRICS, values)
        (folder / runfolder.PLOTS).mkdir(exist_ok=True)
        for plot in judgement.plots:
            write_bytes(folder / runfolder.PLOTS / f"{plot.name}.png", plot.content)
        metrics = Metrics(values)
        if folder == self.path:
            self.__dict__["metrics"] = metrics  # what was written a moment ago is not read again
        return metrics

    def note(self, note: Note) -> None:
        """Add something you should know, replacing an earlier note with the same text."""
        notes = [one for one in self.data["notes"] if one[0] != note.text]
        self.data["notes"] = [*notes, [note.text, note.values, note.grave]]
        write_text(self.path / runfolder.DATA, with_files(self.data))

    def read_anew(self) -> None:
        """Forget what was read: the model has been replaced."""
        self.__dict__ = {"path": self.path}

    def finish(self) -> None:
        """Remove what is only needed to resume a training."""
        for unfinished in (runfolder.CHECKPOINT, runfolder.FOLDS):
            shutil.rmtree(self.path / unfinished, ignore_errors=True)
        for part in self.path.rglob("*.part"):  # left by a kill in the middle of writing
            part.unlink()


def read_arrays(path: Path, **kinds: type) -> list[NDArray[Any]]:
    """Return arrays of a file (.npz) of a run, by name, each of its kind. Raises RunError when it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as found:
            return [np.asarray(found[name], kind) for name, kind in kinds.items()]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path}: damaged; restore the file or train again.") from error


@contextmanager
def hold_run(path: Path) -> Iterator[None]:
    """Hold the folder of a run while it is written. Raises RequestError when another process does.

    A replacement of its model that was interrupted is finished first.
    """
    busy = f"{path}: another process is writing this run; wait until it has finished, or choose another --out."
    with held(path, busy):
        finish(path)
        yield


_REPLACEABLE = {
    *FILES, "evaluations", "tensorboard", "wandb", runfolder.CHECKPOINT, runfolder.EXPORTS, runfolder.FOLDS, STAGED,
} - {runfolder.LEARNED}  # fmt: skip
"""What a training writes into a run, or is made of that again; not what people taught it, or wrote in a technical file."""


def require_free(out: Path, overwrite: bool) -> None:
    """Raise RequestError when there is something at `out` that must not be replaced."""
    if not out.exists() or (out.is_dir() and not any(_begun(out))):
        return
    if not runfolder.is_run(out):
        raise RequestError(f"{out}: already exists and is not a Mirante run; choose another --out.")
    if not overwrite:
        raise RequestError(
            f"{out}: already exists; choose another --out, replace it with --overwrite, or continue a stopped training "
            "with --resume."
        )
    names = (path.name for path in _begun(out) if path.name.lower() not in SYSTEM_FILES)
    if foreign := sorted(set(names) - _REPLACEABLE):
        raise RequestError(
            f"{out}: holds {foreign[0]}, which no training writes, and --overwrite would remove it; move it away, or choose another "
            "--out."
        )


def require_space(run: Path, dataset: Dataset) -> None:
    """Raise WorkError before the first epoch if the run would not fit on the disk; the predictions are the part that grows."""
    tested = len(dataset) if dataset.folds else len(dataset.rows("test"))
    needed = (64 << 20) + tested * (120 + 14 * len(dataset.classes)) + 130 * len(dataset)
    there = next(path for path in (run, *run.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise WorkError(
            f"{run}: about {needed >> 20} MiB are needed but only {free >> 20} MiB are free; free some space or choose another "
            "--out."
        )


def _begun(out: Path) -> Iterator[Path]:
    """Yield what is in a folder, except what a training killed before it started leaves behind."""
    return (path for path in out.iterdir() if path.name not in (runfolder.RECIPE, ".lock") and path.suffix != ".part")
