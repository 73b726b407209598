"""What a person changes about a collection: classes, labels, what is left out; every change can be undone, and made again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from mirante.data.several import join, parse, require_writable
from mirante.errors import DataError, RequestError
from mirante.files import write_json
from mirante.studio.collections import LOCK, Collection, read_collection, write_collection
from mirante.studio.listing import listing
from mirante.studio.workspace import Workspace, require_name, require_text

_MOST = 200  # changes that are kept
_MOST_IMAGES = 200_000  # in all of them
_Change = dict[str, Any]
"""What a change did to each of _PARTS, image → what was there before and after, a list of one or none each; and to the labels."""
_PARTS = ("edits", "aside")


def edit(workspace: Workspace, name: str, paths: Iterable[str], label: str | None) -> None:
    """Give images another class, or leave them out (None); an empty label brings back what was left out, or undoes the change."""
    with LOCK:
        one = read_collection(workspace, name)
        if one.several and label:
            raise RequestError(f"{name}: its images may have several labels; give or take one.")
        known = {item.path: item.original for item in listing(one).items}
        edits, aside = dict(one.edits), dict(one.aside)
        for path in paths:
            if path not in known:
                raise DataError(f"{path}: not in {name}.")
            before = edits.pop(path, None)
            if label is None:
                edits[path] = None
                if before is not None:
                    aside[path] = before
            elif not label and path in aside:  # an image that was left out comes back as it was
                edits[path] = aside.pop(path)
            elif label and label != known[path]:
                edits[path] = require_name(label)
            if label:
                aside.pop(path, None)
        _keep(workspace, one, replace(one, edits=edits, aside=aside))


def added(workspace: Workspace, name: str, new: Iterable[str], known: Iterable[str]) -> None:
    """Remember the images of one class that were added as one change; undone, they are left out.

    known  those that were there already: they are again in the class of their folder, or with several labels only brought back
    """
    with LOCK:
        one = read_collection(workspace, name)
        there = {item.path for item in listing(one).items}
        again = {path for path in there.intersection(known) if not one.several or one.edits.get(path, "") is None}
        after = _unchanged(one, again)
        gone = there.intersection(new)
        left_out = {path: label for path in gone if (label := after.edits.get(path)) is not None}
        before = replace(one, edits=one.edits | dict.fromkeys(gone), aside=one.aside | left_out)
        _keep(workspace, before, after)


def reset(workspace: Workspace, name: str, paths: Iterable[str]) -> None:
    """Take back whatever was changed about images."""
    gone = set(paths)
    with LOCK:
        one = read_collection(workspace, name)
        _keep(workspace, one, _unchanged(one, gone))


def state_of(one: Collection, paths: Iterable[str]) -> _Change:
    """Return what was changed about images, for `restore`."""
    return {part: {path: _at(getattr(one, part), path) for path in paths} for part in _PARTS}


def restore(workspace: Workspace, name: str, state: _Change) -> None:
    """Make images again what `state_of` said of them."""
    with LOCK:
        one = read_collection(workspace, name)
        _keep(workspace, one, _with(one, state))


def give_label(workspace: Workspace, name: str, paths: Iterable[str], label: str, has: bool) -> None:
    """Say that images have a label, or do not; "" with has=False says that they have none at all. Raises RequestError, DataError."""
    label = label.strip()
    with LOCK:
        one = read_collection(workspace, name)
        if not one.several:
            raise RequestError(f"{name}: its images have one class each.")
        if label:
            require_writable(name, label)
            require_text(label)
        found = listing(one)
        known = {item.path: item for item in found.items}
        edits, aside, labels = dict(one.edits), dict(one.aside), one.labels
        if label and label not in found.counts:
            labels = (*found.counts, label)  # the order of the keys stays
        for path in paths:
            if path not in known:
                raise DataError(f"{path}: not in {name}.")
            now = aside.pop(path, known[path].label)  # an image that was left out comes back as it was
            yes, not_known = parse(now or "") if label else ([], [])
            others = [other for other in yes if other != label]
            edits[path] = join([*others, label] if has else others, [other for other in not_known if other != label])
            before = known[path].original
            if edits[path] == before or (
                label and not edits[path] and before is None
            ):  # as if nobody had said anything
                del edits[path]
        _keep(workspace, one, replace(one, edits=edits, aside=aside, labels=labels))


def undo(workspace: Workspace, name: str) -> list[str]:
    """Undo the last change; return the images that it was about, none when there is no change."""
    return _step(workspace, name, back=True)


def redo(workspace: Workspace, name: str) -> list[str]:
    """Make the last change that was undone again; return the images that it is about, none when there is none."""
    return _step(workspace, name, back=False)


def steps(workspace: Workspace, one: Collection) -> tuple[int, int]:
    """Return how many changes can be undone, and how many made again."""
    done, undone = _history(workspace, one)
    return len(done), len(undone)


def forget(workspace: Workspace, name: str) -> None:
    """Forget the changes of a collection that is forgotten itself."""
    shutil.rmtree(workspace.memory("changes") / require_name(name), ignore_errors=True)


def _keep(workspace: Workspace, before: Collection, after: Collection) -> None:
    """Write a collection, and what changed about it; what was undone before cannot be made again after it."""
    write_collection(workspace, after)
    change: _Change = {part: _differences(getattr(before, part), getattr(after, part)) for part in _PARTS}
    if any(change.values()) or before.labels != after.labels:
        change["labels"] = {"": [list(before.labels), list(after.labels)]}
        done, _ = _history(workspace, before)
        done = [*done, change][-_MOST:]
        while len(done) > 1 and sum(len(part) for one in done for part in one.values()) > _MOST_IMAGES:
            done.pop(0)
        _write(workspace, after, done, [])


def _step(workspace: Workspace, name: str, back: bool) -> list[str]:
    with LOCK:
        one = read_collection(workspace, name)
        done, undone = _history(workspace, one)
        source, target = (done, undone) if back else (undone, done)
        if not source:
            return []
        change = source.pop()
        side = 0 if back else 1
        state = {part: {path: sides[side] for path, sides in change[part].items()} for part in _PARTS}
        labels = tuple(change["labels"][""][side])
        write_collection(workspace, replace(_with(one, state), labels=labels))
        target.append(change)
        _write(workspace, one, done, undone)
        return list(dict.fromkeys(path for part in _PARTS for path in change[part]))


def _unchanged(one: Collection, gone: set[str]) -> Collection:
    """Return a collection in which nothing was changed about some images."""
    return _with(one, {part: {path: [] for path in gone} for part in _PARTS})


def _with(one: Collection, state: _Change) -> Collection:
    """Return a collection in which what was changed about some images is what a state says."""
    parts = {
        part: {path: value for path, value in getattr(one, part).items() if path not in state[part]} for part in _PARTS
    }
    for part, values in parts.items():
        values.update({path: held[0] for path, held in state[part].items() if held})
    return replace(one, edits=parts["edits"], aside=parts["aside"])


def _differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[list[Any]]]:
    changed = [path for path in {**before, **after} if _at(before, path) != _at(after, path)]
    return {path: [_at(before, path), _at(after, path)] for path in changed}


def _at(values: dict[str, Any], path: str) -> list[Any]:
    return [values[path]] if path in values else []


def _history(workspace: Workspace, one: Collection) -> tuple[list[_Change], list[_Change]]:
    """Return what was done and what was undone, under the present way, one class or several labels; none where it cannot be read."""
    try:
        value = json.loads(_file(workspace, one).read_text(encoding="utf-8"))
        return list(value["done"]), list(value["undone"])
    except (OSError, ValueError, KeyError, TypeError):
        return [], []


def _write(workspace: Workspace, one: Collection, done: list[_Change], undone: list[_Change]) -> None:
    write_json(_file(workspace, one), {"done": done, "undone": undone})


def _file(workspace: Workspace, one: Collection) -> Path:
    kind = "labels" if one.several else "classes"
    return workspace.memory("changes", require_name(one.name)) / f"{kind}.json"
