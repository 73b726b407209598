"""Photo folders opened with a run to be asked about them: the gallery's memory, and what it asks next.

A gallery is a name, a folder and a run, kept in the workspace. Answers live in the folder's own library (mirante.photos.library).
"""

from __future__ import annotations

import io
import json
import re
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mirante import runfolder
from mirante.data.classes import known_as
from mirante.data.entries import printable
from mirante.data.features import Features
from mirante.data.films import is_film, middle_frame
from mirante.errors import DataError, RequestError
from mirante.evaluation.metrics import wilson
from mirante.files import write_json
from mirante.images import read_image
from mirante.locale import Language
from mirante.model_info import ModelInfo
from mirante.photos.feedback import require_class
from mirante.photos.library import Kind, Known, Library, is_kept_apart, labels_of
from mirante.photos.questions import Question, choose
from mirante.run import Run
from mirante.studio.workspace import UNCLEAR, Workspace, name_from, require_name

DIGEST = re.compile(r"[0-9a-f]{32}")
"""How the studio names a photo: the digest of its content."""

_LOOK_AGAIN = 10.0  # seconds, after which the folder is searched for new photos
_AT_ONCE = 20  # questions chosen at a time
_LOCK = threading.RLock()


@dataclass(frozen=True)
class Gallery:
    """A folder of photos with the run that is asked about them, if there is one yet; memory: where its answers are, if elsewhere."""

    name: str
    folder: str
    run: str
    memory: str | None = None


class Session:
    """A gallery that is open: its library, what its run sees in each photo, and which questions wait."""

    info: ModelInfo

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        self.library = Library(Path(gallery.folder), None if gallery.memory is None else Path(gallery.memory))
        self.photos: list[Known] = []
        self.rows: dict[str, int] = {}
        self.classes: tuple[str, ...] = ()
        self._features: Features = np.empty((0, 0), np.float32)
        self._probabilities: NDArray[np.float32] = np.empty((0, 0), np.float32)
        self._seen_model = (0, 0)
        self._looked = 0.0
        self._waiting: list[tuple[str, Question]] = []
        self._aside: set[int] = set()
        self._asked = 0
        self._made_from: set[str] = set()  # digests of the images that its model was made from
        self._lock = threading.RLock()

    def refresh(self) -> None:
        """Look at the folder and the model again, where something has changed."""
        with self._lock:
            path = Path(self.gallery.run) / runfolder.ONNX
            if not self.gallery.run or not path.is_file():
                raise DataError(
                    f"{self.gallery.run}: no model there; train one, or train a first one with mirante photos learn."
                )
            status = path.stat()
            model = (status.st_mtime_ns, status.st_size)
            if model == self._seen_model and time.monotonic() - self._looked < _LOOK_AGAIN:
                return
            photos, _ = self.library.look()
            self._looked = time.monotonic()
            one_each = list({one.digest: one for one in photos}.values())
            if model == self._seen_model and [one.digest for one in one_each] == [one.digest for one in self.photos]:
                return
            from mirante.photos.features import extractor_of_run  # imports torch: only when needed

            run = Run(self.gallery.run)
            self.info, self._made_from = run.info, run.seen
            info = self.info
            self.library.classes = info.classes
            extractor = extractor_of_run(path, info)
            features, damaged = extractor.look(self.library.folder, one_each)
            sound = np.setdiff1d(np.arange(len(one_each)), damaged)
            self.photos = [one_each[row] for row in sound]
            self.rows = {one.digest: row for row, one in enumerate(self.photos)}
            self._features = features[sound]
            self._probabilities = info.asks.from_logits(extractor.logits(self._features), info)["probabilities"]
            self.classes = info.classes
            self._waiting, self._aside, self._seen_model = [], set(), model

    def questions(self, say: Language) -> list[dict[str, Any]]:
        """Return the questions that wait, as the page shows them; chooses more when few are left."""
        with self._lock:
            self.refresh()
            answered = self._answered()
            self._waiting = [one for one in self._waiting if not (set(one[1].rows) & answered.keys()) or one[1].again]
            if len(self._waiting) < _AT_ONCE // 2:
                waiting = {row for _, one in self._waiting for row in one.rows}
                found = choose(
                    self._features,
                    self._probabilities,
                    answered,
                    _AT_ONCE,
                    np.random.default_rng(),
                    frozenset(self._aside | waiting),
                    self._asked,
                    self._apart(),
                )
                self._asked += len(found)
                self._waiting += [(new_turn(), one) for one in found]
            return [self._shown(turn, one, say) for turn, one in self._waiting]

    def answer(self, turn: str, digests: Sequence[str], label: str | None, kind: str, asked: str) -> None:
        """Keep an answer; "" as the label puts the photos aside for now. A repeated turn is kept only once.

        It is kept even if the studio does not know the question (it was restarted since) or the photo (it was moved away).
        """
        with self._lock:
            if kind not in get_args(Kind) or not all(DIGEST.fullmatch(digest) for digest in digests):
                raise RequestError(UNCLEAR)
            if label == "":
                self._aside.update(self.rows[digest] for digest in digests if digest in self.rows)
            else:
                self.library.answer(digests, label, kind, asked, turn)  # type: ignore[arg-type]
            # photos taken out of a question about several are asked about later
            self._waiting = [one for one in self._waiting if one[0] != turn]

    def take_back(self) -> int:
        """Take back the last answer; return how many photos it was about."""
        with self._lock:
            given = self.library.answers()
            digests = self.library.take_back()
            self._aside.difference_update(self.rows[digest] for digest in digests if digest in self.rows)
            if digests:  # asked again at once
                rows = tuple(self.rows[digest] for digest in digests if digest in self.rows)
                if rows and given[-1].kind in ("chosen", "random", "together"):
                    label = int(self._probabilities[rows[0]].argmax())
                    again = Question(rows, label, given[-1].kind)
                    self._waiting.insert(0, (new_turn(), again))
            return len(digests)

    def given(self, names: Mapping[str, str], say: Language) -> list[dict[str, Any]]:
        """Return what was said about photos, of those in `names` (digest → file), the latest photo first: said, and in words."""
        stands = labels_of(self.library.answers())
        return [
            {"path": digest, "title": names[digest], "said": [] if label is None else [label],
             "told": say("not sure") if label is None else label}
            for digest, label in reversed(stands.items())
            if digest in names
        ]  # fmt: skip

    def change(self, digests: Sequence[str], label: str | None, has: int | None) -> None:
        """Say something else about photos; None as the label is "not sure", and `has` is None for a class. Raises RequestError."""
        if has is not None or not all(DIGEST.fullmatch(digest) for digest in digests):
            raise RequestError(UNCLEAR)
        label = None if label is None else class_named(label, classes_of(self.gallery))
        self.library.change(digests, label, None, new_turn())

    def progress(self, say: Language) -> dict[str, Any]:
        """Return how many photos were answered, and how good the model is on the questions drawn at random, with an interval.

        No model ever learns from those, so what today's model says about them gives an unbiased estimate.
        """
        answers = self.library.answers()
        labels = labels_of(answers)
        drawn = {one.digest for one in answers if one.kind == "random"}
        with self._lock:
            judged = [
                digest for digest in drawn - self._made_from if labels.get(digest) is not None and digest in self.rows
            ]
            right = sum(
                labels[digest] == self.classes[int(self._probabilities[self.rows[digest]].argmax())]
                for digest in judged
            )
        if not judged:
            estimate = say(
                "Questions drawn at random tell how good the model is on these photos; none has been answered yet."
            )
        else:
            share = wilson(right, len(judged))
            estimate = say(
                "Photos drawn at random that the model gets right: {right} of {count}, {share} ({low} – {high}).",
                count=say.number(len(judged)),
                right=say.number(right),
                share=say.percent(share.value, 0),
                low=say.percent(share.low, 0),
                high=say.percent(share.high, 0),
            )
        return {
            "answered": len(labels),
            "unsure": sum(label is None for label in labels.values()),
            "estimate": estimate,
        }

    def _apart(self) -> NDArray[np.bool_]:
        """Return which photos (N,) only questions drawn at random are about."""
        return np.array([is_kept_apart(one.digest) for one in self.photos], dtype=bool)

    def _answered(self) -> dict[int, int | None]:
        numbers = {name: number for number, name in enumerate(self.classes)}
        found: dict[int, int | None] = {}
        for digest, label in labels_of(self.library.answers()).items():
            if digest in self.rows:
                found[self.rows[digest]] = None if label is None else numbers.get(label, len(self.classes))
        return found

    def _shown(self, turn: str, one: Question, say: Language) -> dict[str, Any]:
        photos = [self.photos[row] for row in one.rows]
        shares = self._probabilities[list(one.rows)]
        return {
            "turn": turn,
            "label": self.classes[one.label],
            "kind": one.kind,
            "again": one.again,
            "photos": [
                {"digest": photo.digest, "path": printable(photo.path), "share": say.confidence(float(share), 0)}
                for photo, share in zip(photos, shares[:, one.label], strict=True)
            ],
            "likely": [self.classes[number] for number in np.argsort(-shares.mean(axis=0), kind="stable")[:10]],
        }


def open_gallery(workspace: Workspace, folder: str, run: str, memory: str | Path | None = None) -> Gallery:
    """Remember a folder of photos with a run, "" for none yet, and return it. Raises RequestError when either is missing."""
    place, model = Path(folder.strip()).expanduser(), Path(run.strip()).expanduser()
    if not folder.strip() or not place.is_dir():
        raise RequestError(f"{folder}: no such folder of photos.")
    if run.strip():
        runfolder.require_run(model)
    wanted = name_from(place.resolve().name, "photos")
    kept = None if memory is None else str(Path(memory).expanduser().resolve())
    with _LOCK:
        number, name = 1, wanted
        while (taken := _read(workspace, name)) is not None and taken.folder != str(place.resolve()):
            number += 1
            name = f"{wanted} {number}"
        before = taken.run if taken is not None else ""
        kept = taken.memory if kept is None and taken is not None else kept
        gallery = Gallery(name, str(place.resolve()), str(model.resolve()) if run.strip() else before, kept)
        write_json(_file(workspace, name), {"folder": gallery.folder, "run": gallery.run, "memory": gallery.memory})
    return gallery


def list_galleries(workspace: Workspace) -> list[Gallery]:
    """Return all galleries by name."""
    found = [_read(workspace, path.stem) for path in sorted(workspace.memory("photos").glob("*.json"))]
    return [one for one in found if one is not None]


def read(workspace: Workspace, name: str) -> Gallery:
    """Return a gallery. Raises DataError when there is none of that name."""
    gallery = _read(workspace, name)
    if gallery is None:
        raise DataError(f"{name}: no photos of that name; open a folder.")
    return gallery


def asks_labels(gallery: Gallery) -> bool:
    """Tell whether photos of a gallery may have several labels, as its run says."""
    run = Path(gallery.run)
    return bool(gallery.run) and (run / runfolder.MODEL).is_file() and Run(run).info.asks.several_labels


def classes_of(gallery: Gallery) -> tuple[str, ...]:
    """Return the classes of a gallery's run, none where it has no run yet."""
    run = Path(gallery.run)
    return Run(run).classes if gallery.run and (run / runfolder.MODEL).is_file() else ()


def class_named(label: str, classes: Sequence[str]) -> str:
    """Return a class as the model writes it, or a new one. Raises RequestError for what can be no class."""
    label = known_as(label, classes)
    if label in classes:
        return label
    if not label:
        raise RequestError("Say what it shows: a class that the model knows, or a new one.")
    require_class(label)
    return require_name(label)


def session(workspace: Workspace, name: str) -> Session:
    """Return an open gallery. Raises DataError when there is none of that name."""
    with _LOCK:
        gallery = read(workspace, name)
        return _session(gallery, asks_labels(gallery))


def learn_from_answers(opened: Session, say: Language) -> str:
    """Teach the gallery's run, and describe in words what came of it. Raises RequestError, RunError."""
    from mirante.photos.learned_words import learn_in_words

    return learn_in_words(Path(opened.gallery.run), opened.library, say)


def new_turn() -> str:
    """Return a name for one act of answering."""
    return secrets.token_hex(8)


@lru_cache(maxsize=4)
def _session(gallery: Gallery, labels: bool) -> Session:
    from mirante.studio.label_gallery import LabelSession

    return LabelSession(gallery) if labels else Session(gallery)


def photo(opened: Session, digest: str, side: int) -> bytes:
    """Return a JPEG of a photo, whole, at most `side` pixels wide and high. Raises DataError when it is not in the folder."""
    path = opened.library.path_of(digest) if DIGEST.fullmatch(digest) else None
    if path is None:
        raise DataError("This photo is no longer in the folder.")
    image = Image.fromarray(middle_frame(path) if is_film(path.name) else read_image(path))
    image.thumbnail((side, side))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _file(workspace: Workspace, name: str) -> Path:
    return workspace.memory("photos") / f"{require_name(name)}.json"


def _read(workspace: Workspace, name: str) -> Gallery | None:
    try:
        value = json.loads(_file(workspace, name).read_text(encoding="utf-8"))
        return Gallery(name, value["folder"], value["run"], value["memory"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
