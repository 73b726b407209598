"""Turns the location of images into a source (and, for a list of files, its table)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from mirante.data import arrays, downloads
from mirante.data.archives import ARCHIVE_SUFFIXES, ArchiveSource
from mirante.data.entries import Entry, Source, printable
from mirante.data.film_tables import with_frames
from mirante.data.films import INTERVAL, Sampling, is_film
from mirante.data.folders import FilmSource, FolderSource, ListedFiles, SingleFile, only_films
from mirante.data.tables import TABLE_SUFFIXES, Columns, Table, read_table_file
from mirante.errors import DataError, MiranteError

ACCEPTED = (
    "a folder of class folders, a .zip or .tar(.gz, .xz, .zst) of one, a URL of an object store, "
    "a .csv, .tsv, .parquet or .jsonl with columns path and label, a .json of COCO or Label Studio, a .npz with x and y, "
    f"or a name: {', '.join(downloads.NAMES)}"
)


def open_source(
    location: str,
    root: Path | None = None,
    columns: Columns = Columns(),  # noqa: B008 (it cannot be changed)
    interval: float | None = None,
) -> tuple[Source, Table | None]:
    """Return the source that `location` names, and the table when the location is a table of paths and labels.

    root     the folder that a table's paths start from (default: the table's own)
    columns  columns of the table with other names than the usual
    interval  seconds between the frames of films; None leaves films out where there are images beside them
    """
    name, _, local = location.partition(":")
    if name in downloads.NAMES and not Path(location).exists():
        return downloads.open_named(name, Path(local).expanduser() if local else None), None
    if "://" in location:
        from mirante.data.stores import StoreSource

        return StoreSource(location, keep=True), None
    path = Path(location).expanduser()
    if not path.exists():
        raise DataError(f"{location}: no such file or folder; DATA can be {ACCEPTED}.")
    sampling = (
        None
        if interval is None and not (path.is_dir() and only_films(path))
        else Sampling(interval or INTERVAL, alike=False)
    )
    if (holding := _holding(path, sampling)) is not None:
        return holding, None
    lower = path.name.lower()
    if lower.endswith(".npz"):
        return arrays.read_npz(path), None
    if lower.endswith(TABLE_SUFFIXES):
        table = read_table_file(path, columns)
        base = root if root is not None else path.parent
        table = with_frames(table.found_in(base), base, Sampling(interval or INTERVAL, alike=False), columns.several)
        return ListedFiles(base, [row.path for row in table.rows], path.stem), table
    raise DataError(f"{location}: not a kind of source that Mirante reads; DATA can be {ACCEPTED}.")


def images_of(locations: Iterable[str], sampling: Sampling | None = None) -> Iterator[Entry]:
    """Yield every image at the locations, each named by its full location.

    A location is an image file, a film, a folder with its contents, an archive, a URL of an object store, or a Line of a list of
    those. Films in a folder are read where `sampling` says which of their frames.
    Raises DataError when one that is no Line names nothing; a Line that does is an entry with an error, and ends nothing.
    """
    for location in locations:
        try:
            source = _images_at(location, sampling)
            for entry in source.entries():
                yield replace(entry, path=source.named(entry.path))
        except (MiranteError, OSError) as error:
            if not isinstance(location, Line):
                raise
            yield Entry(printable(location), b"", error=str(error).removeprefix(f"{location}: ").rstrip("."))


class Line(str):
    """A location that stands in a list: what is wrong with it does not end the work on the others."""


def expand_stdin(locations: Iterable[str], stdin: IO[str]) -> Iterator[str]:
    """Yield the locations, with the lines of stdin in place of `-`; a byte order mark before them is passed over."""
    for location in locations:
        if location == "-":
            for number, line in enumerate(stdin):
                named = (line.removeprefix("\ufeff").removeprefix("ï»¿") if number == 0 else line).rstrip("\r\n")
                if named.strip():
                    yield Line(named)
        else:
            yield location


def _images_at(location: str, sampling: Sampling | None) -> Source:
    if "://" in location:
        from mirante.data.stores import StoreSource

        return StoreSource(location, keep=False)
    path = Path(location).expanduser()
    if not path.exists():
        raise DataError(
            f"{location}: no such file or folder; give images, folders or archives, or - for a list on stdin."
        )
    if (holding := _holding(path, sampling)) is not None:
        return holding
    is_gif = sampling is not None and path.suffix.lower() == ".gif"
    return (
        FilmSource(path, location, sampling or Sampling())
        if is_film(path.name) or is_gif
        else SingleFile(path, location)
    )


def _holding(path: Path, sampling: Sampling | None) -> Source | None:
    """Return the source that a folder or an archive is."""
    if path.is_dir():
        return FolderSource(path, sampling)
    return ArchiveSource(path) if path.name.lower().endswith(ARCHIVE_SUFFIXES) else None
