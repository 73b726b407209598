"""What the photo pages ask for and do: each is a function from a visit (and values) to JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from mirante.data.classes import letters
from mirante.data.entries import printable
from mirante.errors import RequestError
from mirante.photos.library import labels_of
from mirante.studio import gallery
from mirante.studio.label_gallery import LabelSession
from mirante.studio.pages import Visit
from mirante.studio.workspace import UNCLEAR, require_name, text_of, whole


def questions(asked: Visit) -> dict[str, Any]:
    """Return the next questions about a folder of photos."""
    opened = _opened(asked)
    found = opened.questions(asked.say)
    return {"questions": found, **opened.progress(asked.say)}


def groups(asked: Visit) -> dict[str, Any]:
    """Return the groups of a folder of photos, the largest first."""
    library = _opened(asked).library
    answered = labels_of(library.answers())
    answers = {digest: letters(label) for digest, label in answered.items() if label is not None}
    found = [
        {
            "number": number,
            "name": name,
            "digests": digests,
            "kept": sum(answers.get(digest) == letters(name) for digest in digests),
        }
        for number, (name, digests) in library.groups().items()
    ]
    return {"groups": sorted(found, key=lambda one: -len(one["digests"]))}


def given_answers(asked: Visit) -> dict[str, Any]:
    """Return what was said about the photos that are in the folder, the latest photo first."""
    opened = _opened(asked)
    names = {one.digest: printable(one.path) for one in opened.library.look()[0]}
    items = opened.given(names, asked.say)
    counts = Counter(name for one in items for name in one["said"])
    labels = dict.fromkeys([*gallery.classes_of(opened.gallery), *counts])
    return {"items": items, "counts": {name: counts[name] for name in labels}}


def open_photos(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Open a folder of photos, with or without a run to be asked about them."""
    name = text_of(values, "run")
    run = str(asked.workspace.run(name)) if name else ""
    one = gallery.open_gallery(asked.workspace, text_of(values, "folder"), run)
    return {"go": f"/photos/{quote(one.name, safe='')}/{'review' if run else 'groups'}"}


def answer(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Keep a person's answer; on disk when this returns."""
    label, turn = values.get("label"), text_of(values, "turn")
    if not (isinstance(label, str | None) and turn):
        raise RequestError(UNCLEAR)
    opened = _opened(asked)
    label = label and gallery.class_named(label, gallery.classes_of(opened.gallery))
    opened.answer(turn[:64], _digests(values), label, text_of(values, "kind"), text_of(values, "asked"))
    return opened.progress(asked.say)


def answer_label(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Keep which photos have a label; on disk when this returns."""
    turn, said, opened = text_of(values, "turn"), values.get("said"), _opened(asked)
    if not (isinstance(said, dict) and turn and isinstance(opened, LabelSession)):
        raise RequestError(UNCLEAR)
    opened.answer_label(turn[:64], said, text_of(values, "label"), text_of(values, "kind"))
    return opened.progress(asked.say)


def change_answer(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Say something else about photos that were answered; on disk when this returns."""
    label, has = values.get("label"), values.get("has")
    if not isinstance(label, str | None) or isinstance(has, bool):
        raise RequestError(UNCLEAR)
    _opened(asked).change(_digests(values), label, has)
    return given_answers(asked)


def take_back(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Take back the last answer."""
    opened = _opened(asked)
    opened.take_back()
    return opened.progress(asked.say)


def learn(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Teach the run with the answers."""
    return {"said": gallery.learn_from_answers(_opened(asked), asked.say)}


def regroup(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Group a folder of photos again."""
    from mirante.photos.grouping import group_folder

    group_folder(_opened(asked).library, asked.say)
    return {"done": True}


def change_group(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Rename a group, keep its name as the answer for its photos, or put photos into another group."""
    library, what, number = _opened(asked).library, text_of(values, "do"), values.get("number")
    found = library.groups()
    if number not in found and not (what == "move" and number is None):
        raise RequestError("This group no longer exists; load the page again.")
    if what == "move":
        library.move_to_group(_digests(values), number, asked.say("a new group"))
        return {"done": True}
    name = require_name(text_of(values, "name"))
    said = ""
    if what == "keep":
        members = found[number][1]
        own = {one.digest for one in library.answers() if one.kind != "group" and one.label is not None}
        library.answer([one for one in members if one not in own], name, "group", None, gallery.new_turn())
        if left := len(own.intersection(members)):
            text = "{count} photos of this group have answers of their own, which stay as they are."
            said = asked.say(text, count=asked.say.number(left))
    library.rename_group(number, name)
    same = next((other for other, (taken, _) in found.items() if taken == name and other != number), None)
    if same is not None:  # the same name twice is one group
        library.move_to_group(found[number][1], same)
    return {"done": True, "said": said}


def photo(asked: Visit) -> Response:
    """A photo of an opened folder, decoded and encoded again."""
    side = min(2000, max(32, whole(asked.query.get("side", "640"))))
    content = gallery.photo(_opened(asked), asked.query.get("digest", ""), side)
    return Response(content, media_type="image/jpeg", headers={"cache-control": "private, max-age=86400"})


def _opened(asked: Visit) -> gallery.Session:
    return gallery.session(asked.workspace, asked.parts["name"])


def _digests(values: dict[str, Any]) -> list[str]:
    digests = values.get("digests")
    if not isinstance(digests, list) or not digests or not all(isinstance(one, str) for one in digests):
        raise RequestError(UNCLEAR)
    return digests


QUESTIONS: dict[str, Callable[[Visit], dict[str, Any]]] = {
    "/api/photos/{name}/questions": questions,
    "/api/photos/{name}/groups": groups,
    "/api/photos/{name}/answers": given_answers,
}
ACTIONS: dict[str, Callable[[Visit, dict[str, Any]], dict[str, Any]]] = {
    "/api/photos/open": open_photos,
    "/api/photos/{name}/answer": answer,
    "/api/photos/{name}/label": answer_label,
    "/api/photos/{name}/change": change_answer,
    "/api/photos/{name}/back": take_back,
    "/api/photos/{name}/learn": learn,
    "/api/photos/{name}/regroup": regroup,
    "/api/photos/{name}/group": change_group,
}
PICTURES: dict[str, Callable[[Visit], Response]] = {"/pictures/photos/{name}/photo": photo}
