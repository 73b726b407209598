"""A trained model that reads: the text of an image, letter by letter, each with its probability, and that of the whole text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mirante.errors import RunError
from mirante.images import Pixels
from mirante.prediction.classifier import Classifier
from mirante.prediction.onnx_model import OnnxModel, OtherKindError, Output

if TYPE_CHECKING:
    from mirante.prediction.onnx_model import Picture


@dataclass(frozen=True)
class Reading:
    """What was read in one image.

    text        as it was read; perhaps empty
    confidence  the probability that all of it is right
    letters     each character of the text with the probability that it is right
    unsure      whether the confidence is below the one from which on, of texts kept apart in the training, 99 in 100 were right
    path        of the image, where it has one
    """

    text: str
    confidence: float
    letters: tuple[tuple[str, float], ...]
    unsure: bool
    path: str | None = None

    def to_dict(self) -> dict[str, object]:
        return {
            "path": self.path,
            "text": self.text,
            "confidence": round(self.confidence, 6),
            "unsure": self.unsure,
            "letters": [[letter, round(share, 6)] for letter, share in self.letters],
        }


class Reader(OnnxModel):
    """A model of Mirante that reads texts, opened from a run folder or from its model.onnx.

    reader = Reader("runs/meters")
    reader.predict("meter.jpg").text
    """

    def __init__(self, run: str | Path, threads: int = 0) -> None:
        """Open it; raises RunError when it is no model of Mirante, or one that knows classes instead of texts."""
        super().__init__(run, threads)
        if not self.info.characters:
            raise OtherKindError(
                f"{self.path}: a model of classes, which reads no text; open it with mirante.Classifier."
            )

    def predict(self, picture: Picture) -> Reading:
        """Return what is read in one image: a path, encoded bytes, a PIL image, or an array uint8 (H, W[, 1, 3 or 4]).

        Raises ImageError when it cannot be read.
        """
        return next(self.predict_many([picture]))

    def predict_many(self, pictures: Iterable[Picture]) -> Iterator[Reading]:
        """Yield what is read in each image, in order, in batches. Raises ImageError at the first unreadable one."""
        for batch in self.batches(pictures):
            yield from self.answer(batch)

    def answer(self, batch: list[tuple[str | None, Pixels]], coverage: float | None = None) -> Iterator[Reading]:
        """Yield the answers for images that already have the input size, each with its path."""
        self.require_coverage(coverage)
        if batch:
            found = self.run(np.stack([pixels for _, pixels in batch]))
            yield from self.tell(found, [path for path, _ in batch])

    def tell(self, found: Output, paths: Sequence[str | None]) -> Iterator[Reading]:
        """Yield what the network's output comes to for each image, with its path."""
        for row, path in enumerate(paths):
            yield self._reading(found, row, path)

    def require_coverage(self, coverage: float | None) -> None:
        """Raise RunError when a coverage is asked for: a text has no set of plausible ones."""
        if coverage is not None:
            raise RunError(
                f"{self.path}: a coverage is promised for classes; a text that is not sure is called unsure."
            )

    def _reading(self, found: Output, row: int, path: str | None) -> Reading:
        shares: NDArray[np.float32] = found.probabilities[row]
        letters = tuple(
            (self.info.classes[number], float(shares[place, number]))
            for place, number in enumerate(shares.argmax(axis=1))
            if self.info.classes[number]
        )
        sure = float(found.sureness[row])
        unsure = self.info.confidence_threshold is not None and sure < self.info.confidence_threshold
        return Reading("".join(letter for letter, _ in letters), sure, letters, unsure, path)


def open_model(run: str | Path, threads: int = 0) -> Classifier | Reader:
    """Return the model of a run folder or model.onnx, whichever kind it is. Raises RunError."""
    try:
        return Classifier(run, threads)
    except OtherKindError:
        return Reader(run, threads)
