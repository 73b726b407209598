"""What a network is trained towards: the loss, what counts as right, and which numbers stand for its answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Criterion:
    """The functions of one task; logits (N, …, classes) or as the task has them, targets (N, …).

    loss    (logits, targets, label smoothing) → the mean loss in nats
    right   (logits, targets) → which images (N,) are answered correctly; one with several answers, in all of them
    answers (logits) → the numbers answered, shaped as the targets, and the probability of each
    """

    loss: Callable[[Tensor, Tensor, float], Tensor]
    right: Callable[[Tensor, Tensor], Tensor]
    answers: Callable[[Tensor], tuple[Tensor, Tensor]]


def _loss(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten(), label_smoothing=smoothing)


def _right(logits: Tensor, targets: Tensor) -> Tensor:
    return (logits.argmax(-1) == targets).reshape(len(targets), -1).all(1)


def _answers(logits: Tensor) -> tuple[Tensor, Tensor]:
    shares, numbers = logits.double().softmax(-1).max(-1)
    return numbers, shares


cross_entropy = Criterion(_loss, _right, _answers)
"""One class of several, for each answer of an image."""
