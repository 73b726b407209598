"""The state of a training, on disk, so that it can be killed at any moment and resumed to reach the same weights.

The tensors go to a new file of their own; then latest.json, which names that file and its digest, is replaced in one
step. Until that step the earlier checkpoint is valid; after it the new one is: there is no moment without one.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save_file
from torch import Tensor, nn

from mirante import runfolder
from mirante.errors import RunError
from mirante.files import write_file, write_json
from mirante.training.history import Epoch

_LATEST = "latest.json"


@dataclass
class Progress:
    """How far a training has come: `epoch` whole epochs, and `step` steps of the next one.

    loss_sum and correct are over the `images` of those steps; seconds since the training began, pauses left out.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    correct: int = 0
    images: int = 0
    history: list[Epoch] = field(default_factory=list)


def save_checkpoint(folder: Path, network: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
    """Write a checkpoint and drop the one before it. Raises WorkError when it cannot be written; the old one stays."""
    folder.mkdir(exist_ok=True)
    tensors, scalars = pack(network, optimiser)
    name = f"epoch-{progress.epoch:05d}-step-{progress.step:07d}.safetensors"
    write_file(folder / name, lambda part: save_file(tensors, part))
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    write_json(
        folder / _LATEST,
        {
            "format": runfolder.FORMAT,
            "tensors": name,
            "sha256": digest,
            "optimiser": scalars,
            "progress": asdict(progress),
        },
    )
    for other in folder.iterdir():
        if other.name not in (name, _LATEST) and other.suffix != ".csv":  # the steps are for onlookers
            other.unlink()


def load_checkpoint(folder: Path, network: nn.Module, optimiser: torch.optim.Optimizer) -> Progress:
    """Put the checkpoint's state into network and optimiser and return how far it had come.

    A folder without one returns a fresh Progress. Raises RunError when the checkpoint is damaged or for other layers.
    """
    if not (folder / _LATEST).exists():
        return Progress()
    latest = runfolder.parse((folder / _LATEST).read_text(encoding="utf-8"), str(folder / _LATEST))
    try:
        content = (folder / latest["tensors"]).read_bytes()
        if hashlib.sha256(content).hexdigest() != latest["sha256"]:
            raise ValueError("digest")
        unpack(network, optimiser, load(content), latest["optimiser"])
        values = latest["progress"]
        return Progress(**{**values, "history": [Epoch(**epoch) for epoch in values["history"]]})
    except Exception as error:  # safetensors, torch and json each have their own errors for damage
        raise RunError(
            f"{folder}: the checkpoint is damaged or belongs to another model; train again with --overwrite."
        ) from error


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{prefix}."): value for key, value in tensors.items() if key.startswith(f"{prefix}.")}


def pack(network: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the state of both: tensors on the CPU, `network.NAME` and `optimiser.NUMBER.KEY`, and plain numbers, `NUMBER.KEY`."""
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    scalars = {}
    for number, values in optimiser.state_dict()["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimiser.{number}.{key}"] = value
            else:
                scalars[f"{number}.{key}"] = value
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, scalars


def unpack(
    network: nn.Module, optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor], scalars: dict[str, Any]
) -> None:
    """Put what `pack` returned into network and optimiser."""
    network.load_state_dict(_below(tensors, "network"))
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**scalars, **_below(tensors, "optimiser")}.items():
        number, _, key = name.partition(".")
        state.setdefault(int(number), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
