"""What the report of a model of grades adds to that of a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mirante.evaluation.card_text import area_with_interval, with_interval
from mirante.evaluation.judgement import Judgement
from mirante.evaluation.page import Story, row_of_figure
from mirante.locale import Language
from mirante.tasks.classify import report as of_classes
from mirante.tasks.classify import terminal


def content(judgement: Judgement, story: Story, say: Language) -> dict[str, Any]:
    """Return what report.html.j2 takes."""
    found = judgement.metrics
    grades = found["grades"]
    shared = of_classes.content(judgement, story, say)
    meaning = {
        "quadratic_weighted_kappa": say(
            "Agreement beyond chance; a mistake weighs as the square of its distance. 1 is perfect, 0 is chance."
        ),
        "mean_absolute_error": say("How many grades the answer is off on average; 0 is ideal."),
    }
    rows = [
        row_of_figure(name, grades[key], meaning[key], lambda value: say.number(value, 3))
        for key, name in _names(say).items()
    ]
    return {
        **shared,
        "lead": say(
            "A model of {classes} grades, from {first} to {last}, trained on {count} images.",
            classes=len(story.model.classes),
            first=story.model.classes[0],
            last=story.model.classes[-1],
            count=say.number(of_classes.trained_images(story.data)),
        ),
        "figures": [*rows, *shared["figures"]],
        "distance_sentence": _distance_sentence(grades, say),
        "boundaries_sentence": _boundaries_sentence(grades, say),
        "boundaries": [
            {
                "name": name,
                "area": area_with_interval(found["one_vs_rest"][name]["roc_area"], say)
                if name in found["one_vs_rest"]
                else "–",
                "threshold": say.percent(row["threshold"]),
                "sensitivity": with_interval(row["sensitivity"], say) if "sensitivity" in row else "–",
                "specificity": with_interval(row["specificity"], say) if "specificity" in row else "–",
            }
            for name, row in grades.get("boundaries", {}).items()
        ],
    }


def key_figures(metrics: Mapping[str, Any], say: Language) -> tuple[str, list[list[str]]]:
    """Return the title of the table, and the name, value and interval of each figure."""
    title, rows = terminal.key_figures(metrics, say)
    own = []
    for key, name in _names(say).items():
        value, low, high = (say.number(metrics["grades"][key][one], 3) for one in ("value", "low", "high"))
        own.append([name, value, f"{low} – {high}"])
    if "answers" in metrics["grades"]:
        accuracy = metrics["grades"]["answers"]["accuracy"]
        value, low, high = (say.percent(accuracy[one]) for one in ("value", "low", "high"))
        own.append([say("Accuracy of the answers at the thresholds"), value, f"{low} – {high}"])
    return title, [*own, *rows]


def _names(say: Language) -> dict[str, str]:
    return {
        "quadratic_weighted_kappa": say("Quadratic weighted kappa"),
        "mean_absolute_error": say("Mean absolute error, in grades"),
    }


def _distance_sentence(grades: dict[str, Any], say: Language) -> str:
    found = grades["by_distance"]
    near = sum(found[one]["images"] for one in ("-1", "0", "+1") if one in found)
    count = sum(one["images"] for one in found.values())
    low = sum(one["images"] for gap, one in found.items() if gap.startswith("-"))
    high = sum(one["images"] for gap, one in found.items() if gap.startswith("+"))
    return say(
        "{near} of {count} answers are right or one grade off; {low} are too low, {high} too high.",
        near=say.number(near),
        count=say.number(count),
        low=say.number(low),
        high=say.number(high),
    )


def _boundaries_sentence(grades: dict[str, Any], say: Language) -> str:
    if "answers" not in grades:
        return ""
    answers = grades["answers"]
    return say(
        "mirante predict answers the highest grade that, together with those above it, reaches its threshold. So its answers are "
        "right for {accuracy} of the images, with a quadratic weighted kappa of {kappa}; the table above and the plots are for the "
        "most probable grade.",
        accuracy=with_interval(answers["accuracy"], say),
        kappa=area_with_interval(answers["quadratic_weighted_kappa"], say),
    )
