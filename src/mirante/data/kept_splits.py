"""The splits of very many images, which take long to draw, kept in the cache by all that they are drawn from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirante.errors import MiranteError
from mirante.files import write_file
from mirante.places import cache_folder

_FORMAT = 1  # increment it when the same images would be divided in another way
_MANY = 20_000  # images whose splits are worth keeping

Splits = NDArray[np.str_]
"""(N,) 'train', 'val', 'test', or 'fold1', 'fold2' …"""


def kept_or_drawn(
    draw: Callable[[], Splits],
    names: tuple[str, ...],
    labels: NDArray[np.int64],
    digests: Sequence[str],
    groups: Sequence[str] | None,
    given: Sequence[str | None],
    options: str,
) -> Splits:
    """Return what `draw` returns, from the cache where it was drawn from the same before; raises what it raises.

    names to given as in mirante.data.partition.split_rows; options: what else it is drawn from
    """
    if len(digests) < _MANY:
        return draw()
    found = hashlib.sha256(f"{_FORMAT} {options} {names} {labels.shape}".encode("utf-8", "surrogateescape"))
    found.update(np.ascontiguousarray(labels).tobytes())
    for column in (digests, groups or (), [split or "" for split in given]):
        found.update(repr(column).encode("utf-8", "surrogateescape"))
    place = cache_folder() / "splits" / f"{found.hexdigest()[:32]}.npy"
    if (known := _read(place, len(digests))) is not None:
        return known
    splits = draw()
    with suppress(OSError, MiranteError):
        place.parent.mkdir(parents=True, exist_ok=True)
        write_file(place, partial(_write, splits))
    return splits


def _read(place: Path, count: int) -> Splits | None:
    try:
        found: Splits = np.load(place, allow_pickle=False)
        names = set(np.unique(found).tolist())
    except Exception:  # not there yet, or damaged: NumPy raises many different errors
        return None
    fits = found.shape == (count,) and all(re.fullmatch(r"train|val|test|fold\d+", one) for one in names)
    return found if fits else None


def _write(splits: Splits, place: Path) -> None:
    with place.open("wb") as file:
        np.save(file, splits, allow_pickle=False)
