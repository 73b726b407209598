"""Organise a folder of photos, continue what was interrupted, and undo it: the commands, from arguments to results."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import platformdirs

from mirante.data.entries import Skipped
from mirante.data.films import INTERVAL, can_read
from mirante.errors import MiranteError, RequestError
from mirante.files import write_text
from mirante.locale import Language, language
from mirante.photos import arrange as arranging
from mirante.photos.deciding import MIN_CONFIDENCE, decide_photos, require_rule
from mirante.photos.journal import How, read_journals
from mirante.photos.library import DATABASE, Library, labels_of, several_of
from mirante.photos.lock import both_locked
from mirante.photos.moving import Came, carry_out, restore_times, undo
from mirante.photos.names import safe_name
from mirante.photos.walk import MEMORY, walk
from mirante.prediction.model import Model

_REMEMBERED = 50  # folders that undo searches when none is named


@dataclass
class Organised:
    """What came of organising, or would: folder → photos, files put in place, what was left and why, the tree of it, and
    class → folder where another class has the folder of that name.
    """

    counts: dict[str, int]
    count: int = 0
    left: list[Skipped] = field(default_factory=list)
    tree: list[str] = field(default_factory=list)
    into: Path | None = None
    renamed: dict[str, str] = field(default_factory=dict)


def organise(
    run: str | Path,
    folder: str | Path,
    into: str | Path | None = None,
    *,
    how: How = "copy",
    layout: str = "{class}",
    min_confidence: float | None = None,
    write_xmp: bool = False,
    rule: Sequence[str] = (),
    memory: str | Path | None = None,
    interval: float = INTERVAL,
    dry_run: bool = False,
    lang: str | None = None,
) -> Organised:
    """Sort the photos of a folder into folders, as a classification model says; mirante photos undo reverses it.

    into        where the folders are made; None leaves photos where they are, for write_xmp
    how         copy, move, or link (hard links)
    layout      folders below it, such as {class}/{year}
    min_confidence  photos of a lower probability go to review/; None takes 0.8
    write_xmp   also write class and confidence into a sidecar beside each photo that is sure; the labels of a model of several are
                always written
    rule        of a model of several labels, those that name folders: a photo goes into that of the first one that it has
    interval    seconds between the frames of a film that are looked at
    memory      where a person's labels of the folder are kept, if not in the folder
    dry_run     touch nothing, and return what would happen
    lang        en or pt: the language of folder names for what is not known

    What an earlier command left unfinished in `into` is finished first. Raises RequestError before anything is touched, WorkError
    when the work fails on the way.
    """
    say = language(lang)
    if how not in get_args(How):
        raise RequestError(f"how={how!r}: must be one of {', '.join(get_args(How))}.")
    if min_confidence is not None and not 0 <= min_confidence <= 1:
        raise RequestError(f"min_confidence={min_confidence!r}: must be a number from 0 to 1, such as 0.8.")
    layout = arranging.require_layout(layout)
    model = Model(run)
    require_rule(model, rule, into is not None)
    write_xmp = write_xmp or model.asks.several_labels
    folder = Path(folder).expanduser()
    into = None if into is None else Path(os.path.abspath(Path(into).expanduser()))  # noqa: PTH100 (links are kept)
    if not folder.is_dir():
        raise RequestError(f"{folder}: no such folder of photos.")
    if into is not None and into.exists() and not into.is_dir():
        raise RequestError(f"{into}: a file, not a folder; choose another place.")
    target = folder.absolute() if into is None else into
    before = arranging.Before.of(folder, target)
    with ExitStack() as held:
        if not dry_run:
            held.enter_context(both_locked(target, folder, how == "move"))
            for journal in read_journals(target):
                if not journal.done:
                    logging.getLogger("mirante").info(f"{target}: finishing an earlier organise that was interrupted.")
                    carry_out(journal)
        try:
            walked = walk(folder, films=can_read())
        except OSError as error:
            raise RequestError(f"{folder}: the folder cannot be opened ({error.strerror}).") from error
        photos = list(walked.photos) if into is None else arranging.outside(walked.photos, folder, into)
        said = _said(folder, memory, model)
        decided, unread = decide_photos(
            model, folder, photos, said, MIN_CONFIDENCE if min_confidence is None else min_confidence, rule, interval
        )
        names = arranging.folder_names([*model.classes, *(one.label for one in decided.values())])
        found = arranging.arrange(folder.absolute(), photos, decided, into, layout, how, write_xmp, say, names)
        done = Organised(
            found.counts,
            left=[*walked.skipped, *unread, *found.left],
            tree=arranging.tree(found, into),
            into=into,
            renamed={label: name for label, name in names.items() if name != safe_name(label)},
        )
        if dry_run or not (found.steps or found.notes):
            return done
        came = put_in_place(folder, target, how, found, before)
    done.count, done.left = came.count, [*done.left, *came.left]
    return done


def put_in_place(folder: Path, target: Path, how: How, found: arranging.Arrangement, before: arranging.Before) -> Came:
    """Plan an arrangement, remember where it goes so that it can be undone, and carry it out."""
    journal = arranging.plan(folder, target, how, found, before)
    _remember(target)
    return carry_out(journal)


def undo_last(into: Path | None) -> tuple[Path, Came]:
    """Undo the last organise that went into a folder, or the last one anywhere. Raises RequestError when there is none."""
    if into is None:
        journals = [(place, one) for place in _remembered() for one in read_journals(place)]
        if not journals:
            raise RequestError(
                "There is nothing to undo; if it was done on another computer, name the folder it went into."
            )
        into = max(journals, key=lambda pair: pair[1].file.name)[0]
    into = into.expanduser().absolute()
    if not (into / MEMORY).is_dir() or not read_journals(into):
        raise RequestError(f"{into}: there is nothing to undo: nothing was organised into it.")
    journal = read_journals(into)[-1]
    source = Path(journal.source)
    with both_locked(into, source, journal.how == "move"):
        came = undo(journal)
        if not came.left:
            _clear(into, str(into) in journal.made)
            _clear(source, False)
            restore_times(journal)
    return into, came


def show(done: Organised, dry_run: bool, say: Language) -> Iterator[str]:
    """Yield what to tell a person."""
    for label, name in done.renamed.items() if done.into is not None else ():
        yield say("The folder of the class {label} is called {name}: another one has its name.", label=label, name=name)
    if dry_run:
        yield from done.tree
    for name, count in sorted(done.counts.items()):
        if not (dry_run and done.into is not None):
            yield f"{name}: {say.number(count)}"
    if dry_run:
        yield say("Nothing was touched: this is what would happen.")
    elif done.count:
        yield say("{count} files in place. mirante photos undo reverses this.", count=say.number(done.count))
    else:
        yield say("There was nothing to do.")


def _said(folder: Path, memory: str | Path | None, model: Model) -> dict[str, Any]:
    """Return path → what a person said (see decide_photos), if the folder has a memory."""
    if not ((folder / MEMORY if memory is None else Path(memory).expanduser()) / DATABASE).is_file():
        return {}
    library = Library(folder, None if memory is None else Path(memory))
    try:
        library.classes = model.classes
        answers = library.answers()
        said: dict[str, Any] = dict(labels_of(answers))
        if model.asks.several_labels:
            said = {
                digest: {name: one.has for name, one in labels.items() if name in model.classes}
                for digest, labels in several_of(answers).items()
            }
        return {one.path: said[one.digest] for one in library.look()[0] if one.digest in said} if said else {}
    finally:
        library.close()


def _clear(folder: Path, made: bool) -> None:
    """Remove what was only needed for undo: the lock, an empty memory, and the folder itself if it was made for the photos."""
    memory = folder / MEMORY
    try:
        if {path.name for path in memory.iterdir()} == {"lock"}:
            (memory / "lock").unlink()
            memory.rmdir()
        if made:
            folder.rmdir()
    except OSError:
        return


def _state() -> Path:
    return Path(platformdirs.user_state_dir("mirante", appauthor=False)) / "organised.json"


def _remembered() -> list[Path]:
    try:
        return [Path(place) for place in json.loads(_state().read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, RuntimeError):
        return []


def _remember(into: Path) -> None:
    places = [str(place) for place in _remembered() if place != into][-_REMEMBERED:]
    try:
        _state().parent.mkdir(parents=True, exist_ok=True)
        write_text(_state(), json.dumps([*places, str(into)]))
    except (OSError, MiranteError, UnicodeEncodeError, RuntimeError):  # the last one: a user without a home
        pass  # undo will then need the folder's name
