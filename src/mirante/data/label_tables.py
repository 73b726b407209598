"""The table of labels that the user names: a file, beside the images or among them."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mirante.data.entries import Source
from mirante.data.folders import FolderSource
from mirante.data.scan import Scanned
from mirante.data.splits import split_of
from mirante.data.tables import TABLE_SUFFIXES, Columns, NoColumnError, Row, Table, read_table, read_table_file
from mirante.errors import DataError

_log = logging.getLogger("mirante")


def find_table(name: str, source: Source, location: str, columns: Columns, root: Path | None) -> Table:
    """Find the table of labels as a file, beside the data or inside it.

    Its paths start from its own folder, or from the data when it is beside the data.
    """
    if not name.lower().endswith(TABLE_SUFFIXES):
        raise DataError(
            f"{name}: --labels takes a .csv, .tsv, .parquet or .jsonl table, a .json file of COCO or Label Studio, or xmp for the "
            "keywords of photos."
        )
    data = Path(location).expanduser()
    for path in (Path(name).expanduser(), data.parent / name):
        if path.is_file():
            table = read_table_file(path, columns)
            return _within(table, data, root or path.parent) if data.is_dir() else table
    found = source.find(name)
    if found is None:
        raise DataError(f"{name}: no such table (--labels) here, beside {location} or inside it.")
    inside, content = found
    folder = inside.rpartition("/")[0]
    table = read_table(inside, content, columns)
    if not folder:
        return table
    return replace(table, rows=tuple(replace(row, path=f"{folder}/{row.path}") for row in table.rows))


def hub_table(source: Source, scanned: Sequence[Scanned], columns: Columns) -> Table | None:
    """Return the labels of a data set as the Hugging Face Hub keeps one: metadata.csv or metadata.jsonl at its top or in its splits.

    None when there is no such table, or it has no labels.
    """
    if not isinstance(source, FolderSource):
        return None
    folders = {""}
    for inside in {image.path.rpartition("/")[0] for image in scanned} - {""}:
        parts = inside.split("/")
        folders |= {"/".join(parts[:depth]) for depth in range(1, min(len(parts), 3) + 1)}
    rows: list[Row] = []
    read = []
    for folder in sorted(folders):
        for name in ("metadata.csv", "metadata.jsonl"):
            wanted = f"{folder}/{name}" if folder else name
            place = source.root / wanted
            if not place.is_file():
                continue
            try:
                table = read_table(str(place), place.read_bytes(), columns, one_hot=False)
            except NoColumnError:
                continue
            split = split_of(folder.rpartition("/")[2]) if folder else None
            rows += [
                replace(row, path=f"{folder}/{row.path}" if folder else row.path, split=row.split or split)
                for row in table.rows
            ]
            read.append(table.name)
    named = {row.path for row in rows}
    if not rows or sum(image.path in named for image in scanned) < 0.9 * len(scanned):
        if rows:
            _log.info(f"{' and '.join(read)}: not the labels of these images, so it is passed over.")
        return None
    _log.info(f"{' and '.join(read)}: the labels are taken from there.")
    return Table(read[0], tuple(rows))


def _within(table: Table, data: Path, base: Path) -> Table:
    """Return the table with those paths that lead from `base` into the folder `data` made relative to it."""
    rows = []
    for row in table.rows:
        path = Path(os.path.relpath(base / row.path, data)).as_posix()
        rows.append(row if path.startswith("../") else replace(row, path=path))
    return replace(table, rows=tuple(rows))
