"""One training: what is trained, on what, where. Passed around by all code that fits a network and queries it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirante.data.dataset import Dataset
from mirante.images import Pixels
from mirante.model_info import ModelInfo
from mirante.training.recipe import Recipe

if TYPE_CHECKING:
    import torch

    from mirante.model.network import Network


@dataclass(frozen=True, eq=False)
class Training:
    """What a network is trained with.

    folder   where history and checkpoints go
    pixels   uint8 (N, H, W, C), the rows of the data set
    info     what the network takes and answers, before anything is learned from its answers
    network  trained in place
    """

    folder: Path
    dataset: Dataset
    pixels: Pixels
    recipe: Recipe
    info: ModelInfo
    network: Network
    device: torch.device

    def changed(self, **changes: Any) -> Training:
        """Return the training with some fields replaced."""
        return replace(self, **changes)
