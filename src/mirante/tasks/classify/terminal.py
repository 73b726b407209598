"""How the answers of a classifier look on a terminal and in CSV, and which of its figures are shown there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from mirante.files import to_json
from mirante.locale import Language
from mirante.predictions import PROBABILITY
from mirante.tasks.classify.prediction import Prediction

_BARS = 4  # classes shown beside a picture
_BAR = 24  # characters
_FIRST = ("path", "label", "confidence", "nearest", "nearest_confidence", "runner_up", "runner_up_confidence")


def csv_row(prediction: Prediction) -> dict[str, Any]:
    """Return a prediction as the columns of CSV."""
    told = prediction.to_dict()
    row = {name: told[name] for name in _FIRST}
    shares = zip(prediction.classes, prediction.probabilities.tolist(), strict=True)
    row |= {PROBABILITY + name: f"{share:.6g}" for name, share in shares}
    row["none_of_these"] = int(prediction.none_of_these)
    if prediction.prediction_set is not None:
        row["prediction_set"] = to_json(list(prediction.prediction_set), None)
    return row


def table_row(prediction: Prediction, say: Language) -> list[tuple[str, str]]:
    """Return (heading, cell) of each column."""
    share, label = say.confidence(prediction.nearest_confidence), prediction.nearest
    second = f"{prediction.runner_up} ({say.percent(prediction.runner_up_confidence)})"
    if prediction.none_of_these:  # the class it would have been comes second
        second, label, share = say("nearest: {name}", name=f"{label} ({share})"), say("none of these"), "–"
    row = [(f"{say('Class'):<20}", f"{label:<20}"), (f"{say('Probability'):>13} ", f"{share:>13} ")]
    if prediction.prediction_set is not None:
        names = ", ".join(prediction.prediction_set) or "–"
        told = f"{say('unsure')}: {names}" if prediction.unsure else names
        row.append((f"{say('Plausible'):<28}", f"{told:<28}"))
    return [*row, (f"{say('Runner-up'):<28}", f"{second:<28}")]


def beside_picture(prediction: Prediction, say: Language) -> Text:
    """Return the most probable classes with their bars, and any warnings."""
    lines = Text()
    if prediction.none_of_these:
        lines.append(f"\n{say('none of these')}", style="bold red")
    for place, number in enumerate(prediction.order[:_BARS]):
        share = float(prediction.probabilities[number])
        bar = "█" * round(share * _BAR)
        lines.append(f"\n{bar:<{_BAR}} ", style="blue" if place == 0 else "bright_black")
        lines.append(f"{say.confidence(share):>6}  {prediction.classes[number]}", style="bold" if place == 0 else "")
    if prediction.prediction_set is not None:
        names = ", ".join(prediction.prediction_set) or "–"
        lines.append(f"\n{say('unsure') if prediction.unsure else say('Plausible')}: {names}")
    return lines


def key_figures(metrics: Mapping[str, Any], say: Language) -> tuple[str, list[list[str]]]:
    """Return the title of the table, and the name, value and interval of each figure."""
    names = {
        "accuracy": say("Accuracy"),
        "balanced_accuracy": say("Balanced accuracy"),
        "macro_f1": say("Macro F1"),
        "ece": say("Calibration error (ECE)"),
        "log_loss": say("Log loss"),
        "brier": say("Brier score"),
    }
    rows = []
    for key, name in names.items():
        figure = metrics[key]
        values = [
            say.number(figure[one], 3) if key in ("log_loss", "brier") else say.percent(figure[one])
            for one in ("value", "low", "high")
        ]
        rows.append([name, values[0], f"{values[1]} – {values[2]}"])
    positive = metrics["positive"]
    if positive in metrics["one_vs_rest"]:
        area = metrics["one_vs_rest"][positive]["roc_area"]
        value, low, high = (say.number(area[key], 3) for key in ("value", "low", "high"))
        rows.insert(1, [say("Area under the ROC curve, {name}", name=positive), value, f"{low} – {high}"])
    if decision := metrics.get("decision"):
        for key, name in (("sensitivity", say("Sensitivity")), ("specificity", say("Specificity"))):
            value, low, high = (say.percent(decision[key][one]) for one in ("value", "low", "high"))
            title = say("{name} at threshold {share}", name=name, share=say.percent(decision["threshold"]))
            rows.append([title, value, f"{low} – {high}"])
    images = say.number(metrics["images"])
    text = say("{count} images, out of fold") if "folds" in metrics else say("{count} test images")
    return text.format(count=images), rows
