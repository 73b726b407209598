"""The last layer alone: multinomial logistic regression on features that a pretrained backbone has computed once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

_STRENGTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
_UNCHOSEN = 0.03  # when there are no validation images to choose by
_ROUNDS = 60


@dataclass(frozen=True)
class Head:
    """Weights (classes, width), biases (classes,), the chosen L2 strength, and how well it did.

    train and val are (mean log loss in nats, accuracy); val is None without validation images.
    """

    weight: Tensor
    bias: Tensor
    strength: float
    train: tuple[float, float]
    val: tuple[float, float] | None


def fit_head(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    val_features: NDArray[np.float32],
    val_labels: NDArray[np.int64],
    classes: int,
    strength: float | None = None,
) -> Head:
    """Return the dense layer with the least log loss on the validation images, among several L2 strengths.

    features (N, width), labels (N,); there may be no validation images.
    strength  the only one to try; None tries several or, without validation images, takes the usual one
    """
    known = torch.from_numpy(features)
    mean, spread = known.mean(0), known.std(0) + 1e-6
    scaled, wanted = (known - mean) / spread, torch.from_numpy(labels)
    weight = torch.zeros(classes, known.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    best: Head | None = None
    tried = (strength,) if strength else _STRENGTHS if len(val_labels) else (_UNCHOSEN,)
    for one in tried:
        _minimise(scaled, wanted, weight, bias, one)
        # the same layer for unscaled features
        plain = (weight / spread).detach()
        shifted = (bias - (weight / spread) @ mean).detach()
        train = _measure(known, wanted, plain, shifted)
        val = None
        if len(val_labels):
            val = _measure(torch.from_numpy(val_features), torch.from_numpy(val_labels), plain, shifted)
        if best is None or best.val is None or (val is not None and val[0] < best.val[0]):
            best = Head(plain, shifted, one, train, val)
    assert best is not None
    return best


def _minimise(features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor, strength: float) -> None:
    """Move weight and bias, from where they are, to the least loss with this penalty."""
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=_ROUNDS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(features @ weight.T + bias, labels) + strength / 2 * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[arg-type, no-untyped-call]


def _measure(features: Tensor, labels: Tensor, weight: Tensor, bias: Tensor) -> tuple[float, float]:
    logits = features @ weight.T + bias
    return float(F.cross_entropy(logits, labels)), float((logits.argmax(1) == labels).double().mean())
