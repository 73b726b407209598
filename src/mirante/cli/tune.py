"""Search for the recipe settings that suit your images best, judged on validation images.

It runs many short trainings and stops bad ones early. The same command continues a stopped search, and several processes can
share one.
"""

from __future__ import annotations

import argparse

from mirante.cli.arguments import (
    add_data,
    add_format,
    add_rendering,
    add_task,
    data_options,
    image_size,
    require_positive,
    seconds,
)


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="where the images are, as for train")
    add_task(parser, "as for train")
    parser.add_argument("--recipe", help="the recipe to start from (default: the task's own, or fast)")
    parser.add_argument(
        "--model", metavar="LAYERS", help="a fixed line of layers, instead of searching among the recipe's"
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="epochs of each training (default: the recipe's)")
    parser.add_argument(
        "--trials", type=int, default=30, metavar="N", help="trainings in all, including earlier ones (default: 30)"
    )
    parser.add_argument("--time", type=seconds, metavar="T", help="stop after this time, such as 10m or 1h")
    parser.add_argument(
        "--size", type=image_size, metavar="N|HxW", help="input size in pixels (default: from the data)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--out", metavar="FOLDER", help="the folder of the search (default: tunings/DATA-RECIPE)")
    add_format(parser)
    add_data(parser)
    add_rendering(parser)


def run(arguments: argparse.Namespace) -> None:
    from mirante.cli.tables import print_rows, print_table
    from mirante.experiment.tune import BEST, tune
    from mirante.locale import language

    require_positive(arguments, "trials")
    done = tune(
        arguments.data,
        arguments.recipe,
        out=arguments.out,
        trials=arguments.trials,
        time=arguments.time,
        size=arguments.size,
        device=arguments.device,
        task=arguments.task,
        ordered=arguments.ordered,
        layers=arguments.model,
        epochs=arguments.epochs,
        **data_options(arguments),
    )
    rows = [
        {"setting": name, "best": value, "importance": done.importance.get(name)}
        for name, value in done.settings.items()
    ]
    if arguments.format != "table":
        print_rows(rows, arguments.format, arguments.lang)
        return
    say = language(arguments.lang)
    lines = []
    for row in sorted(rows, key=lambda one: -(one["importance"] or 0)):
        value = row["best"]
        shown = say.number(value, 3) if isinstance(value, float) else str(value)
        lines.append([row["setting"], shown, "–" if row["importance"] is None else say.percent(row["importance"], 0)])
    print_table([say("Setting"), say("Best"), say("How much it mattered")], lines)
    usual = "–" if done.usual is None else say.number(done.usual, 4)
    text = say(
        "Validation loss {loss}; with the unchanged recipe, {usual}. {finished} trainings finished, {stopped} stopped early.",
        loss=say.number(done.loss, 4),
        usual=usual,
        finished=done.trials[0],
        stopped=done.trials[1],
    )
    print(text)
    print(f"mirante train {arguments.data} --recipe {done.folder / BEST}")
