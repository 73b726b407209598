"""One folder per class: which photo goes where, with its companion files; carried out and undone by the journal."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from mirante import xmp
from mirante.data.entries import Skipped, printable
from mirante.data.films import is_film, recorded
from mirante.errors import ImageError, RequestError
from mirante.files import one_file
from mirante.images import read_bytes
from mirante.locale import Language
from mirante.photos.exif import read_exif
from mirante.photos.journal import How, Journal, Note, Step, write_plan
from mirante.photos.moving import same_content
from mirante.photos.names import missing_folders, numbered, safe_name
from mirante.photos.walk import Photo

REVIEW = "review"
FIELDS = ("class", "year", "month", "day", "camera", "confidence")


@dataclass(frozen=True)
class Decided:
    """What is known of one photo: its class, how sure that is (0 to 1), and whether it goes to review/.

    keywords  of a model of several labels, those that are sure, each with its probability; None for a class
    """

    label: str
    confidence: float
    unsure: bool
    keywords: tuple[tuple[str, float], ...] | None = None


@dataclass
class Arrangement:
    """Where photos go: steps by folder, sidecars to write, and what stays, with the reason."""

    steps: list[Step] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    left: list[Skipped] = field(default_factory=list)


def require_layout(layout: str) -> str:
    """Return a layout like {class}/{year}; raises RequestError when it names something that is not known."""
    names = re.findall(r"\{(.*?)\}", layout)
    unknown = [name for name in names if name not in FIELDS]
    if unknown or not names or re.search(r"[{}]", re.sub(r"\{.*?\}", "", layout)) or ".." in PurePath(layout).parts:
        known = ", ".join(f"{{{name}}}" for name in FIELDS)
        raise RequestError(f"--layout {layout}: a layout is made of {known} and /, such as {{class}}/{{year}}.")
    return layout.strip("/")


def arrange(
    folder: Path,
    photos: Iterable[Photo],
    decided: Mapping[str, Decided],
    into: Path | None,
    layout: str,
    how: How,
    write_xmp: bool,
    say: Language,
    names: Mapping[str, str],
) -> Arrangement:
    """Return where the photos of a folder go, by what was decided of each path; touches nothing.

    into       the folder to sort them into; None leaves them where they are (only sidecars are written)
    layout     folders below it, such as {class}/{year}
    how        move, copy, or link (hard links)
    write_xmp  also write class and confidence into a sidecar beside each photo that is sure
    names      class → name of its folder; see folder_names
    """
    found = Arrangement()
    taken: set[str] = set()
    for photo in photos:
        one = decided.get(photo.path)
        if one is None:
            continue
        places = [str(folder / name) for name in (photo.path, *photo.companions)]
        below = REVIEW if one.unsure else _below(layout, folder / photo.path, one, say, names)
        first = len(found.steps)
        if into is not None:
            targets = _targets(places, into / below, taken)
            if targets is None:
                found.left.append(Skipped(printable(photo.path), "is already there, byte for byte"))
                continue
            try:
                steps = [_step(place, target) for place, target in zip(places, targets, strict=True)]
            except OSError as error:
                found.left.append(Skipped(printable(photo.path), f"cannot be opened ({error.strerror})"))
                continue
            found.steps += steps
            taken.update(map(one_file, targets))
        counted = (
            below
            if into is not None or one.keywords is None
            else ", ".join(sorted(name for name, _ in one.keywords)) or say("no label")
        )
        found.counts[counted] = found.counts.get(counted, 0) + 1
        if write_xmp and (not one.unsure if one.keywords is None else one.keywords):
            try:
                found.notes.append(_note(places, first if into is not None else None, one))
            except (ImageError, OSError) as error:
                reason = str(error) if isinstance(error, ImageError) else f"cannot be read ({error.strerror})"
                found.left.append(Skipped(printable(photo.path), f"{reason}; its keywords were not written"))
    return found


@dataclass(frozen=True)
class Before:
    """What a plan's own lock and journal change: folders that were not there, and folder → its time of change (nanoseconds)."""

    missing: tuple[str, ...]
    times: dict[str, int]

    @classmethod
    def of(cls, folder: Path, into: Path) -> Before:
        return cls(tuple(missing_folders(into)), {str(folder.absolute()): folder.stat().st_mtime_ns})


def plan(folder: Path, into: Path, how: How, found: Arrangement, before: Before) -> Journal:
    """Write the plan of an arrangement to disk, into the folder that it goes to."""
    parents = dict.fromkeys(Path(step.target).parent for step in found.steps)
    needed = dict.fromkeys([*before.missing, *(name for parent in parents for name in missing_folders(parent))])
    return write_plan(how, folder.absolute(), into, needed, found.steps, found.notes, before.times)


def folder_names(classes: Iterable[str]) -> dict[str, str]:
    """Return class → name of its folder, no two alike on any file system, and none that of the photos to review.

    >>> folder_names(["A/B", "a-b", "review", "A/B"])
    {'A/B': 'A-B', 'a-b': 'a-b (2)', 'review': 'review (2)'}
    """
    found: dict[str, str] = {}
    taken = {REVIEW}
    for label in classes:
        if label in found:
            continue
        name = safe_name(label)
        number = 2
        while one_file(name) in taken:
            name, number = f"{safe_name(label)} ({number})", number + 1
        taken.add(one_file(name))
        found[label] = name
    return found


def _below(layout: str, path: Path, one: Decided, say: Language, names: Mapping[str, str]) -> str:
    values = {"class": names.get(one.label, one.label), "confidence": f"{min(9, int(one.confidence * 10)) * 10}%+"}
    if set(re.findall(r"\{(.*?)\}", layout)) & {"year", "month", "day", "camera"}:
        if is_film(path.name):
            taken, camera = recorded(path)
        else:
            exif = read_exif(read_bytes(path))
            taken, camera = exif.taken, exif.camera
        values["year"], values["month"], values["day"] = (
            (f"{taken:%Y}", f"{taken:%m}", f"{taken:%d}") if taken else (say("undated"),) * 3
        )
        values["camera"] = camera or say("unknown camera")
    parts = [re.sub(r"\{(.*?)\}", lambda match: values[match[1]], part) for part in layout.split("/")]
    return "/".join(safe_name(part) for part in parts)


def _targets(places: list[str], folder: Path, taken: set[str]) -> list[str] | None:
    """Return where a photo and its companions go, under one free number; None where the photo is already there."""
    names = [os.path.basename(place) for place in places]  # noqa: PTH119
    stem = len(PurePath(names[0]).stem)
    longest = max(len(os.fsencode(name[stem:])) for name in names)
    number = 1
    while True:
        targets = [str(folder / numbered(name, stem, number, longest)) for name in names]
        if os.path.lexists(targets[0]) and one_file(targets[0]) not in taken:
            if Path(targets[0]).is_file() and same_content(places[0], targets[0]):
                return None
        elif not any(one_file(target) in taken or os.path.lexists(target) for target in targets):
            return targets
        number += 1


def _step(place: str, target: str) -> Step:
    status = os.lstat(place)
    return Step(place, target, status.st_size, status.st_mtime_ns)


def _note(places: list[str], first: int | None, one: Decided) -> Note:
    """Return the sidecar to write: the photo's own where it has one, else a new one beside it."""
    own = xmp.sidecar_of(Path(places[0]))
    number = next((place for place, path in enumerate(places) if own is not None and path == str(own)), None)
    before = None if own is None or number is None else own.read_bytes()
    mtime_ns = None if own is None or number is None else own.stat().st_mtime_ns
    words = one.keywords
    after = xmp.with_class(before, one.label, one.confidence) if words is None else xmp.with_labels(before, words)
    if first is None:
        return Note(
            places[0] if number is None else places[number], ".xmp" if number is None else "", before, after, mtime_ns
        )
    return Note(first + (number or 0), ".xmp" if number is None else "", before, after, mtime_ns)


def outside(photos: Iterable[Photo], folder: Path, into: Path) -> list[Photo]:
    """Return the photos that do not lie in the folder that they would be sorted into."""
    try:
        inside = into.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        return list(photos)
    return [photo for photo in photos if not photo.path.startswith(f"{inside}/")]


def tree(found: Arrangement, into: Path | None) -> list[str]:
    """Return the lines of a tree that shows what would happen, with at most five photos per folder."""
    lines = [] if into is None else [f"{into}{os.sep}"]
    shown: dict[str, list[str]] = {}
    for step in found.steps:
        target = Path(step.target)
        shown.setdefault(str(target.parent.relative_to(into) if into else target.parent), []).append(target.name)
    for folder in sorted(shown):
        names = shown[folder]
        lines.append(f"  {printable(folder)}/  ({len(names):,})")
        lines += [f"    {printable(name)}" for name in names[:5]]
        lines += [f"    … {len(names) - 5:,} more"] if len(names) > 5 else []
    return lines
