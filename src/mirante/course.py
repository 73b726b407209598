"""What the notebooks of the course need beside Mirante itself: images to work on, and answers that check themselves.

    from mirante import course
    course.check(answer, 900, hint="a 3×3 kernel fits 30 times into each row")

Language and figures follow the system's, or MIRANTE_LANG. Nothing here is needed outside the course.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from html import escape
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mirante.errors import RequestError

if TYPE_CHECKING:
    from mirante.data.dataset import Dataset

IMAGES = "MIRANTE_COURSE_IMAGES"
"""The environment variable that names a folder with what is at hand: cifar10, x-rays, photos, each a folder or archive."""
_OF_CLASSES = {"x-rays": (3, 8), "photos": (0, 1, 4, 7)}
_TOLERANCE = 0.005  # of a number that is answered: one rounded to three digits is right


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right; None when nothing was answered."""

    right: bool | None
    sentence: str

    def __repr__(self) -> str:
        return self.sentence

    def _repr_html_(self) -> str:
        sign = {True: "✓", False: "✗", None: "…"}[self.right]
        return f'<p role="status"><strong aria-hidden="true">{sign}</strong> {escape(self.sentence)}</p>'


def check(answer: object, right: object, hint: str = "") -> Verdict:
    """Compare an answer with what is right: a number, a text, a sequence of them, or a function that tells.

    A number that is not whole may be rounded to three digits; capitals and spaces around a text do not count.
    """
    from mirante.locale import language

    say = language(None)
    if answer is ...:
        return Verdict(None, say("Write your answer in place of the three dots, and run this cell again."))
    if _is_right(answer, right):
        return Verdict(True, say("Right."))
    return Verdict(False, f"{say('Not yet.')} {hint}".strip())


def _is_right(answer: Any, right: Any) -> bool:
    if callable(right):
        try:
            return bool(right(answer))
        except Exception:  # an answer of another kind altogether
            return False
    if hasattr(answer, "tolist") and isinstance(right, (list, tuple)):
        answer = answer.tolist()
    if isinstance(right, str):
        return isinstance(answer, str) and answer.strip().casefold() == right.strip().casefold()
    if isinstance(right, (list, tuple)):
        return (
            isinstance(answer, (list, tuple))
            and len(answer) == len(right)
            and all(_is_right(*pair) for pair in zip(answer, right, strict=True))
        )
    try:
        told, wanted = float(answer), float(right)
    except (TypeError, ValueError):
        return False
    whole = isinstance(right, (int, Integral)) and not isinstance(right, bool)
    return told == wanted if whole else abs(told - wanted) <= _TOLERANCE * abs(wanted)


def images(name: Literal["cifar10", "x-rays", "photos"]) -> str:
    """Return where images for a chapter are, as `mirante.train` takes it.

    What is at hand (see IMAGES) comes first. Otherwise CIFAR-10 is downloaded when it is opened, and in place of X-rays and
    photos the digits that come with scikit-learn are written into a folder, so that every cell runs.
    """
    if at_hand := os.environ.get(IMAGES):
        place = Path(at_hand).expanduser() / name
        if place.exists():
            return str(place)
        if name == "cifar10":
            return "digits"
    elif name == "cifar10":
        return name
    if name not in _OF_CLASSES:
        raise RequestError(f"{name!r}: the course has no such images; it has cifar10, {', '.join(_OF_CLASSES)}.")
    return str(_digits(Path(f"{name}-digits"), _OF_CLASSES[name]))


def _digits(folder: Path, classes: tuple[int, ...]) -> Path:
    """Write the digits of these classes as PNG into class folders, and return where."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    for number, (pixels, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        if int(digit) not in classes:
            continue
        place = folder / str(digit) / f"{number:04}.png"
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((pixels * 255 / 16).astype("uint8")).resize((32, 32), Image.Resampling.BICUBIC).save(place)
    return folder


def some(data: Dataset, train: int, val: int, test: int) -> Dataset:
    """Return at most so many images of each class and split: a chapter then takes seconds."""
    import numpy as np

    most, kept = {"train": train, "val": val, "test": test}, []
    for target in range(len(data.classes)):
        for split, count in most.items():
            kept += np.flatnonzero((data.targets == target) & (data.splits == split))[:count].tolist()
    return data.only([data.paths[row] for row in kept])


def codes(folder: str | Path, count: int = 1200, length: int = 5, seed: int = 0) -> Path:
    """Write drawings of codes, handwritten digits side by side, each named by its text, and return the folder.

    count   drawings
    length  digits per code
    """
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    place, digits, random = Path(folder), load_digits(), np.random.default_rng(seed)
    place.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        chosen = random.integers(0, len(digits.target), length)
        wide = np.zeros((40, 32 * length), np.uint8)
        for at, row in enumerate(chosen):
            one = Image.fromarray((digits.images[row] * 255 / 16).astype("uint8"))
            one = one.rotate(float(random.normal(0, 8)), resample=Image.Resampling.BICUBIC).resize((32, 32))
            top = int(random.integers(0, 9))
            wide[top : top + 32, 32 * at : 32 * at + 32] = np.asarray(one)
        text = "".join(str(digits.target[row]) for row in chosen)
        Image.fromarray(255 - wide).save(place / f"{text}_{number:04}.png")
    return place
