"""Answer for new images: class, probability, runner-up; with --coverage the plausible classes.

PATH is an image, a folder, an archive, or - for a list of paths on stdin. RUN is a run folder or a model.onnx.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mirante.cli.arguments import share
from mirante.errors import RequestError

if TYPE_CHECKING:
    from mirante.prediction.stream import Answer


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="a run folder, or a model.onnx")
    parser.add_argument("paths", metavar="PATH", nargs="+", help="images, folders, archives, or - for a list on stdin")
    parser.add_argument(
        "--format",
        choices=("table", "json", "csv"),
        default="table",
        help="a table, one JSON object a line, or CSV with a column a class (default: table)",
    )
    parser.add_argument(
        "--coverage",
        type=share,
        metavar="C",
        help="also answer with the set of plausible classes, among which the true one is so often, as 95%%",
    )
    parser.add_argument(
        "--threshold", type=share, metavar="T", help="another threshold than the model's own, where it has one"
    )
    parser.add_argument("--no-pictures", action="store_true", help="do not show the images in the terminal")


def run(arguments: argparse.Namespace) -> None:
    from mirante.data.entries import Skipped
    from mirante.prediction.classifier import Classifier
    from mirante.prediction.stream import find_images, predict_stream

    classifier = Classifier(arguments.run_folder)
    classifier.require_coverage(arguments.coverage)
    if arguments.threshold is not None:
        classifier.set_threshold(arguments.threshold)
    answered = unreadable = 0
    printer = _Printer(arguments, classifier.classes)
    for answer in predict_stream(classifier, find_images(_words(arguments.paths)), arguments.coverage):
        if isinstance(answer, Skipped):
            unreadable += 1
            print(f"{answer.path}: left out: {answer.reason}", file=sys.stderr)
        else:
            answered += 1
            printer.show(answer)
    if unreadable:
        print(f"{answered} answered, {unreadable} left out because they cannot be read.", file=sys.stderr)
    if answered == 0:
        raise RequestError(f"{' '.join(arguments.paths)}: no image in it that can be read.")


def _words(paths: list[str]) -> Iterator[str]:
    for path in paths:
        if path == "-":
            yield from (line.rstrip("\r\n") for line in sys.stdin if line.strip())
        else:
            yield path


class _Printer:
    """Prints answers one by one as they come; knows only whether it has begun."""

    def __init__(self, arguments: argparse.Namespace, classes: tuple[str, ...]) -> None:
        from mirante.locale import language

        self._form, self._say = arguments.format, language(arguments.lang)
        self._first = True
        self._classes = classes
        self._pictures = arguments.format == "table" and not arguments.no_pictures and sys.stdout.isatty()

    def show(self, answer: Answer) -> None:
        prediction = answer.prediction
        from mirante.files import to_json

        if self._form == "json":
            print(to_json(prediction.to_dict(), None))
        elif self._form == "csv":
            writer = csv.writer(sys.stdout, lineterminator="\n")
            if self._first:
                names = ["path", "label", "confidence", "runner_up", "runner_up_confidence", *self._classes]
                further = [] if prediction.plausible is None else ["plausible"]
                writer.writerow([*names, "none_of_these", *further])
            row = prediction.to_dict()
            shares = [f"{float(share):.6g}" for share in prediction.probabilities]
            values = [prediction.path, prediction.label, row["confidence"], prediction.runner_up]
            sets = [] if prediction.plausible is None else [to_json(list(prediction.plausible), None)]
            writer.writerow([*values, row["runner_up_confidence"], *shares, int(prediction.none_of_these), *sets])
        elif self._pictures:
            from mirante.cli.pictures import print_answer

            print_answer(answer, self._say)
        else:
            self._show_line(answer)
        self._first = False

    def _show_line(self, answer: Answer) -> None:
        say, prediction = self._say, answer.prediction
        if self._first:
            sets = "" if prediction.plausible is None else f"{say('Plausible'):<28} "
            print(f"{say('Class'):<20} {say('Probability'):>13}  {sets}{say('Runner-up'):<28} {say('Image')}")
        second = f"{prediction.runner_up} ({say.percent(prediction.runner_up_confidence)})"
        share, label = say.confidence(prediction.confidence), prediction.label
        if prediction.none_of_these:  # what it would have been comes second
            second, label, share = f"{label} ({share})", say("none of these"), "–"
        sets = ""
        if prediction.plausible is not None:
            names = ", ".join(prediction.plausible) or "–"
            names = f"{say('unsure')}: {names}" if prediction.unsure else names
            sets = f"{names:<28} "
        print(f"{label:<20} {share:>13}  {sets}{second:<28} {prediction.path}")
