"""What a model reads in one image: the text, letter by letter, each with its probability, and that of the whole text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mirante.model_info import ModelInfo
from mirante.prediction.onnx_model import Output
from mirante.tasks.read.calibrate import learned_of


@dataclass(frozen=True)
class Reading:
    """What was read in one image.

    text        as read; may be empty
    confidence  the probability that all of it is right
    letters     each character of the text with the probability that it is right
    unsure      whether the confidence is below the one above which 99 in 100 held-out texts were right
    path        of the image, if it has one
    """

    text: str
    confidence: float
    letters: tuple[tuple[str, float], ...]
    unsure: bool
    path: str | None = None

    @property
    def label(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """Return how it shows itself in a notebook: the text, and a bar for each letter."""
        from mirante import notebook
        from mirante.locale import language

        letters = [letter for letter, _ in self.letters]
        return notebook.block(
            notebook.text(self.text, strong=True), notebook.bars(self.letters, letters, language(None))
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON and the server give it."""
        return {
            "path": self.path,
            "text": self.text,
            "confidence": round(self.confidence, 6),
            "unsure": self.unsure,
            "letters": [(letter, round(share, 6)) for letter, share in self.letters],
        }


def readings_of(output: Output, info: ModelInfo, paths: Sequence[str | None]) -> Iterator[Reading]:
    """Yield the reading from a network's output for each image, with its path."""
    sure_from = learned_of(info).sure_from
    for row, path in enumerate(paths):
        shares = output.probabilities[row]
        letters = tuple(
            (info.classes[number], float(shares[place, number]))
            for place, number in enumerate(shares.argmax(axis=1))
            if info.classes[number]
        )
        sure = float(output.values["confidence"][row])
        yield Reading("".join(letter for letter, _ in letters), sure, letters, sure < sure_from, path)
