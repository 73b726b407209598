"""A trained model that answers: model.onnx in ONNX Runtime, for paths, PIL images and arrays.

The file alone is enough. It knows its classes and input size; nothing is known here of how it was trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.errors import RunError
from mirante.images import Pixels, read_image
from mirante.runfolder import ModelInfo

if TYPE_CHECKING:
    from PIL.Image import Image

    Picture = str | Path | bytes | Image | Pixels

BATCH = 64


@dataclass(frozen=True)
class Prediction:
    """The answer for one image.

    classes        names in the order of the probabilities
    probabilities  (classes,) float, summing to 1
    path           of the image, where it has one
    """

    classes: tuple[str, ...]
    probabilities: NDArray[np.float32]
    path: str | None = None

    @property
    def order(self) -> NDArray[np.int64]:
        """Class numbers, the most probable first."""
        return np.argsort(-self.probabilities, kind="stable")

    @property
    def label(self) -> str:
        return self.classes[int(self.order[0])]

    @property
    def confidence(self) -> float:
        return float(self.probabilities[self.order[0]])

    @property
    def runner_up(self) -> str:
        return self.classes[int(self.order[1])]

    @property
    def runner_up_confidence(self) -> float:
        return float(self.probabilities[self.order[1]])

    def to_dict(self) -> dict[str, object]:
        return {
            "path": self.path,
            "label": self.label,
            "confidence": round(self.confidence, 6),
            "runner_up": self.runner_up,
            "runner_up_confidence": round(self.runner_up_confidence, 6),
            "probabilities": {
                name: round(float(share), 6) for name, share in zip(self.classes, self.probabilities, strict=True)
            },
        }


class Classifier:
    """A model of Mirante, opened from a run folder or from its model.onnx.

    classifier = Classifier("runs/flowers-fast")
    classifier.predict("photo.jpg").label
    """

    def __init__(self, run: str | Path) -> None:
        """Open it; raises RunError when it is missing, damaged, of a newer version, or no model of Mirante."""
        path = Path(run).expanduser()
        if path.is_dir() or not path.exists():
            path = runfolder.require_file(path, runfolder.ONNX)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has one exception a status code
            raise RunError(f"{path}: not a model that can be opened; it is damaged or no .onnx file.") from error
        text = self._session.get_modelmeta().custom_metadata_map.get("mirante")
        if text is None:
            raise RunError(f"{path}: not a model of Mirante; its metadata does not name its classes.")
        self.info = ModelInfo.from_json(text, str(path))
        self.path = path

    @property
    def classes(self) -> tuple[str, ...]:
        return self.info.classes

    def predict(self, picture: Picture) -> Prediction:
        """Return the answer for one image: a path, encoded bytes, a PIL image, or an array uint8 (H, W[, 1, 3 or 4]).

        Raises ImageError when it cannot be read.
        """
        return next(self.predict_many([picture]))

    def predict_many(self, pictures: Iterable[Picture]) -> Iterator[Prediction]:
        """Yield the answer for each image, in order, in batches. Raises ImageError at the first that cannot be read."""
        batch: list[tuple[str | None, Pixels]] = []
        for picture in pictures:
            path = str(picture) if isinstance(picture, (str, Path)) else None
            batch.append((path, self.pixels(picture)))
            if len(batch) == BATCH:
                yield from self.answer(batch)
                batch = []
        yield from self.answer(batch)

    def pixels(self, picture: Picture) -> Pixels:
        """Return an image as the network takes it, uint8 (height, width, channels)."""
        return read_image(picture, self.info.size, self.info.channels, self.info.fit)

    def answer(self, batch: list[tuple[str | None, Pixels]]) -> Iterator[Prediction]:
        """Yield the answers for images that already have the input size, each with its path."""
        if batch:
            probabilities, _ = self.run(np.stack([pixels for _, pixels in batch]))
            for (path, _), row in zip(batch, probabilities, strict=True):
                yield Prediction(self.classes, row, path)

    def run(self, images: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return (probabilities, logits), each float (N, classes), of images uint8 (N, height, width, channels).

        The logits are those before the temperature.
        """
        found: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        for start in range(0, len(images), BATCH):
            batch = np.ascontiguousarray(images[start : start + BATCH])
            found.append(tuple(self._session.run(["probabilities", "logits"], {"images": batch})))
        if not found:
            empty = np.empty((0, len(self.classes)), np.float32)
            return empty, empty
        return np.concatenate([one for one, _ in found]), np.concatenate([two for _, two in found])
