"""What is said where it arises, in English, in the user's language: help texts, errors, log messages.

A message is recognised by its fixed parts; what stands between them (paths, numbers, names) is kept, and translated in
turn where it is a message itself, as in "photo.jpg: the file is empty". Whoever raises or logs something knows nothing of this; a test
holds every message of the source against messages_pt_BR.toml. A message that is not there stays English.
"""

from __future__ import annotations

import logging
import re
import tomllib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources

from mirante.locale import language

_PLACE = re.compile(r"\{(\w*)\}")
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+|(\d{1,3}(,\d{3})* (train|val|test|fold \d+)(, )?)+")
_NUMBERS = re.compile(r"\d+(, \d+)* and \d+")
_DEEPEST = 4  # messages within messages


@dataclass(frozen=True)
class _Pattern:
    """The fixed parts of a message, in order, and what it is in another language."""

    parts: tuple[str, ...]
    names: tuple[str, ...]
    target: str

    @classmethod
    def of(cls, source: str, target: str) -> _Pattern:
        """Return the pattern of a message: {} stands for a value, {count} for one with a name."""
        pieces = _PLACE.split(source)
        return cls(tuple(pieces[::2]), tuple(pieces[1::2]), target)

    @cached_property
    def longest(self) -> str:
        """The longest of the parts, by which most messages are told apart at once."""
        return max(self.parts, key=len)

    def values(self, message: str) -> list[str] | None:
        """Return what stands between the parts, or None where they do not fit."""
        first, *others = self.parts
        if self.longest not in message or not message.startswith(first):
            return None
        if not others:
            return [] if message == first else None
        *between, last = others
        found, at = [], len(first)
        for part in between:
            place = message.find(part, at)
            if place < 0:
                return None
            found.append(message[at:place])
            at = place + len(part)
        end = len(message) - len(last)
        if end < at or not message.endswith(last):
            return None
        return [*found, message[at:end]]

    def filled(self, values: list[str]) -> str:
        """Return the message in the other language, with these values in its places: {} in turn, others by number or name."""
        turn = iter(values)

        def value(place: re.Match[str]) -> str:
            if not place[1]:
                return next(turn)
            return values[int(place[1]) if place[1].isdigit() else self.names.index(place[1])]

        return _PLACE.sub(value, self.target)


@cache
def _catalogue(code: str) -> tuple[dict[str, str], tuple[_Pattern, ...]]:
    if code == "en":
        return {}, ()
    name = {"pt": "messages_pt_BR.toml"}[code]
    content = tomllib.loads((resources.files("mirante.locale") / name).read_text(encoding="utf-8"))
    # the notes of a data set are logged too: whole sentences; words of pages would be found in the middle of a person's own names
    notes = {text: told for text, told in language(code).texts.items() if text.endswith(".") and text.count(" ") > 4}
    patterns = [_Pattern.of(source, target) for source, target in (notes | content["messages"]).items()]
    patterns.sort(key=lambda one: -sum(map(len, one.parts)))  # what says most is tried first
    return content["help"], tuple(patterns)


def help_in(code: str, text: str) -> str:
    """Return a help text in the language of this code; the text itself where it is not known."""
    texts, _ = _catalogue(code)
    plain = " ".join(text.split())
    if plain in texts or code == "en":
        return texts.get(plain, text)
    for source, target in texts.items():
        if "{}" in source and (values := _Pattern.of(source, target).values(plain)):
            return _Pattern.of(source, target).filled(values)
    return text


def message_in(code: str | None, message: str) -> str:
    """Return an error or a log message in the language of this code (the system's when None), as far as it is known."""
    code = language(code).code
    return message if code == "en" else _message(code, message, 0)


def _message(code: str, message: str, depth: int) -> str:
    for pattern in _catalogue(code)[1]:
        values = pattern.values(message)
        if values is not None:
            deeper = depth < _DEEPEST
            inner = [_message(code, one, depth + 1) if deeper and " " in one else one for one in values]
            return pattern.filled([_in_numbers(one) for one in inner])
    if "\n" in message:
        return "\n".join(_message(code, line, depth) for line in message.split("\n"))
    before, colon, after = message.partition(": ")  # a place, and what is wrong there
    if colon and (told := _message(code, after, depth)) != after:
        return f"{before}: {told}"
    if message.endswith(".") and (told := _message(code, message[:-1], depth)) != message[:-1]:
        return f"{told}."
    return message


def _in_numbers(value: str) -> str:
    """Return a value as Portuguese writes it, if it is a number in thousands, some numbers, or a count of images per split."""
    if _NUMBERS.fullmatch(value):
        return value.replace(" and ", " e ")
    if not _THOUSANDS.fullmatch(value):
        return value
    return re.sub(r"(?<=\d),(?=\d{3})", ".", value)


class Formatter(logging.Formatter):
    """Writes log messages in one language."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self.code = code

    def format(self, record: logging.LogRecord) -> str:
        return message_in(self.code, super().format(record))
