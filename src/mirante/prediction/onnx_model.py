"""A model.onnx in ONNX Runtime: images of its input size in, everything that its graph answers out.

The file alone is enough: it names its classes, its input and its calibration. What an answer means is known by Classifier and Reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

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


class Output(NamedTuple):
    """What a network answers for N images; where texts are read each has `characters` rows of classes.

    probabilities  (N, [characters,] classes), calibrated
    logits         (N, [characters,] classes), before the calibration
    ood_score    (N,) from 0 to 1: how unlike the training images they are; 0 where the model cannot tell
    sureness       (N,) the probability that a whole text is right; 0 for classes
    """

    probabilities: NDArray[np.float32]
    logits: NDArray[np.float32]
    ood_score: NDArray[np.float32]
    sureness: NDArray[np.float32]


class OtherKindError(RunError):
    """The model answers another question than the one that it was opened for."""


class OnnxModel:
    """A model of Mirante, opened from a run folder or from its model.onnx."""

    def __init__(self, run: str | Path, threads: int = 0) -> None:
        """Open it; raises RunError when it is missing, damaged, of a newer version, or no model of Mirante.

        threads  that one call of `run` uses; 0 takes a core each
        """
        path = Path(run).expanduser()
        if path.is_dir() or not path.exists():
            path = runfolder.require_file(path, runfolder.ONNX)
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has one exception a status code
            raise RunError(f"{path}: not a model that can be opened; it is damaged or no .onnx file.") from error
        text = self._session.get_modelmeta().custom_metadata_map.get("mirante")
        if text is None:
            raise RunError(f"{path}: not a model of Mirante; its metadata does not name its classes.")
        self.info = ModelInfo.from_json(text, str(path))
        offered = {one.name for one in self._session.get_outputs()}
        self._wanted = [name for name in Output._fields if name in offered]
        self.path = path

    def batches(self, pictures: Iterable[Picture]) -> Iterator[list[tuple[str | None, Pixels]]]:
        """Yield images in batches as the network takes them, each with its path where it has one. Raises ImageError."""
        batch: list[tuple[str | None, Pixels]] = []
        for picture in pictures:
            path = str(picture) if isinstance(picture, (str, Path)) else None
            batch.append((path, self.pixels(picture)))
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def pixels(self, picture: Picture) -> Pixels:
        """Return an image as the network takes it, uint8 (height, width, channels). Raises ImageError when it cannot be read."""
        return read_image(picture, self.info.size, self.info.channels, self.info.fit)

    def run(self, images: Pixels) -> Output:
        """Return what the network answers for images uint8 (N, height, width, channels)."""
        parts = [
            self._session.run(self._wanted, {"images": np.ascontiguousarray(images[start : start + BATCH])})
            for start in range(0, len(images), BATCH)
        ]
        rows = [*([self.info.characters] if self.info.characters else []), len(self.info.classes)]
        empty = {name: np.zeros((len(images), *(rows if name in ("probabilities", "logits") else ())), np.float32)
                 for name in Output._fields}  # fmt: skip
        joined = {name: np.concatenate(found) for name, *found in zip(self._wanted, *parts, strict=True) if found}
        return Output(**{**empty, **joined})
