"""One location says where images are; this turns the location into a source (and, for a list of files, its table)."""

from __future__ import annotations

from pathlib import Path

from mirante.data import arrays, downloads
from mirante.data.archives import ARCHIVE_SUFFIXES, ArchiveSource
from mirante.data.entries import Source
from mirante.data.folders import FolderSource, ListedFiles
from mirante.data.tables import TABLE_SUFFIXES, Columns, Table, read_table_file
from mirante.errors import DataError

ACCEPTED = (
    "a folder of class folders, a .zip or .tar(.gz, .xz, .zst) of one, a .csv, .tsv or .parquet with columns path and "
    f"label, a .npz with x and y, or a name: {', '.join(downloads.NAMES)}"
)


def open_source(
    location: str,
    root: Path | None = None,
    columns: Columns = Columns(),  # noqa: B008 (it cannot be changed)
) -> tuple[Source, Table | None]:
    """Return the source that `location` names, and the table when the location is a table of paths and labels.

    root     the folder that a table's paths start from (default: the table's own)
    columns  of a table that have names of their own
    """
    name, _, local = location.partition(":")
    if name in downloads.NAMES and not Path(location).exists():
        return downloads.open_named(name, Path(local).expanduser() if local else None), None
    path = Path(location).expanduser()
    if path.is_dir():
        return FolderSource(path), None
    if not path.exists():
        raise DataError(f"{location}: no such file or folder; DATA is {ACCEPTED}.")
    lower = path.name.lower()
    if lower.endswith(ARCHIVE_SUFFIXES):
        return ArchiveSource(path), None
    if lower.endswith(".npz"):
        return arrays.read_npz(path), None
    if lower.endswith(TABLE_SUFFIXES):
        table = read_table_file(path, columns)
        base = root if root is not None else path.parent
        table.require_files(base)
        return ListedFiles(base, [row.path for row in table.rows], path.stem), table
    raise DataError(f"{location}: not a kind of source that Mirante reads; DATA is {ACCEPTED}.")
