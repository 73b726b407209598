"""How the labels of images look on a terminal and in CSV, and which figures are shown there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from mirante.files import to_json
from mirante.locale import Language
from mirante.predictions import PROBABILITY
from mirante.tasks.tag.answer import Tags

_BARS = 6  # labels shown beside a picture
_BAR = 24  # characters


def csv_row(tags: Tags) -> dict[str, Any]:
    """Return an answer as the columns of CSV."""
    row: dict[str, Any] = {"path": tags.path, "labels": tags.label, "confidence": round(tags.confidence, 6)}
    shares = zip(tags.classes, tags.probabilities.tolist(), strict=True)
    row |= {PROBABILITY + name: f"{share:.6g}" for name, share in shares}
    row["none_of_these"] = int(tags.none_of_these)
    if tags.prediction_set is not None:
        row["prediction_set"] = to_json(list(tags.prediction_set), None)
    return row


def table_row(tags: Tags, say: Language) -> list[tuple[str, str]]:
    """Return (heading, cell) of each column."""
    told = ", ".join(_told(tags, number, say) for number in tags.order if tags.decided[number]) or say("no label")
    if tags.none_of_these:
        told = f"{say('unlike the training images')}: {told}"
    row = [(f"{say('Labels'):<44}", f"{told:<44}")]
    if tags.prediction_set is not None:
        return [*row, (say("Plausible"), ", ".join(tags.prediction_set) or "–")]
    nearest = next((number for number in tags.order if not tags.decided[number]), None)
    return [*row, (say("Next"), "–" if nearest is None else _told(tags, int(nearest), say))]


def beside_picture(tags: Tags, say: Language) -> Text:
    """Return the most probable labels with their bars; those that the image is said to have in bold."""
    lines = Text()
    if tags.none_of_these:
        lines.append(f"\n{say('unlike the training images')}", style="bold red")
    shown = max(_BARS, int(tags.decided.sum()))
    for number in tags.order[:shown]:
        share, has = float(tags.probabilities[number]), bool(tags.decided[number])
        bar = "█" * round(share * _BAR)
        lines.append(f"\n{bar:<{_BAR}} ", style="blue" if has else "bright_black")
        lines.append(f"{say.confidence(share):>6}  {tags.classes[number]}", style="bold" if has else "")
    if tags.prediction_set is not None:
        lines.append(f"\n{say('Plausible')}: {', '.join(tags.prediction_set) or '–'}")
    return lines


def key_figures(metrics: Mapping[str, Any], say: Language) -> tuple[str, list[list[str]]]:
    """Return the title of the table, and the name, value and interval of each figure."""
    names = {
        "mean_roc_area": say("Area under the ROC curve, mean of the labels"),
        "mean_average_precision": say("Mean average precision"),
        "micro_f1": say("F1 of all labels together"),
        "macro_f1": say("F1, mean of the labels"),
        "accuracy": say("All labels of an image right"),
        "ece": say("Calibration error (ECE), mean of the labels"),
    }
    rows = []
    for key, name in names.items():
        figure = metrics[key]
        if key == "mean_roc_area":
            value, low, high = (say.number(figure[one], 3) for one in ("value", "low", "high"))
        else:
            value, low, high = (say.percent(figure[one]) for one in ("value", "low", "high"))
        rows.append([name, value, f"{low} – {high}"])
    for name, one in metrics["labels"].items():
        if not one["rare"]:
            area = one["roc_area"]
            value, low, high = (say.number(area[key], 3) for key in ("value", "low", "high"))
            rows.append([say("Area under the ROC curve, {name}", name=name), value, f"{low} – {high}"])
    images = say.number(metrics["images"])
    text = say("{count} images, out of fold") if "folds" in metrics else say("{count} test images")
    return text.format(count=images), rows


def _told(tags: Tags, number: int, say: Language) -> str:
    return f"{tags.classes[number]} {say.confidence(float(tags.probabilities[number]))}"
