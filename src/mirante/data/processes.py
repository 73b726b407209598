"""Work on many entries using every core, chunk by chunk, with results in the order of the entries.

Processes, not threads: with small files, most time is Python's own, and two threads were slower than one. joblib's loky
starts them without importing the user's script again, so that it needs no `if __name__ == "__main__"`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TypeVar

from mirante.data.entries import Entry

Result = TypeVar("Result")

_CHUNK_ENTRIES = 128
_CHUNK_BYTES = 16 << 20
# Starting the processes takes about as long as reading this many small images, or bytes, in this one.
_FEW_ENTRIES = 4_000
_FEW_BYTES = 64 << 20


def on_every_core(
    work: Callable[[list[Entry]], Result], entries: Iterable[Entry], many: bool = False
) -> Iterator[Result]:
    """Yield what `work` returns for each chunk of the entries, in order.

    work  a function that can be sent to another process, with the list of entries as its argument
    many  whether other processes pay off even for few entries
    """
    cores = os.cpu_count() or 1
    chunks = _chunks(entries)
    first: list[list[Entry]] = []
    count = size = 0
    while not many and count < _FEW_ENTRIES and size < _FEW_BYTES:
        chunk = next(chunks, None)
        if chunk is None:
            break
        first.append(chunk)
        count, size = count + len(chunk), size + sum(map(_weight, chunk))
    else:
        if cores > 1:
            from joblib import Parallel, delayed

            jobs = Parallel(n_jobs=cores, return_as="generator", batch_size=1, pre_dispatch=3 * cores)
            yield from jobs(delayed(work)(chunk) for chunk in chain(first, chunks))
            return
    yield from map(work, chain(first, chunks))


def _chunks(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    chunk: list[Entry] = []
    size = 0
    for entry in entries:
        chunk.append(entry)
        size += _weight(entry)
        if len(chunk) == _CHUNK_ENTRIES or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _weight(entry: Entry) -> int:
    """Return the bytes that an entry holds in memory; a file on disk is read by the worker, and counts as a photo."""
    if isinstance(entry.payload, bytes):
        return len(entry.payload)
    return entry.payload.nbytes if hasattr(entry.payload, "nbytes") else 16 << 10
