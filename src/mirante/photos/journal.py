"""Files moved, copied or linked so that every state in between can be undone: by a person, and after a kill at any moment.

The whole plan is on disk before the first file is touched. After that nothing needs to be noted: what became of a step is seen
from the two places that it names. A name is first taken by an empty file, which nothing else can have been; then the photo
replaces it in one step. So nothing is overwritten, ever.

    DIR/.mirante/moves/DATE-ID.jsonl   a header, one line a file {from, to, size, mtime_ns}, one line a sidecar that is written
                                       {beside, suffix, before, after}, {"planned": N}, {"done": true}
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import errno
import filecmp
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mirante.data.entries import Skipped, printable
from mirante.errors import RequestError, WorkError
from mirante.files import system_reason, write_bytes
from mirante.photos.walk import MEMORY
from mirante.progress import track

How = Literal["move", "copy", "link"]

MOVES = "moves"
_SLACK = 2_000_000_000  # nanoseconds: what a FAT file system may round a time by
_FORMAT = 1


@dataclass(frozen=True)
class Step:
    """One file: where it is, where it goes, and its size (bytes) and time of change (nanoseconds) when that was planned."""

    source: str
    target: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Note:
    """A sidecar that is written beside a file, or changed.

    beside   the number of the step whose target it lies beside, or the path of a file that stays where it is
    suffix   what comes after that file's name; nothing where it is that file which is changed
    before, after   its content; None where there was none
    """

    beside: int | str
    suffix: str
    before: bytes | None
    after: bytes


@dataclass(frozen=True)
class Journal:
    """A plan on disk.

    file     where it is written
    how      move, copy or link (hard links)
    source, into   the folders, absolute
    made     folders that are made for it, the outer ones first
    folders  folder → its time of change (nanoseconds) before a file left it
    done     whether it was carried out to its end
    """

    file: Path
    how: How
    source: str
    into: str
    made: tuple[str, ...]
    folders: dict[str, int]
    steps: tuple[Step, ...]
    notes: tuple[Note, ...] = ()
    done: bool = False

    def place_of(self, note: Note) -> Path:
        """Return where a sidecar lies."""
        beside = note.beside if isinstance(note.beside, str) else self.steps[note.beside].target
        return Path(beside + note.suffix)


@dataclass
class Came:
    """What became of a plan: how many files were handled, and what was left, with the reason."""

    count: int = 0
    left: list[Skipped] = field(default_factory=list)


def write_plan(
    how: How,
    source: Path,
    into: Path,
    made: Iterable[str],
    steps: Iterable[Step],
    notes: Iterable[Note] = (),
    times: dict[str, int] | None = None,
) -> Journal:
    """Write a plan to disk and return it. Raises WorkError when that fails; no photo has been touched then.

    times  folder → its time of change, where it has changed since only because of the plan itself
    """
    planned, written_beside = tuple(steps), tuple(notes)
    folders: dict[str, int] = {}
    if how == "move":
        for parent in sorted({os.path.dirname(step.source) for step in planned}):
            folders[parent] = os.stat(parent).st_mtime_ns
    folders |= times or {}
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    file = into / MEMORY / MOVES / f"{stamp}-{secrets.token_hex(3)}.jsonl"
    journal = Journal(file, how, str(source), str(into), tuple(made), folders, planned, written_beside)
    header = {"format": _FORMAT, "how": how, "source": str(source), "into": str(into), "made": journal.made}
    lines: list[dict[str, Any]] = [{**header, "folders": folders}]
    lines += [
        {"from": one.source, "to": one.target, "size": one.size, "mtime_ns": one.mtime_ns} for one in planned
    ]  # fmt: skip
    lines += [
        {"beside": one.beside, "suffix": one.suffix, "before": _packed(one.before), "after": _packed(one.after)}
        for one in written_beside
    ]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="ascii") as written:
            for line in [*lines, {"planned": len(planned)}]:
                written.write(json.dumps(line) + "\n")
            written.flush()
            os.fsync(written.fileno())
        _sync(file.parent)
    except OSError as error:
        raise WorkError(
            f"{file}: the plan could not be written ({system_reason(error)}); nothing was moved."
        ) from error
    return journal


def read_journals(into: Path) -> list[Journal]:
    """Return the plans of a folder, the oldest first; what was cut off while it was planned had touched nothing and is left out."""
    found = []
    for file in sorted((into / MEMORY / MOVES).glob("*.jsonl")):
        if (journal := _read(file)) is not None:
            found.append(journal)
    return found


def carry_out(journal: Journal) -> Came:
    """Carry a plan out, or go on with one that was interrupted; what is done already is done no second time.

    Raises WorkError when the disk is full or the folder can no longer be written: everything so far is kept and can be undone.
    """
    came = Came()
    for folder in journal.made:
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise WorkError(f"{printable(folder)}: the folder cannot be made ({system_reason(error)}).") from error
    for number, step in track(enumerate(journal.steps), "Putting photos in place", len(journal.steps)):
        try:
            reason = _place(journal, number, step)
        except OSError as error:
            raise WorkError(
                f"{printable(step.target)}: could not be written ({system_reason(error)}); {came.count:,} files are in place, the "
                "others where they were. The same command goes on; mirante photos undo takes all of it back."
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
    with journal.file.open("a", encoding="ascii") as written:
        written.write(json.dumps({"done": True}) + "\n")
    return came


def undo(journal: Journal) -> Came:
    """Take a plan back, carried out or interrupted: names, contents, times and modes are as they were.

    What somebody has changed since is left where it is, and said; the plan is then kept, to be tried again. A copy is only
    removed while its original is there and the same, byte for byte.
    """
    came = Came()
    for note in journal.notes:
        try:
            _write(journal.place_of(note), note.after, note.before, came)
        except OSError as error:
            came.left.append(Skipped(printable(str(journal.place_of(note))), system_reason(error)))
    for number, step in track(enumerate(journal.steps), "Taking it back", len(journal.steps)):
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
    """Give the folders that files had left the times of change that they had."""
    for folder, mtime_ns in journal.folders.items():
        with contextlib.suppress(OSError):
            os.utime(folder, ns=(os.stat(folder).st_atime_ns, mtime_ns))


def free_name(path: str) -> str:
    """Return the path, or where something is there the first of "name (2).jpg", "name (3).jpg" … that is free."""
    folder, name = os.path.split(path)
    stem = os.path.splitext(name)[0]
    number = 1
    while os.path.lexists(path):
        number += 1
        path = os.path.join(folder, numbered(name, len(stem), number))
    return path


def numbered(name: str, stem: int, number: int, longest: int | None = None) -> str:
    """Return a name with " (number)" after so many letters of it; letters before that are dropped where it gets too long.

    longest  bytes of the longest rest after the stem among files that are numbered together

    >>> numbered("img.jpg.xmp", 3, 2), numbered("img.jpg", 3, 1), len(numbered("x" * 250 + ".jpg", 250, 2))
    ('img (2).jpg.xmp', 'img.jpg', 255)
    """
    if number == 1:
        return name
    kept, rest = name[:stem], name[stem:]
    mark = f" ({number})"
    room = 255 - len(mark) - max(longest or 0, len(os.fsencode(rest)))
    while len(os.fsencode(kept)) > room:
        kept = kept[:-1]
    return kept + mark + rest


def same_content(one: str, other: str) -> bool:
    """Tell whether two files hold the same bytes."""
    return os.path.getsize(one) == os.path.getsize(other) and filecmp.cmp(one, other, shallow=False)


def _read(file: Path) -> Journal | None:
    lines: list[dict[str, Any]] = []
    try:
        for line in file.read_text(encoding="ascii").splitlines():
            lines.append(json.loads(line))
    except (OSError, ValueError):
        pass  # cut off in its last line, which no photo was touched for
    if not lines or lines[0].get("format") is None:
        return None
    if lines[0]["format"] > _FORMAT:
        raise RequestError(f"{file}: written by a newer Mirante; update.")
    targets = {line["again"]: line["to"] for line in lines if "again" in line}
    steps = tuple(
        Step(line["from"], targets.get(number, line["to"]), line["size"], line["mtime_ns"])
        for number, line in enumerate(line for line in lines if "from" in line)
    )
    if {"planned": len(steps)} not in lines:
        return None
    notes = tuple(
        Note(line["beside"], line["suffix"], _unpacked(line["before"]), _unpacked(line["after"]) or b"")
        for line in lines
        if "beside" in line
    )
    head = lines[0]
    made, done = tuple(head["made"]), {"done": True} in lines
    return Journal(file, head["how"], head["source"], head["into"], made, head["folders"], steps, notes, done)


def _place(journal: Journal, number: int, step: Step) -> str | None:
    """Bring one file to its place; return why it was left, or None. Raises OSError of what concerns all files."""
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
    """Move or copy a file to a name that nothing has; killed at any moment, the file is whole in one of the two places.

    The name is taken by an empty file first, which the file then replaces in one step.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        if move:
            try:
                os.rename(source, target)
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
    """Remove what a kill has left of this step: half of a copy, and the empty file that only took a name."""
    for here, other in ((step.target, step.source), (step.source, step.target)):
        _drop(_part(journal, number, here))
        empty = step.size and os.path.isfile(here) and os.path.getsize(here) == 0
        if empty and os.path.isfile(other) and (here == step.target or _is_ours(step)):
            _drop(here)


def _write(path: Path, before: bytes | None, after: bytes | None, came: Came) -> None:
    """Change a sidecar from one content to another, None for no file; what holds something else is left and said."""
    now = path.read_bytes() if path.exists() else None
    if now == after:
        return
    if now != before:
        came.left.append(Skipped(printable(str(path)), "changed since; left as it is"))
    elif after is None:
        path.unlink()
        came.count += 1
    elif path.parent.is_dir():
        write_bytes(path, after)
        came.count += 1


def _packed(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode("ascii")


def _unpacked(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


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
    with journal.file.open("a", encoding="ascii") as written:
        written.write(json.dumps({"again": number, "to": target}) + "\n")
        written.flush()
        os.fsync(written.fileno())
    return Step(step.source, target, step.size, step.mtime_ns)


def _copy(source: str, part: str) -> None:
    """Copy a file with its times, mode and what else the system keeps of it, all of it on disk when this returns."""
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


def _sync(folder: Path) -> None:
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def missing_folders(folder: Path) -> Iterator[str]:
    """Yield the folders that must be made for this one to be there, the outer ones first."""
    for parent in [*reversed(folder.parents), folder]:
        if not os.path.lexists(parent):
            yield str(parent)
