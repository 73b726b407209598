"""The model card as text: questions with their answers, and the metadata that the Hugging Face Hub reads (its own conventions)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from mirante.data.notes import TAUGHT, Note
from mirante.locale import Language

if TYPE_CHECKING:
    from mirante.evaluation.page import Story


@dataclass(frozen=True)
class Question:
    """A reader's question and its answer, both in the reader's language."""

    question: str
    answer: str


def as_markdown(
    story: Story, results: Sequence[dict[str, Any]], card: Sequence[Question], further: Sequence[str], say: Language
) -> str:
    """Return a card as Markdown with the metadata of the Hub.

    results  the figures, as the Hub's model-index takes them
    further  sections between the questions and the use
    """
    name, model, task = story.name, story.model, story.model.asks.hub_task
    source = {"type": "imagefolder", "name": short_name(story.data["location"])}
    metadata = {
        "library_name": "onnxruntime",
        "pipeline_tag": task,
        "tags": ["mirante", task, "onnx"],
        "language": [say.code],
        **({"license": model.licence.lower()} if model.licence else {}),
        "metrics": list(dict.fromkeys(one["type"] for one in results)),
        "model-index": [
            {"name": name, "results": [{"task": {"type": task}, "dataset": source, "metrics": list(results)}]}
        ],
    }
    # JSON is valid YAML, and quotes any folder name safely
    head = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in metadata.items())
    parts = [f"---\n{head}\n---", f"# {name}", *(f"## {one.question}\n\n{one.answer}" for one in card), *further]
    use = f"mirante predict {name} {say('image.jpg')}"
    parts.append(f"## {say('Use')}\n\n```\n{use}\n```")
    return "\n\n".join(parts) + "\n"


def taught_sentence(data: dict[str, Any], say: Language) -> str:
    """Say which photos taught a model after its training, if any did; data is the content of data.json."""
    return "".join(f" {Note(*one).said(say)}" for one in data["notes"] if one[0] == TAUGHT)


def short_name(word: str) -> str:
    """Return the last part of a path: a card is published, and the folders above are private."""
    return PurePath(word).name or word


def with_interval(figure: dict[str, float], say: Language) -> str:
    """Return a share with its 95% interval in brackets; a dash if it is not defined."""
    if math.isnan(figure["value"]):
        return "–"
    return f"{say.percent(figure['value'])} ({say.percent(figure['low'], 0)} – {say.percent(figure['high'], 0)})"


def area_with_interval(figure: dict[str, float], say: Language) -> str:
    """Return an area under a curve with its 95% interval in brackets, to three digits; a dash if it is not defined."""
    if math.isnan(figure["value"]):
        return "–"
    return f"{say.number(figure['value'], 3)} ({say.number(figure['low'], 3)} – {say.number(figure['high'], 3)})"


def groups_sentence(data: dict[str, Any], say: Language) -> str:
    """Say how many independent things the test images come from, from the content of data.json; nothing if each is one itself."""
    if not data.get("groups"):
        return ""
    if data.get("films"):
        return " " + say(
            "They are frames of {films} films, none of which is also in the training images.",
            films=say.number(data["films"]),
        )
    return " " + say(
        "They come from {groups} groups, none of which is also in the training images.",
        groups=say.number(data["groups"]),
    )
