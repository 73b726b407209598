"""What a network is trained towards: the loss, what counts as right, and which numbers stand for its answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mirante.training.head import Slopes, one_of_several, yes_or_no

_LEAST = 1e-6  # the least probability of either side of a boundary between grades: its logarithm must be finite


@dataclass(frozen=True)
class Criterion:
    """The functions of one task; logits (N, …, classes) or as the task has them, targets (N, …).

    loss    (logits, targets, label smoothing) → the mean loss in nats
    right   (logits, targets) → which images (N,) are answered correctly; one with several answers, in all of them
    answers (logits) → the numbers answered, shaped as the targets, and the probability of each; None where they are no class
            numbers
    slopes  the loss for a last layer that is trained alone (mirante.training.head)
    along   how many times larger its weights along the order of the classes may be at the same penalty; 1 if they have no order
    """

    loss: Callable[[Tensor, Tensor, float], Tensor]
    right: Callable[[Tensor, Tensor], Tensor]
    slopes: Slopes
    answers: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    along: float = 1.0


def _loss(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten(), label_smoothing=smoothing)


def _right(logits: Tensor, targets: Tensor) -> Tensor:
    return (logits.argmax(-1) == targets).reshape(len(targets), -1).all(1)


def _answers(logits: Tensor) -> tuple[Tensor, Tensor]:
    shares, numbers = logits.double().softmax(-1).max(-1)
    return numbers, shares


cross_entropy = Criterion(_loss, _right, one_of_several, _answers)
"""One class of several, for each answer of an image."""


def _ordered_loss(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    upper = 1 - logits.float().softmax(-1).cumsum(-1)[:, :-1]
    upper = upper.clamp(_LEAST, 1 - _LEAST)
    above = (targets[:, None] > torch.arange(upper.shape[1], device=targets.device)).to(upper.dtype)
    wanted = above * (1 - smoothing) + smoothing / 2
    losses = -(wanted * upper.log() + (1 - wanted) * (1 - upper).log())
    return (_loss(logits, targets, smoothing) + losses.sum(1).mean()) / 2


ordered_cross_entropy = Criterion(_ordered_loss, _right, one_of_several, _answers, along=3.0)
"""One class of several with an order: half the cross-entropy, half that of yes or no at every boundary between them, so that an
answer far from the truth costs more than one beside it. A last layer alone learns better from the cross-entropy, with weights that
are free to grow along the order (benchmarks/grades.py)."""


def _yes_or_no_loss(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    wanted = targets.clamp(min=0).to(logits.dtype) * (1 - smoothing) + smoothing / 2
    losses = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return (losses * (targets >= 0)).mean()  # of all labels, so that it is the mean over any division of the images


def _all_right(logits: Tensor, targets: Tensor) -> Tensor:
    return (((logits > 0) == (targets > 0)) | (targets < 0)).all(1)


binary_cross_entropy = Criterion(_yes_or_no_loss, _all_right, yes_or_no)
"""Yes or no for each label of an image; what is not known (-1) costs nothing and counts as right."""
