"""Where a model looked: Grad-CAM, and Shapley values of the parts of an image.

Grad-CAM (Selvaraju et al. 2017) weights the last feature maps by the gradient of the class: quick, common, and without a unit.
Shapley values (Shapley 1953; sampled as Castro et al. 2009) are the one way to share out an answer among the parts so
that the shares add up to it: each cell's number is how much it added to the probability, and can be negative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mirante.images import Pixels

if TYPE_CHECKING:
    from mirante.model.network import Network

Map = NDArray[np.float64]
Answer = Callable[[Pixels], NDArray[np.floating]]
"""From uint8 images (N, H, W, C) to probabilities (N, classes)."""

CELLS, ORDERS = 7, 16


def shapley(
    answer: Answer, pixels: Pixels, number: int, cells: int = CELLS, orders: int = ORDERS, seed: int = 0
) -> Map:
    """Return the share (cells, cells) that each cell of an image has in the probability of class `number`.

    A missing cell is shown in the image's mean colour. The shares add up exactly to the probability of the image minus
    that of the plain mean colour.

    pixels  one image uint8 (H, W, C)
    orders  number of random orders in which cells are added, even: every second one is the previous one reversed
    """
    height, width, _ = pixels.shape
    rows, columns = min(cells, height), min(cells, width)
    plain = np.broadcast_to(pixels.mean((0, 1)).round().astype(np.uint8), pixels.shape)
    cell_of = (np.arange(height) * rows // height)[:, None] * columns + (np.arange(width) * columns // width)[None]
    random = np.random.default_rng(seed)
    shares = np.zeros(rows * columns)
    order = np.arange(rows * columns)
    for turn in range(orders):
        order = order[::-1] if turn % 2 else random.permutation(rows * columns)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        shown_from = place[cell_of]  # a pixel is shown once this many cells have been added
        steps = np.arange(len(order) + 1)[:, None, None]
        images = np.where((shown_from[None] < steps)[..., None], pixels, plain)
        found = answer(images)[:, number].astype(np.float64)
        shares[order] += np.diff(found) / orders
    return shares.reshape(rows, columns)


def grad_cam(network: Network, pixels: Pixels, number: int) -> Map:
    """Return where the last feature maps support class `number`, (h, w) from 0 to 1, for one uint8 image (H, W, C)."""
    import torch
    from torch import Tensor

    kept: list[Tensor] = []

    def keep(module: object, inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[2:]) > 1:
            kept.append(output)

    network.eval()
    hooks = [module.register_forward_hook(keep) for module in network.body.modules()]
    try:
        with torch.enable_grad():
            logits = network.look(torch.from_numpy(np.array(pixels[None])))
            last = kept[-1]
            (gradient,) = torch.autograd.grad(logits[0, number], last)
    finally:
        for hook in hooks:
            hook.remove()
    weights = gradient.mean((2, 3), keepdim=True)
    heat = torch.relu((weights * last).sum(1))[0].detach().double().numpy()
    highest = heat.max()
    result: Map = heat / highest if highest > 0 else heat
    return result
