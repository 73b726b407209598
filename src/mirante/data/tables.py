"""A table of images: which column holds the path, the label, and optionally the split and the group.

Column names are case-insensitive, and the usual ones of other programs are known. Rows are counted as in a spreadsheet: the header
is row 1.
"""

from __future__ import annotations

import logging
import os
import posixpath
import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

from mirante.data.annotations import read_annotations
from mirante.data.cells import TABLE_SUFFIXES, read_cells, short
from mirante.data.films import is_film
from mirante.data.several import labels_of_cells, labels_of_columns, united
from mirante.data.splits import split_of
from mirante.errors import DataError
from mirante.formats import ENDINGS

__all__ = ["TABLE_SUFFIXES", "Columns", "NoColumnError", "Row", "Table", "read_table", "read_table_file"]

_log = logging.getLogger("mirante")

_USUAL = {
    "path": (
        "path",
        "filename",
        "file_name",
        "filepath",
        "file_path",
        "file",
        "image",
        "image_path",
        "image_name",
        "img",
        "id",
        "image_id",
    ),
    "label": ("label", "class", "category", "target", "label_name", "class_name", "text", "labels", "tags", "keywords"),
    "split": ("split",),
    "group": ("group",),
}
"""What the columns are called in the tables of other programs, the first that is there counting."""

_PARTS = {"begin": ("begin", "start"), "end": ("end",)}
"""What the columns are called that hold the part of a film which a row is about; of other rows they say nothing."""

_MISSING = frozenset({"nan", "na", "n/a", "#n/a", "null", "<na>"})
"""What programs write where there is no value, in lower case."""

_ENDINGS = tuple(f".{ending}" for endings in ENDINGS.values() for ending in endings)


class NoColumnError(DataError):
    """A table has no column that is known to hold the path, or the label."""


@dataclass(frozen=True)
class Columns:
    """Which columns of a table to use, if they have other names than the usual.

    group  says which images belong together; None takes a column named `group` if there is one
    subgroup   by which figures are broken down (such as hospital or camera)
    label  holds the label or text; None takes one named `label`, or as other programs name it, or `text`
    path   holds the path of the image; None takes one named `path`, or as other programs name it
    several  whether an image may have several labels, or none: in one cell, in columns of yes and no, or in several rows
    options  whether the user can name columns with options
    """

    group: str | None = None
    subgroup: str | None = None
    label: str | None = None
    path: str | None = None
    several: bool = False
    options: bool = True


@dataclass(frozen=True)
class Row:
    """One line of a table, its number as a spreadsheet counts; `subgroup` is the value of the column by which figures are split.

    begin, end  seconds: the part of a film that it is about
    """

    number: int
    path: str
    label: str
    split: str | None
    group: str | None
    subgroup: str | None = None
    begin: float | None = None
    end: float | None = None


@dataclass(frozen=True)
class Table:
    """The rows of a table, and its name for messages.

    has_columns  whether its labels are columns of yes and no, so that it says nothing about labels without a column
    """

    name: str
    rows: tuple[Row, ...]
    has_columns: bool = False

    def found_in(self, base: Path) -> Table:
        """Return the table with the paths of files as they are spelt on disk. Raises DataError when a row names a missing file.

        A name may be composed in another way (é as one letter or as two), and may lack its ending.
        """
        rows, missing, stems = [], [], {}
        for row in self.rows:
            path = next((one for one in spellings(row.path) if os.path.isfile(base / one)), None)  # noqa: PTH113 (it does not raise)
            if path is None and not row.path.lower().endswith(_ENDINGS):
                folder = posixpath.dirname(row.path)
                if folder not in stems:
                    stems[folder] = _stems(base / folder)
                name = stems[folder].get(unicodedata.normalize("NFC", posixpath.basename(row.path)))
                path = None if name is None else posixpath.join(folder, name)
            if path is None:
                missing.append(row)
            else:
                rows.append(replace(row, path=path))
        if missing:
            self.refuse_missing(missing)
        return replace(self, rows=tuple(rows))

    def require_agreement(self, first: Row, second: Row) -> None:
        """Raise the DataError that names two rows for one image unless they say the same."""
        if replace(second, path=first.path, number=first.number) != first:
            several = " If an image may have several labels, add --task tag." if second.label != first.label else ""
            raise DataError(
                f"{self.name}, row {second.number}: {short(second.path)} is {short(second.label)!r} here and "
                f"{short(first.label)!r} in row {first.number}, or in another split, group or subgroup; an image has one of each."
                f"{several}"
            )

    def with_labels_united(self) -> Table:
        """Return the table with one row per path, or part of a film, with the labels of all its rows.

        Raises DataError when they differ otherwise.
        """
        first: dict[tuple[str, float | None, float | None], Row] = {}
        for row in self.rows:
            key = row.path, row.begin, row.end
            known = first.setdefault(key, row)
            self.require_agreement(known, replace(row, label=known.label))
            first[key] = replace(known, label=united(known.label, row.label))
        return replace(self, rows=tuple(first.values()))

    def refuse_missing(self, missing: list[Row]) -> None:
        """Raise the DataError that names the first missing file and counts the others."""
        first, others = missing[0], len(missing) - 1
        more = f" The same is true of {others} more row{'s' if others > 1 else ''}." if others else ""
        raise DataError(
            f"{self.name}, row {first.number}: no file at {short(first.path)}.{more} Paths start from the table's own "
            "folder; --root DIR changes that."
        )


def read_table_file(path: Path, columns: Columns = Columns()) -> Table:
    """Read a table from disk, under its path as its name; raises DataError as `read_table`, and when it cannot be read."""
    try:
        return read_table(str(path), path.read_bytes(), columns)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error


def read_table(name: str, content: bytes, wanted: Columns = Columns(), one_hot: bool = True) -> Table:
    """Read a table from its bytes; `name` gives its kind and is used in messages.

    Raises DataError for a missing column, an empty path or label, an unknown split.
    """
    annotated = name.lower().endswith(".json")
    cells = read_annotations(name, content, wanted.several) if annotated else read_cells(name, content)
    header = [cell.strip() for cell in cells[0]] if cells else []
    columns = {kind: at for kind in _USUAL if (at := _usual(name, header, kind)) is not None}
    has_columns = False
    asked = (
        ("path", "--path-column", wanted.path),
        ("group", "--group-column", wanted.group),
        ("subgroup", "--subgroup", wanted.subgroup),
        ("label", "--label-column", wanted.label),
    )
    for kind, option, column in asked:
        if column is not None:
            found = _column(name, header, column)
            if found is None:
                raise DataError(
                    f"{name}: no column named {column!r} ({option}); its columns are {_listed(header) or 'none'}."
                )
            columns[kind] = found
    if one_hot and "path" in columns and "label" not in columns:
        made = labels_of_columns if wanted.several else _from_one_hot
        cells, header = made(name, cells, header, set(columns.values()))
        if "label" in header:
            columns["label"], has_columns = header.index("label"), True
    elif wanted.several and "label" in columns and not annotated:
        cells = labels_of_cells(cells, columns["label"])
    for column in ("path", "label"):
        if column not in columns:
            how = f"Name it with --{column}-column." if wanted.options else f"Call the column {column}."
            raise NoColumnError(
                f"{name}: no column that is known to hold the {column}; its first row is {_listed(header) or 'empty'}. {how} "
                f"A table of images has the columns path and label, and may have split and group."
            )
    if any(len(line) > columns["path"] and is_film(line[columns["path"]].strip()) for line in cells[1:]):
        columns |= {kind: at for kind in _PARTS if (at := _usual(name, header, kind)) is not None}
    for number, line in enumerate(cells[1:], 2):
        if any(cell.strip() for cell in line[len(header) :]):
            raise DataError(
                f"{name}, row {number}: {len(line)} cells, but the header names {len(header)} columns; put a value with a "
                "comma in quotes."
            )
    lines = [(number, line) for number, line in enumerate(cells[1:], 2) if any(line)]
    rows = [_read_row(name, number, line, columns, wanted.several) for number, line in lines]
    if not rows:
        raise DataError(f"{name}: has a header but no rows.")
    if all(row.group is not None and re.fullmatch(r"\d+(\.0)?", row.group) for row in rows):  # as pandas writes numbers
        rows = [replace(row, group=(row.group or "").removesuffix(".0")) for row in rows]
    table = Table(name, tuple(rows), has_columns)
    return table.with_labels_united() if wanted.several else table


def spellings(path: str) -> list[str]:
    """Return a path as it is and as other systems compose its letters: é as one character, or as e and an accent.

    >>> spellings("ipê.png") == ["ipê.png", "ipe\u0302.png"]
    True
    """
    return list(dict.fromkeys((path, unicodedata.normalize("NFC", path), unicodedata.normalize("NFD", path))))


def _stems(folder: Path) -> dict[str, str]:
    """Return name without its ending → name, of the images of a folder; those that would be two are left out."""
    try:
        names = sorted(one.name for one in folder.iterdir())
    except OSError:
        return {}
    found: dict[str, list[str]] = {}
    for name in names:
        if name.lower().endswith(_ENDINGS):
            found.setdefault(unicodedata.normalize("NFC", name.rpartition(".")[0]), []).append(name)
    return {stem: one[0] for stem, one in found.items() if len(one) == 1}


def _from_one_hot(
    name: str, cells: list[list[str]], header: list[str], taken: set[int]
) -> tuple[list[list[str]], list[str]]:
    """Return the table with a label column made of columns that say 1 for the class of a row and 0 for the others, if it has such.

    Raises DataError when a row has no class, or several.
    """
    lines = [line for line in cells[1:] if any(line)]
    places = [
        place
        for place in range(len(header))
        if place not in taken and lines and all(place < len(line) and _is_flag(line[place]) for line in lines)
    ]
    others = [place for place in range(len(header)) if place not in taken and place not in places]
    named = any(
        place < len(line) and line[place].strip() and not _is_number(line[place]) for place in others for line in lines
    )
    if len(places) < 2 or named:  # with words in another column, who knows what the classes are
        return cells, header
    names = [header[place] for place in places]
    made = [[*cells[0], "label"]]
    for number, line in enumerate(cells[1:], 2):
        if not any(line):
            made.append(line)
            continue
        said = [header[place] for place in places if float(line[place]) == 1]
        if len(said) != 1:
            raise DataError(
                f"{name}, row {number}: {len(said)} of the columns {_listed(names)} say 1. They were taken for classes, of which "
                "an image has one; name a column of labels with --label-column."
            )
        made.append([*line, said[0]])
    _log.info(f"{name}: its columns {_listed(names)} hold one 1 per row and are taken for the classes.")
    return made, [*header, "label"]


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"\s*[+-]?\d*[.,]?\d+(e[+-]?\d+)?\s*", cell, re.IGNORECASE) is not None


def _is_flag(cell: str) -> bool:
    return cell.strip() in ("0", "1", "0.0", "1.0")


def _listed(names: list[str]) -> str:
    return ", ".join(map(short, names[:12])) + (", …" if len(names) > 12 else "")


def _usual(name: str, header: list[str], kind: str) -> int | None:
    return next((at for usual in (_USUAL | _PARTS)[kind] if (at := _column(name, header, usual)) is not None), None)


def _column(name: str, header: list[str], wanted: str) -> int | None:
    """Return where a column is: as it is spelt, or else in any case. Raises DataError when two are meant."""
    found = [number for number, cell in enumerate(header) if cell == wanted]
    found = found or [number for number, cell in enumerate(header) if cell.lower() == wanted.lower()]
    if len(found) > 1:
        raise DataError(f"{name}: {len(found)} columns are named {wanted!r}; rename all but one.")
    return found[0] if found else None


def _read_row(name: str, number: int, line: list[str], columns: dict[str, int], several: bool) -> Row:
    def cell(column: str) -> str | None:
        place = columns.get(column)
        return None if place is None else (line[place] if place < len(line) else "")

    path, label, split = (cell("path") or "").strip(), cell("label") or "", cell("split")
    if not path:
        raise DataError(f"{name}, row {number}: the path is empty; fill it in or delete the row.")
    if not label.strip() and not several:
        raise DataError(f"{name}, row {number}: the label of {short(path)} is empty; fill it in or delete the row.")
    if label.strip().lower() in _MISSING:
        raise DataError(
            f"{name}, row {number}: the label of {short(path)} is {label.strip()}, which programs write where there is none; "
            "fill it in, delete the row, or call the class otherwise."
        )
    if split is not None and split_of(split) is None:
        raise DataError(f"{name}, row {number}: {short(split)!r} is not a split; use train, val or test.")
    named_group = cell("group")
    if named_group is not None and not named_group.strip():
        raise DataError(
            f"{name}, row {number}: the group of {short(path)} is empty; give each image a group, its own if need be."
        )
    path = path.replace("\\", "/")
    if "://" not in path:
        path = posixpath.normpath(path)  # one spelling for one file
    group = None if named_group is None else named_group.strip()
    begin, end = (_moment(name, number, cell(kind) if is_film(path) else None) for kind in _PARTS)
    if begin is not None and end is not None and begin >= end:
        raise DataError(f"{name}, row {number}: it begins at {begin:g} s and ends at {end:g} s; the end must be later.")
    return Row(number, path, label, split_of(split or ""), group, cell("subgroup"), begin, end)


def _moment(name: str, number: int, cell: str | None) -> float | None:
    """Return a moment of a film in seconds, from 12.5, 1:02 or 1:02:03.5; None where there is none."""
    if cell is None or not cell.strip():
        return None
    parts = cell.strip().replace(",", ".").split(":")
    if len(parts) > 3 or not all(re.fullmatch(r"\d+(\.\d+)?", part) for part in parts):
        raise DataError(
            f"{name}, row {number}: {short(cell)!r} is no moment of a film; write seconds, such as 12.5, or 1:02:03."
        )
    seconds = 0.0
    for part in parts:
        seconds = 60 * seconds + float(part)
    return seconds
