"""A plan of files to move, copy or link, on disk before the first of them is touched. Knows nothing of how that is done.

DIR/.mirante/moves/DATE-ID.jsonl   a header, one line per file {from, to, size, mtime_ns}, one per sidecar that is written
                                   {beside, suffix, before, after, mtime_ns}, {"planned": N}, {"done": true}
"""

from __future__ import annotations

import base64
import datetime
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mirante.errors import RequestError, WorkError
from mirante.files import system_reason
from mirante.photos.walk import MEMORY

How = Literal["move", "copy", "link"]

MOVES = "moves"
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
    suffix   what comes after that file's name; nothing where that file itself is changed
    before, after   its content; None where there was none
    mtime_ns  its time of change (nanoseconds) before; None where there was none
    """

    beside: int | str
    suffix: str
    before: bytes | None
    after: bytes
    mtime_ns: int | None


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


def write_plan(
    how: How,
    source: Path,
    into: Path,
    made: Iterable[str],
    steps: Iterable[Step],
    notes: Iterable[Note] = (),
    times: dict[str, int] | None = None,
) -> Journal:
    """Write a plan to disk and return it. Raises WorkError when that fails; no photo has been touched by then.

    times  folder → its time of change, where it has changed since only because of the plan itself
    """
    planned, written_beside = tuple(steps), tuple(notes)
    folders: dict[str, int] = {}
    if how == "move":
        for parent in sorted({os.path.dirname(step.source) for step in planned}):
            folders[parent] = os.stat(parent).st_mtime_ns
    folders |= times or {}
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S-%f")
    file = into / MEMORY / MOVES / f"{stamp}-{secrets.token_hex(3)}.jsonl"
    journal = Journal(file, how, str(source), str(into), tuple(made), folders, planned, written_beside)
    header = {"format": _FORMAT, "how": how, "source": str(source), "into": str(into), "made": journal.made}
    lines: list[dict[str, Any]] = [{**header, "folders": folders}]
    lines += [
        {"from": one.source, "to": one.target, "size": one.size, "mtime_ns": one.mtime_ns} for one in planned
    ]  # fmt: skip
    lines += [{**vars(one), "before": _packed(one.before), "after": _packed(one.after)} for one in written_beside]
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
    """Return the plans of a folder, the oldest first; one cut off while being written touched nothing and is left out."""
    found = []
    for file in sorted((into / MEMORY / MOVES).glob("*.jsonl")):
        if (journal := _read(file)) is not None:
            found.append(journal)
    return found


def _read(file: Path) -> Journal | None:
    lines: list[dict[str, Any]] = []
    try:
        for line in file.read_text(encoding="ascii").splitlines():
            lines.append(json.loads(line))
    except (OSError, ValueError):
        pass  # cut off in its last line, for which no photo was touched
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
        Note(**{**line, "before": _unpacked(line["before"]), "after": _unpacked(line["after"]) or b""})
        for line in lines
        if "beside" in line
    )
    head = lines[0]
    made, done = tuple(head["made"]), {"done": True} in lines
    return Journal(file, head["how"], head["source"], head["into"], made, head["folders"], steps, notes, done)


def _packed(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode("ascii")


def _unpacked(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def _sync(folder: Path) -> None:
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def note_name(journal: Journal, number: int, target: str) -> None:
    """Note, before it happens, that a step goes to a name other than the one planned."""
    with journal.file.open("a", encoding="ascii") as written:
        written.write(json.dumps({"again": number, "to": target}) + "\n")
        written.flush()
        os.fsync(written.fileno())


def note_done(journal: Journal) -> None:
    """Note that a plan was carried out to its end."""
    with journal.file.open("a", encoding="ascii") as written:
        written.write(json.dumps({"done": True}) + "\n")
