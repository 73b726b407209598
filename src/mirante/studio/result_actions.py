"""What the pages of results and of predictions ask for and do: each is a function from a visit (and values) to JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from mirante.data.several import UNKNOWN, parse
from mirante.errors import ImageError, RequestError
from mirante.images import Pixels
from mirante.photos.feedback import Feedback
from mirante.studio import answers, gallery
from mirante.studio.pages import Visit, wanted_answers
from mirante.studio.pictures import draw_heatmap, with_words
from mirante.studio.workspace import UNCLEAR, require_text, text_of

_MEGABYTES = 10_000  # of the corrections of a model


def predictions(asked: Visit) -> dict[str, Any]:
    """Return a page of a run's answers to its test images."""
    opened = answers.open_run(asked.workspace.run(asked.parts["name"]))
    several = opened.model.asks.several_labels
    wanted, page = wanted_answers(asked.query, several)
    found, count = answers.select(opened.answers, wanted, page)
    return {
        "count": count,
        "more": count > (page + 1) * answers.PAGE,
        "items": [
            {"row": one.number, "path": one.path, "right": one.right,
             "label": answers.in_words(one.label, asked.say) if several else one.label,
             "predicted": answers.in_words(one.predicted, asked.say) if several else one.predicted,
             "confidence": asked.say.confidence(one.confidence, 0)}
            for one in found
        ],
    }  # fmt: skip


def threshold(asked: Visit) -> dict[str, Any]:
    """Return what deciding from another probability upwards would bring."""
    opened = answers.open_run(asked.workspace.run(asked.parts["name"]))
    try:
        at, prevalence = float(asked.query.get("at", "")), float(asked.query.get("prevalence", ""))
    except ValueError as error:
        raise RequestError("a threshold and a prevalence must be numbers between 0 and 1.") from error
    return answers.at_threshold(opened, asked.query.get("class", ""), at, prevalence, asked.say)


def summary(asked: Visit) -> dict[str, Any]:
    """Return how good a run of classes is, and how far that can be trusted."""
    opened = answers.open_run(asked.workspace.run(asked.parts["name"]))
    return answers.summary(opened, asked.say)


def neighbours(asked: Visit) -> dict[str, Any]:
    """Return the training images that a run sees as most like one of its test images."""
    opened = answers.open_run(asked.workspace.run(asked.parts["name"]))
    one = answers.find(opened, int(asked.parts["row"]))
    found = opened.nearest(opened.image(one.path))
    several = opened.model.asks.several_labels
    return {
        "items": [
            {
                "path": path,
                "label": answers.in_words(label, asked.say) if several else label,
                "alike": asked.say.number(alike, 2),
            }
            for path, label, alike in found
        ]
    }


def ask_model(asked: Visit, body: bytes) -> dict[str, Any]:
    """Return what a model answers for an image."""
    opened, pixels = _new_image(asked, body)
    return answers.answer_json(opened, pixels, asked.say)


def correct(asked: Visit, body: bytes) -> dict[str, Any]:
    """Keep an image with what a person says it shows, among the corrections of a run, which is taught with them as with photos."""
    opened, _ = _new_image(asked, body)
    said = require_text(asked.query.get("label", "")).strip()
    if opened.model.asks.several_labels:
        yes, not_known = parse(said)
        labels = [
            *yes,
            *(UNKNOWN + name for name in not_known),
        ]  # which is refused: all that it has is said, or nothing
    else:
        labels = [gallery.class_named(said, opened.info.classes)]
    folder, run = asked.workspace.corrections / opened.path.name, opened.path
    feedback = Feedback(folder, _MEGABYTES, opened.info)
    try:
        new, count = feedback.add(body, labels), feedback.count()
    finally:
        feedback.close()
    one = gallery.open_gallery(asked.workspace, str(folder), str(run))
    kept = asked.say("Kept. Images confirmed or corrected so far: {count}.", count=asked.say.number(count))
    if new:
        kept += " " + asked.say("New to the model: {names}.", names=", ".join(new))
    return {
        "kept": kept,
        "more": asked.say("Look at them, and let the model learn"),
        "go": f"/photos/{quote(one.name, safe='')}/review",
    }


def heatmap(asked: Visit, body: bytes) -> Response:
    """Return where a model looked in an image, as a picture; its words are in a header."""
    opened, pixels = _new_image(asked, body)
    return with_words(draw_heatmap(asked, opened, pixels))


def image_path(asked: Visit, body: bytes) -> Response:
    """Return an image's path through a model, as a picture; its words are in a header."""
    from mirante.see import network

    opened, pixels = _new_image(asked, body)
    return with_words(network.path(opened.inside, pixels, asked.say))


def roll_back(asked: Visit, values: dict[str, Any]) -> dict[str, Any]:
    """Put an earlier model of a run in use again."""
    from mirante.experiment.model_versions import rollback

    number = text_of(values, "to")
    if not (number.isascii() and number.isdigit()):
        raise RequestError(UNCLEAR)
    rollback(asked.workspace.run(asked.parts["name"]), int(number), why=text_of(values, "why"))
    return {"reload": True}


def _new_image(asked: Visit, body: bytes) -> tuple[answers.Opened, Pixels]:
    opened = answers.open_run(asked.workspace.run(asked.parts["name"]))
    try:
        return opened, opened.model.pixels(body)
    except ImageError as error:
        raise RequestError(f"{asked.query.get('filename', 'image')}: {error}.") from error


QUESTIONS: dict[str, Callable[[Visit], dict[str, Any]]] = {
    "/api/results/{name}/predictions": predictions,
    "/api/results/{name}/summary": summary,
    "/api/results/{name}/threshold": threshold,
    "/api/results/{name}/images/{row:int}/neighbours": neighbours,
}
ACTIONS: dict[str, Callable[[Visit, dict[str, Any]], dict[str, Any]]] = {"/api/results/{name}/rollback": roll_back}
UPLOADS: dict[str, Callable[[Visit, bytes], Any]] = {
    "/api/results/{name}/predict": ask_model,
    "/api/results/{name}/correct": correct,
    "/api/results/{name}/heatmap": heatmap,
    "/api/results/{name}/path": image_path,
}
