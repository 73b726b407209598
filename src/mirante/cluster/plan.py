"""What is to be answered, divided into parts that never change, so that nothing is lost or answered twice.

OUT/_plan.json names the model and the tables of inputs; OUT/_inputs lists the files that folders and patterns expand to. A
part is a range of rows of one row group of a table, and its answers are one file with its own name. Whoever answers a part
again writes the same file again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain, count, islice
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mirante.data.archives import ARCHIVE_SUFFIXES
from mirante.data.stores import TABLE, below, exists, files, is_local, place, read, write
from mirante.errors import DataError, ImageError, RequestError, WorkError
from mirante.files import to_json
from mirante.runfolder import FORMAT

PLAN = "_plan.json"
INPUTS = "_inputs"
ROWS = 1024
"""Images per part."""

_GROUPS = 1000  # row groups per file of the list


@dataclass(frozen=True)
class Table:
    """A Parquet file of inputs.

    kind    whether `column` holds paths or the bytes of the images
    names   the column that names each image, where there are bytes
    groups  the number of rows of each row group
    stamp   changes when the file does
    """

    file: str
    kind: Literal["path", "bytes"]
    column: str
    names: str | None
    groups: tuple[int, ...]
    stamp: str


@dataclass(frozen=True)
class Part:
    """`count` rows of a row group, starting at its row `start`."""

    number: int
    table: Table
    group: int
    start: int
    count: int


@dataclass(frozen=True)
class Plan:
    """All parts, and what each image is asked.

    locations  what the person named
    model      digest of model.onnx
    rows       images per part, at most
    """

    locations: tuple[str, ...]
    model: str
    coverage: float | None
    threshold: float | None
    rows: int
    tables: tuple[Table, ...]

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """For each row group of all tables, the number of the first part after it."""
        groups = np.array([rows for table in self.tables for rows in table.groups], np.int64)
        return np.cumsum(-(-groups // self.rows))

    @cached_property
    def _places(self) -> list[tuple[int, int]]:
        return [(number, group) for number, table in enumerate(self.tables) for group in range(len(table.groups))]

    @property
    def parts(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    @property
    def inputs(self) -> int:
        return sum(sum(table.groups) for table in self.tables)

    def part(self, number: int) -> Part:
        """Return a part by its number from 0."""
        at = int(np.searchsorted(self._ends, number, side="right"))
        which, group = self._places[at]
        table = self.tables[which]
        before = int(self._ends[at - 1]) if at else 0
        start = (number - before) * self.rows
        return Part(number, table, group, start, min(self.rows, table.groups[group] - start))

    def require_same(self, out: str, asked: dict[str, Any]) -> None:
        """Raise RequestError when what is asked differs from what this plan in `out` was made for, or its inputs have changed."""
        names = {
            "model": "the model is different",
            "rows": "--rows-per-file is different",
            "locations": "the images are different",
        }
        for name, value in asked.items():
            if getattr(self, name) != value:
                other = names.get(name, f"--{name} is different")
                raise RequestError(f"{out}: holds answers to another question ({other}); choose another --out.")
        for table in self.tables:
            if _stamp(table.file) != table.stamp:
                raise RequestError(
                    f"{out}: {table.file} has changed since its images were first answered; choose another --out."
                )

    def to_json(self) -> str:
        return to_json({"format": FORMAT, **asdict(self)}, None)

    @classmethod
    def from_json(cls, text: bytes, name: str) -> Plan:
        """Read a plan; raises RequestError when it is damaged or from a newer version."""
        try:
            values: dict[str, Any] = json.loads(text)
            if values.pop("format") != FORMAT:
                raise ValueError("format")
            tables = tuple(Table(**{**one, "groups": tuple(one["groups"])}) for one in values.pop("tables"))
            return cls(**{**values, "locations": tuple(values["locations"]), "tables": tables})
        except (ValueError, KeyError, TypeError) as error:
            raise RequestError(f"{name}: damaged, or from a newer Mirante; choose another --out.") from error


def make_plan(
    out: str,
    locations: tuple[str, ...],
    listed: Iterable[str],
    model: str,
    coverage: float | None,
    threshold: float | None,
    rows: int,
) -> Plan:
    """Return the plan in the folder `out`, or make it there.

    listed  what the locations name, with those from stdin in place of -

    Raises RequestError when `out` holds something else, answers of another model or of other images; DataError for inputs that are
    not there.
    """
    system, path = place(out)
    stored = below(out, PLAN)
    if exists(stored):
        plan = Plan.from_json(_read(stored), stored)
        plan.require_same(
            out, {"model": model, "coverage": coverage, "threshold": threshold, "rows": rows, "locations": locations}
        )
        return plan
    begun = system.ls(path, detail=False) if system.exists(path) else []
    others = [one for one in begun if one.rstrip("/").rpartition("/")[2] != INPUTS]
    if others:
        raise RequestError(f"{out}: holds something other than answers; choose another --out.")
    if begun:
        system.rm(below(path, INPUTS), recursive=True)  # from a start that was cut off while listing the images
    try:
        system.makedirs(below(path, INPUTS), exist_ok=True)
        images: list[str] = []
        tables: list[str] = []
        for location in listed:
            if location.lower().endswith(ARCHIVE_SUFFIXES):
                raise DataError(
                    f"{location}: archives are not read on a cluster; unpack it, or put its images into Parquet."
                )
            (tables if location.rstrip("/").lower().endswith(TABLE) else images).append(location)
        found = [_open_table(file) for location in tables for file in files(location)]
        found += [_open_table(file) for file in _list(images, out, rows)]
    except OSError as error:
        raise WorkError(f"{out}: cannot be written ({error.strerror or error}).") from error
    plan = Plan(locations, model, coverage, threshold, rows, tuple(found))
    if not plan.inputs:
        raise DataError(f"{' '.join(locations)}: contains no images.")
    write(stored, plan.to_json().encode())
    return plan


def _list(locations: list[str], out: str, rows: int) -> Iterator[str]:
    """Write the paths that the locations name to tables, each once, in row groups of one part; yield those tables."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def each() -> Iterator[str]:
        seen: set[str] = set()
        for location in locations:
            for file in files(location):
                if len(locations) > 1:
                    if file in seen:
                        continue
                    seen.add(file)
                yield file

    schema = pa.schema([("path", pa.binary())])  # a name on disk may not be valid text
    paths = each()
    chunks = iter(lambda: list(islice(paths, rows)), [])
    for number in count():
        first = next(chunks, None)
        if first is None:
            return
        name = below(below(out, INPUTS), f"{number:05d}{TABLE}")
        system, path = place(name)
        with system.open(path, "wb") as file, pq.ParquetWriter(file, schema) as writer:
            for chunk in chain([first], islice(chunks, _GROUPS - 1)):
                coded = [one.encode("utf-8", "surrogateescape") for one in chunk]
                writer.write_table(pa.table({"path": coded}, schema), row_group_size=rows)
        yield name


def _open_table(file: str) -> Table:
    """Look at the columns of a Parquet file. Raises DataError when it is not one, or has neither paths nor bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    system, path = place(file)
    try:
        with system.open(path, "rb") as opened:
            parquet = pq.ParquetFile(opened)
            schema = parquet.schema_arrow
            groups = tuple(parquet.metadata.row_group(one).num_rows for one in range(parquet.num_row_groups))
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{file}: not a readable Parquet file ({str(error).splitlines()[0]}).") from error
    columns = {name.lower(): name for name in schema.names}

    def is_of(name: str, *kinds: Any) -> bool:
        return name in columns and any(kind(schema.field(columns[name]).type) for kind in kinds)

    binary = (pa.types.is_binary, pa.types.is_large_binary)
    texts = (pa.types.is_string, pa.types.is_large_string, *binary)
    names = next((columns[name] for name in ("path", "name", "id") if is_of(name, *texts)), None)
    for name in ("bytes", "image"):
        if is_of(name, *binary):
            return Table(file, "bytes", columns[name], names, groups, _stamp(file))
        if name == "image" and is_of(name, pa.types.is_struct):  # as the Hugging Face Hub has them
            inside = schema.field(columns[name]).type
            if inside.get_field_index("bytes") >= 0:
                return Table(file, "bytes", f"{columns[name]}.bytes", names, groups, _stamp(file))
    for name in ("path", "url"):
        if is_of(name, *texts):
            return Table(file, "path", columns[name], None, groups, _stamp(file))
    raise DataError(
        f"{file}: neither a column of paths (path or url) nor of images (bytes or image); its columns are "
        f"{', '.join(schema.names) or 'none'}."
    )


def _stamp(file: str) -> str:
    system, path = place(file)
    try:
        if is_local(system):
            found = system.info(path)
            return f"{found['size']} {found['mtime']}"
        return str(system.ukey(path))
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror or error}).") from error


def _read(file: str) -> bytes:
    try:
        return read(file)
    except ImageError as error:
        raise RequestError(f"{file}: {error}.") from error
