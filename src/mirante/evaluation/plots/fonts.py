"""Letters that a plot's own font lacks: taken from another font of this computer, or else the name is a number."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

from matplotlib import font_manager

from mirante.locale import Language

OWN = "DejaVu Sans"
"""The font that matplotlib brings."""

_numbers: ContextVar[dict[str, str]] = ContextVar("numbers", default={})  # noqa: B039 (it is never changed)


def drawn(name: str) -> str:
    """Return a name as plots show it: itself, or its number where no font has its letters."""
    return _numbers.get().get(name, name)


@contextmanager
def numbered(names: Sequence[str]) -> Iterator[None]:
    """Show those of the names that no font can draw by their numbers, #1 and so on, in all plots made within."""
    token = _numbers.set(_numbers_of(names))
    try:
        yield
    finally:
        _numbers.reset(token)


def numbering(names: Sequence[str], say: Language) -> str:
    """Say which names are shown by their numbers; nothing if none is."""
    listed = ", ".join(f"{number} {name}" for name, number in _numbers_of(names).items())
    if not listed:
        return ""
    return say(
        "No font on this computer can draw the names of these classes, so plots show their numbers: {listed}.",
        listed=listed,
    )


def _numbers_of(names: Sequence[str]) -> dict[str, str]:
    """Return name → number, of the names that no font can draw."""
    return {name: f"#{number}" for number, name in enumerate(names, 1) if not can_draw(name)}


def can_draw(name: str) -> bool:
    """Tell whether the fonts of this computer have all letters of a name, in an order and a form that plots can show."""
    if any(unicodedata.bidirectional(letter) in ("R", "AL") or _is_joined(letter) for letter in name):
        return (
            False  # from right to left, or letters whose form depends on their neighbours: plots place them one by one
        )
    return all(ord(letter) in _letters(_own_path()) or _font_with(letter) for letter in name)


def fonts_for(text: str) -> list[str]:
    """Return the fonts that draw a text, the plots' own first."""
    others = (_font_with(letter) for letter in text if ord(letter) not in _letters(_own_path()))
    return list(dict.fromkeys([OWN, *(one for one in others if one)]))


def _is_joined(letter: str) -> bool:
    return "\u0900" <= letter <= "\u0dff" or "\u1000" <= letter <= "\u109f" or "\u1780" <= letter <= "\u17ff"


@lru_cache(maxsize=1024)
def _font_with(letter: str) -> str:
    """Return the name of an installed font that has a letter, or nothing."""
    for font in _installed():
        if ord(letter) in _letters(font.fname):
            return str(font.name)
    return ""


@lru_cache(maxsize=1)
def _installed() -> list[font_manager.FontEntry]:
    found: dict[str, font_manager.FontEntry] = {}
    for font in sorted(font_manager.fontManager.ttflist, key=lambda one: (abs(_weight(one.weight) - 400), one.name)):
        if font.style == "normal" and "Last Resort" not in font.name and "Emoji" not in font.name:
            found.setdefault(font.name, font)
    return list(found.values())


def _weight(weight: str | int) -> int:
    return weight if isinstance(weight, int) else 400 if weight in ("normal", "regular", "book") else 700


@lru_cache(maxsize=256)
def _letters(path: str) -> frozenset[int]:
    try:
        return frozenset(font_manager.get_font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


@lru_cache(maxsize=1)
def _own_path() -> str:
    return font_manager.findfont(OWN)


def needs_other_font(text: str) -> bool:
    """Tell whether a text has letters that the plots' own font lacks."""
    own = _letters(_own_path())
    return any(ord(letter) not in own for letter in text if letter not in "\n\t")
