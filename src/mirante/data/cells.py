"""Tables as people have them: CSV from any program and in any encoding, TSV, Parquet, and lines of JSON, as rows of text."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
from typing import Any

from mirante.errors import DataError

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".json")

_log = logging.getLogger("mirante")
_ENCODINGS = ["cp1252", "cp1250", "cp1251", "cp850", "cp932", "gb18030", "big5", "mac_roman", "utf_16", "utf_32"]
_SHOWN = 60  # characters of a cell that a message quotes


def read_cells(name: str, content: bytes) -> list[list[str]]:
    """Return the rows of a table, the header first; `name` gives its kind and is used in messages. Raises DataError."""
    lower = name.lower()
    if lower.endswith(".parquet"):
        return _read_parquet(name, content)
    text = _decoded(name, content)
    return _read_lines_of_json(name, text) if lower.endswith(".jsonl") else _read_separated(name, text)


def short(cell: str) -> str:
    """Return a cell as a message may quote it: not the rest of the table, if a quotation mark is missing."""
    line = cell.splitlines()[0] if cell else cell
    return line if line == cell and len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def _decoded(name: str, content: bytes) -> str:
    """Return the text of a table, and say which encoding it was read in if that is not UTF-8."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    else:
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
        found = "cp1252" if _is_western(content) else _detected(content)
        if found is None:
            raise DataError(
                f"{name}, row {line}: not text in an encoding that can be told; save the table as 'CSV UTF-8'."
            )
        encoding = found
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: neither UTF-8 nor {encoding}; save the table as 'CSV UTF-8'.") from error
    _log.info(f"{name}: read as {encoding.replace('_', '-')}, since it is not UTF-8.")
    return text.removeprefix("\ufeff")


def _is_western(content: bytes) -> bool:
    """Tell whether a table reads well as what Excel writes in the Americas and in Western Europe, whose accents stand alone.

    A table is too short for a guess by statistics: "não" alone may as well be Chinese.
    """
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        return False
    strange = [letter for letter in text if ord(letter) > 127]
    usual = sum(letter.isalpha() or letter in "ºª°–—“”‘’…€§·" for letter in strange)
    return usual >= 0.95 * len(strange) and re.search(r"[^\x00-\x7f]{3}", text) is None


def _detected(content: bytes) -> str | None:
    from charset_normalizer import from_bytes

    best = from_bytes(content, cp_isolation=_ENCODINGS).best()
    return None if best is None else best.encoding


def _read_separated(name: str, text: str) -> list[list[str]]:
    first, _, rest = text.partition("\n")
    said = re.fullmatch(r'"?sep=(.)"?', first.strip(), re.IGNORECASE)  # a line that Excel reads and does not show
    if said:
        text = rest
    separator = said[1] if said else max("\t;,", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    cells: list[list[str]] = []
    try:
        cells.extend(reader)
    except csv.Error as error:
        reason = (
            "a quotation mark is missing, or one too many"
            if "expected after" in str(error) or "end of data" in str(error)
            else error
        )
        raise DataError(f"{name}, row {len(cells) + 1}: {reason}; from there on it cannot be read.") from error
    return cells


def _read_lines_of_json(name: str, text: str) -> list[list[str]]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError
        except ValueError as error:
            raise DataError(f"{name}, line {number}: not a JSON object.") from error
        rows.append(row)
    header = list(dict.fromkeys(key for row in rows for key in row))
    return [header, *[[_text(row.get(key)) for key in header] for row in rows]]


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
    columns = [[_text(value) for value in column.to_pylist()] for column in table.columns]
    return [list(table.column_names), *[list(line) for line in zip(*columns, strict=True)]]


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return "" if value is None or value != value else str(value)
