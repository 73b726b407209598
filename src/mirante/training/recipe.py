"""A recipe: every number that training needs, one TOML file each under recipes/ with its reasons beside it."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from mirante.errors import RequestError

Optimiser = Literal["adam", "sgd"]
Schedule = Literal["constant", "one-cycle"]
Watch = Literal["val", "test"]


@dataclass(frozen=True)
class Recipe:
    """How to train.

    layers         the line of layers (mirante.model.notation), or path.py:function
    epochs         passes over the training images
    batch_size     images a step; the last batch of an epoch is smaller
    optimiser      adam (Kingma and Ba 2015, epsilon 1e-7 as in Keras) or sgd (with Nesterov momentum)
    learning_rate  of every step (constant), or at the peak (one-cycle)
    schedule       constant, or one-cycle: linear from 0 to the peak over the first fifth of the steps, then to 0
    momentum       of sgd
    weight_decay   L2 penalty on kernels and dense weights, as part of the gradient
    label_smoothing  share of each label spread evenly over all classes
    flip           mirror half of the images left to right
    shift          move each image by up to this many pixels each way, borders reflected
    val_share      share of the training images kept for validation when the data bring none; 0 for none
    watch          which images' loss and accuracy stand in the history each epoch; they choose nothing
    largest_size   the largest side in pixels that is chosen for the input by itself
    seed           of the initial weights, the order of the images and the augmentation
    """

    name: str
    layers: str
    epochs: int
    batch_size: int
    optimiser: Optimiser
    learning_rate: float
    schedule: Schedule = "constant"
    momentum: float = 0.9
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    flip: bool = False
    shift: int = 0
    val_share: float = 0.1
    watch: Watch = "val"
    largest_size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        limits: dict[str, tuple[float, float]] = {
            "epochs": (1, 100_000),
            "batch_size": (1, 1_000_000),
            "learning_rate": (1e-12, 1e6),
            "momentum": (0, 0.9999),
            "weight_decay": (0, 1e3),
            "label_smoothing": (0, 0.99),
            "shift": (0, 1024),
            "val_share": (0, 0.9),
            "largest_size": (1, 4096),
            "seed": (0, 2**31 - 1),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int if name in _WHOLE else (int, float)):
                raise RequestError(f"recipe {self.name}: {name} is {value!r}; it must be a number.")
            if not low <= value <= high:
                raise RequestError(f"recipe {self.name}: {name} is {value}; it must be from {low:g} to {high:g}.")
        for name, kind in (("optimiser", Optimiser), ("schedule", Schedule), ("watch", Watch)):
            if getattr(self, name) not in get_args(kind):
                raise RequestError(
                    f"recipe {self.name}: {name} is {getattr(self, name)!r}; it can be {' or '.join(get_args(kind))}."
                )

    @classmethod
    def load(cls, name: str | Path, **changes: Any) -> Recipe:
        """Return the recipe of that name, or of a .toml file (a run's recipe.toml too), with `changes` made to it.

        Changes that are None are left out. Raises RequestError when there is none, or a field is wrong.
        """
        given = {field: value for field, value in changes.items() if value is not None}
        text = str(name)
        if text.endswith(".toml"):
            try:
                values = tomllib.loads(Path(text).expanduser().read_text(encoding="utf-8"))
            except FileNotFoundError as error:
                raise RequestError(f"{text}: no such recipe file.") from error
            except (OSError, ValueError) as error:
                raise RequestError(f"{text}: not a recipe that can be read ({error}).") from error
        elif text in names():
            values = tomllib.loads((_FOLDER / f"{text}.toml").read_text(encoding="utf-8"))
        else:
            raise RequestError(f"no recipe {text!r}; there are {', '.join(names())}, or give a .toml file.")
        return replace(cls.from_dict(values.get("recipe", values), text), **given)

    @classmethod
    def from_dict(cls, values: dict[str, Any], where: str) -> Recipe:
        """Return the recipe of the values of a TOML file; raises RequestError when one is unknown or missing."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise RequestError(f"{where}: {unknown[0]!r} is no field of a recipe; they are {', '.join(sorted(known))}.")
        try:
            return cls(**values)
        except TypeError as error:
            missing = str(error).rsplit(": ", 1)[-1]
            raise RequestError(f"{where}: the recipe lacks {missing}.") from error

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


_WHOLE = ("epochs", "batch_size", "shift", "largest_size", "seed")
_FOLDER = resources.files("mirante.training") / "recipes"


def names() -> list[str]:
    """Return the names of the recipes that come with Mirante."""
    return sorted(file.name.removesuffix(".toml") for file in _FOLDER.iterdir() if file.name.endswith(".toml"))
