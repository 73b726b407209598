"""What the report of a model of a tree adds to that of a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mirante.evaluation.card_text import with_interval
from mirante.evaluation.judgement import Judgement
from mirante.evaluation.page import Story, row_of_figure
from mirante.locale import Language
from mirante.tasks.classify import report as of_classes
from mirante.tasks.classify import terminal


def content(judgement: Judgement, story: Story, say: Language) -> dict[str, Any]:
    """Return what report.html.j2 takes."""
    tree = judgement.metrics["tree"]
    shared = of_classes.content(judgement, story, say)
    meaning = say(
        "How far up the tree the node is that holds both answer and truth: 0% for a right answer, 100% where they differ from the "
        "first level on."
    )
    return {
        **shared,
        "figures": [
            *shared["figures"],
            row_of_figure(say("Mean mistake in the tree"), tree["severity"], meaning, say.percent),
        ],
        "levels": [
            {
                "name": level,
                "nodes": say.number(row["nodes"]),
                "accuracy": with_interval(row["accuracy"], say),
                "ece": say.percent(row["ece"]),
            }
            for level, row in tree["levels"].items()
        ],
        "mistakes_in_tree": _mistakes_sentence(tree, say),
        "promises": [
            {
                "promised": say.percent(float(promised), 0),
                "kept": with_interval(row["kept"], say),
                "leaves": say.percent(row["leaves"]["value"]),
                "by_level": [
                    f"{say.number(one['images'])} ({say.percent(one['kept']['value'])})" if one["images"] else "–"
                    for one in row["by_level"].values()
                ],
            }
            for promised, row in tree["promises"].items()
        ],
        "level_names": [say("No level"), *(say("Level {level}", level=level) for level in tree["levels"])],
    }


def key_figures(metrics: Mapping[str, Any], say: Language) -> tuple[str, list[list[str]]]:
    """Return the title of the table, and the name, value and interval of each figure."""
    title, rows = terminal.key_figures(metrics, say)
    own = []
    for level, row in list(metrics["tree"]["levels"].items())[:-1]:
        value, low, high = (say.percent(row["accuracy"][one]) for one in ("value", "low", "high"))
        own.append([say("Accuracy at level {level}", level=level), value, f"{low} – {high}"])
    return title, [rows[0], *own, *rows[1:]]


def _mistakes_sentence(tree: dict[str, Any], say: Language) -> str:
    if not tree["wrong"]:
        return say("No answer is wrong.")
    return say(
        "Of {total} wrong answers, {siblings} name a sibling of the true class, right below the same node; {far} are wrong from the "
        "first level on.",
        total=say.number(tree["wrong"]),
        siblings=say.number(tree["siblings"]),
        far=say.number(tree["wrong_at_top"]),
    )
