"""A recipe: every number that training needs, in one TOML file each under recipes/, with the reasons beside it."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from mirante.errors import RequestError
from mirante.training.augment import read_augment

Optimiser = Literal["adam", "adamw", "sgd", "muon"]
ScheduleKind = Literal["constant", "one-cycle"]
Precision = Literal["auto", "float32"]
Watch = Literal["val", "test"]


@dataclass(frozen=True)
class Size:
    """How large a network to train, where the time allows it.

    layers        the line of layers
    max_size  the largest input side, in pixels
    samples_seen         how many images a training must show it before it becomes the best choice, repetitions counted
    """

    layers: str
    max_size: int
    samples_seen: int


@dataclass(frozen=True)
class Recipe:
    """How to train.

    layers         the line of layers (mirante.model.notation), or path.py:function
    sizes          what `seconds` chooses from, the quickest first
    weights        a .safetensors file of pretrained weights for `timm:NAME`; empty for those of the package or the hub
    epochs         passes over the training images; 0 trains only the last layer of a pretrained network
    min_steps    with few images, more passes are made until there are this many steps; 0 for none
    seconds        train for this long instead of a number of epochs; 0 for none
    batch_size     images per step at most, as equal as possible; few images come in smaller batches, so that an epoch has 8
    optimiser      adam (Kingma and Ba 2015, epsilon 1e-7 as in Keras), adamw (with decoupled weight decay), sgd (with Nesterov
                   momentum), or muon (Jordan 2024) for the kernels of convolutions with adam for the rest
    learning_rate  of every step (constant), or at the peak (one-cycle)
    lr_reference_steps     how many steps learning_rate is meant for: longer trainings multiply it by
                   √(lr_reference_steps / steps); 0 leaves it as it is
    adam_rate      under muon: the learning rate of everything but kernels, as a share of learning_rate
    schedule       constant, or one-cycle: linear from 0 to the peak over the warm-up, then linear to 0
    warmup        share of the steps over which one-cycle rises
    momentum       of sgd and of muon's kernels
    weight_decay   L2 penalty on kernels and dense weights, as part of the gradient; under adamw, the share of them that a step
                   at learning rate 1 would take away; not under muon
    frozen         share of a pretrained network's tensors of weights, from the input on, that are left as they are; a step takes
                   less time
    label_smoothing  share of each label spread evenly over all classes
    augment        how training images are changed each time they are seen: words of mirante.training.augment with amounts, such
                   as ("mirror?", "shift 2"); a question mark lets the training images decide
    progressive_resize_until    share of the training in which images are seen smaller; 0 for none
    progressive_resize_scale    their size then, as a share of height and width
    precision      auto computes in bfloat16 where the processor supports it natively, float32 never does
    flip_tta         answer with the mean over each image and its mirror image, also in model.onnx: slower, a little better
    val_share      share of the training images kept for validation when the data bring none; 0 for none
    watch          which images' loss and accuracy go into the history each epoch; they decide nothing
    max_size   the largest side in pixels that is chosen automatically for the input
    min_size     the smallest one: smaller images are enlarged
    seed           for the initial weights, the order of the images and the augmentation
    """

    name: str
    layers: str
    epochs: int
    batch_size: int
    optimiser: Optimiser
    learning_rate: float
    weights: str = ""
    sizes: tuple[Size, ...] = ()
    min_steps: int = 0
    seconds: float = 0.0
    lr_reference_steps: int = 0
    adam_rate: float = 0.05
    schedule: ScheduleKind = "constant"
    warmup: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 0.0
    frozen: float = 0.0
    label_smoothing: float = 0.0
    augment: tuple[str, ...] = ()
    progressive_resize_until: float = 0.0
    progressive_resize_scale: float = 0.75
    precision: Precision = "float32"
    flip_tta: bool = False
    val_share: float = 0.1
    watch: Watch = "val"
    max_size: int = 64
    min_size: int = 24
    seed: int = 0

    def __post_init__(self) -> None:
        limits: dict[str, tuple[float, float]] = {
            "epochs": (0, 100_000),
            "min_steps": (0, 10_000_000),
            "seconds": (0, 1e7),
            "batch_size": (1, 1_000_000),
            "learning_rate": (1e-12, 1e6),
            "lr_reference_steps": (0, 10_000_000),
            "adam_rate": (0, 1e3),
            "warmup": (0, 1),
            "momentum": (0, 0.9999),
            "weight_decay": (0, 1e3),
            "frozen": (0, 1),
            "label_smoothing": (0, 0.99),
            "progressive_resize_until": (0, 1),
            "progressive_resize_scale": (0.1, 1),
            "val_share": (0, 0.9),
            "max_size": (1, 4096),
            "min_size": (1, 4096),
            "seed": (0, 2**31 - 1),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int if name in _WHOLE else (int, float)):
                raise RequestError(
                    f"recipe {self.name}: {name} is {value!r}; it must be {'a whole number' if name in _WHOLE else 'a number'}."
                )
            if not low <= value <= high:
                raise RequestError(f"recipe {self.name}: {name} is {value}; it must be between {low:g} and {high:g}.")
        if not isinstance(self.augment, tuple) or not all(isinstance(one, str) for one in self.augment):
            raise RequestError(
                f'recipe {self.name}: augment is {self.augment!r}; it must be a list such as ["mirror", "shift 2"].'
            )
        read_augment(self.augment)
        choices = (("optimiser", Optimiser), ("schedule", ScheduleKind), ("precision", Precision), ("watch", Watch))
        for name, kind in choices:
            if getattr(self, name) not in get_args(kind):
                raise RequestError(
                    f"recipe {self.name}: {name} is {getattr(self, name)!r}; it must be {' or '.join(get_args(kind))}."
                )

    @classmethod
    def load(cls, name: str | Path, **changes: Any) -> Recipe:
        """Return the recipe of that name, or from a .toml file (also a run's recipe.toml), with `changes` made to it.

        Changes that are None are left out. Raises RequestError when there is no such recipe or a field is wrong.
        """
        text = str(name)
        if text.endswith(".toml"):
            values = read_toml(text)
        elif text in names():
            values = tomllib.loads((_FOLDER / f"{text}.toml").read_text(encoding="utf-8"))
        else:
            raise RequestError(f"no recipe {text!r}; choose {', '.join(names())}, or a .toml file.")
        return cls.from_dict(values.get("recipe", values), text).changed(**changes)

    @classmethod
    def from_dict(cls, values: dict[str, Any], where: str) -> Recipe:
        """Return the recipe of the values of a TOML file; raises RequestError when one is unknown or missing."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise RequestError(
                f"{where}: {unknown[0]!r} is not a field of a recipe; these are: {', '.join(sorted(known))}."
            )
        try:
            sizes = tuple(Size(**size) for size in values.get("sizes", ()))
            augment = values.get("augment", ())
            return cls(
                **{**values, "sizes": sizes, "augment": tuple(augment) if isinstance(augment, list) else augment}
            )
        except TypeError as error:
            missing = str(error).rsplit(": ", 1)[-1]
            raise RequestError(f"{where}: the recipe lacks {missing}.") from error

    def changed(self, **changes: Any) -> Recipe:
        """Return the recipe with some fields changed; those that are None are left out.

        With `epochs` it makes that many passes, and nothing else ends it; `learning_rate` is taken as it is.
        """
        given = {field: value for field, value in changes.items() if value is not None}
        known = {field.name for field in fields(self)}
        if unknown := sorted(set(given) - known):
            raise RequestError(f"{unknown[0]!r} is not a field of a recipe; these are: {', '.join(sorted(known))}.")
        if "epochs" in given:
            given = {"min_steps": 0, "seconds": 0.0, **given}
        if "learning_rate" in given:
            given = {"lr_reference_steps": 0, **given}
        return replace(self, **given)

    def for_steps(self, steps: int) -> Recipe:
        """Return the recipe with the learning rate that suits a training of this many steps."""
        if not self.lr_reference_steps:
            return self
        share = min(1.0, (self.lr_reference_steps / steps) ** 0.5)
        return replace(
            self, learning_rate=self.learning_rate * share, lr_reference_steps=max(steps, self.lr_reference_steps)
        )

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "augment": list(self.augment)}


_WHOLE = ("epochs", "min_steps", "lr_reference_steps", "batch_size", "max_size", "min_size", "seed")
_FOLDER = resources.files("mirante.training") / "recipes"


def names() -> list[str]:
    """Return the names of the recipes that come with Mirante."""
    return sorted(file.name.removesuffix(".toml") for file in _FOLDER.iterdir() if file.name.endswith(".toml"))


def read_toml(path: str) -> dict[str, Any]:
    """Return the content of a recipe's file. Raises RequestError when it cannot be read."""
    try:
        return tomllib.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RequestError(f"{path}: no such recipe file.") from error
    except (OSError, ValueError) as error:
        raise RequestError(f"{path}: not a readable recipe ({error}).") from error
