"""A table of images: CSV, TSV or Parquet with the columns path and label, and optionally split and group.

Delimiters are detected (comma, semicolon, tab) and column names are case-insensitive. Rows are counted as in a
spreadsheet: the header is row 1.
"""

from __future__ import annotations

import csv
import io
import posixpath
from dataclasses import dataclass, replace
from pathlib import Path

from mirante.data.splits import split_of
from mirante.errors import DataError

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")


@dataclass(frozen=True)
class Columns:
    """Which columns of a table to use, if they have other names than the usual.

    group  says which images belong together; None takes a column named `group` if there is one
    subgroup   by which figures are broken down (such as hospital or camera)
    label  holds the label or text; None takes one named `label`, or else `text`
    """

    group: str | None = None
    subgroup: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Row:
    """One line of a table, its number as a spreadsheet counts; `subgroup` is the value of the column by which figures are split."""

    number: int
    path: str
    label: str
    split: str | None
    group: str | None
    subgroup: str | None = None


@dataclass(frozen=True)
class Table:
    """The rows of a table, and its name for messages."""

    name: str
    rows: tuple[Row, ...]

    def require_files(self, base: Path) -> None:
        """Raise DataError when a row names a missing file."""
        missing = [row for row in self.rows if not (base / row.path).is_file()]
        if missing:
            self.refuse_missing(missing)

    def require_agreement(self, first: Row, second: Row) -> None:
        """Raise the DataError that names two rows for one image unless they say the same."""
        if replace(second, path=first.path, number=first.number) != first:
            raise DataError(
                f"{self.name}, row {second.number}: {second.path} is {second.label!r} here and {first.label!r} in row "
                f"{first.number}, or in another split, group or subgroup; an image has one of each."
            )

    def refuse_missing(self, missing: list[Row]) -> None:
        """Raise the DataError that names the first missing file and counts the others."""
        first, others = missing[0], len(missing) - 1
        more = f" The same is true of {others} more row{'s' if others > 1 else ''}." if others else ""
        raise DataError(
            f"{self.name}, row {first.number}: no file at {first.path}.{more} Paths start from the table's own "
            "folder; --root DIR changes that."
        )


def read_table_file(path: Path, columns: Columns = Columns()) -> Table:
    """Read a table from disk, under its path as its name; raises DataError as `read_table`, and when it cannot be read."""
    try:
        return read_table(str(path), path.read_bytes(), columns)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error


def read_table(name: str, content: bytes, wanted: Columns = Columns()) -> Table:
    """Read a table from its bytes; `name` gives its kind and is used in messages.

    Raises DataError for a missing column, an empty path or label, an unknown split.
    """
    cells = _read_parquet(name, content) if name.lower().endswith(".parquet") else _read_text(name, content)
    header = [cell.strip() for cell in cells[0]] if cells else []
    columns = {
        usual: at for usual in ("path", "label", "split", "group") if (at := _column(name, header, usual)) is not None
    }
    if "label" not in columns and (texts := _column(name, header, "text")) is not None:
        columns["label"] = texts
    named = (
        ("group", "--group-column", wanted.group),
        ("subgroup", "--subgroup", wanted.subgroup),
        ("label", "--label-column", wanted.label),
    )
    for kind, option, column in named:
        if column is not None:
            found = _column(name, header, column)
            if found is None:
                raise DataError(
                    f"{name}: no column named {column!r} ({option}); its columns are {', '.join(header) or 'none'}."
                )
            columns[kind] = found
    for column in ("path", "label"):
        if column not in columns:
            raise DataError(
                f"{name}: no column named {column!r}; its first row is {', '.join(header) or 'empty'}. "
                "A table of images has the columns path and label, and optionally split and group."
            )
    for number, line in enumerate(cells[1:], 2):
        if any(cell.strip() for cell in line[len(header) :]):
            raise DataError(
                f"{name}, row {number}: {len(line)} cells, but the header names {len(header)} columns; put a value with a "
                "comma in quotes."
            )
    rows = [_read_row(name, number, line, columns) for number, line in enumerate(cells[1:], 2) if any(line)]
    if not rows:
        raise DataError(f"{name}: has a header but no rows.")
    return Table(name, tuple(rows))


def _column(name: str, header: list[str], wanted: str) -> int | None:
    """Return where a column is: as it is spelt, or else in any case. Raises DataError when two are meant."""
    found = [number for number, cell in enumerate(header) if cell == wanted]
    found = found or [number for number, cell in enumerate(header) if cell.lower() == wanted.lower()]
    if len(found) > 1:
        raise DataError(f"{name}: {len(found)} columns are named {wanted!r}; rename all but one.")
    return found[0] if found else None


def _read_row(name: str, number: int, line: list[str], columns: dict[str, int]) -> Row:
    def cell(column: str) -> str | None:
        place = columns.get(column)
        return None if place is None else (line[place] if place < len(line) else "")

    path, label, split = (cell("path") or "").strip(), cell("label") or "", cell("split")
    if not path:
        raise DataError(f"{name}, row {number}: the path is empty; fill it in or delete the row.")
    if not label.strip():
        raise DataError(f"{name}, row {number}: the label of {path} is empty; fill it in or delete the row.")
    if split is not None and split_of(split) is None:
        raise DataError(f"{name}, row {number}: {split!r} is not a split; use train, val or test.")
    named_group = cell("group")
    if named_group is not None and not named_group.strip():
        raise DataError(
            f"{name}, row {number}: the group of {path} is empty; give each image a group, its own if need be."
        )
    path = path.replace("\\", "/")
    if "://" not in path:
        path = posixpath.normpath(path)  # one spelling for one file
    return Row(number, path, label, split_of(split or ""), named_group, cell("subgroup"))


def _read_text(name: str, content: bytes) -> list[list[str]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{name}, row {line}: not UTF-8 text; save the table as 'CSV UTF-8'.") from error
    first = text.split("\n", 1)[0]
    delimiter = max("\t;,", key=first.count)
    try:
        return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise DataError(f"{name}: not a readable table ({error}).") from error


def _read_parquet(name: str, content: bytes) -> list[list[str]]:
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise DataError(
            f"{name}: Parquet needs one more package; run pip install 'mirante[parquet]' and try again."
        ) from None
    try:
        table = parquet.read_table(arrow.BufferReader(content))
    except (arrow.ArrowException, OSError) as error:
        raise DataError(f"{name}: not a Parquet file, or damaged.") from error
    columns = [
        ["" if value is None or value != value else str(value) for value in column.to_pylist()]
        for column in table.columns
    ]
    return [list(table.column_names), *[list(line) for line in zip(*columns, strict=True)]]
