"""Judge a run: figures with intervals, plots and report.

Without DATA on the run's own test images; with DATA on other labelled images of the same classes.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mirante.cli.arguments import add_by, add_data, add_format, data_options

if TYPE_CHECKING:
    from mirante.experiment.evaluate import Run
    from mirante.locale import Language


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="the run folder")
    parser.add_argument("data", metavar="DATA", nargs="?", help="other labelled images, as for train")
    add_format(parser)
    add_data(parser)
    add_by(parser)
    parser.add_argument(
        "--votes",
        metavar="FILE.csv",
        help="what people said of the images: path, and a column a class; the report compares",
    )


def run(arguments: argparse.Namespace) -> None:
    from mirante.experiment.evaluate import evaluate

    finished = evaluate(
        arguments.run_folder,
        arguments.data,
        **data_options(arguments),
        by=arguments.by,
        votes=arguments.votes,
        lang=arguments.lang,
    )
    if arguments.format == "table":
        print_result(finished, arguments.lang)
        return
    from mirante.cli.tables import print_rows
    from mirante.files import to_json

    if arguments.format == "json":
        print(to_json(finished.metrics))
    else:
        print_rows([{"figure": key, **finished.metrics[key]} for key in _KEYS if key in finished.metrics], "csv")


_KEYS = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "brier", "ece")


def print_result(finished: Run, lang: str | None) -> None:
    """Print the main figures of a run with their intervals, and where the report is."""
    from mirante.cli.tables import print_table
    from mirante.locale import language

    say = language(lang)
    names = {
        "accuracy": say("Accuracy"),
        "balanced_accuracy": say("Balanced accuracy"),
        "macro_f1": say("Macro F1"),
        "ece": say("Calibration error (ECE)"),
        "log_loss": say("Log loss"),
        "brier": say("Brier score"),
    }
    if finished.metrics.get("task") == "code":
        _print_texts(finished, say)
        return
    rows = []
    for key, name in names.items():
        figure = finished.metrics[key]
        values = [
            say.number(figure[one], 3) if key in ("log_loss", "brier") else say.percent(figure[one])
            for one in ("value", "low", "high")
        ]
        rows.append([name, values[0], f"{values[1]} – {values[2]}"])
    positive = finished.metrics["positive"]
    if positive in finished.metrics["one_vs_rest"]:
        area = finished.metrics["one_vs_rest"][positive]["roc_area"]
        value, low, high = (say.number(area[key], 3) for key in ("value", "low", "high"))
        rows.insert(1, [say("Area under the ROC curve, {name}", name=positive), value, f"{low} – {high}"])
    if decision := finished.metrics.get("decision"):
        for key, name in (("sensitivity", say("Sensitivity")), ("specificity", say("Specificity"))):
            value, low, high = (say.percent(decision[key][one]) for one in ("value", "low", "high"))
            rows.append(
                [
                    say("{name} from {share} on", name=name, share=say.percent(decision["threshold"])),
                    value,
                    f"{low} – {high}",
                ]
            )
    images = say.number(finished.metrics["images"])
    title = say("{count} images, out of fold") if "folds" in finished.metrics else say("{count} test images")
    title = title.format(count=images)
    print_table([title, say("Value"), say("95% interval")], rows)
    print(f"{say('Report')}: {finished.path / 'report.html'}")


def _print_texts(finished: Run, say: Language) -> None:
    from mirante.cli.tables import print_table

    found = finished.metrics
    figures = {
        say("Whole texts"): found["accuracy"],
        say("Letters"): found["letters"]["accuracy"],
        say("Calibration error (ECE)"): found["ece"],
        say("Answered without “unsure”"): found["sure"]["share"],
        say("Right, where it was sure"): found["sure"]["accuracy"],
    }
    rows = [
        [name, say.percent(one["value"]), f"{say.percent(one['low'])} – {say.percent(one['high'])}"]
        for name, one in figures.items()
    ]
    title = say("{count} test images", count=say.number(found["images"]))
    print_table([title, say("Value"), say("95% interval")], rows)
    print(f"{say('Report')}: {finished.path / 'report.html'}")
