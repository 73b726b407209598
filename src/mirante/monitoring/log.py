"""The log of a model in use: one row per image, without the picture, in Parquet files of a folder.

    <time>-<process>.arrows    what is being written: a stream of Arrow, flushed every second and every 256 rows
    <time>-<process>.lock      held by the process that writes it
    <time>-<process>.parquet   finished files, each made in one step from a stream

A process that is killed loses its last second, and leaves its stream; whoever logs to the folder next makes a Parquet file of it, and
a reader takes all whole batches of it meanwhile. When a new file is begun and all of them are larger than they may be, the oldest go.
When nothing can be written, the disk being full, answers go on and the log counts the rows that it lacks.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirante.errors import MiranteError, RequestError
from mirante.files import write_file
from mirante.lock import take
from mirante.monitoring.log_reader import COLUMNS, require_arrow, whole_batches
from mirante.prediction.onnx_model import Output
from mirante.prediction.sketch import sketch

if TYPE_CHECKING:
    import pyarrow as pa

_log = logging.getLogger("mirante")
_NAME = re.compile(r"\d{8}T\d{12}-\d+")

ROWS_PER_FILE = 20_000
ROWS_AT_ONCE = 256
SECONDS_AT_ONCE = 1.0
SECONDS_PER_FILE = 86_400.0
MEGABYTES = 1000
"""How large a folder grows, unless the user says otherwise."""


class Log:
    """Writes rows to a folder, from any number of threads; several processes may share the folder, each with its own files."""

    def __init__(self, folder: str | Path, version: str, megabytes: int = MEGABYTES) -> None:
        """Open the folder. Raises RequestError when nothing can be written there."""
        require_arrow()
        self.folder, self._version, self._bytes = Path(folder).expanduser(), version, megabytes << 20
        self._lock = threading.Lock()
        self._writer: Any = None
        self._sink: Any = None
        self._stream: Path | None = None
        self._handle = -1
        self._pending: list[_Pending] = []
        self._timer: threading.Timer | None = None
        self._rows, self._began = 0, 0.0
        self.missing = 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / f".{os.getpid()}.probe"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise RequestError(f"{folder}: no log can be written there ({error.strerror or error}).") from error
        self._finish_orphans()

    def add(
        self, digests: Sequence[str], found: Output, answers: Sequence[tuple[str, float, bool]], subgroup: str = ""
    ) -> None:
        """Add a row for each image, and have it written; never raises: what cannot be written is counted in `missing`.

        answers  of each image what Task.recorded says: the answer, its probability, whether it is none of the classes
        """
        if not len(found):
            return
        with self._lock:
            self._pending.append(_Pending(time.time(), list(digests), found, list(answers), subgroup))
            if sum(len(one.digests) for one in self._pending) >= ROWS_AT_ONCE:
                self._flush()
            elif self._timer is None:
                self._timer = threading.Timer(SECONDS_AT_ONCE, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Write what waits to be written."""
        with self._lock:
            self._flush()

    def close(self) -> None:
        """Make a Parquet file of what was written."""
        with self._lock, contextlib.suppress(Exception):
            self._flush()
            self._finish()

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pending, self._pending = self._pending, []
        if not pending:
            return
        try:
            batch = _batch(pending, self._version)
            if self._writer is not None and (
                self._rows >= ROWS_PER_FILE or time.monotonic() - self._began > SECONDS_PER_FILE
            ):
                self._finish()
            if self._writer is None:
                self._open(batch.schema)
            self._writer.write_batch(batch)
            self._sink.flush()
            self._rows += batch.num_rows
        except Exception as error:  # a log must never be the reason that nobody is answered
            if not self.missing:
                _log.warning(f"{self.folder}: the log cannot be written ({error}); answers go on without it.")
            self.missing += sum(len(one.digests) for one in pending)
            self._abandon()

    def _open(self, schema: pa.Schema) -> None:
        import pyarrow as pa

        stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S%f")  # as _NAME
        self._stream = self.folder / f"{stamp}-{os.getpid()}.arrows"
        self._handle = os.open(_lock_of(self._stream), os.O_RDWR | os.O_CREAT)
        take(self._handle)
        self._sink = self._stream.open("wb")
        self._writer = pa.ipc.new_stream(self._sink, schema)
        self._rows, self._began = 0, time.monotonic()
        self._make_room()

    def _finish(self) -> None:
        if self._writer is None or self._stream is None:
            return
        stream, writer, sink = self._stream, self._writer, self._sink
        self._writer = self._sink = self._stream = None
        try:
            writer.close()
            sink.close()
            _to_parquet(stream)
        finally:
            self._let_go(stream)

    def _let_go(self, stream: Path) -> None:
        os.close(self._handle)
        with contextlib.suppress(OSError):
            _lock_of(stream).unlink(missing_ok=True)

    def _abandon(self) -> None:
        """Close what is open as it is; what was written of it stays readable."""
        for one in (self._writer, self._sink):
            with contextlib.suppress(Exception):
                if one is not None:
                    one.close()
        if self._stream is not None:
            self._let_go(self._stream)
        self._writer = self._sink = self._stream = None

    def _finish_orphans(self) -> None:
        """Make Parquet files of the streams that nobody writes any more."""
        for stream in self._files(".arrows"):
            with contextlib.suppress(OSError, MiranteError):
                handle = os.open(_lock_of(stream), os.O_RDWR | os.O_CREAT)
                mine = take(handle)
                try:
                    if mine:
                        _to_parquet(stream)
                finally:
                    os.close(handle)
                    if mine:
                        _lock_of(stream).unlink(missing_ok=True)

    def _files(self, *endings: str) -> list[Path]:
        """Return the files of the log, the oldest first; others that lie in the folder are left alone."""
        return sorted(file for file in self.folder.iterdir() if file.suffix in endings and _NAME.fullmatch(file.stem))

    def _make_room(self) -> None:
        """Remove the oldest files while the folder is larger than it may be; another process may be doing the same."""
        sizes: dict[Path, int] = {}
        for file in self._files(".parquet", ".arrows"):
            with contextlib.suppress(OSError):
                sizes[file] = file.stat().st_size
        for oldest in [file for file in sizes if file.suffix == ".parquet"]:
            if sum(sizes.values()) <= self._bytes:
                break
            with contextlib.suppress(OSError):  # on Windows, that a reader has it open
                oldest.unlink(missing_ok=True)
                _log.warning(f"{oldest}: removed, since the log has reached its size of {self._bytes >> 20} MB.")
                sizes.pop(oldest)


@dataclass(frozen=True)
class _Pending:
    """Answers that wait to be written: when, and what `Log.add` was given."""

    time: float
    digests: list[str]
    found: Output
    answers: list[tuple[str, float, bool]]
    subgroup: str


def _batch(pending: Sequence[_Pending], version: str) -> pa.RecordBatch:
    import pyarrow as pa

    counts = [len(one.digests) for one in pending]
    shares = np.concatenate([one.found.probabilities for one in pending]).astype(np.float32, copy=False)
    if shares.ndim > 2:  # of each place of a text
        shares = shares[:, 0, :0]
    answers, confidences, none = zip(*(answer for one in pending for answer in one.answers), strict=True)
    features = [one.found.values.get("features") for one in pending]
    known = [one for one in features if one is not None]
    short = sketch(np.concatenate(known)) if len(known) == len(pending) else np.zeros((sum(counts), 0), np.float16)
    times = np.repeat([int(1e6 * one.time) for one in pending], counts)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(times, pa.int64()).cast(pa.timestamp("us", "UTC")),
            pa.array([digest[:32] for one in pending for digest in one.digests], pa.string()),
            pa.array([version] * sum(counts), pa.string()),
            pa.array(answers, pa.string()),
            pa.array(confidences, pa.float32()),
            pa.array(none, pa.bool_()),
            pa.array(np.concatenate([one.found.ood_scores for one in pending]).astype(np.float32, copy=False)),
            _lists(shares),
            _lists(short),
            pa.array([one.subgroup for one in pending for _ in one.digests], pa.string()),
        ],
        names=list(COLUMNS),
    )


def _lists(values: NDArray[np.floating]) -> pa.Array:
    """Return rows (N, width) as a column of lists."""
    import pyarrow as pa

    flat = pa.array(values.ravel())
    if not values.shape[1]:
        return pa.array([[]] * len(values), pa.list_(flat.type))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])


def _lock_of(stream: Path) -> Path:
    return stream.with_suffix(".lock")


def _to_parquet(stream: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pa.Table.from_batches(whole_batches(stream))
    except IndexError:
        stream.unlink(missing_ok=True)
        return
    write_file(stream.with_suffix(".parquet"), lambda part: pq.write_table(table, part, compression="zstd"))
    stream.unlink(missing_ok=True)
