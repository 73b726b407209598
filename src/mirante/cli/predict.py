"""Answer for new images: class, probability, runner-up; or the text, and how sure each letter is.

PATH is an image, a folder, an archive, or - for a list of paths on stdin. RUN is a run folder or a model.onnx. With --coverage it also
tells the plausible classes. With --engine ray the images may be more than one machine can take, PATH also a pattern, a URL of an
object store, or a .parquet of paths or bytes, and the answers are Parquet files.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from mirante.cli.arguments import require_positive, share
from mirante.errors import RequestError

if TYPE_CHECKING:
    from mirante.prediction.classifier import Prediction
    from mirante.prediction.reader import Reading
    from mirante.prediction.stream import Answer

_OF_RAY = ("out", "address", "workers", "rows_per_file")


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
    parser.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="this process, or a Ray cluster (default: local)"
    )
    parser.add_argument(
        "--out", metavar="OUT", help="the folder or URL of the answers of --engine ray; what is there is not done again"
    )
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="of the Ray cluster (default: RAY_ADDRESS, or one on this machine)"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="cores of the cluster to use (default: all)")
    parser.add_argument(
        "--rows-per-file", type=int, metavar="N", help="images of one file of --out, and of one task (default: 1024)"
    )


def run(arguments: argparse.Namespace) -> None:
    if arguments.engine == "ray":
        _run_on_ray(arguments)
        return
    for name in _OF_RAY:
        if getattr(arguments, name) is not None:
            raise RequestError(f"--{name.replace('_', '-')} goes with --engine ray; without it, answers go to stdout.")
    from mirante.data.entries import Skipped
    from mirante.prediction.classifier import Classifier
    from mirante.prediction.reader import open_model
    from mirante.prediction.stream import find_images, predict_stream

    model = open_model(arguments.run_folder)
    model.require_coverage(arguments.coverage)
    answered = unreadable = 0
    printer: _Printer | _TextPrinter
    if isinstance(model, Classifier):
        if arguments.threshold is not None:
            model.set_threshold(arguments.threshold)
        printer = _Printer(arguments, model.classes)
    else:
        if arguments.threshold is not None:
            raise RequestError(f"{arguments.run_folder}: a model that reads texts has no threshold to set.")
        printer = _TextPrinter(arguments)
    answers: Iterator[Any] = predict_stream(model, find_images(_words(arguments.paths)), arguments.coverage)
    for answer in answers:
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


def _run_on_ray(arguments: argparse.Namespace) -> None:
    if arguments.out is None:
        raise RequestError("--engine ray needs --out: a folder that all machines share, or a URL of an object store.")
    if arguments.format != "table":
        raise RequestError(f"--format {arguments.format}: with --engine ray the answers are Parquet files, in --out.")
    require_positive(arguments, "workers", "rows_per_file")
    if find_spec("ray") is None or find_spec("pyarrow") is None:
        raise RequestError(
            "--engine ray needs more packages; pip install 'mirante[ray]', on every machine of the cluster."
        )
    from mirante.cluster.on_ray import predict_on_ray
    from mirante.cluster.plan import ROWS

    began = time.monotonic()
    done = predict_on_ray(
        arguments.run_folder,
        arguments.paths,
        _words(arguments.paths),
        arguments.out,
        arguments.coverage,
        arguments.threshold,
        arguments.address,
        arguments.workers or 0,
        arguments.rows_per_file or ROWS,
    )
    seconds, new = time.monotonic() - began, done.inputs - done.before
    before = f" ({done.before:,} of them before)" if done.before else ""
    print(
        f"{arguments.out}: {done.inputs:,} images{before}, {done.failed:,} of which have a reason in the column error and no answer."
    )
    if new:
        print(f"{new:,} in {seconds:.1f} s: {new / seconds:,.0f} a second on {done.workers} cores.")
    if done.failed == done.inputs:
        raise RequestError(f"{' '.join(arguments.paths)}: no image in it that can be read.")


def _words(paths: list[str]) -> Iterator[str]:
    for path in paths:
        if path == "-":
            yield from (line.rstrip("\r\n") for line in sys.stdin if line.strip())
        else:
            yield path


def _with_pictures(arguments: argparse.Namespace) -> bool:
    return arguments.format == "table" and not arguments.no_pictures and sys.stdout.isatty()


class _TextPrinter:
    """Prints what was read, one by one as it comes; knows only whether it has begun."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        from mirante.locale import language

        self._form, self._say = arguments.format, language(arguments.lang)
        self._pictures = _with_pictures(arguments)
        self._first = True

    def show(self, answer: Answer[Reading]) -> None:
        from mirante.files import to_json

        say, reading = self._say, answer.prediction
        row = reading.to_dict()
        if self._form == "json":
            print(to_json(row, None))
        elif self._form == "csv":
            writer = csv.writer(sys.stdout, lineterminator="\n")
            if self._first:
                writer.writerow(row)
            writer.writerow([*list(row.values())[:3], int(reading.unsure), to_json(row["letters"], None)])
        elif self._pictures:
            from mirante.cli.pictures import print_reading

            print_reading(answer, say)
        else:
            if self._first:
                print(
                    f"{say('Text'):<16} {say('Probability'):>13}  {'':<8} {say('Least sure letter'):<20} {say('Image')}"
                )
            letter, share = min(reading.letters, key=lambda one: one[1], default=("–", 0.0))
            doubt = say("unsure") if reading.unsure else ""
            least = f"{letter} ({say.confidence(share)})"
            print(
                f"{reading.text or '–':<16} {say.confidence(reading.confidence):>13}  {doubt:<8} {least:<20} {reading.path}"
            )
        self._first = False


class _Printer:
    """Prints answers one by one as they come; knows only whether it has begun."""

    def __init__(self, arguments: argparse.Namespace, classes: tuple[str, ...]) -> None:
        from mirante.locale import language

        self._form, self._say = arguments.format, language(arguments.lang)
        self._first = True
        self._classes = classes
        self._pictures = _with_pictures(arguments)

    def show(self, answer: Answer[Prediction]) -> None:
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

    def _show_line(self, answer: Answer[Prediction]) -> None:
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
