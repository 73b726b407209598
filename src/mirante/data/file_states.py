"""Whether files are still the ones that they were, without reading them: their size, times and numbers on the disk.

Of very many files several processes ask at once, each of which runs this file as a script: it imports nothing of Mirante, and so
starts at once. To ask for a million states takes seconds, and threads would take longer than one alone.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_MANY = 100_000  # files for which another process pays off
_PART = 1 << 14  # files of one digest, however many processes there are
_PROCESSES = 8

_WITHOUT_NUMBERS = ("vfat", "msdos", "exfat", "fuse")  # where Linux numbers files anew each time

State = tuple[int, int, int, int]
"""Size, time of change in nanoseconds, the same of what is kept about the file, and its number, or 0 where that does not last.

Two files that swap names differ by their numbers alone, if their sizes and times are the same.
"""


def state_of(status: os.stat_result, numbered: bool) -> State:
    """Return the state of a file; numbered: whether its number lasts (has_lasting_numbers)."""
    number = status.st_ino % (1 << 63) if numbered else 0  # SQLite keeps no larger ones
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, number


def has_lasting_numbers(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Tell whether the file system of a folder numbers its files for good; memory cards under Linux do not."""
    kinds = {}
    with suppress(OSError, ValueError):  # another system, whose file systems do
        for line in mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            _, place, kind, *_ = line.split(" ")
            kinds[place.replace(r"\040", " ")] = kind
    real = folder.resolve()
    kind = next((kinds[str(one)] for one in (real, *real.parents) if str(one) in kinds), "")
    return kind.partition(".")[0] not in _WITHOUT_NUMBERS


def digest_of_states(folder: Path, names: Sequence[str]) -> str:
    """Return a hex digest that changes when one of the files in the folder is added, removed or becomes another."""
    start, numbered = os.path.join(os.fsencode(folder), b""), has_lasting_numbers(folder)  # noqa: PTH118 (in bytes)
    encoded = os.fsencode("\0".join(names)).split(b"\0") if names else []
    processes = min(os.cpu_count() or 1, _PROCESSES) if len(encoded) >= _MANY else 1
    size = -(-len(encoded) // processes // _PART) * _PART or _PART
    shares = [encoded[first : first + size] for first in range(0, len(encoded), size)]
    helpers = [_started(start, share, numbered) for share in shares[1:]]
    found = _digests(start, shares[0], numbered) if shares else b""
    for helper, share in zip(helpers, shares[1:], strict=True):
        found += _answered(helper) or _digests(start, share, numbered)
    return hashlib.sha256(found).hexdigest()


def _digests(start: bytes, names: list[bytes], numbered: bool) -> bytes:
    """Return the digests of the states of each part of these files, one after the other."""
    return b"".join(_digest(start, names[first : first + _PART], numbered) for first in range(0, len(names), _PART))


def _digest(start: bytes, names: list[bytes], numbered: bool) -> bytes:
    lines = []
    for name in names:
        try:
            lines.append(b"%b\0%d\0%d\0%d\0%d\n" % (name, *state_of(os.stat(start + name), numbered)))  # noqa: PTH116 (bytes)
        except OSError:
            continue  # a broken link: reading it will say so
    return hashlib.sha256(b"".join(lines)).digest()


def _started(start: bytes, names: list[bytes], numbered: bool) -> subprocess.Popen[bytes] | None:
    """Return a process that has been asked for these states, or None where none can be started."""
    words = [sys.executable, "-I", "-S", __file__, *(["numbered"] if numbered else [])]
    try:
        helper = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except (OSError, TypeError):  # where Python is part of another program there may be no executable
        return None
    assert helper.stdin is not None
    with suppress(OSError):  # it ended early, and what it answers says so
        helper.stdin.write(b"\0".join([start, *names]))
        helper.stdin.close()
    return helper


def _answered(helper: subprocess.Popen[bytes] | None) -> bytes | None:
    """Return what a process answered, or None where it failed."""
    if helper is None:
        return None
    assert helper.stdout is not None
    with helper.stdout:
        found = helper.stdout.read()
    return found if helper.wait() == 0 else None


if __name__ == "__main__":
    asked = sys.stdin.buffer.read().split(b"\0")
    sys.stdout.buffer.write(_digests(asked[0], asked[1:], "numbered" in sys.argv[1:]))
