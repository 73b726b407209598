"""Two states of labelled images compared: what came, what went, what is another image or has another label now.

A state is a data set, a run (what it was trained on), or a lock file, which `freeze` writes: path, digest, label and split of each
image.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

import mirante
from mirante import runfolder
from mirante.data.dataset import DataOptions, Dataset
from mirante.errors import DataError, MiranteError, RequestError
from mirante.experiment.pictures import small_pictures
from mirante.files import write_json
from mirante.locale import Language
from mirante.run import Run
from mirante.templates import environment, raw_css

Files = Mapping[str, tuple[str, str, str]]
"""Path → digest, label, split."""

LOCK_ENDING = ".lock.json"
KINDS = ("came", "went", "moved", "content", "label", "split", "copied")
"""What can happen to an image: it is new, gone, in another place, another picture under the same path, otherwise labelled, in
another split, or a further copy of one that was there.
"""
_SHOWN = 60  # pictures of each kind on a page


@dataclass(frozen=True)
class State:
    """Labelled images at one time: path → digest, label, split. `name` is what the user called it; `dataset` is there if it is one.

    learned  further photos that a run has learned from
    """

    name: str
    files: Files
    dataset: Dataset | None = field(default=None, compare=False)
    learned: int = 0

    @classmethod
    def of(cls, name: str, dataset: Dataset) -> State:
        """Return the state of a data set."""
        rows = zip(dataset.paths, dataset.digests, dataset.names, dataset.splits.tolist(), strict=True)
        return cls(name, {path: (digest, label, str(split)) for path, digest, label, split in rows}, dataset)

    @classmethod
    def read(cls, location: str, **options: Unpack[DataOptions]) -> State:
        """Read a data set, a run folder or a lock file. Raises DataError, RunError."""
        path = Path(location).expanduser()
        if location.endswith(LOCK_ENDING) and path.is_file():
            return cls(location, _listed(runfolder.parse(_text(path), location), location))
        if path.is_dir() and runfolder.is_run(path):
            run = Run(path)
            return cls(location, _listed(run.data, location), learned=len(run.learned))
        return cls.of(location, Dataset.open(location, **options))

    def with_splits_united(self, test_apart: bool) -> State:
        """Return the state with all images among those of the training, but for the test images where they are kept apart."""
        united = {
            path: (digest, label, "test" if test_apart and split == "test" else "train")
            for path, (digest, label, split) in self.files.items()
        }
        return State(self.name, united, self.dataset)

    def to_dict(self) -> dict[str, Any]:
        """Return what a lock file holds."""
        files = [[path, *self.files[path]] for path in sorted(self.files)]
        return {
            "format": runfolder.FORMAT,
            "made_by": f"mirante {mirante.__version__}",
            "data": self.name,
            "files": files,
        }


@dataclass(frozen=True)
class Change:
    """One thing that happened to an image. before and after: a label, a split or a path, where there is one."""

    kind: str
    path: str
    before: str = ""
    after: str = ""


def diff(old: State, new: State) -> list[Change]:
    """Return what happened between two states, kind by kind, each sorted by path.

    >>> old = State("old", {"a.png": ("1", "cat", "train"), "b.png": ("2", "dog", "test")})
    >>> new = State("new", {"a.png": ("1", "dog", "train"), "c.png": ("2", "dog", "test"), "d.png": ("3", "dog", "train")})
    >>> [(one.kind, one.path) for one in diff(old, new)]
    [('came', 'd.png'), ('moved', 'c.png'), ('label', 'a.png')]
    """
    known_files = _spelt_as(old.files, new.files)
    places: dict[str, list[str]] = defaultdict(list)
    for path, (digest, *_) in sorted(known_files.items()):
        if path not in new.files:
            places[digest].append(path)
    known = Counter(digest for digest, *_ in known_files.values())
    found: list[Change] = []
    moved = set()
    for path, (digest, label, split) in sorted(new.files.items()):
        before = known_files.get(path)
        if before is None and places[digest]:
            source = places[digest].pop(0)
            moved.add(source)
            found.append(Change("moved", path, source, path))
            before = known_files[source]
        elif before is None:
            found.append(Change("copied" if known[digest] else "came", path, "", label))
            continue
        if before[0] != digest:
            found.append(Change("content", path))
        if before[1] != label:
            found.append(Change("label", path, before[1], label))
        if before[2] != split:
            found.append(Change("split", path, before[2], split))
    for path, (_, label, _) in known_files.items():
        if path not in new.files and path not in moved:
            found.append(Change("went", path, label, ""))
    return sorted(found, key=lambda one: (KINDS.index(one.kind), one.path))


def _spelt_as(old: Files, new: Files) -> Files:
    """Return old files under the paths of new ones that differ only in how their letters are composed, as between systems."""
    composed = {unicodedata.normalize("NFC", path): path for path in new}
    found = {}
    for path, file in old.items():
        other = composed.get(unicodedata.normalize("NFC", path), path)
        found[path if path in new or other in old else other] = file
    return found


def freeze(data: str, out: str | Path, **options: Unpack[DataOptions]) -> State:
    """Write down a data set, for `require_locked`. Raises RequestError when the file is there already or has another ending."""
    path = Path(out).expanduser()
    if not path.name.endswith(LOCK_ENDING):
        raise RequestError(f"{out}: a lock file; its name must end in {LOCK_ENDING}.")
    if path.exists():
        raise RequestError(f"{out}: exists already; a lock is kept as it is. Choose another name, or remove it.")
    state = State.read(data, **options)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, state.to_dict())
    return state


def require_locked(dataset: Dataset, lock: str | Path) -> None:
    """Raise RequestError unless a data set is what a lock file says, image by image."""
    there = str(lock).endswith(LOCK_ENDING) and Path(lock).expanduser().is_file()
    wanted = State.read(str(lock)) if there else None
    if wanted is None:
        raise RequestError(f"{lock}: no such lock file; mirante data freeze DATA --out NAME{LOCK_ENDING} writes one.")
    # which of the training images validate is for the recipe to say; with folds all are tested, where none were set aside
    test_apart = not dataset.folds or bool((dataset.splits == "test").any())
    states = (one.with_splits_united(test_apart) for one in (wanted, State.of(dataset.location, dataset)))
    if changes := diff(*states):
        raise RequestError(
            f"{dataset.location}: not as it was when {lock} was written (changes: {len(changes):,}); "
            f"mirante data diff {lock} {dataset.location} shows them."
        )


def page(old: State, new: State, changes: list[Change], say: Language) -> str:
    """Return a self-contained HTML page of the changes, with pictures where the images can be read."""
    counts = Counter(one.kind for one in changes)
    shown = [one for kind in KINDS for one in [one for one in changes if one.kind == kind][:_SHOWN]]
    before = _pictures(old, {one.before if one.kind == "moved" else one.path for one in shown})
    after = _pictures(new, {one.path for one in shown})
    parts = [
        {
            "title": titles(say)[kind],
            "count": say.number(counts[kind]),
            "more": say("… and {count} more", count=say.number(counts[kind] - _SHOWN)) if counts[kind] > _SHOWN else "",
            "changes": [
                {
                    "change": one,
                    "pictures": _both(before.get(one.path), after.get(one.path)) if kind == "content"
                    # one picture is enough of what is the same
                    else [picture for picture in [after.get(one.path) or before.get(one.path)] if picture],
                }
                for one in shown
                if one.kind == kind
            ],
        }
        for kind in KINDS
        if counts[kind]
    ]  # fmt: skip
    template = environment("mirante.experiment").get_template("data_diff.html.j2")
    footer = say("Made by Mirante {version} on this computer. No image left it.", version=mirante.__version__)
    return template.render(css=raw_css(), say=say, old=old.name, new=new.name, parts=parts, footer=footer) + "\n"


def titles(say: Language) -> dict[str, str]:
    """Return what each kind of change is called."""
    return {
        "came": say("New images"),
        "went": say("Images that are gone"),
        "moved": say("Images in another place"),
        "content": say("Another picture under the same path"),
        "label": say("Another label"),
        "split": say("In another split"),
        "copied": say("Further copies of images that were there"),
    }


def _both(before: str | None, after: str | None) -> list[str]:
    return [one for one in (before, after) if one is not None]


def _pictures(state: State, paths: set[str]) -> dict[str, str]:
    """Return small pictures of images, as data URLs, of those that can be read."""
    if state.dataset is None:
        return {}
    try:
        found = small_pictures(state.dataset, paths, "crop")
    except (MiranteError, OSError):  # what it was read from has gone
        return {}
    return {path: f"data:image/jpeg;base64,{content}" for path, content in found.items()}


def _listed(value: Mapping[str, Any], where: str) -> dict[str, tuple[str, str, str]]:
    try:
        files = {path: (digest, label, split) for path, digest, label, split in value["files"]}
        if not all(isinstance(one, str) for path, row in files.items() for one in (path, *row)):
            raise ValueError
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{where}: damaged: it does not list images; restore the file.") from error
    return files


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read; restore the file.") from error
