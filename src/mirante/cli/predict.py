"""Answer new images: class, probability, runner-up; labels; or a text, with how sure each letter is. Of films, a timeline too.

PATH is an image, a film, a folder, an archive, or - for a list of paths on stdin. RUN is a run folder or a model.onnx. With
--coverage it also gives the prediction set. With --engine ray there may be more images than one machine can handle, PATH may also be
a pattern, a URL of an object store, or a .parquet of paths or bytes, and the answers are written as Parquet files.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from importlib.util import find_spec
from typing import TYPE_CHECKING

from mirante.cli.arguments import add_log, interval, require_log, require_positive, share
from mirante.cli.streams import tell
from mirante.errors import RequestError

if TYPE_CHECKING:
    from mirante.data.films import Sampling
    from mirante.images import Pixels
    from mirante.task import Answer, Task

_OF_RAY = ("out", "address", "workers", "rows_per_file")


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="a run folder, or a model.onnx")
    parser.add_argument("paths", metavar="PATH", nargs="+", help="images, folders, archives, or - for a list on stdin")
    parser.add_argument(
        "--format",
        choices=("table", "json", "csv", "excel"),
        default="table",
        help="a table, one JSON object per line, or CSV with one column per class, for programs or as Excel opens it in your language "
        "(default: table)",
    )
    parser.add_argument(
        "--coverage",
        type=share,
        metavar="C",
        help="also give the prediction set, which contains the true class this often, such as 95%%",
    )
    parser.add_argument(
        "--threshold", type=share, metavar="T", help="a threshold to use instead of the model's own, if it has one"
    )
    parser.add_argument(
        "--interval",
        type=interval,
        metavar="T",
        help="look at films this often, such as 0.5s or 1m (default: 1s); also those in folders, and a .gif that is named itself",
    )
    parser.add_argument("--scenes", action="store_true", help="look at one frame of each scene of a film instead")
    parser.add_argument(
        "--timeline",
        action="append",
        default=[],
        metavar="FILE",
        help="write the timeline of films: .csv, .json, .vtt (subtitles with the answers) or .html (a page); may be repeated",
    )
    parser.add_argument("--no-pictures", action="store_true", help="do not show the images in the terminal")
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="in this process, or on a Ray cluster (default: local)",
    )
    parser.add_argument(
        "--out",
        metavar="OUT",
        help="folder or URL for the answers of --engine ray; images already answered there are not done again",
    )
    parser.add_argument(
        "--address",
        metavar="HOST:PORT",
        help="address of the Ray cluster (default: RAY_ADDRESS, or one on this machine)",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="cores of the cluster to use (default: all)")
    parser.add_argument(
        "--rows-per-file", type=int, metavar="N", help="images per file in --out, and per task (default: 1024)"
    )
    add_log(parser)
    parser.add_argument(
        "--log-subgroup", default="", metavar="NAME", help="note this name with each image: a scanner, a site, a season"
    )


def run(arguments: argparse.Namespace) -> None:
    if arguments.engine == "ray":
        _run_on_ray(arguments)
        return
    for name in _OF_RAY:
        if getattr(arguments, name) is not None:
            raise RequestError(f"--{name.replace('_', '-')} needs --engine ray; without it, answers go to stdout.")
    from mirante.cli.timeline import require_forms, show_timelines
    from mirante.data.entries import Skipped
    from mirante.data.films import INTERVAL, Sampling
    from mirante.data.sources import expand_stdin, images_of
    from mirante.prediction.films import Timelines
    from mirante.prediction.model import Model
    from mirante.prediction.stream import predict_stream
    from mirante.progress import track

    require_forms(arguments.timeline, arguments.paths)
    if arguments.interval is not None and arguments.scenes:
        raise RequestError("--interval and --scenes: look at a film by time or by its scenes; choose one.")
    asked = arguments.interval is not None or arguments.scenes
    sampling = Sampling(arguments.interval or INTERVAL, arguments.scenes)
    require_log(arguments)
    model = Model(arguments.run_folder, features=arguments.log is not None)
    model.require_coverage(arguments.coverage)
    if arguments.threshold is not None:
        model.set_threshold(arguments.threshold)
    printer = _Printer(arguments, model.asks)
    answered = unreadable = 0
    if "-" in arguments.paths and sys.stdin is None:
        raise RequestError("-: standard input is closed, so no list can be read from it.")
    images = images_of(expand_stdin(arguments.paths, sys.stdin), sampling if asked else None)
    timelines = Timelines(model.info, sampling)
    recorder = None
    if arguments.log is not None:
        from mirante.monitoring.recorder import Recorder

        recorder = Recorder(model, arguments.log, arguments.log_megabytes, arguments.keep_images or 0)
        answers = recorder.predict_stream(images, arguments.coverage, arguments.log_subgroup)
    else:
        answers = predict_stream(model, images, arguments.coverage)
    with closing(recorder or answers), closing(answers):  # what was answered is in the log, whatever stops it
        for path, answer, pixels in (
            answers if sys.stdout.isatty() else track(answers, "Images", _frames(arguments, sampling))
        ):
            if isinstance(answer, Skipped):
                unreadable += 1
                timelines.add_failure(answer.path)
                tell(f"{answer.path}: left out: {answer.reason}", arguments.lang)
            else:
                answered += 1
                timelines.add(path, answer, pixels)
                printer.show(answer, pixels)
    show_timelines(timelines, arguments)
    if unreadable:
        tell(f"{answered} answered, {unreadable} left out because they could not be read.", arguments.lang)
    if answered == 0:
        films = (
            "" if asked or not _hold_films(arguments.paths) else " Its films are read with --interval 1s or --scenes."
        )
        raise RequestError(f"{' '.join(arguments.paths)}: no image in it that can be read.{films}")


def _hold_films(paths: Sequence[str]) -> bool:
    """Tell whether one of these folders holds films."""
    from pathlib import Path

    from mirante.data.films import is_film

    folders = (Path(path).expanduser() for path in paths)
    return any(is_film(file.name) for folder in folders if folder.is_dir() for file in folder.rglob("*"))


def _frames(arguments: argparse.Namespace, sampling: Sampling) -> int | None:
    """Return how many frames will be answered, if the paths are films that say how long they are."""
    from pathlib import Path

    from mirante.data.films import duration, is_film
    from mirante.errors import ImageError

    total = 0.0
    for path in arguments.paths:
        if not is_film(path) or sampling.scenes or not Path(path).is_file():
            return None
        try:
            total += (duration(Path(path)) or 0) / sampling.interval
        except ImageError:
            return None
    return round(total) or None


def _run_on_ray(arguments: argparse.Namespace) -> None:
    if arguments.log is not None:
        raise RequestError("--log: with --engine ray the answers in --out are the log; leave one of them out.")
    if arguments.out is None:
        raise RequestError("--engine ray needs --out: a folder that all machines share, or an object-store URL.")
    if arguments.interval is not None or arguments.scenes or arguments.timeline:
        raise RequestError(
            "--interval, --scenes and --timeline are for films, which --engine ray does not read; leave --engine out."
        )
    if arguments.format != "table":
        raise RequestError(f"--format {arguments.format}: with --engine ray the answers are Parquet files in --out.")
    require_positive(arguments, "workers", "rows_per_file")
    if find_spec("ray") is None or find_spec("pyarrow") is None:
        raise RequestError(
            "--engine ray needs more packages; run pip install 'mirante[ray]' on every machine of the cluster."
        )
    from mirante.cluster.on_ray import predict_on_ray
    from mirante.cluster.plan import ROWS
    from mirante.data.sources import expand_stdin

    began = time.monotonic()
    done = predict_on_ray(
        arguments.run_folder,
        arguments.paths,
        expand_stdin(arguments.paths, sys.stdin),
        arguments.out,
        arguments.coverage,
        arguments.threshold,
        arguments.address,
        arguments.workers or 0,
        arguments.rows_per_file or ROWS,
    )
    seconds, new = time.monotonic() - began, done.inputs - done.before
    before = f" ({done.before:,} of them before)" if done.before else ""
    counted = f"{done.inputs:,} images{before}, {done.failed:,} of which have no answer (see the column error)."
    tell(f"{arguments.out}: {counted}", arguments.lang, sys.stdout)
    if new:
        speed = f"{new:,} in {seconds:.1f} s: {new / seconds:,.0f} per second on {done.workers} cores."
        tell(speed, arguments.lang, sys.stdout)
    if done.failed == done.inputs:
        raise RequestError(f"{' '.join(arguments.paths)}: no image in it that can be read.")


class _Printer:
    """Prints answers one by one as they come; remembers only whether it has started."""

    def __init__(self, arguments: argparse.Namespace, task: Task) -> None:
        from mirante.cli.tables import Writer
        from mirante.locale import language

        self._form, self._say, self._task = arguments.format, language(arguments.lang), task
        self._pictures = self._form == "table" and not arguments.no_pictures and sys.stdout.isatty()
        self._first = True
        self._writer = Writer(self._form, self._say) if self._form in ("csv", "excel") else None

    def show(self, answer: Answer, pixels: Pixels | None) -> None:
        from mirante.files import to_json

        if self._form == "json":
            print(to_json(answer.to_dict(), None))
        elif self._writer is not None:
            row = self._task.csv_row(answer)
            if self._first:
                self._writer.row(list(row))
            self._writer.row(list(row.values()))
        elif self._pictures and pixels is not None:
            from mirante.cli.pictures import print_beside

            print_beside(pixels, answer.path, self._task.beside_picture(answer, self._say))
        else:
            columns = self._task.table_row(answer, self._say)
            if self._first:
                print(*(heading for heading, _ in columns), self._say("Image"))
            print(*(cell for _, cell in columns), answer.path)
        self._first = False
