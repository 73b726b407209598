"""Plans carried out and undone so that nothing is ever lost or overwritten, whatever is killed at whatever moment.

What became of a step is seen from the two places that it names. A name is first reserved by an empty file, which the photo
then replaces in one step.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from mirante.data.entries import Skipped, printable
from mirante.errors import WorkError
from mirante.files import system_reason, write_bytes
from mirante.photos.journal import Journal, Step, note_done, note_name
from mirante.photos.names import free_name
from mirante.progress import track

_SLACK = 2_000_000_000  # nanoseconds: what a FAT file system may round a time by


@dataclass
class Came:
    """What became of a plan: how it was to bring the files, how many were handled, and what was left, with the reason."""

    how: str
    count: int = 0
    left: list[Skipped] = field(default_factory=list)


def carry_out(journal: Journal) -> Came:
    """Carry a plan out, or continue one that was interrupted; what is already done is not done again.

    Raises WorkError when the disk is full or the folder can no longer be written: everything so far is kept and can be undone.
    """
    came = Came(journal.how)
    for folder in journal.made:
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise WorkError(f"{printable(folder)}: the folder cannot be created ({system_reason(error)}).") from error
    for number, step in track(enumerate(journal.steps), "Putting photos in place", len(journal.steps)):
        try:
            reason = _place(journal, number, step)
        except OSError as error:
            raise WorkError(
                f"{printable(step.target)}: could not be written ({system_reason(error)}); {came.count:,} files are in place, "
                "the others where they were. Run the same command to continue, or mirante photos undo to reverse it all."
            ) from error
        if reason is None:
            came.count += 1
        else:
            came.left.append(Skipped(printable(step.source), reason))
    for note in journal.notes:
        try:
            _write(journal.place_of(note), note.before, note.after, came)
        except OSError as error:
            raise WorkError(f"{journal.place_of(note)}: could not be written ({system_reason(error)}).") from error
    note_done(journal)
    return came


def undo(journal: Journal) -> Came:
    """Undo a plan, carried out or interrupted: names, contents, times and modes are as they were.

    What somebody has changed since is left where it is and reported; the plan is then kept, to be tried again. A copy is
    removed only while its original is there and the same, byte for byte.
    """
    came = Came(journal.how)
    for note in journal.notes:
        try:
            restored = _write(journal.place_of(note), note.after, note.before, came)
            if restored and note.mtime_ns is not None:
                os.utime(journal.place_of(note), ns=(note.mtime_ns, note.mtime_ns))
        except OSError as error:
            came.left.append(Skipped(printable(str(journal.place_of(note))), system_reason(error)))
    for number, step in track(enumerate(journal.steps), "Undoing", len(journal.steps)):
        try:
            done = _take_back(journal, number, step)
        except OSError as error:
            done = system_reason(error)
        if isinstance(done, str):
            came.left.append(Skipped(printable(step.target), done))
        else:
            came.count += done
    for folder in reversed(journal.made):
        if folder != journal.into:
            _remove_empty(Path(folder))
    if not came.left:
        journal.file.unlink(missing_ok=True)
        _remove_empty(journal.file.parent)
    return came


def restore_times(journal: Journal) -> None:
    """Restore the times of change of the folders that files had left."""
    for folder, mtime_ns in journal.folders.items():
        with contextlib.suppress(OSError):
            os.utime(folder, ns=(os.stat(folder).st_atime_ns, mtime_ns))


def same_content(one: str, other: str) -> bool:
    """Tell whether two files hold the same bytes."""
    return os.path.getsize(one) == os.path.getsize(other) and filecmp.cmp(one, other, shallow=False)


def _place(journal: Journal, number: int, step: Step) -> str | None:
    """Bring one file to its place; return why it was left, or None. Raises OSError for what affects all files."""
    _clean_up(journal, number, step)
    try:
        status = os.lstat(step.source)
    except FileNotFoundError:
        return None if _is_ours(step) else "gone since it was planned"
    if journal.how == "link" and os.path.lexists(step.target) and os.path.samefile(step.source, step.target):
        return None
    if (status.st_size, status.st_mtime_ns) != (step.size, step.mtime_ns):
        return "changed since it was planned"
    if os.path.lexists(step.target):
        if _is_ours(step) and same_content(step.source, step.target):
            if journal.how == "move":  # killed between copying to another disk and removing
                os.unlink(step.source)
            return None
        step = _renumber(journal, number, step)
    if journal.how == "link":
        os.link(step.source, step.target)
        return None
    _bring(step.source, step.target, _part(journal, number, step.target), journal.how == "move")
    return None


def _take_back(journal: Journal, number: int, step: Step) -> int | str:
    """Undo one step; return whether there was something to undo, or why it was left."""
    _clean_up(journal, number, step)
    there, back = os.path.lexists(step.target), os.path.lexists(step.source)
    if not there:
        return 0 if back else "gone: neither where it was put nor where it came from"
    if not back:
        if journal.how != "move":
            return "its original is gone, so the copy stays"
        if not _is_ours(step):
            return "changed since; left here"
        os.makedirs(os.path.dirname(step.source), exist_ok=True)
        _bring(step.target, step.source, _part(journal, number, step.source), True)
        return 1
    same = os.path.samefile if journal.how == "link" else same_content
    if same(step.source, step.target):
        os.unlink(step.target)
        return 1
    return "changed since, or another file; left here"


def _bring(source: str, target: str, part: str, move: bool) -> None:
    """Move or copy a file to an unused name; killed at any moment, the file is whole in one of the two places.

    The name is first reserved by an empty file, which the file then replaces in one step.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        if move:
            try:
                os.replace(source, target)
                return
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
        _copy(source, part)
        os.replace(part, target)
    except OSError:
        _drop(part)
        _drop(target)
        raise
    if move:
        os.unlink(source)


def _clean_up(journal: Journal, number: int, step: Step) -> None:
    """Remove what a kill has left of this step: half a copy, and the empty file that only reserved a name."""
    sides = ((step.target, step.source), (step.source, step.target))
    for here, other in sides if journal.how == "move" else sides[:1]:  # a copy writes nothing where it comes from
        _drop(_part(journal, number, here))
        empty = step.size and os.path.isfile(here) and os.path.getsize(here) == 0
        if empty and os.path.isfile(other) and (here == step.target or _is_ours(step)):
            _drop(here)


def _write(path: Path, before: bytes | None, after: bytes | None, came: Came) -> bool:
    """Change a sidecar from one content to another, None for no file; a file that holds something else is left and reported.

    Returns whether there is a file that holds what was wanted.
    """
    now = path.read_bytes() if path.exists() else None
    if now == after:
        return after is not None
    if now != before:
        came.left.append(Skipped(printable(str(path)), "changed since; left as it is"))
        return False
    if after is None:
        path.unlink()
    elif path.parent.is_dir():
        write_bytes(path, after)
    came.count += 1
    return path.exists()


def _is_ours(step: Step) -> bool:
    """Tell whether the file at the target is the one that was planned, unchanged."""
    try:
        status = os.lstat(step.target)
    except OSError:
        return False
    return status.st_size == step.size and abs(status.st_mtime_ns - step.mtime_ns) <= _SLACK


def _renumber(journal: Journal, number: int, step: Step) -> Step:
    """Somebody has taken the name since: note another one, and return the step with it."""
    target = free_name(step.target)
    note_name(journal, number, target)
    return Step(step.source, target, step.size, step.mtime_ns)


def _copy(source: str, part: str) -> None:
    """Copy a file with its times, mode and whatever else the system keeps of it, all of it on disk when this returns."""
    with open(source, "rb") as reading, open(part, "xb") as writing:
        shutil.copyfileobj(reading, writing, 1 << 20)
        writing.flush()
        os.fsync(writing.fileno())
    shutil.copystat(source, part)


def _part(journal: Journal, number: int, path: str) -> str:
    return os.path.join(os.path.dirname(path), f".{journal.file.stem[-6:]}-{number}.part")


def _drop(path: str) -> None:
    Path(path).unlink(missing_ok=True)


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
