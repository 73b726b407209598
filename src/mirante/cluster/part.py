"""What a worker does: read the images of one part, answer them, and write the answers to one file with its own name."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mirante import __version__
from mirante.cluster.plan import PLAN, Part, Plan
from mirante.data.entries import Entry, Skipped, printable
from mirante.data.stores import TABLE, Remote, below, exists, is_local, place, write
from mirante.errors import WorkError
from mirante.files import to_json
from mirante.prediction.model import Model
from mirante.prediction.stream import predict_stream

if TYPE_CHECKING:
    import pyarrow as pa

_READERS = 32  # files of a store fetched at the same time


@dataclass(frozen=True)
class Order:
    """What all workers are told once.

    model    the content of model.onnx
    version  of Mirante, where the order was given
    """

    out: str
    plan: Plan
    model: bytes
    version: str = __version__


@dataclass(frozen=True)
class Done:
    """An answered part: its rows, how many of them are failures, and whether it was answered before."""

    rows: int
    failed: int
    before: bool


def answer_part(order: Order, number: int) -> Done:
    """Answer a part, unless its file is already there.

    Raises WorkError when this machine has another version of Mirante, does not see the answers folder, or cannot write there.
    """
    file = below(order.out, f"part-{number:07d}{TABLE}")
    _require_same(order)
    if exists(file):
        return Done(*_count(file), True)
    plan = order.plan
    part = plan.part(number)
    model = _open(order.plan.model, order.model)
    if plan.threshold is not None:
        model.set_threshold(plan.threshold)
    entries: Iterable[Entry] = _entries(part)
    readers = 1
    if part.table.kind == "path":
        entries = list(entries)
        readers = _READERS if any("://" in entry.path for entry in entries) else 1
    rows: list[dict[str, Any]] = []
    failed = 0
    for _, answer, _ in predict_stream(model, entries, plan.coverage, readers):
        if isinstance(answer, Skipped):
            failed += 1
            rows.append({"path": answer.path, "error": answer.reason})
        else:
            rows.append(answer.to_dict())
    assert len(rows) == part.count
    write(file, _parquet(rows, schema_of(model, plan.coverage), failed))
    return Done(part.count, failed, False)


def schema_of(model: Model, coverage: float | None) -> pa.Schema:
    """Return the columns of the answers. `error` says why an image has none, and is null where it has one."""
    import pyarrow as pa

    own = model.asks.parquet_columns(model.info, coverage is not None)
    return pa.schema({"path": pa.string(), **own, "error": pa.string()})


def _parquet(rows: list[dict[str, Any]], schema: pa.Schema, failed: int) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    told = schema.with_metadata({"mirante": to_json({"version": __version__, "failed": failed}, None)})
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, told), content, compression="zstd")
    return content.getvalue()


def _count(file: str) -> tuple[int, int]:
    """Return the rows and the failures of a part that is written."""
    import pyarrow.parquet as pq

    system, path = place(file)
    with system.open(path, "rb") as opened:
        metadata = pq.read_metadata(opened)
    return metadata.num_rows, int(json.loads(metadata.metadata[b"mirante"])["failed"])


def _entries(part: Part) -> Iterator[Entry]:
    """Yield the images of a part, each under its name."""
    table = part.table
    rows = _row_group(table.file, part.group, table.column, table.names, table.stamp)
    base = table.file.rpartition("/")[0]
    for number in range(part.start, part.start + part.count):
        value, name = rows[0][number].as_py(), None if rows[1] is None else rows[1][number].as_py()
        if table.kind == "bytes":
            known = _text(name) if name else f"{table.file}:{part.group}:{number}"
            yield Entry(known, value, error="no bytes" if value is None else None)
        else:
            path = _text(value) if value else ""
            if path and "://" not in path and not path.startswith("/"):
                path = below(base, path)
            missing = f"{table.file}:{part.group}:{number}"
            yield Entry(printable(path) or missing, Remote(path), error=None if path else "no path")


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


@functools.lru_cache(1)  # the parts of a row group come one after another
def _row_group(file: str, group: int, column: str, names: str | None, stamp: str) -> tuple[Any, Any]:
    """Return the column of a row group and the one of the names, if there is one."""
    import pyarrow.parquet as pq

    system, path = place(file)
    with system.open(path, "rb") as opened:
        found = pq.ParquetFile(opened).read_row_group(group, columns=[column, *([names] if names else [])])
    outer, _, inner = column.partition(".")
    values = found[outer].combine_chunks()
    return values.field(inner) if inner else values, found[names] if names else None


@functools.lru_cache(1)
def _open(digest: str, content: bytes) -> Model:
    """Return the model, on one thread: a worker has one core."""
    if hashlib.sha256(content).hexdigest() != digest:
        raise WorkError("the model did not arrive intact.")
    return Model(content, 1)


def _require_same(order: Order) -> None:
    host = socket.gethostname()
    if order.version != __version__:
        raise WorkError(
            f"{host} has Mirante {__version__}, but this is {order.version}; install the same version everywhere."
        )
    plan = below(order.out, PLAN)
    if is_local(place(plan)[0]) and not exists(plan):
        raise WorkError(
            f"{order.out}: not visible from {host}; --out must be a folder that every machine shares, or the URL of a store."
        )
