"""A trained model that answers: model.onnx in ONNX Runtime, for paths, PIL images, bytes and arrays, whichever its task.

Nothing here knows how it was trained.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mirante.data.entries import Entry, Skipped
from mirante.data.films import INTERVAL, Sampling, film_entries
from mirante.errors import ImageError, RequestError
from mirante.prediction.films import Timelines
from mirante.prediction.onnx_model import OnnxModel, Output
from mirante.prediction.stream import predict_stream
from mirante.task import Answer, Task
from mirante.timeline import Stretch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mirante.images import Pixels
    from mirante.prediction.onnx_model import Picture


class Model(OnnxModel):
    """A finished model, from a run folder or from its model.onnx.

    model = mirante.load("runs/flowers-fast")
    model.predict("photo.jpg").label
    """

    def __repr__(self) -> str:
        return f"<Model {self.path}: {self.info.task}, {len(self.info.classes)} classes>"

    @property
    def task(self) -> str:
        """What it is asked: a name of mirante.task."""
        return self.info.task

    @property
    def asks(self) -> Task:
        return self.info.asks

    @property
    def classes(self) -> tuple[str, ...]:
        return self.info.classes

    @property
    def classes_(self) -> NDArray[np.str_]:
        """The classes as scikit-learn names them: the order of the columns of `predict_proba`."""
        return np.array(self.info.classes)

    def predict(self, picture: Picture, coverage: float | None = None) -> Any:
        """Return the answer for one image: a path, encoded bytes, a PIL image, or an array uint8 (H, W[, 1, 3 or 4]).

        coverage  also tell the prediction set, in which the true class is with this probability

        A classifier returns a Prediction, a model that reads texts a Reading. Raises ImageError when the image cannot be read,
        RunError when the model cannot promise any coverage.
        """
        self.require_coverage(coverage)
        if isinstance(picture, (list, tuple, dict, set)) or picture is None:
            raise RequestError(
                "predict takes one image: a path, bytes, a PIL image or an array; predict_many takes several."
            )
        path = str(picture) if isinstance(picture, (str, Path)) else None
        return next(self.answer([(path, self.pixels(picture))], coverage))

    def predict_many(
        self,
        pictures: Iterable[Picture],
        coverage: float | None = None,
        *,
        errors: Literal["raise", "skip"] = "raise",
    ) -> Iterator[Any]:
        """Return an iterator over the answers, in order; see `predict`. Images are read on all cores while the network works.

        errors  raise an ImageError at the first image that cannot be read, or skip: a Skipped (path, reason) takes its place
        """
        self.require_coverage(coverage)
        _require_several(pictures)
        if errors not in ("raise", "skip"):
            raise ValueError(f"errors={errors!r}: must be 'raise' or 'skip'.")
        entries = (Entry(_name(one), Path(one) if isinstance(one, str) else one) for one in pictures)
        return self._many(entries, coverage, errors == "skip")

    def timeline(self, film: str | Path, interval: float = INTERVAL, *, scenes: bool = False) -> list[Stretch]:
        """Return the stretches of a film with one answer each, in order.

        interval  seconds between the frames that are looked at
        scenes    look at one frame of each scene instead

        Raises ImageError for a film that cannot be read; one that is truncated has the timeline of what is there.
        """
        sampling = Sampling(interval, scenes)
        made = Timelines(self.info, sampling)
        failed = None
        for path, answer, pixels in predict_stream(self, film_entries(Path(film), str(film), sampling)):
            if isinstance(answer, Skipped):
                failed = answer
                made.add_failure(answer.path)
            else:
                made.add(path, answer, pixels)
        if not made.films():
            raise ImageError(f"{film}: {'no frame in it' if failed is None else failed.reason}")
        return list(made.all())

    def _many(self, entries: Iterable[Entry], coverage: float | None, skips: bool) -> Iterator[Any]:
        for path, answer, _ in predict_stream(self, entries, coverage):
            if isinstance(answer, Skipped) and not skips:
                raise ImageError(f"{path}: {answer.reason}" if path else answer.reason)
            yield answer

    def predict_proba(self, pictures: Iterable[Picture]) -> NDArray[np.float32]:
        """Return the probabilities (N, …, classes) of images, in the order of `classes`. Raises ImageError."""
        _require_several(pictures)
        pixels = [self.pixels(one) for one in pictures]
        images = np.stack(pixels) if pixels else np.zeros((0, *self.info.shape), np.uint8)
        return self.run(images).probabilities

    def require_task(self, name: str, what: str) -> None:
        """Raise RunError when the model's task is not the one that `what` needs."""
        self.info.require_task(name, what, str(self.path))

    def require_one_class(self, what: str) -> None:
        """Raise RunError when the model's answer is not one of its classes, which `what` needs."""
        self.info.require_one_class(what, str(self.path))

    def require_coverage(self, coverage: float | None) -> None:
        """Raise RunError when a coverage is wanted and the model cannot promise any, RequestError when it is not a share."""
        if coverage is not None:
            _require_share("coverage", coverage)
            self.asks.require_coverage(self.info, str(self.path))

    def set_threshold(self, threshold: float) -> None:
        """Decide from a probability other than the one that the training chose. Raises RunError for a model without one."""
        _require_share("threshold", threshold)
        self.info = self.asks.with_threshold(self.info, threshold, str(self.path))

    def answer(self, batch: list[tuple[str | None, Pixels]], coverage: float | None = None) -> Iterator[Answer]:
        """Yield the answers for images that already have the input size, each with its path."""
        if batch:
            found = self.run(np.stack([pixels for _, pixels in batch]))
            yield from self.tell(found, [path for path, _ in batch], coverage)

    def tell(self, found: Output, paths: Sequence[str | None], coverage: float | None = None) -> Iterator[Answer]:
        """Yield what the network's output comes to for each image, with its path."""
        return self.asks.answers(found, self.info, paths, coverage)


def load(run: str | Path, threads: int = 0) -> Model:
    """Return the model of a run folder or of a model.onnx, whichever its task. Raises RunError.

    threads  for one call; 0 takes one per core
    """
    return Model(run, threads)


def _require_several(pictures: object) -> None:
    """Raise RequestError for a single image, which would be taken apart: a path into letters, an array into its rows."""
    single = isinstance(pictures, (str, bytes, os.PathLike, Image.Image)) or (
        isinstance(pictures, np.ndarray)
        and (pictures.ndim < 3 or (pictures.ndim == 3 and pictures.shape[2] in (1, 3, 4)))
    )
    if single:
        raise RequestError("one image, where a list of images is needed; put it in a list.")


def _require_share(name: str, value: float) -> None:
    if not isinstance(value, Real) or not 0 < value < 1:
        raise RequestError(f"{name}={value!r}: must be a number between 0 and 1, such as 0.95.")


def _name(picture: Picture) -> str:
    return str(picture) if isinstance(picture, (str, Path)) else ""
