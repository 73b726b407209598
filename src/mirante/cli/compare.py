"""Rank models that were tested on the same images.

Accuracy with its interval, parameters, training time, prediction speed; differences within the noise are marked.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mirante.cli.arguments import add_format
from mirante.errors import RequestError
from mirante.locale import Language, language


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folders")
    parser.add_argument("--out", metavar="FILE.png", help="also draw the ranking")
    add_format(parser)


def run(arguments: argparse.Namespace) -> None:
    from dataclasses import asdict

    from mirante.cli.tables import print_rows, print_table
    from mirante.experiment.compare import compare

    if arguments.out is not None:
        _require_png(Path(arguments.out))
    ranked = compare(arguments.runs)
    say = language(arguments.lang)
    if arguments.out is not None:
        from mirante.evaluation.plots.ranking import ranking
        from mirante.evaluation.plots.style import png
        from mirante.files import write_bytes

        accuracies = [(one.accuracy, one.low, one.high) for one in ranked]
        figure = ranking([one.run for one in ranked], accuracies, [one.within_noise for one in ranked], say)
        write_bytes(Path(arguments.out), png(figure))
    if arguments.format != "table":
        print_rows([asdict(one) for one in ranked], arguments.format, arguments.lang)
        return
    rows = [
        [
            one.run,
            say.percent(one.accuracy, 2),
            f"{say.percent(one.low)} – {say.percent(one.high)}",
            "" if place == 0 else say("within the noise") if one.within_noise else _p_value(one.p_value, say),
            say.number(one.parameters),
            "–" if one.seconds is None else say.number(one.seconds, 1),
            say.number(one.images_per_second),
        ]
        for place, one in enumerate(ranked)
    ]
    header = [
        say("Run"),
        say("Accuracy"),
        say("95% interval"),
        say("Against the best"),
        say("Parameters"),
        say("Training, s"),
        say("Images/s"),
    ]
    print_table(header, rows, title=say("{count} test images", count=say.number(ranked[0].images)))


def _p_value(value: float, say: Language) -> str:
    return f"p < {say.number(0.0001, 4)}" if value < 0.0001 else f"p = {say.number(value, 4)}"


def _require_png(path: Path) -> None:
    if path.suffix.lower() != ".png":
        raise RequestError(f"{path}: the ranking is drawn as a .png; give --out a name ending in .png.")
    if path.exists():
        raise RequestError(f"{path}: already exists; choose another name for --out.")
    if not path.parent.is_dir():
        raise RequestError(f"{path.parent}: no such folder (--out).")
