"""Small snapshots of a training, for its film and for whoever watches it live: snapshots/0001.npz, one per epoch.

Each holds the kernels of the first trained convolution, the confusion matrix of the watched images, and the mistakes that
the network was most sure of. Kilobytes each, plain arrays, and nothing that a resumed training needs.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.files import write_bytes

if TYPE_CHECKING:  # reading snapshots does not load torch
    from torch import Tensor, nn

    from mirante.training.criterion import Criterion

_MOST_CLASSES, _MOST_KERNELS, _MISTAKES = 100, 64, 12
_EACH_UP_TO, _THEN_EVERY = 50, 10  # epochs


@dataclass(frozen=True)
class Snapshot:
    """What was kept after an epoch.

    kernels      (N, channels, K, L) of the convolution `word`, empty when there is none
    confusion    (classes, classes) counts of watched images; empty when none are watched, the classes are too many, or an image
                 can have several
    mistakes     (M, 3) row of the image in the data set, its label, what was answered (of a text, of one character); the surest first
    confidences  (M,) the probability of each of those answers
    """

    epoch: int
    word: str
    kernels: NDArray[np.float32]
    confusion: NDArray[np.int64]
    mistakes: NDArray[np.int64]
    confidences: NDArray[np.float32]


def write_snapshot(
    run: Path,
    epoch: int,
    network: nn.Module,
    seen: tuple[Tensor, NDArray[np.int64], NDArray[np.int64]] | None,
    criterion: Criterion,
) -> None:
    """Keep a snapshot of an epoch, unless enough are already kept.

    seen  logits (N, …, classes) of the watched images, their targets and their rows in the data set
    """
    if epoch > _EACH_UP_TO and epoch % _THEN_EVERY:
        return
    word, kernels = _first_kernels(network)
    confusion = np.zeros((0, 0), np.int64)
    mistakes, confidences = np.zeros((0, 3), np.int64), np.zeros(0, np.float32)
    if seen is not None and criterion.answers is not None:
        logits, labels, rows = seen
        count = logits.shape[-1]
        answers, shares = (one.flatten().numpy() for one in criterion.answers(logits))  # of a text, each character
        rows = np.repeat(rows, len(shares) // max(1, len(rows)))
        labels = labels.ravel()
        if count <= _MOST_CLASSES:
            confusion = np.bincount(labels * count + answers, minlength=count**2).reshape(count, count)
        wrong = np.flatnonzero(answers != labels)
        surest = wrong[np.argsort(-shares[wrong], kind="stable")][:_MISTAKES]
        mistakes = np.stack([rows[surest], labels[surest], answers[surest]], axis=1)
        confidences = shares[surest].astype(np.float32)
    buffer = io.BytesIO()
    np.savez(
        buffer, epoch=epoch, word=word, kernels=kernels, confusion=confusion, mistakes=mistakes, confidences=confidences
    )
    folder = run / runfolder.SNAPSHOTS
    folder.mkdir(exist_ok=True)
    write_bytes(folder / f"{epoch:04d}.npz", buffer.getvalue())


def read_snapshots(run: Path) -> list[Snapshot]:
    """Return what a run has kept, first epoch first; a file that cannot be read is left out."""
    found = []
    for path in sorted((run / runfolder.SNAPSHOTS).glob("*.npz")):
        try:
            with np.load(path) as values:
                found.append(
                    Snapshot(
                        int(values["epoch"]),
                        str(values["word"]),
                        *(values[name] for name in ("kernels", "confusion", "mistakes", "confidences")),
                    )
                )
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            continue
    return found


def _first_kernels(network: nn.Module) -> tuple[str, NDArray[np.float32]]:
    from torch import nn

    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.weight.requires_grad:
            weights = module.weight.detach()[:_MOST_KERNELS].float().cpu().contiguous().numpy()
            height, width = weights.shape[2:]
            return f"{module.out_channels}C{height}" if height == width else f"{module.out_channels}C", weights
    return "", np.zeros((0, 1, 1, 1), np.float32)
