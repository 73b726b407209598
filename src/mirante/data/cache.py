"""Each image is decoded once, into a folder of plain memory-mapped .npy arrays named by the content they were made from.

A second run, and every epoch, reads no JPEG; where images were added, only those are decoded, the others are copied from the array
of before. Nothing here is precious: the folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from mirante.data.entries import Entry, Source, digest_of
from mirante.data.processes import on_every_core
from mirante.errors import DataError, ImageError, UnavailableError, WorkError
from mirante.files import system_reason
from mirante.images import Pixels, read_image
from mirante.places import cache_folder
from mirante.progress import track
from mirante.rendering import Rendering
from mirante.resize import Fit

_FORMAT = 5  # increment it when the same bytes would decode to different pixels
# Decoding this many photos takes longer than starting processes to share the work.
_MANY_PHOTOS = 200
_ROWS = "rows.txt"  # of each row, in order: the digest of the image, and the sum of its pixels (CRC-32)
_LOOKED_AT = 8  # arrays of the same kind, the latest first


def decoded(
    source: Source,
    wanted: dict[str, str],
    size: tuple[int, int],
    channels: Literal[1, 3],
    fit: Fit,
    rendering: Rendering,
) -> tuple[Pixels, dict[str, str]]:
    """Return the images as one read-only array (N, height, width, channels), and which could not be decoded and why.

    wanted  path → digest of the content, in the order of the returned rows

    An image that cannot be decoded is a row of zeros. Raises WorkError when the cache cannot be written.
    """
    kind = hashlib.sha256(f"{_FORMAT} {size} {channels} {fit} {rendering}".encode()).hexdigest()[:12]
    digests = "".join(f"{digest}\n" for digest in wanted.values())
    folder = cache_folder() / "images" / f"{kind}-{hashlib.sha256(digests.encode()).hexdigest()[:32]}"
    shape = (len(wanted), *size, channels)
    read = partial(read_image, size=size, channels=channels, fit=fit, rendering=rendering)
    found, tries = _kept(folder, shape), 0
    if found is not None and any(passing for _, passing in found[1].values()):
        found = None  # what could not be had then may be there now
    while found is None:
        if tries == 2:
            raise WorkError(
                f"{folder.parent}: another program changes the decoded images there; set MIRANTE_CACHE to another folder."
            )
        shutil.rmtree(folder, ignore_errors=True)
        try:
            _build(folder, source, wanted, shape, read)
        except OSError as error:
            raise WorkError(
                f"{folder.parent}: the decoded images could not be stored there: {system_reason(error)}. Set "
                "MIRANTE_CACHE to another folder."
            ) from error
        found, tries = _kept(folder, shape), tries + 1
    paths = list(wanted)
    # the key is the content, so the failures are kept by row: the same content may have another path today
    return found[0], {paths[int(row)]: why for row, (why, _) in found[1].items()}


def _kept(folder: Path, shape: tuple[int, ...]) -> tuple[Pixels, dict[str, tuple[str, bool]]] | None:
    """Return the images of a folder, and row → reason, and whether it may pass, of those that could not be decoded.

    None when they are not there, or damaged.
    """
    try:
        failed = json.loads((folder / "failed.json").read_text(encoding="utf-8"))
        images = np.load(folder / "images.npy", mmap_mode="r")
        sound = images.shape == shape and images.dtype == np.uint8
        return (images, {row: (str(why), bool(passing)) for row, (why, passing) in failed.items()}) if sound else None
    except (OSError, ValueError, TypeError, AttributeError, EOFError):
        return None


def _build(
    folder: Path,
    source: Source,
    wanted: dict[str, str],
    shape: tuple[int, int, int, int],
    read: Callable[[Any], Pixels],
) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    bytes_needed = int(np.prod(shape))
    if shutil.disk_usage(folder.parent).free < bytes_needed + (64 << 20):
        raise WorkError(
            f"{folder.parent}: {bytes_needed >> 20} MiB are needed for the decoded images, but the disk has less; "
            "free some space, or set MIRANTE_CACHE to another folder."
        )
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix="part-"))
    try:
        images = open_memmap(part / "images.npy", "w+", np.uint8, shape)
        known = _copy_known(images, list(wanted.values()), folder)
        images.flush()
        del images
        rows = {path: row for row, path in enumerate(wanted) if not known[row]}
        # the row and the digest are sent in place of the path and the label: they are all that the worker needs
        entries = (
            Entry(str(rows[one.path]), one.payload, wanted[one.path]) for one in source.entries() if one.path in rows
        )
        work = partial(_decode_chunk, part / "images.npy", read)
        failed: dict[str, tuple[str, bool]] = {}
        done: set[int] = set()
        for written, reasons in on_every_core(
            work,
            track(entries, "Decoding images", len(rows)),
            many=len(rows) >= _MANY_PHOTOS and shape[1] * shape[2] > 64 * 64,
        ):
            done.update(written)
            failed.update(reasons)
        if missing := [path for path, row in rows.items() if row not in done]:
            raise DataError(
                f"{source.named(missing[0])}: changed or gone since the data was opened ({len(missing)} such images); try again."
            )
        whole = np.load(part / "images.npy", mmap_mode="r")
        lines = [f"{digest} {zlib.crc32(image)}" for digest, image in zip(wanted.values(), whole, strict=True)]
        (part / _ROWS).write_text("\n".join(lines), encoding="ascii")
        del whole
        (part / "failed.json").write_text(json.dumps(failed), encoding="utf-8")
        with suppress(OSError):  # another process was first: its array is the same
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _copy_known(images: Pixels, digests: list[str], folder: Path) -> NDArray[np.bool_]:
    """Copy images that other folders of the same kind hold into the rows of their digests; return which rows are done (N,)."""
    known = np.zeros(len(digests), bool)
    others = sorted(folder.parent.glob(f"{folder.name.partition('-')[0]}-*"), key=lambda one: -_changed(one))
    for other in others[:_LOOKED_AT]:
        try:
            held = [line.split() for line in (other / _ROWS).read_text(encoding="ascii").split("\n")]
            row_of = {digest: (row, int(crc)) for row, (digest, crc) in enumerate(held)}
        except (OSError, ValueError):
            continue
        found = _kept(other, (len(held), *images.shape[1:]))
        if found is None:
            continue
        for row in np.flatnonzero(~known).tolist():
            place, crc = row_of.get(digests[row], (-1, 0))
            if place >= 0 and str(place) not in found[1] and zlib.crc32(image := found[0][place]) == crc:
                images[row] = image
                known[row] = True
        if known.all():
            break
    return known


def _changed(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:  # another process has just removed it
        return 0.0


def _decode_chunk(
    array: Path, read: Callable[[Any], Pixels], chunk: list[Entry]
) -> tuple[list[int], dict[str, tuple[str, bool]]]:
    """Decode into the rows of the array on disk; return those done, and row → reason, and whether it may pass, for failures.

    Content other than the wanted one is not done: it has changed, or another file of the same name comes later.
    """
    images = np.load(array, mmap_mode="r+")
    done, failed = [], {}
    for entry in chunk:
        try:
            payload = entry.content()
            if digest_of(payload) != entry.label:
                continue
            images[int(entry.path)] = read(payload)
        except ImageError as error:
            failed[entry.path] = (str(error), isinstance(error, UnavailableError))
        done.append(int(entry.path))
    return done, failed
