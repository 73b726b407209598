"""Fit one network on the training images of a data set, and ask it about others."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from mirante import runfolder
from mirante.data.dataset import Dataset
from mirante.data.partition import spread
from mirante.experiment.distributed import broadcast_fit
from mirante.experiment.training import Training
from mirante.experiment.transfer import backbone_features, backbone_graph, features_key, fit_last_layer, looking
from mirante.images import Pixels
from mirante.model.backbone import Backbone
from mirante.model.export import build_onnx, with_calibration
from mirante.model.last_layer import add_ood_score, seen_as
from mirante.model.network import Network, build_network
from mirante.model.running import inner_values
from mirante.model_info import ModelInfo
from mirante.prediction.onnx_model import OnnxModel, Output
from mirante.prediction.out_of_distribution import fit_subspace, ood_score
from mirante.training.engine import Images, answer, best_device, freeze, hold
from mirante.training.history import Epoch, write_history
from mirante.training.loop import fit
from mirante.training.malloc import keep_memory
from mirante.training.recipe import Recipe
from mirante.training.symmetry import suited_to

_log = logging.getLogger("mirante")
CALIBRATED = 5000
"""The most validation images that are learned from."""

_SCALES = (0.5, 0.7, 1.0, 1.4, 2.0)

_FAMILIAR = 5000  # training images whose features define what is familiar


@dataclass(frozen=True)
class Choices:
    """What the validation images chose in a training.

    strength  the L2 strength of a last layer fitted alone, else 0
    tuned     whether more than the last layer was trained
    """

    strength: float
    tuned: bool


@dataclass(frozen=True)
class FittedNetwork:
    """A trained network.

    info      what it takes and answers, before calibration
    probed    whether only its last layer was trained, on a backbone's features
    augment   how training images were changed each time they were seen
    model     its whole graph, without calibration (mirante.model.export)
    space     the directions (width, d) spanned by its features of the training images; None if unknown
    """

    network: Network
    info: ModelInfo
    probed: bool
    augment: tuple[str, ...]
    model: onnx.ModelProto
    space: NDArray[np.float32] | None
    choices: Choices
    history: list[Epoch]

    def attention(
        self, dataset: Dataset, pixels: Pixels, rows: NDArray[np.int64], logits: NDArray[np.float32]
    ) -> bytes | None:
        """Return a PNG of where it looks in some of these rows, given their logits; None if the task has nothing to draw."""
        return self.info.asks.draw_attention(self.network, self.model, dataset, pixels, rows, logits)


def new_network(recipe: Recipe, info: ModelInfo, device: str) -> tuple[Network, torch.device]:
    """Return the network with the weights that the seed gives it, and where it will be trained."""
    keep_memory()
    place = best_device(device)
    info.asks.require_layers(info.layers)
    torch.manual_seed(recipe.seed)
    return build_network(info.layers, info.shape, info.output, info.flip_tta, recipe.weights), place


def fit_network(
    training: Training,
    report: Callable[[Epoch], None] | None = None,
    spent: float = 0.0,
    chosen: Choices | None = None,
) -> FittedNetwork:
    """Train the network on the `train` images, watched by the `val` images; history and checkpoints go into its folder.

    report  called with each finished epoch
    spent   seconds already spent on this training
    chosen  the choices to use when there are no validation images to choose by
    """
    folder, dataset, pixels, recipe = training.folder, training.dataset, training.pixels, training.recipe
    info, network, device = training.info, training.network, training.device
    held = hold(pixels, device)
    train_images, val_images = (Images(held, dataset.targets, dataset.rows(split)) for split in ("train", "val"))
    test_images = Images(pixels, dataset.targets, dataset.rows("test"))
    watch = test_images if recipe.watch == "test" else val_images
    before, strength, history = None, 0.0, []
    if isinstance(network.body, Backbone):
        info = replace(info, licence=network.body.licence, rooted=network.body.root)
        before, strength = fit_last_layer(network, dataset, pixels, info, chosen.strength if chosen else None)
        spent, history = before.seconds, [before]
        write_history(folder / runfolder.HISTORY, history)
    tuned = (recipe.epochs > 0 or recipe.seconds > spent) and (chosen is None or chosen.tuned)
    if tuned:
        began = time.monotonic()
        look = looking(network, info) if isinstance(network.body, Backbone) else None
        recipe = suited_to(recipe, pixels, train_images.rows, dataset.targets, look)
        spent += time.monotonic() - began
        network.flip_tta = recipe.flip_tta
        info = replace(info, flip_tta=recipe.flip_tta)
        loss = None
        if before is not None and len(val_images):
            seen = backbone_features(network, dataset, pixels, info, val_images.rows)
            loss = _least_loss(_last_layer(network, seen), val_images, info)
        untuned = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        watched = watch if len(watch) else None
        broadcast_fit(training.changed(info=info, recipe=recipe), None if watched is None else watched.rows)
        criterion = info.asks.criterion()
        history = fit(network, train_images, watched, recipe, criterion, folder, device, report, before, spent)
        freeze(network, 0.0)  # heat maps need the slopes of all layers
        if loss is not None:
            tuned_loss = _least_loss(answer(network, val_images, recipe, device), val_images, info)
            tuned = tuned_loss <= loss  # not a number is worse too
            _log.info(
                f"Fine-tuning changed the loss from {loss:.3f} to {tuned_loss:.3f} on {len(val_images):,} validation images, each "
                "at its best temperature."
            )
            if not tuned:
                network.load_state_dict(untuned)
                _log.info("The network is kept as it was before.")
    rows = spread(dataset.rows("train"), _FAMILIAR)
    probed = isinstance(network.body, Backbone) and not tuned
    if probed:
        network.flip_tta = False  # its last layer knows one look
        info = replace(info, flip_tta=False, seen_with=features_key(network, info))
        space = fit_subspace(backbone_features(network, dataset, pixels, info, rows))
        model = build_onnx(network, info, backbone_graph(network, info))
    else:
        model = build_onnx(network, info)
        name = seen_as(model) if info.asks.judges_ood else None
        space = None if name is None else fit_subspace(inner_values(model, name, pixels[rows]))
    name = seen_as(model)
    if space is not None and name is not None:
        add_ood_score(model, name, space, network.flip_tta)
    return FittedNetwork(
        network, info, probed, recipe.augment if tuned else (), model, space, Choices(strength, tuned), history
    )


def _last_layer(network: Network, features: NDArray[np.float32]) -> Tensor:
    """Return the logits of a backbone's features, on the CPU."""
    assert isinstance(network.body, Backbone)
    head = network.body.head
    return torch.from_numpy(features) @ head.weight.detach().cpu().T + head.bias.detach().cpu()


def _least_loss(logits: Tensor, images: Images, info: ModelInfo) -> float:
    """Return the mean loss in nats at the best of a few temperatures: the calibration, which comes later, finds one too."""
    criterion, targets = info.asks.criterion(), torch.from_numpy(images.targets[images.rows])
    return min(float(criterion.loss(logits * scale, targets, 0.0)) for scale in _SCALES)


def ask(fitted: FittedNetwork, dataset: Dataset, pixels: Pixels, rows: NDArray[np.int64]) -> Output:
    """Return what the network answers for these rows, through ONNX Runtime; its probabilities are not calibrated."""
    if fitted.probed:  # the backbone's features of most of them are already cached
        features = backbone_features(fitted.network, dataset, pixels, fitted.info, rows)
        logits: NDArray[np.float32] = _last_layer(fitted.network, features).numpy()
        scores = np.zeros(len(rows), np.float32) if fitted.space is None else ood_score(features, fitted.space)
        return Output.of_logits(logits, scores, fitted.info)
    return OnnxModel(with_calibration(fitted.model, fitted.info).SerializeToString()).run(pixels[rows])
