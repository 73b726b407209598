"""Transfer: a pretrained backbone looks at each image once, and only the last layer is trained on what it saw."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from mirante import __version__
from mirante.data.dataset import Dataset
from mirante.data.features import Features, known_or_new
from mirante.files import write_bytes
from mirante.images import Pixels
from mirante.model.export import features_graph
from mirante.model.nodes import is_known
from mirante.model.running import open_graph
from mirante.model_info import ModelInfo
from mirante.onnx_session import parts_of
from mirante.places import cache_folder
from mirante.progress import track
from mirante.training.head import fit_head
from mirante.training.history import Epoch

if TYPE_CHECKING:
    from mirante.model.backbone import Backbone
    from mirante.model.network import Network


def fit_last_layer(
    network: Network, dataset: Dataset, pixels: Pixels, info: ModelInfo, strength: float | None = None
) -> tuple[Epoch, float]:
    """Fit the last layer of a backbone on the features of the training images.

    strength  strength of the L2 penalty; None lets the validation images choose it, or folds of the training images

    Returns the result as epoch 0 of the history, and the strength.
    """
    began = time.monotonic()
    body: Backbone = network.body  # type: ignore[assignment]
    train, val = dataset.rows("train"), dataset.rows("val")
    rows = np.concatenate([train, val])
    features = backbone_features(network, dataset, pixels, info, rows)
    known, held = features[: len(train)], features[len(train) :]
    names = dataset.groups or dataset.digests
    units = [names[row] for row in train]
    targets = dataset.targets
    wanted = targets[train], held, targets[val], len(info.classes)
    criterion = info.asks.criterion()
    head = fit_head(known, *wanted, strength, body.root, units, criterion.slopes, criterion.along)
    with torch.no_grad():
        body.head.weight.copy_(torch.from_numpy(head.weight))
        body.head.bias.copy_(torch.from_numpy(head.bias))
    done = Epoch(0, 0, time.monotonic() - began, 0.0, *head.train, *(head.val or (None, None)))
    held_out = "" if head.val is None else f", {head.val[1]:.1%} of {len(val):,} validation images"
    logging.getLogger("mirante").info(
        f"last layer on features of {len(rows):,} images: {done.seconds:.1f} s, correct for {head.train[1]:.1%} of the training "
        f"images{held_out}"
    )
    return done, head.strength


def backbone_features(
    network: Network, dataset: Dataset, pixels: Pixels, info: ModelInfo, rows: NDArray[np.int64]
) -> Features:
    """Return a backbone's features of these rows of the data set, (rows, width); cached by content."""
    key = features_key(network, info)
    digests = [dataset.digests[row] for row in rows]

    def look(new: list[int]) -> Features:
        return _look(backbone_graph(network, info), pixels, rows[new], info.layers)

    return known_or_new(key, digests, look)


def looking(network: Network, info: ModelInfo) -> Callable[[Pixels], Features]:
    """Return what gives a backbone's features (N, width) of pixels (N, H, W, C); nothing is cached."""
    graph = cache(lambda: backbone_graph(network, info))
    return lambda pixels: _look(graph(), pixels, np.arange(len(pixels)), info.layers)


def features_key(network: Network, info: ModelInfo) -> str:
    """Return what a backbone's features are kept under."""
    body: Backbone = network.body  # type: ignore[assignment]
    return f"{info.layers} {body.digest} {info.size} {info.channels} {info.fit} {info.rendering}{' root' * body.root}"


def backbone_graph(network: Network, info: ModelInfo) -> onnx.ModelProto:
    """Return the graph of a backbone without its last layer; what torch takes seconds to write is cached."""
    if is_known(network.body):
        return features_graph(network, info)
    key = features_key(network, info)
    name = hashlib.sha256(f"{key} {torch.__version__} {__version__} without traces".encode()).hexdigest()[:32]
    path = cache_folder() / "backbones" / f"{name}.onnx"
    try:
        graph = onnx.load(path)
        onnx.checker.check_model(graph)
    except Exception:  # not there yet, or damaged: protobuf raises many different errors
        graph = features_graph(network, info)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, graph.SerializeToString())
    return graph


def _look(graph: onnx.ModelProto, pixels: Pixels, rows: np.ndarray, name: str) -> Features:
    """Return the features of these rows of the pixels."""
    session = open_graph(graph)
    batches = [rows[part] for part in parts_of(len(rows), pixels.shape[1:3])]
    found = [
        session.run(["features"], {"images": pixels[batch]})[0]
        for batch in track(batches, f"Looking with {name}", len(batches))
    ]
    return np.concatenate(found).astype(np.float32)
