"""Evaluate a run: figures with intervals, plots and a report.

Without DATA, on the run's own test images; with DATA, on other labelled images of the same classes.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mirante.cli.arguments import add_data, add_format, add_subgroup, data_options

if TYPE_CHECKING:
    from mirante.experiment.evaluate import Evaluation
    from mirante.run import Run
    from mirante.task import Task


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="the run folder")
    parser.add_argument("data", metavar="DATA", nargs="?", help="other labelled images, as for train")
    add_format(parser)
    add_data(parser)
    add_subgroup(parser)
    parser.add_argument(
        "--human-votes",
        metavar="FILE.csv",
        help="people's votes on the images: path, and one column per class; the report compares the model with them",
    )


def run(arguments: argparse.Namespace) -> None:
    from mirante.experiment.evaluate import evaluate
    from mirante.task import task_named

    finished = evaluate(
        arguments.run_folder,
        arguments.data,
        **data_options(arguments),
        subgroup=arguments.subgroup,
        human_votes=arguments.human_votes,
        lang=arguments.lang,
    )
    if arguments.format == "table":
        print_result(finished, task_named(finished.metrics["task"]), arguments.lang)
        return
    from mirante.cli.tables import print_rows
    from mirante.files import to_json

    if arguments.format == "json":
        print(to_json(dict(finished.metrics)))
    else:
        print_rows(
            [{"figure": key, **finished.metrics[key]} for key in _KEYS if key in finished.metrics],
            arguments.format,
            arguments.lang,
        )


_KEYS = (
    "accuracy",
    "balanced_accuracy",
    "mean_roc_area",
    "mean_average_precision",
    "micro_f1",
    "macro_f1",
    "log_loss",
    "brier",
    "ece",
)


def print_result(finished: Run | Evaluation, task: Task, lang: str | None) -> None:
    """Print the main figures of a run with their intervals, and where the report is."""
    from mirante.cli.tables import print_table
    from mirante.locale import language

    say = language(lang)
    title, rows = task.key_figures(finished.metrics, say)
    print_table([title, say("Value"), say("95% interval")], rows)
    print(f"{say('Report')}: {finished.report}")
