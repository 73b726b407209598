"""The model card of a classifier: what a careful reader asks before relying on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mirante.evaluation.card_text import (
    Question,
    as_markdown,
    groups_sentence,
    short_name,
    taught_sentence,
    with_interval,
)
from mirante.evaluation.judgement import Judgement
from mirante.evaluation.page import Story
from mirante.locale import Language
from mirante.model_info import ModelInfo
from mirante.tasks.classify.decision import learned_of


def questions(judgement: Judgement, story: Story, say: Language) -> list[Question]:
    """Return the card of a model: what a careful reader asks before relying on it."""
    found, model = judgement.metrics, story.model
    grave = [sentence for sentence, is_grave in story.warnings if is_grave]
    return card_of(found, story.data, model, story.evaluated, grave, say)


def card_of(
    found: Mapping[str, Any],
    data: dict[str, Any],
    model: ModelInfo,
    evaluated: str | None,
    grave: Sequence[str],
    say: Language,
) -> list[Question]:
    """Return the card of a model.

    found      the content of metrics.json
    data       the content of data.json
    evaluated  where the images are, if they are not those that the training set aside
    grave      warnings that make the figures unreliable
    """
    answers = [
        (say("What was it trained on?"), _trained_on(data, say)),
        (say("What was it tested on?"), _tested_on(found, data, evaluated, say)),
        (say("Where does it fail?"), _fails(found, say)),
        (say("What if an image shows something else?"), _something_else(found, model, say)),
        (say("What must it not be used for?"), _not_for(grave, say)),
    ]
    if model.licence:
        text = say(
            "It started from pretrained weights under {licence}, so that licence applies to it too.",
            licence=model.licence,
        )
        answers.append((say("Whose work is in it?"), text))
    return [Question(*answer) for answer in answers]


def markdown(judgement: Judgement, story: Story, say: Language) -> str:
    """Return the card of a classifier as Markdown with the metadata of the Hub."""
    found = judgement.metrics
    results = [
        {"type": key, "value": round(found[key]["value"], 4)}
        for key in ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "ece")
    ]
    results += [
        {"type": "roc_auc", "name": label, "value": round(one["roc_area"]["value"], 4)}
        for label, one in found["one_vs_rest"].items()
    ]
    rows = "\n".join(
        f"| {label} | {one['images']} | {with_interval(one['recall'], say)} | {with_interval(one['precision'], say)} |"
        for label, one in found["per_class"].items()
    )
    columns = [say("Class"), say("Images"), say("Recall"), say("Precision")]
    table = f"## {say('Class by class')}\n\n| {' | '.join(columns)} |\n|---|--:|--:|--:|\n{rows}"
    return as_markdown(story, results, questions(judgement, story, say), [table], say)


def _trained_on(data: dict[str, Any], say: Language) -> str:
    kept = {split for counts in data["counts"].values() for split in counts} - {"test", "val"}
    counts = {name: sum(per[split] for split in kept) for name, per in data["counts"].items()}
    listed = ", ".join(f"{name} {say.number(count)}" for name, count in list(counts.items())[:12])
    more = ", …" if len(counts) > 12 else ""
    text = say(
        "{count} images from {word}: {listed}.",
        count=say.number(sum(counts.values())),
        word=short_name(data["location"]),
        listed=listed + more,
    )
    return text + taught_sentence(data, say)


def _tested_on(found: Mapping[str, Any], data: dict[str, Any], evaluated: str | None, say: Language) -> str:
    count = say.number(found["images"])
    if evaluated:
        return say("{count} images from {word}.", count=count, word=short_name(evaluated))
    if data["split_by"] == "folds":
        text = say(
            "{count} images, each answered by a network that had seen neither it nor a copy of it ({folds} folds).",
            count=count,
            folds=len(found["folds"]),
        )
    else:
        text = say("{count} images from the same source, not used for training.", count=count)
    return (
        text
        + groups_sentence(data, say)
        + _untested(found, say)
        + " "
        + say("Images from another source may behave differently: test it on them first.")
    )


def _untested(found: Mapping[str, Any], say: Language) -> str:
    untested = [name for name, one in found["per_class"].items() if not one["images"]]
    if not untested:
        return ""
    names = ", ".join([*untested[:12], *(["…"] if len(untested) > 12 else [])])
    return " " + say("None of them shows {names}: how well it recognises that is not known.", names=names)


def _fails(found: Mapping[str, Any], say: Language) -> str:
    name, worst = min(found["per_class"].items(), key=lambda one: one[1]["recall"]["value"] if one[1]["images"] else 2)
    text = say("It finds {name} least often: {share} of them.", name=name, share=with_interval(worst["recall"], say))
    matrix = np.array(found["confusion"])
    np.fill_diagonal(matrix, 0)
    if matrix.max() == 0:
        return say("Nowhere in these images.")
    row, column = (int(place) for place in np.unravel_index(int(matrix.argmax()), matrix.shape))
    taken = say(
        "Its most frequent mistake: {one} taken for {other} (images: {count}).",
        count=say.number(int(matrix[row, column])),
        one=found["classes"][row],
        other=found["classes"][column],
    )
    return f"{text} {taken}"


def _something_else(found: Mapping[str, Any], model: ModelInfo, say: Language) -> str:
    if learned_of(model).ood_threshold is None:
        return say("It cannot tell: it answers with one of its classes anyway.")
    return say(
        "It says “none of these” to images unlike those it was trained on; by mistake also to {share} of the images here.",
        share=say.percent(found["taken_for_none_of_these"]["value"]),
    )


def _not_for(grave: Sequence[str], say: Language) -> str:
    usual = say(
        "For deciding alone where a mistake could harm someone, and for images from another source (another place, device or "
        "year) before it has been tested on them. It is not a medical device."
    )
    if not grave:
        return usual
    found = say(
        "What was found in its data makes its figures doubtful, so not for decisions before this is cleared up."
    )
    return f"{found} {' '.join(grave)} {usual}"
