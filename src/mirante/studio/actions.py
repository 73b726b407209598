"""What the pages of data and trainings ask for and do: each is a function from a visit (and values) to JSON."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import quote

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from mirante.data.several import parse
from mirante.errors import ImageError, LayersError, RequestError
from mirante.model.notation import has_layers, parse_layers
from mirante.see.drawing import draw_model, to_svg
from mirante.sizes import input_size
from mirante.studio import augmentation, checks, collections, edits, listing, thumbnails, trainings
from mirante.studio.pages import Visit, described
from mirante.studio.pictures import with_words
from mirante.studio.workspace import UNCLEAR, text_of

_TIMES = re.compile(r"\d{1,3}(s|m|h)")


def drawing(asked: Visit) -> dict[str, Any]:
    """Return the drawing of a line of layers, or what is wrong with it and where: start and length of the word."""
    line = asked.query.get("layers", "").strip()
    shape, classes = _shape(asked)
    try:
        if not line or len(line) > 2000:
            raise LayersError("Write layers, such as 32C3-MP2-64N.")
        if not has_layers(line):
            raise LayersError("Only a line of layers can be drawn.")
        layers = parse_layers(line, shape, classes if isinstance(classes, int) else len(classes))
    except LayersError as error:
        reason, _, rest = asked.say.told(error).partition("\n")
        marks = rest.rpartition("\n")[2]
        start = len(marks) - len(marks.lstrip()) - 2
        return {"error": reason, "start": max(0, start), "length": marks.count("^") or len(line)}
    return {"svg": to_svg(draw_model(layers, shape, classes, asked.say), background=False)}


def items(asked: Visit) -> dict[str, Any]:
    """Return a collection's images, of one class or of all, or those left out, and how many changes can be undone."""
    one = collections.read_collection(asked.workspace, asked.parts["name"])
    label, found = asked.query.get("label", ""), listing.listing(one)
    shown = [_item(item, one.several) for item in found.items if listing.is_shown(item, label, one.several)]
    return {"count": len(shown), "items": shown, **_counts(asked, one, found)}


def check_progress(asked: Visit) -> dict[str, Any]:
    """Return the state of a collection's check, and what it found."""
    return checks.progress(asked.workspace, asked.parts["name"], asked.say)


def training_progress(asked: Visit) -> dict[str, Any]:
    """Return the state of a training."""
    return trainings.progress(asked.workspace, asked.parts["name"])


def open_data(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Open a folder, archive or named set."""
    one = collections.open_collection(asked.workspace, text_of(values, "location"))
    return {"go": f"/data/{quote(one.name, safe='')}"}


def make_data(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Make an empty collection, with classes if any are named."""
    classes = [name.strip() for name in text_of(values, "classes").split(",") if name.strip()]
    one = collections.make_collection(asked.workspace, text_of(values, "name"), classes)
    return {"go": f"/data/{quote(one.name, safe='')}"}


def forget_data(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Forget a collection; its images stay where they are."""
    collections.forget_collection(asked.workspace, asked.parts["name"])
    edits.forget(asked.workspace, asked.parts["name"])
    checks.forget(asked.workspace, asked.parts["name"])
    thumbnails.forget(asked.workspace, asked.parts["name"])
    return {"go": "/data"}


def add_class(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Add a class to a made collection."""
    collections.add_class(asked.workspace, asked.parts["name"], text_of(values, "label"))
    return {"reload": True}


def edit(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Give images another class, leave them out, or take changes back."""
    paths = _paths(values)
    label = {"leave out": None, "take back": ""}.get(text_of(values, "do"), text_of(values, "label"))
    if text_of(values, "do") == "label" and not label:
        raise RequestError("Which class? Write its name.")
    if text_of(values, "do") == "first":
        edits.reset(asked.workspace, asked.parts["name"], paths)
    else:
        edits.edit(asked.workspace, asked.parts["name"], paths, label)
    return _changed(asked, paths)


def undo(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Undo the last change of a collection."""
    return _changed(asked, edits.undo(asked.workspace, asked.parts["name"]))


def redo(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Make the last change of a collection that was undone again."""
    return _changed(asked, edits.redo(asked.workspace, asked.parts["name"]))


def _changed(asked: Visit, paths: list[str]) -> dict[str, Any]:
    """Return images as they are after a change, by path; those that are gone since are not among them."""
    one = collections.read_collection(asked.workspace, asked.parts["name"])
    found = listing.listing(one)
    told, wanted = _counts(asked, one, found), set(paths)
    return {"items": {item.path: _item(item, one.several) for item in found.items if item.path in wanted}, **told}


def _item(item: listing.Item, several: bool) -> dict[str, Any]:
    return {
        "path": item.path,
        "label": item.label,
        "original": item.original,
        "left_out": item.left_out,
        "labels": parse(item.label)[0] if several and item.label is not None else None,
        "size": f"{item.width} × {item.height}",
    }


def _counts(asked: Visit, one: collections.Collection, found: listing.Listing) -> dict[str, Any]:
    back, again = edits.steps(asked.workspace, one)
    changed = asked.say("Changed here: {count}. ", count=asked.say.number(len(one.edits))) if one.edits else ""
    return {
        "counts": found.counts,
        "undo": back,
        "redo": again,
        "lead": described(one, found, asked.say),
        "changed": changed,
    }


def _paths(values: dict[str, Any]) -> list[str]:
    paths = values.get("paths")
    if not _are_paths(paths) or not paths:
        raise RequestError("Choose images first.")
    return paths


def _are_paths(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(path, str) for path in value)


def allow_several(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Let the images of a collection have several labels, or one class again."""
    collections.allow_several(asked.workspace, asked.parts["name"], text_of(values, "several") == "yes")
    return {"reload": True}


def give_label(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Say that images have a label, or do not; without a label, that they have none."""
    paths, has = _paths(values), values.get("has")
    if not isinstance(has, bool):
        raise RequestError(UNCLEAR)
    edits.give_label(asked.workspace, asked.parts["name"], paths, text_of(values, "label"), has)
    return _changed(asked, paths)


def start_check(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Start the data check of a collection, as a process of its own."""
    checks.start(asked.workspace, asked.parts["name"])
    return {"done": True}


def decide(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Keep, leave out or relabel what a finding of the check names."""
    number = values.get("number")
    if not isinstance(number, int):
        raise RequestError(UNCLEAR)
    checks.decide(asked.workspace, asked.parts["name"], number, text_of(values, "do"))
    return {"done": True}


def start_training(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Start a training in a process of its own."""
    one = collections.read_collection(asked.workspace, text_of(values, "collection"))
    words = listing.training_words(asked.workspace, one)
    recipe, layers, seconds = (text_of(values, name) for name in ("recipe", "layers", "time"))
    if recipe:
        words += ["--recipe", recipe]
    if layers and recipe != "transfer":
        if not has_layers(layers):
            raise RequestError(f"{layers}: not a line of layers.")
        words += ["--model", layers]
    if seconds:
        if not _TIMES.fullmatch(seconds):
            raise RequestError(f"{seconds!r} is not a time; write 30s, 5m or 1h.")
        words += ["--time", seconds]
    name = text_of(values, "name") or trainings.free_name(asked.workspace, f"{one.name}-{recipe or 'auto'}")
    begun = trainings.start(asked.workspace, name, one.name, [*words, "--lang", asked.say.code])
    return {"go": f"/train/{quote(begun.name, safe='')}"}


def train_augmented(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Start the short trainings of the chapter on augmentation, with these words and without any."""
    words = augmentation.start(
        asked.workspace, text_of(values, "collection"), text_of(values, "augment"), asked.say.code
    )
    return {"words": words}


def augmented_runs(asked: Visit) -> dict[str, Any]:
    """Return what the trainings of the chapter on augmentation have reached."""
    return {"runs": augmentation.runs(asked.workspace, asked.query.get("collection", ""))}


def augmented(asked: Visit, body: bytes) -> Response:
    """Return an image as words of augmentation change it, as a picture; its words are in a header."""
    return with_words(augmentation.drawn(body, asked.query.get("augment", ""), asked.say))


def stop_training(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Ask a training to stop; it saves everything first."""
    trainings.stop(asked.workspace, asked.parts["name"])
    return {"done": True}


def resume_training(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Resume a stopped training."""
    trainings.go_on(asked.workspace, asked.parts["name"])
    return {"done": True}


def upload_image(asked: Visit, body: bytes) -> dict[str, Any]:
    """Take one image into a class of a made collection."""
    label, filename = asked.query.get("class", ""), asked.query.get("filename", "image")
    try:
        path, new = collections.add_image(asked.workspace, asked.parts["name"], label, filename, body)
    except ImageError as error:
        raise RequestError(f"{filename}: {error}; it was not added.") from error
    return {"added": 1, **_told_apart([(path, new)])}


@asynccontextmanager
async def received(asked: Visit, stream: AsyncIterator[bytes]) -> AsyncIterator[Path]:
    """Write a body to the studio's memory as it arrives, and give its file; raises RequestError when it is too large."""
    part = asked.workspace.memory("uploads") / f".{secrets.token_hex(8)}.part"
    try:
        size = 0
        with part.open("wb") as file:
            async for piece in stream:
                size += len(piece)
                if size > collections.MAX_ARCHIVE:
                    raise RequestError(
                        f"This is larger than {collections.MAX_ARCHIVE >> 30} GiB, the most that is accepted here."
                    )
                file.write(piece)
        yield part
    finally:
        part.unlink(missing_ok=True)


async def upload_archive(asked: Visit, stream: AsyncIterator[bytes]) -> dict[str, Any]:
    """Write an archive to the studio's memory as it arrives, and open it."""
    async with received(asked, stream) as part:
        one = await run_in_threadpool(
            collections.keep_archive, asked.workspace, asked.query.get("filename", "images.zip"), part
        )
    return {"go": f"/data/{quote(one.name, safe='')}"}


async def upload_images(asked: Visit, stream: AsyncIterator[bytes]) -> dict[str, Any]:
    """Take the images of an archive, or frames of a film, into a class of a made collection."""
    name, label, filename = asked.parts["name"], asked.query.get("class", ""), asked.query.get("filename", "")
    async with received(asked, stream) as part:
        added, refused = await run_in_threadpool(
            collections.add_images_of, asked.workspace, name, label, filename, part
        )
    return {
        "added": len(added),
        "refused": [asked.say.told(RequestError(one)) for one in refused],
        **_told_apart(added),
    }


def _told_apart(added: list[tuple[str, bool]]) -> dict[str, list[str]]:
    return {"new": [path for path, new in added if new], "known": [path for path, new in added if not new]}


def added(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Remember uploads that belong together as one change, which can be undone."""
    new, known = values.get("new"), values.get("known")
    if not (_are_paths(new) and _are_paths(known)):
        raise RequestError(UNCLEAR)
    edits.added(asked.workspace, asked.parts["name"], new, known)
    return {"done": True}


def _shape(asked: Visit) -> tuple[tuple[int, int, int], list[str] | int]:
    """Return the input and the classes that a line of layers would have: those of a collection, or of the tutorial."""
    name = asked.query.get("collection", "")
    if not name:
        return (32, 32, 3), 10
    found = listing.listing(collections.read_collection(asked.workspace, name))
    if not found.items:
        return (32, 32, 3), max(2, len(found.counts))
    height, width = input_size(np.array([(item.height, item.width) for item in found.items]), 64)
    return (height, width, max(item.channels for item in found.items)), list(found.counts)


QUESTIONS: dict[str, Callable[[Visit], dict[str, Any]]] = {
    "/api/drawing": drawing,
    "/api/data/{name}/items": items,
    "/api/data/{name}/check": check_progress,
    "/api/augment/runs": augmented_runs,
    "/api/train/{name}": training_progress,
}
ACTIONS: dict[str, Callable[[Visit, dict[str, Any]], dict[str, Any]]] = {
    "/api/data/open": open_data,
    "/api/data/make": make_data,
    "/api/data/{name}/forget": forget_data,
    "/api/data/{name}/classes": add_class,
    "/api/data/{name}/added": added,
    "/api/data/{name}/edit": edit,
    "/api/data/{name}/undo": undo,
    "/api/data/{name}/redo": redo,
    "/api/data/{name}/several": allow_several,
    "/api/data/{name}/label": give_label,
    "/api/data/{name}/check/start": start_check,
    "/api/data/{name}/check/decide": decide,
    "/api/augment/train": train_augmented,
    "/api/train/start": start_training,
    "/api/train/{name}/stop": stop_training,
    "/api/train/{name}/resume": resume_training,
}
UPLOADS: dict[str, Callable[[Visit, bytes], Any]] = {
    "/api/augment": augmented,
    "/api/data/{name}/images": upload_image,
}
