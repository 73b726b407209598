"""What people say elsewhere about images: corrections sent to a server, each with its image, and tables of labels.

Both become answers in the memory of a folder of photos, beside those given in the studio; `learn` learns from all of them.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from mirante import runfolder
from mirante.data.classes import known_as
from mirante.data.entries import Skipped, digest_of, printable
from mirante.data.several import parse, require_writable
from mirante.data.tables import Columns, read_table_file
from mirante.dicom import is_dicom
from mirante.errors import DataError, RequestError, RunError, WorkError
from mirante.files import write_bytes
from mirante.formats import ending_of, open_image
from mirante.locale import language
from mirante.model_info import ModelInfo
from mirante.photos.library import Answer, Library, labels_of, several_of
from mirante.run import Run

_LONGEST = 100


class Feedback:
    """The corrections of one model: images in a folder, and what each shows. Several processes may write there."""

    def __init__(self, folder: Path, megabytes: int, info: ModelInfo) -> None:
        """Open or make the folder. Raises RunError for a model that does not learn from photos, RequestError."""
        if not info.asks.is_taught:
            raise RunError(
                f"{folder}: a model for the task {info.task}; only one of classes or of several labels learns from photos."
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RequestError(f"{folder}: cannot be made; choose another folder for --feedback.") from error
        self._folder, self._most, self._info = folder, megabytes << 20, info
        self._library = Library(folder)
        self._library.classes = info.classes
        self._named = _named(self._library.answers())
        self._lock = threading.Lock()

    def add(self, content: bytes, labels: Sequence[str]) -> list[str]:
        """Keep an image that can be read, and what it shows; return the labels that the model does not know yet.

        Raises RequestError for labels that cannot be meant, WorkError when the folder is full.
        """
        labels = [known_as(label, (*self._info.classes, *self._named)) for label in labels]
        self._require_meant(labels)
        digest = digest_of(content)
        with self._lock:
            if not any(self._folder.glob(f"{digest}.*")):
                if (
                    sum(one.stat().st_size for one in os.scandir(self._folder) if one.is_file()) + len(content)
                    > self._most
                ):
                    raise WorkError(
                        f"{self._folder}: holds {self._most >> 20:,} MB, as many as it may (--feedback-megabytes)."
                    )
                ending = "dcm"
                if not is_dicom(content):
                    with open_image(content) as image:
                        ending = ending_of(image)
                write_bytes(self._folder / f"{digest}.{ending}", content)
        if self._info.asks.several_labels:
            self._named = list(dict.fromkeys([*self._named, *labels]))
            named = (*self._info.classes, *self._named)
            self._library.answer_labels(
                digest, {one: int(one in labels) for one in named}, "feedback", uuid.uuid4().hex
            )
        else:
            self._library.answer([digest], labels[0], "feedback", None, uuid.uuid4().hex)
        return [label for label in labels if label not in self._info.classes]

    def count(self) -> int:
        """Return about how many images something was said, here or in the studio."""
        return len({one.digest for one in self._library.answers()})

    def close(self) -> None:
        self._library.close()

    def _require_meant(self, labels: Sequence[str]) -> None:
        if not self._info.asks.several_labels and (len(labels) != 1 or not labels[0]):
            raise RequestError("Say what the image shows, once: ?label=NAME.")
        for label in labels:
            require_class(label)
        if any(not label or len(label) > _LONGEST or not label.isprintable() for label in labels):
            raise RequestError(f"A class has up to {_LONGEST} printable characters.")
        if self._info.asks.several_labels:
            for label in labels:
                try:
                    require_writable("label", label)
                except DataError as error:
                    raise RequestError(str(error)) from error


def read_labels(library: Library, table: Path, run: Path) -> tuple[int, list[Skipped]]:
    """Take the labels of a table as answers; return how many, and the rows whose photo is not in the folder.

    Paths are those in the folder, or from the table's own folder. All of a table is taken, or nothing; one that is read again changes
    nothing, even where something else was said since. For a run of several labels a cell names all that a photo has, such as cat|dog,
    and it has no other, nor any that another row names; columns of yes and no speak of their labels alone, those without a single yes
    being none. Raises DataError, RequestError for what can be no class.
    """
    info = Run(run).info if runfolder.is_run(run) else None
    several = info is not None and info.asks.several_labels
    photos = {printable(one.path).replace("\\", "/"): one.digest for one in library.look()[0]}
    root = library.folder.resolve()
    turn = f"table {digest_of(os.fsencode(_from(table.resolve(), library.folder.resolve())))}"
    before = [
        one for one in library.all_answers("table") if one.turn.startswith(turn) or not one.turn.startswith("table ")
    ]
    one_class, labels_said = labels_of(before), several_of(before)
    read, left = 0, []
    said: dict[str, str] = {}
    new: list[tuple[str, str, int | None]] = []
    found = read_table_file(table, Columns(several=several, options=False))
    named = [] if info is None or (several and found.has_columns) else list(info.classes)
    if info is not None and several:
        for row in found.rows:
            for name in (name for part in parse(row.label) for name in part):
                known = known_as(name, (*info.classes, *named))
                named += [known] if known not in named else []
    for row in found.rows:
        label = row.label.strip() if several else known_as(row.label, named)
        if not several and label not in named:
            named.append(label)
        path = str(PurePosixPath(row.path.replace("\\", "/")))
        if path not in photos:
            beside = (table.parent / row.path).resolve()
            path = beside.relative_to(root).as_posix() if beside.is_relative_to(root) else path
        if path not in photos:
            left.append(Skipped(f"{table}:{row.number}", f"{row.path} is not in {library.folder}"))
            continue
        if not label and not several:
            left.append(Skipped(f"{table}:{row.number}", "has no label"))
            continue
        digest = photos[path]
        if said.setdefault(digest, label) != label:  # the same file, or a copy of it
            raise DataError(f"{table}, row {row.number}: {row.path} is {label!r} here and {said[digest]!r} before.")
        if info is not None and several:
            yes, not_known = ([known_as(name, named) for name in part] for part in parse(label))
            wanted = {name: int(name in yes) for name in named if name not in not_known}
            stands = {known_as(name, named): one for name, one in labels_said.get(digest, {}).items()}
            if any(name not in stands or stands[name].has != has for name, has in wanted.items()):
                new += [(digest, name, has) for name, has in wanted.items()]
        elif known_as(one_class.get(digest) or "", named) != label:
            new.append((digest, label, None))
        read += 1
    for name in dict.fromkeys(name for _, name, _ in new):
        require_class(name)
    library.answer_each(new, "table", f"{turn} {uuid.uuid4().hex}")
    return read, left


def _from(table: Path, folder: Path) -> str:
    """Return where a table lies from a folder: the same when both are moved, or seen from another computer."""
    try:
        return os.path.relpath(table, folder)
    except ValueError:  # on another drive
        return table.name


def _named(answers: list[Answer]) -> list[str]:
    """Return the labels that photos have, as it stands."""
    found = (label for labels in several_of(answers).values() for label, one in labels.items() if one.has == 1)
    return list(dict.fromkeys(found))


def require_class(label: str) -> None:
    """Raise RequestError for what a model says to images of no class: as a class it would learn what nothing has in common."""
    if label.strip().casefold() in {language(one)("none of these") for one in ("en", "pt")}:
        raise RequestError(
            f"{label}: this is what a model answers by itself to images of no class; say what the image shows, or leave it out."
        )
