"""What Mirante knows about a folder of photos: each file's content, a person's answers, the names of groups. One SQLite file.

FOLDER/.mirante/photos.sqlite, in write-ahead mode: an answer once taken is on disk, whatever is killed afterwards. Answers are
never changed or removed; one that is taken back is marked as such.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mirante.data.classes import letters
from mirante.data.entries import Skipped, digest_of, digest_of_file, printable
from mirante.data.file_states import has_lasting_numbers, state_of
from mirante.data.films import can_read, is_film, recorded
from mirante.errors import ImageError, RequestError, WorkError
from mirante.files import system_reason
from mirante.images import read_bytes, read_header
from mirante.photos.exif import read_exif
from mirante.photos.walk import MEMORY, walk
from mirante.progress import track

DATABASE = "photos.sqlite"
Kind = Literal["chosen", "random", "together", "group", "sidecar", "feedback", "table"]
"""How an answer came about: a question that was chosen to help, one drawn at random, several at once, a named group, a keyword,
what somebody told a server, a row of a table."""

_MIGRATIONS = (
    """
    CREATE TABLE files (
      path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, digest TEXT, error TEXT, taken REAL
    );
    CREATE TABLE answers (
      id INTEGER PRIMARY KEY, digest TEXT NOT NULL, label TEXT, kind TEXT NOT NULL, asked TEXT, turn TEXT NOT NULL,
      at REAL NOT NULL, taken_back REAL
    );
    CREATE INDEX answers_of ON answers (digest);
    """,
    """
    CREATE TABLE members (digest TEXT PRIMARY KEY, grouped INTEGER NOT NULL);
    CREATE TABLE names (grouped INTEGER PRIMARY KEY, name TEXT NOT NULL);
    """,
    "ALTER TABLE answers ADD COLUMN has INTEGER",
    """
    DROP TABLE files;
    CREATE TABLE files (
      path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, number INTEGER NOT NULL,
      digest TEXT, error TEXT, taken REAL
    );
    """,
)


@dataclass(frozen=True)
class Known:
    """A readable photo: its path in the folder, the digest of its content, when it was taken (seconds) if it says so."""

    path: str
    digest: str
    taken: float | None


@dataclass(frozen=True)
class Answer:
    """What a person said about one photo.

    label  its class; None for "not sure" (a skipped question is no answer). Of several labels, the one that was asked about
    turn   answers that were given with one key press, and are undone with one
    asked  the class that was asked about, if one was
    has    of several labels, whether the photo has this one: 1 yes, 0 no, -1 not sure; None for a class
    """

    digest: str
    label: str | None
    kind: Kind
    asked: str | None
    turn: str
    at: float
    has: int | None = None


class Library:
    """The memory of one folder; safe to use from several threads."""

    def __init__(self, folder: Path, memory: Path | None = None) -> None:
        """Open or create it. Raises RequestError when there is no such folder, or nothing can be kept beside the photos.

        memory  another place for what is kept, for folders that cannot be written to
        """
        self.classes: tuple[str, ...] = ()
        """Of the model that the answers are for; its classes are written as it writes them."""
        self.folder = folder.expanduser()
        if not self.folder.is_dir():
            raise RequestError(f"{folder}: no such folder of photos.")
        self.place = (self.folder / MEMORY if memory is None else memory.expanduser()) / DATABASE
        self._lock = threading.RLock()
        try:
            self.place.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.place, timeout=30, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._migrate()
        except (OSError, sqlite3.OperationalError) as error:
            raise RequestError(
                f"{self.place.parent}: what is known about the photos cannot be kept there ({error}); "
                "name another place with --memory DIR."
            ) from error
        except sqlite3.DatabaseError as error:
            raise RequestError(
                f"{self.place}: damaged ({error}); restore it, or move it away to start afresh."
            ) from error

    def close(self) -> None:
        self._database.close()

    def _migrate(self) -> None:
        with self._writing():
            version = int(self._database.execute("PRAGMA user_version").fetchone()[0])
            if version > len(_MIGRATIONS):
                raise RequestError(f"{self.place}: written by a newer Mirante; update.")
            for number, script in enumerate(_MIGRATIONS[version:], version + 1):
                for statement in script.split(";"):
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA user_version = {number}")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """All of it or nothing, on disk when it ends. Raises WorkError when it cannot be written."""
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    yield
                except BaseException:
                    self._database.execute("ROLLBACK")
                    raise
                self._database.execute("COMMIT")
            except sqlite3.OperationalError as error:
                raise WorkError(f"{self.place}: could not be written ({error}); nothing was changed.") from error

    def _rows(self, query: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]
        with self._lock:
            return self._database.execute(query, values).fetchall()

    def look(self) -> tuple[list[Known], list[Skipped]]:
        """Return the photos that are in the folder now, and what was passed over; only new and changed files are read."""
        try:
            walked = walk(self.folder, films=can_read())
        except OSError as error:
            raise RequestError(f"{self.folder}: the folder cannot be opened ({error.strerror}).") from error
        before = {path: (tuple(rest[:4]), *rest[4:]) for path, *rest in self._rows("SELECT * FROM files")}
        numbered = has_lasting_numbers(self.folder)
        found: list[Known] = []
        skipped = list(walked.skipped)
        fresh = []
        for photo in walked.photos:
            try:
                status = (self.folder / photo.path).stat()
            except OSError as error:
                skipped.append(Skipped(printable(photo.path), system_reason(error)))
                continue
            path, state = printable(photo.path), state_of(status, numbered)
            was, digest, reason, taken = before.get(path, (None,) * 4)
            if was != state:
                fresh.append((photo.path, (path, *state)))
            elif reason is not None:
                skipped.append(Skipped(path, reason))
            else:
                found.append(Known(photo.path, digest, taken))
        with ThreadPoolExecutor(4) as pool:
            read = pool.map(lambda one: _read(self.folder / one[0]), fresh)
            rows = []
            for (path, stamp), one in zip(fresh, track(read, "Reading photos", len(fresh)), strict=True):
                rows.append((*stamp, *one))
                if one[1] is not None:
                    skipped.append(Skipped(stamp[0], one[1]))
                elif one[0] is not None:
                    found.append(Known(path, one[0], one[2]))
        if rows:
            with self._writing():
                self._database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        return sorted(found, key=lambda one: one.path), skipped

    def path_of(self, digest: str) -> Path | None:
        """Return a photo with this content that was there at the last look and still is, or None."""
        for (path,) in self._rows("SELECT path FROM files WHERE digest = ?", digest):
            place = self.folder / str(path)
            if place.is_file():
                return place
        # a name that is not valid text is known only from the folder itself
        return next((self.folder / one.path for one in self.look()[0] if one.digest == digest), None)

    def answer(self, digests: Iterable[str], label: str | None, kind: Kind, asked: str | None, turn: str) -> None:
        """Keep a person's answer about one or more photos, on disk when this returns. A repeated turn is kept only once."""
        self._keep(((digest, label, kind, None) for digest in dict.fromkeys(digests)), asked, turn)

    def answer_label(self, said: Mapping[str, int], label: str, kind: Kind, turn: str) -> None:
        """Keep which photos have a label, digest → 1 yes, 0 no, -1 not sure; as `answer` does."""
        self._keep(((digest, label, kind, has) for digest, has in said.items()), label, turn)

    def answer_labels(self, digest: str, said: Mapping[str, int], kind: Kind, turn: str) -> None:
        """Keep which labels one photo has, label → 1 yes, 0 no, all at once; as `answer` does."""
        self._keep(((digest, label, kind, has) for label, has in said.items()), None, turn)

    def answer_each(self, said: Iterable[tuple[str, str, int | None]], kind: Kind, turn: str) -> None:
        """Keep many answers at once, as digest, label, has; as `answer` does."""
        self._keep(((digest, label, kind, has) for digest, label, has in said), None, turn)

    def change(self, digests: Iterable[str], label: str | None, has: int | None, turn: str) -> None:
        """Keep something else about photos that were answered before; as `answer` does. Those drawn at random stay so.

        has  of several labels, whether the photos have this one: 1 yes, 0 no, -1 not sure; None for a class
        """
        before = self.answers()
        drawn = {one.digest for one in before if one.kind == "random" and (has is None or one.label == label)}
        known = {one.digest for one in before}
        kinds: dict[str, Kind] = {one: "random" if one in drawn else "chosen" for one in digests if one in known}
        rows = ((digest, label, kind, has) for digest, kind in kinds.items())
        self._keep(rows, None, turn)

    def _keep(self, rows: Iterable[tuple[str, str | None, Kind, int | None]], asked: str | None, turn: str) -> None:
        now = time.time()
        with self._writing():
            if self._database.execute("SELECT 1 FROM answers WHERE turn = ?", (turn,)).fetchone():
                return
            self._database.executemany(
                "INSERT INTO answers (digest, label, kind, asked, turn, at, has) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(digest, label, kind, asked, turn, now, has) for digest, label, kind, has in rows],
            )

    def take_back(self) -> list[str]:
        """Take back the answers of the last turn and return the digests of their photos; none where there is nothing to undo."""
        with self._writing():
            last = self._database.execute(
                "SELECT turn FROM answers WHERE taken_back IS NULL ORDER BY id DESC LIMIT 1"
            ).fetchone()
            if last is None:
                return []
            self._database.execute(
                "UPDATE answers SET taken_back = ? WHERE turn = ? AND taken_back IS NULL", (time.time(), last[0])
            )
            return [row[0] for row in self._database.execute("SELECT digest FROM answers WHERE turn = ?", last)]

    def answers(self) -> list[Answer]:
        """Return all answers that stand, the oldest first; one photo can have several.

        A label that was written in several ways, such as Rose and rose, is written as the model does, or else as it was first.
        """
        found = self._answers("taken_back IS NULL")
        first = {letters(name): name for name in self.classes}
        names = [None if one.label is None else first.setdefault(letters(one.label), one.label) for one in found]
        return [one if one.label == name else replace(one, label=name) for one, name in zip(found, names, strict=True)]

    def all_answers(self, kind: Kind) -> list[Answer]:
        """Return all answers of a kind as they were written, the oldest first, those that were taken back too."""
        return self._answers("kind = ?", kind)

    def _answers(self, which: str, *values: object) -> list[Answer]:
        query = f"SELECT digest, label, kind, asked, turn, at, has FROM answers WHERE {which} ORDER BY id"
        return [Answer(*row) for row in self._rows(query, *values)]

    def keep_groups(self, groups: list[list[str]], names: list[str]) -> None:
        """Keep groups, as digests, with their names, replacing the earlier ones."""
        with self._writing():
            self._database.execute("DELETE FROM members")
            self._database.execute("DELETE FROM names")
            self._database.executemany(
                "INSERT OR REPLACE INTO members VALUES (?, ?)",
                [(digest, number) for number, digests in enumerate(groups) for digest in digests],
            )
            self._database.executemany("INSERT INTO names VALUES (?, ?)", list(enumerate(names)))

    def groups(self) -> dict[int, tuple[str, list[str]]]:
        """Return number → (name, digests) of the groups."""
        found: dict[int, tuple[str, list[str]]] = {
            number: (name, []) for number, name in self._rows("SELECT grouped, name FROM names")
        }
        for digest, number in self._rows("SELECT digest, grouped FROM members"):
            if number in found:
                found[number][1].append(digest)
        return found

    def rename_group(self, number: int, name: str) -> None:
        """Give a group a name."""
        with self._writing():
            self._database.execute("UPDATE names SET name = ? WHERE grouped = ?", (name, number))

    def move_to_group(self, digests: Iterable[str], number: int | None, name: str = "") -> int:
        """Put photos into a group, or into a new one of this name; return its number. A group that is left empty is removed."""
        with self._writing():
            if number is None:
                row = self._database.execute("SELECT COALESCE(MAX(grouped), -1) + 1 FROM names").fetchone()
                number = int(row[0])
                self._database.execute("INSERT INTO names VALUES (?, ?)", (number, name))
            self._database.executemany(
                "INSERT OR REPLACE INTO members VALUES (?, ?)", [(digest, number) for digest in digests]
            )
            self._database.execute("DELETE FROM names WHERE grouped NOT IN (SELECT grouped FROM members)")
            return number


def labels_of(answers: list[Answer]) -> dict[str, str | None]:
    """Return digest → the class that stands: the latest answer counts. Answers about one of several labels are no class."""
    return {one.digest: one.label for one in answers if one.has is None}


def is_kept_apart(digest: str) -> bool:
    """Tell whether a photo is one of the fifth, chosen by its content, that only questions drawn at random are about.

    No answer about such a photo chooses what is asked, and of several labels none is learned from: so they tell how good a model is.
    """
    return int(digest[:8], 16) % 5 == 0


def several_of(answers: list[Answer]) -> dict[str, dict[str, Answer]]:
    """Return digest → label → the answer that stands about it; a class that was named is a label that the photo has.

    The latest answer counts, but a keyword never before what was said here.
    """
    found: dict[str, dict[str, Answer]] = defaultdict(dict)
    for one in answers:
        said = found[one.digest].get(one.label or "")
        if one.label is not None and not (one.kind == "sidecar" and said is not None and said.kind != "sidecar"):
            found[one.digest][one.label] = one if one.has is not None else replace(one, has=1)
    return {digest: labels for digest, labels in found.items() if labels}


def contradictions(answers: list[Answer]) -> dict[str, list[str]]:
    """Return digest → the different classes that a person gave one photo, the last one last."""
    found: dict[str, list[str]] = {}
    for one in answers:
        if one.label is not None and one.has is None:
            said = found.setdefault(one.digest, [])
            if one.label in said:
                said.remove(one.label)
            said.append(one.label)
    return {digest: said for digest, said in found.items() if len(said) > 1}


def _read(path: Path) -> tuple[str | None, str | None, float | None]:
    """Return digest, error and time taken of a file."""
    try:
        if is_film(path.name):
            taken, _ = recorded(path)
            try:
                return digest_of_file(path), None, None if taken is None else taken.timestamp()
            except OSError as error:
                return None, system_reason(error), None
        content = read_bytes(path)
        read_header(content)
    except ImageError as error:
        return None, str(error), None
    taken = read_exif(content).taken
    return digest_of(content), None, None if taken is None else taken.timestamp()
