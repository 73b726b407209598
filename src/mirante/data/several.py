"""Several labels of one image, or none: as tables write them, and as one text, `cat|dog|?bird`; `?` marks what is not known."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mirante.data.cells import short
from mirante.errors import DataError

_log = logging.getLogger("mirante")

SEPARATOR, UNKNOWN = "|", "?"
_SEPARATORS = (SEPARATOR, ";", ", ")
"""What stands between labels in a cell; the first that a column holds anywhere counts for all of it."""

_YES = frozenset({"1", "1.0", "yes", "y", "true", "t", "x", "sim", "s", "verdadeiro"})
_NO = frozenset({"0", "0.0", "no", "n", "false", "f", "não", "nao", "falso"})
_NOT_KNOWN = frozenset(
    {"", "-1", "-1.0", "?", "uncertain", "unknown", "unsure", "incerto", "nan", "na", "n/a", "null", "none", "<na>"}
)


def join(yes: Iterable[str], not_known: Iterable[str] = ()) -> str:
    """Return labels as one text.

    >>> join(["cat", "dog"], ["bird"])
    'cat|dog|?bird'
    """
    return SEPARATOR.join([*yes, *(UNKNOWN + name for name in not_known)])


def cell(labels: str) -> str:
    """Return labels as one text as a cell of a table: the mark at the end has it read back, whatever its labels hold.

    >>> cell("red, striped"), cell("")
    ('red, striped|', '|')
    """
    return labels + SEPARATOR


def parse(text: str) -> tuple[list[str], list[str]]:
    """Return the labels that an image has, and those of which it is not known.

    >>> parse("cat|dog|?bird"), parse("")
    ((['cat', 'dog'], ['bird']), ([], []))
    """
    names = [name.strip() for name in text.split(SEPARATOR) if name.strip()]
    yes = list(dict.fromkeys(name for name in names if not name.startswith(UNKNOWN)))
    open_ = dict.fromkeys(name.removeprefix(UNKNOWN).strip() for name in names if name.startswith(UNKNOWN))
    return yes, [name for name in open_ if name not in yes]


def united(one: str, other: str) -> str:
    """Return the labels of either text; what one of them knows is known.

    >>> united("cat|?dog", "dog")
    'cat|dog'
    """
    first, second = parse(one), parse(other)
    yes = list(dict.fromkeys([*first[0], *second[0]]))
    return join(yes, [name for name in dict.fromkeys([*first[1], *second[1]]) if name not in yes])


def fully_known(targets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return of which images (N,) all answers are known; a label that is known of no image does not count.

    targets  (N,) or (N, answers) class numbers, or for several labels (N, labels) 1 yes, 0 no, -1 not known
    """
    known = (targets >= 0) if targets.ndim == 2 else (targets >= 0)[:, None]
    told = known.any(axis=0)
    found: NDArray[np.bool_] = np.all(known | ~told, axis=1) & bool(told.any())
    return found


def labels_of_cells(cells: list[list[str]], column: int) -> list[list[str]]:
    """Return the table with the labels in this column separated by `|`, whichever of `|`, `;` and `, ` the column uses."""
    told = [line[column] for line in cells[1:] if column < len(line)]
    separator = next((one for one in _SEPARATORS if any(one in cell for cell in told)), SEPARATOR)
    made = [cells[0]]
    for line in cells[1:]:
        if column < len(line):
            names = (name.strip() for name in line[column].split(separator))
            line = [*line[:column], join(name for name in names if name), *line[column + 1 :]]
        made.append(line)
    return made


def labels_of_columns(
    name: str, cells: list[list[str]], header: list[str], taken: set[int]
) -> tuple[list[list[str]], list[str]]:
    """Return the table with a label column made of its columns of yes and no, if it has such.

    Blank, -1 and `uncertain` are not known; but in a column that never says no, blank is how it says so.

    Raises DataError for a label that cannot be written.
    """
    lines = [line for line in cells[1:] if any(line)]
    places = [place for place in range(len(header)) if place not in taken and _is_yes_or_no(place, lines)]
    if not places:
        return cells, header
    for place in places:
        require_writable(name, header[place])
    marks = {place for place in places if not any(_cell(line, place) in _NO for line in lines)}
    made = [[*cells[0], "label"]]
    for line in cells[1:]:
        if not any(line):
            made.append(line)
            continue
        told = {header[place]: _cell(line, place) or ("no" if place in marks else "") for place in places}
        yes = [label for label, cell in told.items() if cell in _YES]
        not_known = [label for label, cell in told.items() if cell in _NOT_KNOWN]
        made.append([*line, *[""] * (len(header) - len(line)), join(yes, not_known)])
    names = ", ".join(short(header[place]) for place in places[:20]) + (", …" if len(places) > 20 else "")
    _log.info(f"{name}: its columns of yes and no are taken for the labels: {names}.")
    return made, [*header, "label"]


def require_writable(where: str, name: str) -> None:
    """Raise DataError for a label whose name would be read as something else."""
    if SEPARATOR in name or name.startswith(UNKNOWN) or not name.strip():
        raise DataError(
            f"{where}: {short(name)!r} cannot be the name of a label, which has letters, no {SEPARATOR} and no {UNKNOWN} at its "
            "beginning; rename it."
        )


def _is_yes_or_no(place: int, lines: list[list[str]]) -> bool:
    told = {_cell(line, place) for line in lines}
    return told <= _YES | _NO | _NOT_KNOWN and bool(told & _YES)


def _cell(line: list[str], place: int) -> str:
    return line[place].strip().lower() if place < len(line) else ""
