"""The text of the report and card of a model of several labels: label by label, with every sentence built from figures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from mirante.evaluation.card_text import (
    Question,
    area_with_interval,
    as_markdown,
    groups_sentence,
    short_name,
    taught_sentence,
    with_interval,
)
from mirante.evaluation.judgement import Judgement
from mirante.evaluation.page import Story, honesty, mistakes_sentence, row_of_figure, shared_content
from mirante.locale import Language
from mirante.tasks.tag.calibrate import learned_of
from mirante.tasks.tag.judge import LEAST


def content(judgement: Judgement, story: Story, say: Language) -> dict[str, Any]:
    """Return what report.html.j2 takes."""
    found, data = judgement.metrics, story.data
    folded = data["split_by"] == "folds" and not story.evaluated
    wrong = found["images"] - round(found["accuracy"]["value"] * found["images"])
    judged = {name: one for name, one in found["labels"].items() if not one["rare"]}
    area = found["mean_roc_area"]
    images = Counter(split for *_, split in data["files"])
    per = next(iter(data["counts"].values()))
    return {
        **shared_content(judgement, story, tag_questions(judgement, story, say), say),
        "totals": [say.number(images[split]) for split in per if images[split]],  # an image may have several labels
        "lead": say(
            "Which of {labels} labels an image has: any number of them, or none.", labels=len(found["classes"])
        ),
        "accuracy": {
            "value": say.number(area["value"], 3),
            "name": say("area under the ROC curve, mean of the labels, out of fold")
            if folded
            else say("area under the ROC curve, mean of the labels, on test images"),
        },
        "sentence": _headline(found, story, len(judged), say),
        "figures": list(_figures(found, say)),
        "data_sentence": _data_sentence(data, say),
        "samples": say("Sixteen training images, drawn at random, as the network sees them."),
        "labels": [_label_row(name, one, say) for name, one in found["labels"].items()],
        "rare_sentence": _rare_sentence(found, say),
        "threshold_sentence": _threshold_sentence(story, say),
        "confused": [
            {
                "has": one["has"],
                "said": one["said"],
                "count": say.number(one["count"]),
                "share": say.percent(one["count"] / one["of"]),
            }
            for one in found["confused"]
        ],
        "always_sentence": _always_sentence(found, say),
        "mistakes_sentence": mistakes_sentence(wrong, found["images"], say),
        "calibration_sentence": _calibration_sentence(found, say),
        "repeats_sentence": _repeats_sentence(found, say),
        "sets": [
            {
                "promised": say.percent(float(promised), 0),
                "kept": with_interval(row["coverage"], say),
                "size": say.number(row["mean_size"], 2),
                "empty": say.percent(row["empty_share"], 0),
            }
            for promised, row in found["prediction_sets"].items()
        ],
        "strange": _strange_sentence(found, story, say),
        "subgroups": _subgroups(found, story.subgroup, say),
        "honesty": honesty(folded, say),
    }


def tag_questions(judgement: Judgement, story: Story, say: Language) -> list[Question]:
    """Return the model card, as a careful reader's questions with their answers."""
    found, data = judgement.metrics, story.data
    trained = sum(split not in ("test",) for *_, split in data["files"])
    where = story.evaluated or short_name(data["location"])
    tested = say("{count} images from {word}.", count=say.number(found["images"]), word=short_name(where))
    if not story.evaluated:
        tested = (
            say(
                "{count} images, each answered by a network that had seen neither it nor a copy of it ({folds} folds).",
                count=say.number(found["images"]),
                folds=len(found["folds"]),
            )
            if "folds" in found
            else say("{count} images from the same source, not used for training.", count=say.number(found["images"]))
        )
        tested += groups_sentence(data, say)
    tested += " " + say("Images from another source may behave differently: test it on them first.")
    answers = [
        (
            say("What was it trained on?"),
            say("{count} images from {word}.", count=say.number(trained), word=short_name(data["location"]))
            + taught_sentence(data, say),
        ),
        (say("What was it tested on?"), tested),
        (say("Where does it fail?"), _fails(found, say)),
        (say("What if an image shows something else?"), _strange_sentence(found, story, say)),
        (
            say("What must it not be used for?"),
            say(
                "For deciding alone where a mistake could harm someone, and for images from another source (another place, device "
                "or year) before it has been tested on them. It is not a medical device."
            ),
        ),
    ]
    if story.model.licence:
        text = say(
            "It started from pretrained weights under {licence}, so that licence applies to it too.",
            licence=story.model.licence,
        )
        answers.append((say("Whose work is in it?"), text))
    return [Question(*answer) for answer in answers]


def markdown(judgement: Judgement, story: Story, say: Language) -> str:
    """Return the model card as Markdown with the metadata of the Hub."""
    found = judgement.metrics
    names = {
        "mean_roc_area": "roc_auc",
        "mean_average_precision": "mAP",
        "micro_f1": "f1",
        "accuracy": "exact_match",
        "ece": "ece",
    }
    results = [
        {"type": kind, "value": round(found[key]["value"], 4)}
        for key, kind in names.items()
        if not math.isnan(found[key]["value"])
    ]
    rows = [_label_row(name, one, say) for name, one in found["labels"].items()]
    columns = [say("Label"), say("Images"), say("Area under the ROC curve"), say("Calibration error (ECE)")]
    lines = "\n".join(f"| {row['name']} | {row['images']} | {row['area']} | {row['ece']} |" for row in rows)
    table = f"## {say('Label by label')}\n\n| {' | '.join(columns)} |\n|---|--:|--:|--:|\n{lines}"
    return as_markdown(story, results, tag_questions(judgement, story, say), [table], say)


def _headline(found: dict[str, Any], story: Story, judged: int, say: Language) -> str:
    area = found["mean_roc_area"]
    if not judged:
        return say(
            "No label has {least} test images with it and without it, so there are no figures label by label; more images, or "
            "--folds, give them.",
            least=LEAST,
        )
    text = say(
        "Of two images that it was not trained on, one with a label and one without, it gives the one with the label the higher "
        "probability in {value} of the cases, on average over {labels} labels. With 95% confidence, that share lies between {low} "
        "and {high} on images like these.",
        value=say.percent(area["value"]),
        labels=judged,
        low=say.percent(area["low"]),
        high=say.percent(area["high"]),
    )
    return f"{text} {say('Evaluated on {where}.', where=story.evaluated)}" if story.evaluated else text


def _figures(found: dict[str, Any], say: Language) -> Iterator[dict[str, str]]:
    """Yield the rows of the table of key figures."""

    def three_digits(value: float) -> str:
        return say.number(value, 3)

    yield row_of_figure(
        say("Area under the ROC curve"),
        found["mean_roc_area"],
        say(
            "The mean of the labels: how often an image with a label gets a higher probability than one without; 0.5 is chance."
        ),
        three_digits,
    )
    yield row_of_figure(
        say("Mean average precision"),
        found["mean_average_precision"],
        say(
            "The mean of the labels: how pure the images that it finds most probable are. A rare label cannot reach much."
        ),
        say.percent,
    )
    yield row_of_figure(
        say("Micro F1"),
        found["micro_f1"],
        say("Precision and recall in one number, over all labels of all images together."),
        say.percent,
    )
    yield row_of_figure(
        say("Macro F1"),
        found["macro_f1"],
        say("The same for each label, and then the mean of the labels."),
        say.percent,
    )
    yield row_of_figure(
        say("All labels right"), found["accuracy"], say("Share of images with not one label wrong."), say.percent
    )
    yield row_of_figure(
        say("Calibration error (ECE)"),
        found["ece"],
        say(
            "The mean of the labels: how far a probability is from the share of images that have the label; 0% is ideal."
        ),
        say.percent,
    )
    yield row_of_figure(
        say("Log loss"),
        found["log_loss"],
        say("The price of being sure and wrong, in nats per label; 0 is ideal."),
        three_digits,
    )


def _label_row(name: str, one: dict[str, Any], say: Language) -> dict[str, str]:
    row = {"name": name, "images": say.number(one["images"])}
    if one["rare"]:
        shown = dict.fromkeys(("area", "precision", "sensitivity", "specificity", "ece"), "–")
        return {**row, **shown, "area": say("too rare to judge"), "threshold": say.percent(one["threshold"], 0)}
    area, ece = one["roc_area"], one["ece"]
    return {
        **row,
        "area": area_with_interval(area, say),
        "precision": with_interval(one["precision"], say),
        "sensitivity": with_interval(one["sensitivity"], say),
        "specificity": with_interval(one["specificity"], say),
        "ece": say.percent(ece["value"]),
        "threshold": say.percent(one["threshold"]),
    }


def _rare_sentence(found: dict[str, Any], say: Language) -> str:
    if not found["too_rare"]:
        return ""
    told = ", ".join(f"{name} ({say.number(found['labels'][name]['images'])})" for name in found["too_rare"])
    return say(
        "Too rare to judge, with the number of images here that have it: {labels}. They were trained and are answered, but fewer than "
        "{least} images would say nothing about how well; do not rely on them.",
        labels=told,
        least=LEAST,
    )


def _always_sentence(found: dict[str, Any], say: Language) -> str:
    """Name the labels that all images with another label have too; nothing if there are none."""
    counts, names = found["occurrence"], found["classes"]
    held = [number for number in range(len(names)) if counts[number][number]]
    always = [
        names[one]
        for one in held
        if len(held) > 2 and all(counts[other][one] == counts[other][other] for other in held)
    ]
    if not always:
        return ""
    return say(
        "Whatever label an image has here, it has {names} too. So an image with any other label differs from one without by {names} "
        "as well, and the figures of the other labels may be those of {names}.",
        names=", ".join(always),
    )


def _threshold_sentence(story: Story, say: Language) -> str:
    if not learned_of(story.model).thresholds:
        return say("An image is said to have a label when its probability is at least one half.")
    return say(
        "An image is said to have a label when its probability reaches the threshold of the label, chosen on held-out images for "
        "the aim that was asked for; a label with too few of them keeps one half."
    )


def _fails(found: dict[str, Any], say: Language) -> str:
    judged = {name: one for name, one in found["labels"].items() if not one["rare"]}
    if not judged:
        return _rare_sentence(found, say)
    name, worst = min(judged.items(), key=lambda item: item[1]["roc_area"]["value"])
    text = say(
        "It recognises {name} worst: the area under the ROC curve is {area}, where 0.5 is chance.",
        name=name,
        area=area_with_interval(worst["roc_area"], say),
    )
    return f"{text} {_rare_sentence(found, say)}".strip()


def _strange_sentence(found: dict[str, Any], story: Story, say: Language) -> str:
    if learned_of(story.model).ood_threshold is None or "taken_for_none_of_these" not in found:
        return say("This model cannot tell whether an image is unlike those it was trained on.")
    return say(
        "It marks images unlike those it was trained on. The limit was set so that 95% of images like them stay below it; here "
        "{share} did not.",
        share=say.percent(found["taken_for_none_of_these"]["value"]),
    )


def _calibration_sentence(found: dict[str, Any], say: Language) -> str:
    if "uncalibrated" not in found or math.isnan(found["ece"]["value"]):
        return say(
            "The probabilities of each label are calibrated with a scale and a shift of its own, on held-out images."
        )
    return say(
        "The probabilities of each label are calibrated with a scale and a shift of its own, on held-out images. Without that, the "
        "calibration error would be {before} instead of {after}.",
        before=say.percent(found["uncalibrated"]["ece"]),
        after=say.percent(found["ece"]["value"]),
    )


def _repeats_sentence(found: dict[str, Any], say: Language) -> str:
    if "repeats" not in found:
        return ""
    area = found["repeats"]["mean_roc_area"]
    return say(
        "Trained {count} times, each with another seed, the mean area under the ROC curve is {mean}, with a standard deviation of "
        "{deviation}.",
        count=len(area["values"]),
        mean=say.number(area["mean"], 3),
        deviation=say.number(area["deviation"], 3),
    )


def _data_sentence(data: dict[str, Any], say: Language) -> str:
    by = {
        "source": say("The test images are those given by the source."),
        "content": say(
            "About 15% of the images were set aside for testing, so that each label is spread evenly; what belongs together is never "
            "divided."
        ),
        "folds": say(
            "All images are divided into folds, so that each label is spread evenly; what belongs together is never divided. Each is "
            "tested once."
        ),
    }[data["split_by"]]
    counted = say("The table counts the images that have each label; one with several is counted for each.")
    return f"{say('Source: {word}.', word=short_name(data['location']))} {by} {counted}"


def _subgroups(found: dict[str, Any], by: str, say: Language) -> dict[str, Any] | None:
    """Return the table of areas within each part, beside the area that the part alone reaches; None if there are no parts."""
    subgroups = found.get("subgroups")
    if not subgroups or not subgroups["alone"]:
        return None
    parts = list(subgroups["parts"])[:6]
    rows, told = [], []
    for name, alone in subgroups["alone"].items():
        inside = [subgroups["parts"][part]["labels"][name] for part in parts]
        cells = [
            f"{say.percent(one['share'], 0)} · {area_with_interval(one['roc_area'], say) if 'roc_area' in one else '–'}"
            for one in inside
        ]
        rows.append(
            {
                "name": name,
                "alone": area_with_interval(alone, say),
                "whole": area_with_interval(found["labels"][name]["roc_area"], say),
                "cells": cells,
            }
        )
        if alone["low"] > 0.5 and alone["value"] >= 0.6:
            told.append((alone["value"], name))
    told.sort(reverse=True)
    if told:
        listed = ", ".join(f"{name} ({say.number(value, 2)})" for value, name in told)
        sentence = say(
            "{by} alone, without the image, tells these labels apart, with this area under the ROC curve: {labels}. A model can "
            "profit from that without seeing the label itself: rely on the figures within each part, not on those of all images.",
            by=by,
            labels=listed,
        )
    else:
        sentence = say("{by} alone, without the image, tells no label apart well.", by=by)
    return {"sentence": sentence, "parts": parts, "rows": rows}
