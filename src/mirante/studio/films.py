"""Films shown to a model: their timeline, made by `mirante predict` as a process of its own, corrections, and learning from them.

A film is kept in the studio's memory under a name. Correcting a stretch writes some of its frames as images and keeps what the person
said about them (mirante.photos.library), so that the model can be taught as it is with photos.
"""

from __future__ import annotations

import json
import secrets
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mirante import runfolder
from mirante.data.entries import digest_of
from mirante.data.films import SUFFIXES, StillOf, can_read, duration
from mirante.errors import DataError, ImageError, RequestError
from mirante.files import write_file, write_json
from mirante.locale import Language
from mirante.model_info import ModelInfo
from mirante.photos.library import Library
from mirante.prediction.onnx_model import version_of
from mirante.run import Run
from mirante.studio import processes
from mirante.studio.gallery import class_named
from mirante.studio.workspace import UNCLEAR, Workspace, name_from, require_name
from mirante.timeline import Stretch, clock, web_vtt

_FRAMES = 12  # of a corrected stretch, at most, that the model is taught with
_LINES = 6
_SAID = 2.0  # in place of a probability, where a person said so
_LOCK = threading.RLock()


@dataclass(frozen=True)
class Film:
    """One film that was shown to a run.

    file      the name of its copy in the studio's memory
    interval  seconds between the frames that are looked at
    seconds   how long it says it lasts; None if it does not
    pid, born  the process that makes its timeline, and when that began (mirante.studio.processes)
    said      what a person said: stretches with begin and end (seconds), label, and has (1 or 0) where labels are several
    """

    name: str
    run: str
    file: str
    interval: float
    seconds: float | None
    pid: int = 0
    born: float = 0.0
    said: tuple[dict[str, Any], ...] = ()

    def path(self, workspace: Workspace) -> Path:
        """Return the file of the copy."""
        return workspace.memory("films") / self.file


def require_film(workspace: Workspace, run: str, filename: str, interval: float) -> str:
    """Return the ending of a film that is about to be uploaded. Raises RequestError when nothing could be done with it."""
    name = Path(filename.replace("\\", "/")).name
    ending = next((one for one in SUFFIXES if name.lower().endswith(one)), None)
    if ending is None:
        raise DataError(f"{name}: not a film; films end in {', '.join(SUFFIXES)}.")
    if not can_read():
        raise RequestError("A film needs one more package; run pip install 'mirante[film]' and start the studio again.")
    if not 0.05 <= interval <= 3600:
        raise RequestError("A film is looked at every 0.05 s at most, and at least once an hour.")
    runfolder.require_run(workspace.run(run))
    return ending


def keep_film(workspace: Workspace, run: str, filename: str, interval: float, part: Path) -> Film:
    """Keep a film that was uploaded to `part`, and begin with its timeline. Raises DataError when it is none that can be read."""
    ending = require_film(workspace, run, filename, interval)
    folder, name = workspace.memory("films"), Path(filename.replace("\\", "/")).name
    with _LOCK:
        own = _free_name(folder, name_from(name[: -len(ending)], "film"))
        film = Film(own, run, f"{own}{ending}", interval, None)
        part.replace(film.path(workspace))
        try:
            _write(workspace, replace(film, seconds=duration(film.path(workspace))))
            return begin(workspace, own)
        except BaseException as error:
            _remove(workspace, film)
            if isinstance(error, ImageError):
                raise DataError(f"{name}: {error}.") from error
            raise


def begin(workspace: Workspace, name: str) -> Film:
    """Begin a film's timeline, in a process of its own."""
    with _LOCK:
        film = read(workspace, name)
        if processes.alive(film.pid, film.born):
            raise RequestError("This film is already being looked at.")
        for old in (_log(workspace, name), _timeline(workspace, name)):
            old.unlink(missing_ok=True)
        words = [
            "predict",
            str(workspace.run(film.run)),
            str(film.path(workspace)),
            "--interval",
            f"{film.interval:g}s",
        ]
        words += ["--format", "csv", "--timeline", str(_timeline(workspace, name))]
        pid, born = processes.launch(words, workspace.root, _log(workspace, name))
        return _write(workspace, replace(film, pid=pid, born=born))


def read(workspace: Workspace, name: str) -> Film:
    """Return a film. Raises DataError when there is none of that name."""
    try:
        value = json.loads(_file(workspace, name).read_text(encoding="utf-8"))
        film = Film(**{**value, "said": tuple(value["said"])})
        if not (isinstance(film.run, str) and film.file == Path(film.file).name and film.path(workspace).is_file()):
            raise ValueError(name)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{name}: no film of that name; show one to a model.") from error
    return film


def list_films(workspace: Workspace) -> list[Film]:
    """Return all films by name."""
    found = []
    for path in sorted(workspace.memory("films").glob("*.json")):
        try:
            found.append(read(workspace, path.stem))
        except RequestError:
            continue
    return found


def forget(workspace: Workspace, name: str) -> None:
    """Forget a film; remove the copy that was kept, and its frames and answers. What the model learned from it stays."""
    with _LOCK:
        _remove(workspace, read(workspace, name))


def progress(workspace: Workspace, name: str, say: Language) -> dict[str, Any]:
    """Return how far a film's timeline is, and its stretches once it is done, with what a person said about each."""
    film = read(workspace, name)
    try:
        stretches = json.loads(_timeline(workspace, name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        stretches = None
    lines = processes.printed(_log(workspace, name))
    running = processes.alive(film.pid, film.born) is not None
    if stretches is None:
        frames = None if film.seconds is None else max(1.0, film.seconds / film.interval)
        return {
            "state": "running" if running else "failed",
            "share": None if frames is None else min(0.99, max(0, len(lines) - 1) / frames),
            "said": "" if running else "\n".join(lines[-_LINES:]),
        }
    info = info_of(workspace, film)
    several = info is not None and info.asks.several_labels
    return {
        "state": "done",
        "seconds": max([film.seconds or 0.0, *(one["end"] for one in stretches)]),
        "note": "\n".join(line for line in lines if ": left out: " in line),
        "stretches": [{**_shown(one, say), **_correction(film, one, several)} for one in stretches],
    }


def correct(
    workspace: Workspace, name: str, at: tuple[float, float], label: str, has: int | None, say: Language
) -> None:
    """Keep what a person says a stretch of the timeline shows, and some of its frames to learn from.

    at     its begin and end in seconds
    label  its class, "" to take back what was said; of several labels, the one that the stretch is of
    has    of several labels, whether it shows this one, 1 or 0, or -1 to take back what was said; None for a class

    Raises RequestError for a stretch or a label that is none, ImageError when its frames can no longer be read.
    """
    with _LOCK:
        film = read(workspace, name)
        info = info_of(workspace, film)
        told = progress(workspace, name, say).get("stretches", [])
        one = next((one for one in told if _is(one, at, label if has is not None else None)), None)
        if info is None or one is None or (has in (-1, 0, 1)) != info.asks.several_labels:
            raise RequestError(UNCLEAR)
        if label and has is None:
            label = class_named(label, [*info.classes, *(str(other["label"]) for other in film.said)])
        folder = _frames(workspace, name)
        digests = list(_keep_frames(film.path(workspace), folder, at, film.interval))
        library, turn = Library(folder), secrets.token_hex(8)
        try:
            library.look()
            if has is None:
                library.answer(digests, label or None, "chosen", None, turn)
            else:
                library.answer_label(dict.fromkeys(digests, has), label, "together", turn)
        finally:
            library.close()
        before = _matching(film, one, label if has is not None else None)
        said = [other for other in film.said if other is not before]
        if label and has != -1:
            said.append({"begin": at[0], "end": at[1], "label": label, "has": has})
        _write(workspace, replace(film, said=tuple(said)))


def learn_from_film(workspace: Workspace, name: str, say: Language) -> str:
    """Teach the run with what was said about the film, and describe what came of it. Raises RequestError, RunError."""
    from mirante.photos.learned_words import learn_in_words  # imports torch: only when needed

    film = read(workspace, name)
    if not film.said:
        raise RequestError(f"{name}: nothing has been confirmed or corrected yet.")
    library = Library(_frames(workspace, name))
    try:
        run = workspace.run(film.run)
        before = version_of(run / runfolder.ONNX)
        told = learn_in_words(run, library, say)
        if version_of(run / runfolder.ONNX) != before:
            told += " " + say(
                "The answers here are those of the model before; analyze the film again to see the new one's."
            )
        return told
    finally:
        library.close()


def subtitles(workspace: Workspace, name: str, say: Language) -> str:
    """Return the timeline as WebVTT, as a person corrected it: what was confirmed or corrected has no probability."""
    told = [
        Stretch(
            name,
            one["begin"],
            one["end"],
            one["corrected"] or one["label"],
            _SAID if one["corrected"] else one["confidence"],
            one["frames"],
        )
        for one in progress(workspace, name, say).get("stretches", [])
        if one["has"] != 0
    ]
    return web_vtt(told, lambda share: say("said by a person") if share == _SAID else say.confidence(share))


def info_of(workspace: Workspace, film: Film) -> ModelInfo | None:
    """Return what is known of the film's model; None when its run is gone."""
    path = workspace.runs / film.run
    return Run(path).info if runfolder.is_run(path) else None


def _remove(workspace: Workspace, film: Film) -> None:
    if (process := processes.alive(film.pid, film.born)) is not None:
        process.kill()
    name = film.name
    for path in (film.path(workspace), _log(workspace, name), _timeline(workspace, name), _file(workspace, name)):
        path.unlink(missing_ok=True)
    shutil.rmtree(_frames(workspace, name), ignore_errors=True)


def _free_name(folder: Path, wanted: str) -> str:
    """Return a name that nothing in the folder has, whatever its ending."""
    taken = {path.stem.casefold() for path in folder.iterdir()}
    number, name = 1, wanted
    while name.casefold() in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name


def _shown(one: Mapping[str, Any], say: Language) -> dict[str, Any]:
    tenths = [clock(one[key])[:-2] for key in ("begin", "end")]
    return {**one, "from": tenths[0], "to": tenths[1], "sure": say.confidence(one["confidence"], 0)}


def _correction(film: Film, stretch: Mapping[str, Any], several: bool) -> dict[str, Any]:
    said = _matching(film, stretch, stretch["label"] if several else None)
    return {"corrected": None if said is None else said["label"], "has": None if said is None else said["has"]}


def _matching(film: Film, stretch: Mapping[str, Any], label: str | None) -> dict[str, Any] | None:
    """Return what was said about most of a stretch: a new timeline may have other boundaries."""

    def common(said: Mapping[str, Any]) -> float:
        shared: float = min(said["end"], stretch["end"]) - max(said["begin"], stretch["begin"])
        return shared

    about = [one for one in film.said if label is None or one["label"] == label]
    best = max(about, key=common, default=None)
    return best if best is not None and common(best) > (stretch["end"] - stretch["begin"]) / 2 else None


def _is(stretch: Mapping[str, Any], at: tuple[float, float], label: str | None) -> bool:
    near = abs(stretch["begin"] - at[0]) < 1e-3 and abs(stretch["end"] - at[1]) < 1e-3
    return near and (label is None or stretch["label"] == label)


def _keep_frames(film: Path, folder: Path, at: tuple[float, float], interval: float) -> Iterator[str]:
    """Write frames of a stretch as images, and yield the digest of each."""
    folder.mkdir(parents=True, exist_ok=True)
    length = at[1] - at[0]
    count = max(1, min(_FRAMES, int(length / interval)))
    for time in (at[0] + length * (np.arange(count) + 0.5) / count).tolist():
        path = folder / f"{time:010.3f}.png"
        if not path.is_file():
            image = Image.fromarray(StillOf(film, time)())
            write_file(path, lambda part, image=image: image.save(part, "PNG"))  # type: ignore[misc]
        yield digest_of(path.read_bytes())


def _frames(workspace: Workspace, name: str) -> Path:
    return workspace.memory("films") / f"{name}.frames"


def _timeline(workspace: Workspace, name: str) -> Path:
    return workspace.memory("timelines") / f"{name}.json"


def _log(workspace: Workspace, name: str) -> Path:
    return workspace.memory("timelines") / f"{name}.log"


def _file(workspace: Workspace, name: str) -> Path:
    return workspace.memory("films") / f"{require_name(name)}.json"


def _write(workspace: Workspace, film: Film) -> Film:
    write_json(_file(workspace, film.name), asdict(film))
    return film
