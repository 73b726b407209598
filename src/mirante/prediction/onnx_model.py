"""A model.onnx in ONNX Runtime: images of its input size in, every output of its graph out.

The file alone is enough: it names its task, its classes, its input and its calibration. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.errors import RunError
from mirante.images import Pixels, read_image
from mirante.model_info import ModelInfo
from mirante.onnx_session import open_session, parts_of

if TYPE_CHECKING:
    from PIL.Image import Image

    Picture = str | Path | bytes | Image | Pixels

BATCH = 64

CHECK = "mirante_check"
"""Under this name a model whose answers depend on the processor, one in 8 bits, notes what it answered where it was made."""

_CHECKED = 0.1  # share of the probability that may have moved to other classes

Rows = NDArray[np.integer] | NDArray[np.bool_] | slice


@dataclass(frozen=True, eq=False)
class Output:
    """What a graph answers for N images: its outputs by name.

    logits         (N, …, classes), before the calibration
    probabilities  (N, …, classes), calibrated
    ood_scores     (N,) from 0 to 1: how unlike the training images they are; 0 where the model cannot tell

    A model opened with its features also has them among its values, as (N, width), where it has a dense last layer.
    """

    values: Mapping[str, NDArray[np.float32]]

    def __len__(self) -> int:
        return len(self.logits)

    @property
    def logits(self) -> NDArray[np.float32]:
        return self.values["logits"]

    @property
    def probabilities(self) -> NDArray[np.float32]:
        return self.values["probabilities"]

    @property
    def ood_scores(self) -> NDArray[np.float32]:
        found = self.values.get("ood_score")
        return np.zeros(len(self), np.float32) if found is None else found

    def only(self, rows: Rows) -> Output:
        """Return the output for some of the images."""
        return Output({name: value[rows] for name, value in self.values.items()})

    def with_calibration(self, info: ModelInfo) -> Output:
        """Return the output as a graph with the calibration of `info` answers the same logits."""
        return Output({**self.values, **info.asks.from_logits(self.logits, info)})

    @classmethod
    def of_logits(cls, logits: NDArray[np.float32], ood_scores: NDArray[np.float32], info: ModelInfo) -> Output:
        """Return what a graph with the calibration of `info` answers for these logits."""
        return cls({"logits": logits, "ood_score": ood_scores}).with_calibration(info)


def version_of(path: Path) -> str:
    """Return the version of a model: 16 digits of the SHA-256 of its model.onnx."""
    return _version(path.read_bytes())


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def moved_share(found: NDArray[np.floating], wanted: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return which share of the probability lies in other classes, (N, …), between answers (N, …, classes)."""
    share: NDArray[np.floating] = np.abs(found - wanted).sum(axis=-1) / 2
    return share


def check_images(info: ModelInfo) -> Pixels:
    """Return images (4, height, width, channels) of noise, the same everywhere, on which sums are large."""
    return np.random.RandomState(0).randint(0, 256, (4, *info.shape), np.uint8)  # its numbers never change


class OnnxModel:
    """A Mirante model, opened from a run folder or from its model.onnx."""

    def __init__(self, run: str | Path | bytes, threads: int = 0, features: bool = False) -> None:
        """Open it, or the content of a model.onnx.

        Raises RunError when it is missing, damaged, from another version, or not a Mirante model.

        threads   for one call of `run`; 0 takes one per core
        features  also return what goes into the last layer
        """
        self._features = features
        if isinstance(run, bytes):
            path, content = Path(runfolder.ONNX), run
        else:
            path, content = Path(run).expanduser(), b""
            if path.is_dir() or not path.exists():
                path = runfolder.require_file(path, runfolder.ONNX)
        try:
            self._content = content or path.read_bytes()  # the file may be replaced by another model
            self._file = self._content
            self._session = open_session(self._content, threads)
            if features and "features" not in [one.name for one in self._session.get_outputs()]:
                self._content = _with_features(self._content)
                self._session = open_session(self._content, threads)
        except Exception as error:  # ONNX Runtime has an exception for each status code
            raise RunError(f"{path}: this model cannot be opened; it is damaged or not an .onnx file.") from error
        text = self._session.get_modelmeta().custom_metadata_map.get("mirante")
        if text is None:
            raise RunError(f"{path}: not a Mirante model; its metadata does not name its classes.")
        self.info = ModelInfo.from_json(text, str(path))
        self._run, self.threads = run, threads
        self._names = [one.name for one in self._session.get_outputs()]
        self.path = path
        if noted := self._session.get_modelmeta().custom_metadata_map.get(CHECK):
            self._require_same_answer(noted)

    def __reduce__(self) -> tuple[Any, ...]:
        return (
            type(self),
            (self._run, self.threads, self._features),
            {"info": self.info},
        )  # opened again where it is unpickled, with its own threshold

    def _require_same_answer(self, noted: str) -> None:
        """Raise RunError when this processor answers otherwise than the one that the model was made on."""
        try:
            wanted = np.array(json.loads(noted), np.float32)
            differ = not moved_share(self.run(check_images(self.info)).probabilities, wanted).max() < _CHECKED
        except (ValueError, TypeError):
            differ = True
        if differ:
            raise RunError(
                f"{self.path}: this model in 8 bits answers otherwise on this processor than where it was made; use the model.onnx "
                "of its run, or export it again on this machine."
            )

    def on_one_thread(self) -> OnnxModel:
        """Return the network again, for callers that run it on each core by itself."""
        same = OnnxModel(self._content, 1, self._features)
        same._file = self._file  # which may have been opened with its features
        return same

    @cached_property
    def version(self) -> str:
        """What version_of says of its file."""
        return _version(self._file)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what `run` returns."""
        return tuple(self._names)

    def pixels(self, picture: Picture) -> Pixels:
        """Return an image as the network takes it, uint8 (height, width, channels). Raises ImageError when it cannot be read."""
        return read_image(picture, self.info.size, self.info.channels, self.info.fit, self.info.rendering)

    def run(self, images: Pixels) -> Output:
        """Return what the network answers for images uint8 (N, height, width, channels)."""
        batches = [np.ascontiguousarray(images[part]) for part in parts_of(len(images), self.info.size)]
        parts = [self._session.run(self._names, {"images": batch}) for batch in batches]
        if not parts:
            shape = (0, *self.info.output)
            return Output.of_logits(np.zeros(shape, np.float32), np.zeros(0, np.float32), self.info)
        if self._features:  # the mirror images' come second in each batch
            for place, name in enumerate(self._names):
                if name == "features":
                    for part, batch in zip(parts, batches, strict=True):
                        part[place] = part[place].reshape(-1, len(batch), part[place].shape[-1]).mean(axis=0)
        return Output({name: np.concatenate(found) for name, *found in zip(self._names, *parts, strict=True)})


def _with_features(content: bytes) -> bytes:
    """Return a model.onnx whose graph also gives what goes into its last layer, as `features`; unchanged where it has none."""
    import onnx
    from onnx import TensorProto, helper

    from mirante.model.last_layer import seen_as

    model = onnx.load_from_string(content)
    name = seen_as(model)
    if name is None:
        return content
    if name != "features":  # a backbone's are called that already
        model.graph.node.append(helper.make_node("Identity", [name], ["features"]))
    model.graph.output.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, None))
    changed: bytes = model.SerializeToString()
    return changed
