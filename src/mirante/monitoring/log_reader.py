"""Reading the log of a model in use: the rows of its Parquet files, and of streams that are still being written."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirante.errors import DataError, RequestError

if TYPE_CHECKING:
    import pyarrow as pa

_log = logging.getLogger("mirante")

COLUMNS = (
    "time", "digest", "version", "answer", "confidence", "none_of_these", "ood_score", "probabilities", "sketch", "subgroup",
)  # fmt: skip


class NoRowsError(DataError):
    """A log that holds nothing, or nothing of the model that is asked about; then `last` is the version of its last row."""

    last: str = ""


def require_arrow() -> None:
    """Raise RequestError when Parquet cannot be written here."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise RequestError("a log needs one more package; run pip install 'mirante[parquet]' and try again.") from error


@dataclass(frozen=True)
class Rows:
    """N rows of a log, by column, the oldest first.

    times          (N,) seconds since 1970, UTC
    digests        (N,) SHA-256 of each image's bytes, 32 hexadecimal digits of it
    versions       (N,) of the model: 16 digits of the SHA-256 of its model.onnx
    answers        (N,) in words, as in predictions.csv; for none of the classes, what it would have been if it were one of them
    confidences    (N,) the probability that the answer is right
    none_of_these  (N,) whether the answer was that it is none of the classes
    ood_scores     (N,) how unlike the training images it is, 0 to 1
    probabilities  (N, classes); no columns for a model that reads texts
    sketches       (N, width) a short version of its features; no columns for a network without any
    subgroups      (N,) what the sender said that it belongs to, "" if nothing
    """

    times: NDArray[np.float64]
    digests: NDArray[np.str_]
    versions: NDArray[np.str_]
    answers: NDArray[np.str_]
    confidences: NDArray[np.float32]
    none_of_these: NDArray[np.bool_]
    ood_scores: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    sketches: NDArray[np.float32]
    subgroups: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.times)

    def only(self, which: NDArray[np.bool_] | NDArray[np.integer]) -> Rows:
        """Return some of the rows."""
        return Rows(**{name: value[which] for name, value in vars(self).items()})

    def are_numbers(self) -> NDArray[np.bool_]:
        """Return (N,) whether all figures of a row are numbers."""
        shares = np.isfinite(self.probabilities).all(axis=1) & np.isfinite(self.sketches).all(axis=1)
        return shares & np.isfinite(self.confidences) & np.isfinite(self.ood_scores)


def is_log(folder: Path) -> bool:
    """Tell whether a folder holds a log."""
    return any(file.suffix in (".parquet", ".arrows") for file in folder.glob("*"))


def read_log(folder: str | Path, version: str | None = None, since: float | None = None) -> tuple[Rows, int]:
    """Return the rows of a version of the model, the oldest first, and how many there are of others; None takes all.

    since  seconds since 1970, from which rows are read; None takes all

    Raises DataError when there is none, RequestError without pyarrow.
    """
    require_arrow()
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise DataError(
            f"{folder}: no such log; mirante predict … --log {folder} and mirante serve … --log {folder} write one."
        )
    files = sorted(place.iterdir())
    tables = [table for file in files for table in _read(file, files, since) if table.num_rows]
    if not tables:
        if inside := [file.name for file in files if file.is_dir() and is_log(file)]:
            raise DataError(f"{folder}: not a log itself, but it holds some: {', '.join(inside)}; name one of them.")
        if since is not None:
            raise NoRowsError(f"{folder}: nothing has been logged there in that time.")
        raise NoRowsError(f"{folder}: nothing has been logged there yet.")
    count = sum(table.num_rows for table in tables)
    if version is not None:
        import pyarrow.compute as pc

        last = str(max(tables, key=lambda table: table["time"][-1].as_py())["version"][-1])
        tables = [table.filter(pc.equal(table["version"], version)) for table in tables]
        tables = [table for table in tables if table.num_rows]
        if not tables:
            error = NoRowsError(
                f"{folder}: its {count:,} rows are of other versions of the model; name the one that answered, such as RUN/earlier/1 "
                "(mirante versions RUN lists them)."
            )
            error.last = last
            raise error
    own = sum(table.num_rows for table in tables)
    parts = [_columns(whole) for table in tables if (whole := _without_nulls(table)).num_rows]
    if not parts:
        raise NoRowsError(f"{folder}: in each of its rows a number is missing.")
    shapes = {(part["probabilities"].shape[1], part["sketches"].shape[1]) for part in parts}
    if len(shapes) > 1:
        raise DataError(
            f"{folder}: it holds the answers of models with different classes; log each model to its own folder."
        )
    rows = Rows(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    rows = rows.only(rows.are_numbers())
    if not len(rows):
        raise NoRowsError(f"{folder}: in each of its rows a number is missing.")
    if len(rows) < own:
        _log.warning(f"{folder}: rows passed over, in which a number is missing: {own - len(rows):,}.")
    return rows.only(np.argsort(rows.times, kind="stable")), count - own


def _read(file: Path, files: Sequence[Path], since: float | None) -> Iterator[pa.Table]:
    """Yield the rows of a file of a log, if it holds any; `files` are all that were found there."""
    import pyarrow as pa

    try:
        if file.suffix == ".parquet":
            found = _finished(file, since)
        elif file.suffix == ".arrows" and file.with_suffix(".parquet") not in files:
            found = _unfinished(file, since)
        else:
            return
        if missing := set(COLUMNS) - set(found.column_names):
            raise OSError(f"no column {min(missing)}")
        yield found
    except (OSError, pa.ArrowException) as error:
        _log.warning(f"{file}: passed over, it cannot be read ({str(error).splitlines()[0]}).")
    except IndexError:  # a stream without a batch, or nothing of that time
        return


def _finished(file: Path, since: float | None) -> pa.Table:
    import pyarrow.parquet as pq

    wanted = None if since is None else [("time", ">=", dt.datetime.fromtimestamp(since, dt.UTC))]
    return pq.read_table(file, filters=wanted)


def _unfinished(stream: Path, since: float | None) -> pa.Table:
    """Return what a stream holds; its writer may finish it meanwhile, and then it is a Parquet file."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not stream.with_suffix(".parquet").exists():
        with contextlib.suppress(FileNotFoundError):
            found = pa.Table.from_batches(whole_batches(stream))
            return (
                found if since is None else found.filter(pc.field("time") >= dt.datetime.fromtimestamp(since, dt.UTC))
            )
    return _finished(stream.with_suffix(".parquet"), since)


def whole_batches(stream: Path) -> list[pa.RecordBatch]:
    """Return the batches of a stream up to where it ends, or breaks off.

    Raises OSError when it cannot be read, IndexError when it has none.
    """
    import pyarrow as pa

    batches: list[pa.RecordBatch] = []
    with stream.open("rb") as file:
        try:
            for batch in pa.ipc.open_stream(file):
                batches.append(batch)
        except (pa.ArrowException, OSError, EOFError) as error:
            if getattr(error, "errno", None) is not None:  # the system's: the rest may be read another time
                raise
    if not batches:
        raise IndexError
    return batches


def _without_nulls(table: pa.Table) -> pa.Table:
    """Return the rows in which nothing is missing."""
    import pyarrow.compute as pc

    return table.filter(reduce(pc.and_, (pc.is_valid(table[name]) for name in COLUMNS)))


def _columns(table: Any) -> dict[str, NDArray[Any]]:
    count = table.num_rows

    def lists(name: str, kind: type) -> NDArray[Any]:
        flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat, kind).reshape(count, -1)

    def texts(name: str) -> NDArray[np.str_]:
        return np.array(table[name].to_pylist(), np.str_)

    plain: Mapping[str, Any] = {
        name: table[name].to_numpy() for name in ("time", "confidence", "none_of_these", "ood_score")
    }
    return {
        "times": plain["time"].astype("datetime64[us]").astype(np.int64) / 1e6,
        "digests": texts("digest"),
        "versions": texts("version"),
        "answers": texts("answer"),
        "confidences": plain["confidence"].astype(np.float32),
        "none_of_these": plain["none_of_these"].astype(bool),
        "ood_scores": plain["ood_score"].astype(np.float32),
        "probabilities": lists("probabilities", np.float32),
        "sketches": lists("sketch", np.float32),
        "subgroups": texts("subgroup"),
    }
