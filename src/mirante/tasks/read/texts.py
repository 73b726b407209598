"""The texts of images to be read: from file names or a table, and as numbers, one per character.

A text of n characters becomes the n numbers of its letters, then the number of "no character" up to the longest text.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from mirante.data.entries import Skipped
from mirante.data.labels import Labelled
from mirante.data.scan import Scanned
from mirante.data.splits import split_of
from mirante.data.targets import LabelOptions, Targets
from mirante.errors import DataError

NO_CHARACTER = ""
MAX_CHARACTERS, MAX_LETTERS = 64, 2000
_TEXT_HEIGHT, _CHARACTER_WIDTH = 30, 20  # pixels


def label_by_name(location: str, scanned: list[Scanned]) -> tuple[list[Labelled], list[Skipped]]:
    """Give each image the text in its file's name, without the extension and whatever follows an underscore (a running number).

    Folders named train, val and test give the split; other folders mean nothing. Raises DataError when no image can be read.
    """
    rows, skipped = [], []
    for image in scanned:
        path = PurePosixPath(image.path)
        text = path.stem.partition("_")[0].strip()
        if image.error is not None or not text:
            skipped.append(Skipped(image.path, image.error or "its name contains no text"))
            continue
        splits = [split for folder in path.parts[:-1] if (split := split_of(folder))]
        rows.append(Labelled(image, text, splits[0] if splits else None, image.person))
    if not rows:
        reason = f"{skipped[0].path}: {skipped[0].reason}" if skipped else "it is empty"
        raise DataError(f"{location}: no image in it can be read ({reason}). The file name gives the text: 2b827.png.")
    return rows, skipped


def make_targets(location: str, rows: list[Labelled], options: LabelOptions) -> Targets:
    """Return the targets of images with their texts; images with the same text belong together, since a text seen once may be
    memorised. Raises DataError.
    """
    rows = as_texts(location, rows, options.length)
    texts = [row.label for row in rows]
    alphabet = tuple(options.model or alphabet_of(location, texts))
    values = encode(location, texts, alphabet, options.length or max(map(len, texts)))
    alike = np.unique(np.array(texts), return_inverse=True)[1].astype(np.int64)
    repeated = len(np.unique(alike)) < len(rows)
    strata = ("",), np.zeros(len(rows), np.int64)
    return Targets(rows, alphabet, values, alike, strata, groups=tuple(texts) if repeated else None)


def as_texts(location: str, rows: list[Labelled], length: int | None) -> list[Labelled]:
    """Return the rows with their texts in one spelling (Unicode NFC, no space around them).

    length  the most characters allowed, or None. Raises DataError for a longer one.
    """
    spelt = [row._replace(label=unicodedata.normalize("NFC", row.label).strip()) for row in rows]
    most = MAX_CHARACTERS if length is None else length
    for row in spelt:
        if len(row.label) > most:
            stated = f"--length {length}" if length is not None else f"{MAX_CHARACTERS}, the most allowed"
            raise DataError(
                f"{location}: the text of {row.image.path} is {row.label!r}, {len(row.label)} characters, more than {stated}."
            )
    return spelt


def alphabet_of(location: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Return the letters of the texts in order, and last the one for no character."""
    letters = sorted(set("".join(texts)))
    if len(letters) > MAX_LETTERS:
        raise DataError(
            f"{location}: {len(letters):,} different letters in the texts; at most {MAX_LETTERS:,} are allowed."
        )
    return (*letters, NO_CHARACTER)


def encode(location: str, texts: Sequence[str], alphabet: Sequence[str], characters: int) -> NDArray[np.int64]:
    """Return the texts as numbers (N, characters) into the alphabet.

    Raises DataError for a letter not in the alphabet, or a text that is too long.

    >>> encode("", ["ba", "b"], ("a", "b", ""), 3).tolist()
    [[1, 0, 2], [1, 2, 2]]
    """
    number = {letter: index for index, letter in enumerate(alphabet)}
    found = np.full((len(texts), characters), number[NO_CHARACTER], np.int64)
    for row, text in enumerate(texts):
        if unknown := [letter for letter in text if letter not in number]:
            letters = "".join(alphabet)
            raise DataError(f"{location}: {unknown[0]!r} in {text!r} is not one of the model's letters, {letters}.")
        if len(text) > characters:
            raise DataError(
                f"{location}: {text!r} has {len(text)} characters, but the model reads at most {characters}."
            )
        found[row, : len(text)] = [number[letter] for letter in text]
    return found


def without_gaps(numbers: NDArray[np.int64], alphabet: Sequence[str]) -> NDArray[np.int64]:
    """Return, for numbers (N, characters) as a network reads them, the order of each row's places in which every "no character" comes
    last: a network decides on each place by itself and may leave one out, but a text is its letters one after the other.

    >>> without_gaps(np.array([[1, 2, 0]]), ("a", "b", "")).tolist()
    [[0, 2, 1]]
    """
    empty = numbers == alphabet.index(NO_CHARACTER)
    return np.argsort(empty, axis=1, kind="stable")


def decode(numbers: NDArray[np.int64], alphabet: Sequence[str]) -> list[str]:
    """Return the texts for numbers (N, characters).

    >>> decode(np.array([[1, 0, 2], [1, 2, 2]]), ("a", "b", ""))
    ['ba', 'b']
    """
    return ["".join(alphabet[number] for number in row) for row in numbers.tolist()]


def text_size(sizes: NDArray[np.int64], characters: int, largest: int) -> tuple[int, int]:
    """Choose the (height, width) in pixels at which images with a text are shown to a network.

    Their median shape, scaled down until each character has 20 pixels of width and the text 30 of height (benchmarks/reading.py),
    never enlarged, and at most `largest` on a side.
    """
    height, width = (float(side) for side in np.median(sizes, axis=0))
    scale = min(1.0, max(_TEXT_HEIGHT / height, _CHARACTER_WIDTH * characters / width), largest / max(height, width))
    return max(1, round(scale * height)), max(1, round(scale * width))
