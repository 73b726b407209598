"""Files written so that a reader finds either the old content or the new, never a half-written file.

Works the same on Linux, macOS and Windows: a temporary file beside the target, flushed to disk, then one replacement.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import secrets
import time
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mirante.errors import WorkError

_WAITS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)  # seconds: a virus scanner looks at a new file for about as long


def write_file(path: Path, write: Callable[[Path], None]) -> None:
    """Have `write` fill a temporary file in the same folder, then replace `path` with it in one step.

    Raises WorkError when the disk is full or the folder is not writable; whatever was at `path` is then still there.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        part.open("x").close()
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        move(part, path)
    except Exception as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        # libraries wrap the system's error in their own; its text is all they keep
        if isinstance(error, OSError) or "os error" in str(error).lower():
            raise WorkError(f"{path} could not be written: {system_reason(error)}.") from error
        raise


def move(part: Path, path: Path) -> None:
    """Put a file in the place of another in one step. Where another process has that one open, Windows refuses; that is waited for."""
    for wait in (*_WAITS, None):
        try:
            part.replace(path)
            return
        except PermissionError as error:
            if wait is None or getattr(error, "winerror", None) is None:
                raise
            time.sleep(wait)


def write_text(path: Path, text: str) -> None:
    """Put `text` (UTF-8, newlines as given) at `path` in one step."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Put `content` at `path` in one step."""

    def write(part: Path) -> None:
        part.write_bytes(content)

    write_file(path, write)


def write_json(path: Path, value: Any) -> None:
    """Put `value` as readable JSON at `path` in one step; NaN and infinity, which JSON lacks, become null."""
    write_text(path, to_json(value) + "\n")


def to_json(value: Any, indent: int | None = 2) -> str:
    """Return strict JSON: keys in the order given, text as it is, NaN and infinity as null."""
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def system_reason(error: BaseException) -> str:
    """Say in plain words why the system refused to write."""
    if getattr(error, "winerror", None) in (5, 32):  # access denied, sharing violation
        return "another program has it open, or the folder is not writable; close it there, or choose another folder"
    code = getattr(error, "errno", None)
    text = str(error)
    if code in (errno.ENOSPC, getattr(errno, "EDQUOT", None)) or "os error 28" in text or "No space" in text:
        return "the disk is full; free some space"
    if code in (errno.EACCES, errno.EPERM, errno.EROFS) or "os error 13" in text:
        return "the folder is not writable; choose another one"
    if code == errno.EFBIG or "os error 27" in text:
        return "the file is larger than this system allows here"
    return getattr(error, "strerror", None) or text


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a CSV table as text, with lines ending in a line feed."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def next_free(path: Path, ending: str = "") -> Path:
    """Return the path if it is free, else with the first number from 2 up appended (before its ending) that is."""
    stem = path.name.removesuffix(ending)
    number, free = 1, path
    while os.path.lexists(free):
        number += 1
        free = path.with_name(f"{stem}-{number}{ending}")
    return free


def one_file(name: str) -> str:
    """Return what two names share that some file systems take for one: however their letters are composed, in upper or lower case."""
    return unicodedata.normalize("NFC", name).casefold()
