"""The report's text and tables on decisions: thresholds, the mistakes they cause, and when not to answer."""

from __future__ import annotations

from typing import Any

from mirante.evaluation.card_text import area_with_interval
from mirante.locale import Language


def deciding(found: dict[str, Any], positive: str | None, folded: bool, say: Language) -> dict[str, Any] | None:
    """Return what the section on decisions shows, from the content of metrics.json; None if there is nothing to show."""
    told, decision = found["one_vs_rest"], found.get("decision")
    if not told:
        return None
    one = told.get(positive) if positive else None
    content: dict[str, Any] = {
        "positive": positive,
        "sentences": [],
        "areas": [
            {
                "name": name,
                "area": area_with_interval(figures["roc_area"], say),
                "average": area_with_interval(figures["average_precision"], say),
            }
            for name, figures in told.items()
        ],
        "caption": say(
            "The bands contain 95% of the resamples. On the dotted line in the left panel, a model is guessing."
        )
        if one is not None
        else say(
            "Each class against all others, the hardest to recognise first; on the dotted line, a model is guessing."
        ),
        "confusion": [],
        "shares": [],
        "sides": [],
        "prevalences": [],
    }
    if one is None:
        return content
    content["sentences"].append(
        say(
            "Take one image of {name} and one of another class at random: the first gets the higher probability of {name} in {share} "
            "of the cases ({low} – {high}). That is the area under the ROC curve.",
            name=positive,
            **_percents(one["roc_area"], say),
        )
    )
    content["sides"] = [
        {
            "wanted": say.percent(float(asked), 0),
            "sensitivity": _interval(one["sensitivity_at_specificity"][asked], say),
            "specificity": _interval(one["specificity_at_sensitivity"][asked], say),
        }
        for asked in one["sensitivity_at_specificity"]
    ]
    if decision is not None:
        _at_threshold(content, decision, positive or "", folded, say)
    return content


def _at_threshold(
    content: dict[str, Any], decision: dict[str, Any], positive: str, folded: bool, say: Language
) -> None:
    text = (
        say(
            "It answers {name} when its probability is at least {threshold}, chosen on all folds; the figures here are those of "
            "each fold at the threshold that the other folds chose.",
            name=positive,
            threshold=say.percent(decision["threshold"]),
        )
        if folded
        else say(
            "It answers {name} when its probability is at least {threshold}, chosen on the validation images; the figures here "
            "are for the test images.",
            name=positive,
            threshold=say.percent(decision["threshold"]),
        )
    )
    content["sentences"].append(text)
    content["confusion"] = [
        {
            "name": positive,
            "alarm": say.number(decision["true_positives"]),
            "none": say.number(decision["false_negatives"]),
        },
        {
            "name": say("The others"),
            "alarm": say.number(decision["false_positives"]),
            "none": say.number(decision["true_negatives"]),
        },
    ]
    names = {
        "sensitivity": say("Sensitivity: share of {name} that raises an alarm", name=positive),
        "specificity": say("Specificity: share of the others that raises none"),
        "positive_predictive_value": say("Positive predictive value: share of alarms that are true, here"),
        "negative_predictive_value": say("Negative predictive value: share of the rest that are right, here"),
    }
    content["shares"] = [
        {
            "name": name,
            "value": say.percent(decision[key]["value"]),
            "interval": f"{say.percent(decision[key]['low'])} – {say.percent(decision[key]['high'])}",
        }
        for key, name in names.items()
    ]
    sensitivity, specificity = decision["sensitivity"]["value"], decision["specificity"]["value"]
    for row in decision["by_prevalence"]:
        positives = 1000 * row["prevalence"]
        found, alarms = sensitivity * positives, (1 - specificity) * (1000 - positives)
        content["prevalences"].append(
            {
                "prevalence": say.percent(row["prevalence"], 0 if row["prevalence"] >= 0.01 else 1),
                "positive": say.percent(row["positive"]),
                "negative": say.percent(row["negative"]),
                "people": say(
                    "{found} found, {missed} missed, {alarms} false alarms",
                    found=say.number(found),
                    missed=say.number(positives - round(found)),
                    alarms=say.number(alarms),
                ),
            }
        )


def unsure(found: dict[str, Any], known_strange: bool, say: Language) -> dict[str, Any]:
    """Return what the section on not answering shows, from the content of metrics.json."""
    answered, sets = found["selective_accuracy"], found["prediction_sets"]
    part = answered["0.8"]
    return {
        "sentence": say(
            "If it answers only the {share} of the images that it is surest of and leaves the others to a person, {accuracy} of its "
            "answers are right instead of {all}.",
            share=say.percent(0.8, 0),
            accuracy=say.percent(part["value"]),
            all=say.percent(found["accuracy"]["value"]),
        ),
        "answered": [
            {
                "share": say.percent(float(share), 0),
                "least": say.percent(row["min_confidence"]),
                "accuracy": _interval(row, say),
            }
            for share, row in answered.items()
        ],
        "sets_sentence": say(
            "Asked with a guarantee (mirante predict --coverage 95%), it answers with all plausible classes. How often the true "
            "class is among them:"
        ),
        "by_group": any("by_group" in row for row in sets.values()),
        "sets": [
            {
                "promised": say.percent(float(promised), 0),
                "kept": _interval(row["coverage"], say),
                "worst": say.percent(min(row["per_class"].values())),
                "by_group": say.percent(row.get("by_group", float("nan"))),
                "size": say.number(row["mean_size"], 2),
                "one": say.percent(row["singleton_share"], 0),
            }
            for promised, row in sets.items()
        ],
        "strange": say(
            "An image unlike all training images gets the answer “none of these”. The limit was set so that 95% of images of "
            "the known classes stay below it; here {share} did not.",
            share=say.percent(found["taken_for_none_of_these"]["value"]),
        )
        if known_strange
        else say("This model cannot tell whether an image shows none of the classes."),
    }


def subgroups_of(found: dict[str, Any], by: str, say: Language) -> dict[str, Any] | None:
    """Return the table of figures subgroup by subgroup, from the content of metrics.json; None if there are none."""
    subgroups = found.get("subgroups")
    if not subgroups:
        return None
    names = {
        "accuracy": say("Accuracy"),
        "roc_area": say("Area under the ROC curve"),
        "sensitivity": say("Sensitivity"),
        "specificity": say("Specificity"),
    }
    shown = [key for key in names if any(key in row for row in subgroups.values())]
    rows = []
    for name, row in subgroups.items():
        cells = [{"text": say.number(row["images"]), "differs": False}]
        for key in shown:
            text = (
                "–"
                if key not in row
                else area_with_interval(row[key], say)
                if key == "roc_area"
                else _interval(row[key], say)
            )
            differs = row.get(key, {}).get("differs", False)
            cells.append({"text": f"{text} ≠" if differs else text, "differs": differs})
        rows.append({"name": name, "cells": cells})
    many = sum(any(cell["differs"] for cell in row["cells"]) for row in rows)
    sentence = (
        say(
            "The figures by {by}. Those marked ≠ differ from the figures of all other images by more than chance would.",
            by=by,
        )
        if many
        else say(
            "The figures by {by}. None differs from the figures of all other images by more than chance would.", by=by
        )
    )
    return {"sentence": sentence, "columns": [by, say("Images"), *(names[key] for key in shown)], "rows": rows}


def _interval(figure: dict[str, float], say: Language) -> str:
    return f"{say.percent(figure['value'])} ({say.percent(figure['low'])} – {say.percent(figure['high'])})"


def _percents(figure: dict[str, float], say: Language) -> dict[str, str]:
    return {
        "share": say.percent(figure["value"]),
        "low": say.percent(figure["low"]),
        "high": say.percent(figure["high"]),
    }
