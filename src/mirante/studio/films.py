"""Films shown to a model: their timeline, made by `mirante predict` as a process of its own, corrections, and learning from them.

A film is kept in the studio's memory under a name. Correcting a stretch writes some of its frames as images and keeps what the person
said about them (mirante.photos.library), so that the model can be taught as it is with photos.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mirante import runfolder
from mirante.data.films import SUFFIXES, StillOf, duration, is_film
from mirante.errors import DataError, ImageError, RequestError
from mirante.files import next_free, write_json
from mirante.locale import Language
from mirante.photos.library import Library
from mirante.run import Run
from mirante.studio import processes
from mirante.studio.workspace import Workspace, name_from, require_name
from mirante.timeline import clock

_FRAMES = 12  # of a corrected stretch, at most, that the model is taught with
_LINES = 6
_LOCK = threading.RLock()


@dataclass(frozen=True)
class Film:
    """One film that was shown to a run.

    file      where it is kept
    interval  seconds between the frames that are looked at
    seconds   how long it says it lasts; None if it does not
    said      what a person said: stretches with begin, end, label, and has (1 or 0) where labels are several
    """

    name: str
    run: str
    file: str
    interval: float
    seconds: float | None
    pid: int = 0
    born: float = 0.0
    said: tuple[dict[str, Any], ...] = ()


def keep_film(workspace: Workspace, run: str, filename: str, interval: float, part: Path) -> Film:
    """Keep a film that was uploaded to `part`, and begin with its timeline. Raises DataError when it is none that can be read."""
    name = Path(filename.replace("\\", "/")).name
    if not is_film(name):
        raise DataError(f"{name}: not a film; films end in {', '.join(SUFFIXES)}.")
    if not 0.05 <= interval <= 3600:
        raise RequestError("A film is looked at every 0.05 s at most, and at least once an hour.")
    workspace.run(run)
    folder = workspace.memory("films")
    with _LOCK:
        place = next_free(
            folder / f"{name_from(Path(name).stem, 'film')}{Path(name).suffix.lower()}", Path(name).suffix
        )
        part.replace(place)
        try:
            seconds = duration(place)
        except ImageError as error:
            place.unlink()
            raise DataError(f"{name}: {error}.") from error
        return begin(workspace, Film(place.stem, run, str(place), interval, seconds))


def begin(workspace: Workspace, film: Film) -> Film:
    """Begin a film's timeline, in a process of its own."""
    with _LOCK:
        if processes.alive(film.pid, film.born):
            raise RequestError("This film is already being looked at.")
        for old in (_log(workspace, film), _timeline(workspace, film)):
            old.unlink(missing_ok=True)
        words = ["predict", str(workspace.run(film.run)), film.file, "--interval", f"{film.interval:g}s"]
        words += ["--format", "csv", "--timeline", str(_timeline(workspace, film))]
        pid, born = processes.launch(words, workspace.root, _log(workspace, film))
        return _write(workspace, replace(film, pid=pid, born=born))


def read(workspace: Workspace, name: str) -> Film:
    """Return a film. Raises DataError when there is none of that name."""
    try:
        value = json.loads(_file(workspace, name).read_text(encoding="utf-8"))
        return Film(**{**value, "said": tuple(value["said"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{name}: no film of that name; show one to a model.") from error


def list_films(workspace: Workspace) -> list[Film]:
    """Return all films by name."""
    found = []
    for path in sorted(workspace.memory("films").glob("*.json")):
        try:
            found.append(read(workspace, path.stem))
        except (DataError, RequestError):
            continue
    return found


def forget(workspace: Workspace, name: str) -> None:
    """Forget a film, and remove the copy that was kept of it; what the model learned from it stays."""
    film = read(workspace, name)
    if (process := processes.alive(film.pid, film.born)) is not None:
        process.kill()
    for path in (Path(film.file), _log(workspace, film), _timeline(workspace, film), _file(workspace, name)):
        path.unlink(missing_ok=True)


def progress(workspace: Workspace, name: str, say: Language) -> dict[str, Any]:
    """Return how far a film's timeline is, and its stretches once it is done, with what a person said about each."""
    film = read(workspace, name)
    try:
        stretches = json.loads(_timeline(workspace, film).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        stretches = None
    lines = processes.printed(_log(workspace, film))
    running = processes.alive(film.pid, film.born) is not None
    if stretches is None:
        frames = None if film.seconds is None else max(1.0, film.seconds / film.interval)
        return {
            "state": "running" if running else "failed",
            "share": None if frames is None else min(0.99, max(0, len(lines) - 1) / frames),
            "said": "" if running else "\n".join(lines[-_LINES:]),
        }
    several = Run(workspace.run(film.run)).info.asks.several_labels
    return {
        "state": "done",
        "seconds": max([film.seconds or 0.0, *(one["end"] for one in stretches)]),
        "note": "\n".join(line for line in lines if ": left out: " in line),
        "stretches": [{**_shown(one, say), **_correction(film, one, several)} for one in stretches],
    }


def correct(workspace: Workspace, name: str, begin_at: float, end: float, label: str, has: int | None) -> None:
    """Keep what a person says a stretch shows, and some of its frames to learn from.

    has  of several labels, whether it shows this one: 1 or 0; None for a class

    Raises RequestError for a stretch that is none, ImageError when its frames can no longer be read.
    """
    with _LOCK:
        film = read(workspace, name)
        info = Run(workspace.run(film.run)).info
        known = 0 <= begin_at < end and label and (has in (0, 1) and label in info.classes if has is not None else True)
        if not known or (has is None) == info.asks.several_labels:
            raise RequestError("The studio did not understand this request; load the page again.")
        digests = list(_keep_frames(workspace, film, begin_at, end))
        library = Library(_frames(workspace, film))
        library.look()
        turn = f"{begin_at:.3f}-{end:.3f} {label} {has} {secrets.token_hex(4)}"
        if has is None:
            library.answer(digests, require_name(label), "chosen", None, turn)
        else:
            library.answer_label(dict.fromkeys(digests, has), label, "together", turn)
        library.close()
        others = [one for one in film.said if not _same(one, begin_at, end, label if has is not None else None)]
        said = {"begin": begin_at, "end": end, "label": label, "has": has}
        _write(workspace, replace(film, said=(*others, said)))


def learn_from_film(workspace: Workspace, name: str, say: Language) -> str:
    """Teach the run with what was said about the film, and describe what came of it. Raises RequestError, RunError."""
    from mirante.photos.learn import learn, learned_sentence

    film = read(workspace, name)
    if not film.said:
        raise RequestError(f"{name}: nothing has been confirmed or corrected yet.")
    library = Library(_frames(workspace, film))
    try:
        return learned_sentence(learn(workspace.run(film.run), library, say), say)
    finally:
        library.close()


def subtitles(workspace: Workspace, name: str, say: Language) -> str:
    """Return the timeline as WebVTT, as a person corrected it."""
    from mirante.timeline import Stretch, web_vtt

    told = [
        Stretch(name, one["begin"], one["end"], one["corrected"] or one["label"], one["confidence"], one["frames"])
        for one in progress(workspace, name, say).get("stretches", [])
        if one["has"] != 0
    ]
    return web_vtt(told, say.confidence)


def classes_of(workspace: Workspace, film: Film) -> tuple[tuple[str, ...], bool]:
    """Return the classes of a film's run, and whether they are several labels."""
    path = workspace.run(film.run)
    if not runfolder.is_run(path):
        return (), False
    info = Run(path).info
    return info.classes, info.asks.several_labels


def _shown(one: dict[str, Any], say: Language) -> dict[str, Any]:
    times = {"from": clock(one["begin"])[:-2], "to": clock(one["end"])[:-2]}
    return {**one, **times, "sure": say.confidence(one["confidence"], 0)}


def _correction(film: Film, stretch: dict[str, Any], several: bool) -> dict[str, Any]:
    wanted = stretch["label"] if several else None
    said = next((one for one in film.said if _same(one, stretch["begin"], stretch["end"], wanted)), None)
    return {"corrected": None if said is None else said["label"], "has": None if said is None else said["has"]}


def _same(said: dict[str, Any], begin_at: float, end: float, label: str | None) -> bool:
    near = abs(said["begin"] - begin_at) < 1e-3 and abs(said["end"] - end) < 1e-3
    return near and (label is None or said["label"] == label)


def _keep_frames(workspace: Workspace, film: Film, begin_at: float, end: float) -> Iterator[str]:
    """Write frames of a stretch as images, and yield the digest of each."""
    from mirante.data.entries import digest_of

    folder = _frames(workspace, film)
    folder.mkdir(parents=True, exist_ok=True)
    count = max(1, min(_FRAMES, int((end - begin_at) / film.interval)))
    for time in np.linspace(begin_at, end, count, endpoint=False) + (end - begin_at) / count / 2:
        path = folder / f"{time:010.3f}.png"
        if not path.is_file():
            Image.fromarray(StillOf(Path(film.file), float(time))()).save(path)
        yield digest_of(path.read_bytes())


def _frames(workspace: Workspace, film: Film) -> Path:
    return workspace.memory("films") / f"{film.name}.frames"


def _timeline(workspace: Workspace, film: Film) -> Path:
    return workspace.memory("timelines") / f"{film.name}.json"


def _log(workspace: Workspace, film: Film) -> Path:
    return workspace.memory("timelines") / f"{film.name}.log"


def _file(workspace: Workspace, name: str) -> Path:
    return workspace.memory("films") / f"{require_name(name)}.json"


def _write(workspace: Workspace, film: Film) -> Film:
    write_json(_file(workspace, film.name), asdict(film))
    return film
