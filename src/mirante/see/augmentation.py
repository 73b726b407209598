"""One image as a network would see it in training: changed by each word of a recipe's augmentation, and by all together."""

from __future__ import annotations

import textwrap

import numpy as np

from mirante.evaluation.plots.style import GREY, INK, place_image, sheet
from mirante.images import Pixels
from mirante.locale import Language
from mirante.see.picture import Picture
from mirante.training.augment import VOCABULARY, Augmentation, Step

_DRAWS, _ACROSS = 6, 3
_SIDE, _LABEL, _GAP = 1.15, 2.9, 0.06  # inches


def draw(image: Pixels, steps: tuple[Step, ...], seed: int, say: Language) -> Picture:
    """Show the image (H, W, 3) changed in six ways by each of the steps and, if there are several, by all of them."""
    names = [str(step) for step in steps]
    rows: list[tuple[str, str, tuple[Step, ...]]] = []
    for name, step in zip(names, steps, strict=True):
        meaning = say.known(VOCABULARY[step.name].meaning)
        if step.asked:
            meaning = say("{meaning}; if the training images allow it", meaning=meaning)
        rows.append((name, meaning, (step,)))
    if len(steps) > 1:
        rows.append((say("All together"), "", steps))
    figure, axes = sheet(_LABEL + _DRAWS * _SIDE + 0.1, 0.1 + len(rows) * _SIDE)
    for line, (title, meaning, chosen) in enumerate(rows):
        top = 0.05 + line * _SIDE
        axes.text(0.1, top + 0.45, title, fontsize=11, color=INK, va="bottom")
        for part, text in enumerate(textwrap.wrap(meaning, 44)):
            axes.text(0.1, top + 0.5 + 0.17 * part, text, fontsize=8.5, color=GREY, va="top")
        for column, seen in enumerate(_changed(image, chosen, seed)):
            box = _LABEL + column * _SIDE, top, _SIDE - _GAP, _SIDE - _GAP
            place_image(axes, seen, box)
    listed = ", ".join(names)
    return Picture(
        figure,
        say(
            "An image as training shows it, changed in {count} ways by each of: {listed}.", count=_DRAWS, listed=listed
        ),
    )


def together(image: Pixels, steps: tuple[Step, ...], seed: int, say: Language) -> Picture:
    """Show the image (H, W, 3) changed in six ways by all of the steps."""
    figure, axes = sheet(_ACROSS * _SIDE, _DRAWS // _ACROSS * _SIDE)
    for place, seen in enumerate(_changed(image, steps, seed)):
        down, along = divmod(place, _ACROSS)
        place_image(axes, seen, (along * _SIDE, down * _SIDE, _SIDE - _GAP, _SIDE - _GAP))
    listed = ", ".join(map(str, steps))
    return Picture(
        figure, say("An image as training shows it, changed in {count} ways by: {listed}.", count=_DRAWS, listed=listed)
    )


def _changed(image: Pixels, steps: tuple[Step, ...], seed: int) -> Pixels:
    """Return the image changed in as many ways as are shown, (N, H, W, 3); words that join two join it with itself upside down."""
    other = image[::-1, ::-1]
    pixels = np.stack([image] * _DRAWS + [other] * _DRAWS)
    rows = np.arange(2 * _DRAWS)
    mirrored = (
        np.arange(2 * _DRAWS) % 2 == 1 if any(step.name == "mirror" for step in steps) else np.zeros(2 * _DRAWS, bool)
    )
    found: Pixels = Augmentation(steps, len(rows), mirrored, seed, 0).batch(pixels, rows, rows[:_DRAWS], "cpu").numpy()
    return found
