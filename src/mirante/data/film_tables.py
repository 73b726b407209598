"""Tables that name films, or parts of them: a row for each frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import reduce
from pathlib import Path

from mirante.data.cells import short
from mirante.data.films import Sampling, frame_name, frames, is_film, parted
from mirante.data.several import united
from mirante.data.tables import Row, Table
from mirante.errors import DataError, ImageError


def names_films(table: Table) -> bool:
    """Tell whether a table has rows of films."""
    return any(is_film(row.path) for row in table.rows)


def with_frames(table: Table, base: Path, sampling: Sampling, several: bool) -> Table:
    """Return the table with the rows of films replaced by one for each frame that is looked at; see `with_rows_of_frames`.

    Raises DataError for a film that cannot be read.
    """
    names: list[str] = []
    for film in dict.fromkeys(row.path for row in table.rows if is_film(row.path)):
        try:
            names += [frame_name(film, frame.time) for frame in frames(base / film, sampling)]
        except ImageError as error:
            raise DataError(f"{table.name}: {short(film)}: {error}.") from error
    return with_rows_of_frames(table, names, several)


def with_rows_of_frames(table: Table, names: Iterable[str], several: bool) -> Table:
    """Return the table with the rows of films replaced by one for each of these frames that lies in the part that a row gives.

    A film is a group of its own, unless the table gives it another. With `several` labels, parts of one film may overlap.

    Raises DataError for a label none of whose parts has a frame, and for two parts that overlap with different labels.
    """
    times: dict[str, list[float]] = {}
    for name in names:
        if (frame := parted(name)) is not None:
            times.setdefault(frame[0], []).append(frame[1])
    parts: dict[str, list[Row]] = {}
    for row in table.rows:
        if is_film(row.path) and row.path in times:
            parts.setdefault(row.path, []).append(row)
    rows = [row for row in table.rows if row.path not in parts]
    for film, of_film in parts.items():
        rows += _rows_of(table, film, times[film], of_film, several)
    return replace(table, rows=tuple(rows)) if parts else table


def _rows_of(table: Table, film: str, times: list[float], parts: list[Row], several: bool) -> Iterator[Row]:
    labels = set()
    for time in times:
        held = [row for row in parts if (row.begin or 0.0) <= time and (row.end is None or time < row.end)]
        other = next((row for row in held if (row.split, row.group) != (held[0].split, held[0].group)), None)
        if other is not None:
            raise DataError(
                f"{table.name}, row {other.number}: at {time:g} s, {short(film)} is in another split or group here than in row "
                f"{held[0].number}; a moment has one of each."
            )
        other = next((row for row in held if row.label != held[0].label), None)
        if other is not None and not several:
            raise DataError(
                f"{table.name}, row {other.number}: at {time:g} s, {short(film)} is {short(other.label)!r} here and "
                f"{short(held[0].label)!r} in row {held[0].number}; a moment has one label."
            )
        if held:
            labels |= {row.label for row in held}
            label = reduce(united, (row.label for row in held)) if several else held[0].label
            group = held[0].group or film
            yield replace(held[0], path=frame_name(film, time), label=label, group=group, begin=None, end=None)
    for row in parts:
        if row.label not in labels:
            raise DataError(
                f"{table.name}, row {row.number}: no frame of {short(film)} lies in this part of it that differs from the one before; "
                "look at it more often with --interval."
            )
