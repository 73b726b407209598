"""Arguments that several verbs share."""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Callable
from typing import Any, TypeVar

from mirante.errors import RequestError
from mirante.quantities import read_age, read_costs, read_interval, read_seconds, read_share, read_size
from mirante.tasks import NAMES as TASKS

Value = TypeVar("Value")


def _typed(read: Callable[[str], Value]) -> Callable[[str], Value]:
    """Return a type for argparse that reports what was wrong in the words of `read`."""

    def parse(text: str) -> Value:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parse


share = _typed(read_share)
costs = _typed(read_costs)
image_size = _typed(read_size)
seconds = _typed(read_seconds)
interval = _typed(read_interval)
age = _typed(read_age)


def words(text: str) -> tuple[str, ...]:
    """Return the items of a list with commas between; none for `none`."""
    found = tuple(one.strip() for one in text.split(",") if one.strip())
    if not found:
        raise argparse.ArgumentTypeError("is empty; write none for no augmentation")
    return () if found == ("none",) else found


def add_log(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add the options for keeping a log of answers, and return their group."""
    group = parser.add_argument_group("log of answers, for mirante monitor")
    group.add_argument(
        "--log",
        metavar="DIR",
        help="note time, digest, answer, probabilities and a sketch of the features of each image there, never the picture",
    )
    group.add_argument(
        "--log-megabytes",
        type=int,
        default=1000,
        metavar="N",
        help="how large the log may grow; then the oldest files go (default: 1000)",
    )
    group.add_argument(
        "--keep-images",
        type=int,
        metavar="N",
        help="also keep up to N pictures in the log: half at random, half those least like the training images",
    )
    return group


def require_page(arguments: argparse.Namespace) -> None:
    """Raise RequestError when --report names no page."""
    if arguments.report is not None and not arguments.report.lower().endswith((".html", ".htm")):
        raise RequestError(f"--report {arguments.report}: a page; its name must end in .html.")


def require_log(arguments: argparse.Namespace) -> None:
    """Raise RequestError for options of a log without --log, or numbers that are none."""
    if arguments.log is None and arguments.keep_images is not None:
        raise RequestError("--keep-images needs --log DIR, where the pictures are kept.")
    require_positive(arguments, "log_megabytes", "keep_images")


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add the options for finding the labels of DATA."""
    group = parser.add_argument_group("labels and classes")
    group.add_argument(
        "--labels",
        metavar="FILE",
        help="a table with columns path,label[,split][,group], beside DATA or inside it; a .json of COCO or Label Studio; or xmp, "
        "for the keywords of photos",
    )
    group.add_argument(
        "--label-column",
        metavar="COLUMN",
        help="the table's column with the labels or texts (default: label, class, category, target or text)",
    )
    group.add_argument(
        "--path-column",
        metavar="COLUMN",
        help="the table's column with the paths (default: path, filename, file_name, image, id and the like)",
    )
    group.add_argument(
        "--group-column",
        dest="group",
        metavar="COLUMN",
        help="the table's column that says which images belong together (such as patient)",
    )
    group.add_argument(
        "--classes",
        metavar="A,B",
        type=names,
        help="keep only these classes, in this order; a name with a comma in quotation marks",
    )
    group.add_argument("--root", metavar="DIR", help="where the table's paths start (default: the table's folder)")
    group.add_argument(
        "--interval",
        type=interval,
        metavar="T",
        help="look at films this often, such as 0.5s or 1m (default: 1s; films beside images are left out unless it is given)",
    )


def add_rendering(parser: argparse.ArgumentParser) -> None:
    """Add the options for how the numbers in the files become pixels."""
    parser.add_argument(
        "--window",
        metavar="LOW-HIGH",
        help="for images of 16 bits or floats: the numbers that become black and white, such as 0-4095; or full-range, or "
        "per-image (default: chosen from the training images)",
    )
    parser.add_argument(
        "--page",
        type=int,
        metavar="N",
        help="which page or frame of each image counts (default: the first, of DICOM the middle one)",
    )


def add_task(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option for what is asked of an image."""
    parser.add_argument("--task", choices=TASKS, help=f"{what} (default: {TASKS[0]})")
    parser.add_argument(
        "--ordered",
        metavar="A,B,C",
        type=names,
        help="classes with an order, such as none,mild,severe, from the least to the most; the same as --task grade",
    )
    parser.add_argument(
        "--tree",
        dest="task",
        action="store_const",
        const="tree",
        help="classes in a tree: nested folders, or names such as animal/bird/owl; the same as --task tree",
    )


def add_subgroup(parser: argparse.ArgumentParser) -> None:
    """Add the option for the column by which figures are broken down."""
    parser.add_argument(
        "--subgroup",
        metavar="COLUMN",
        help="break the figures down by this column of the table (such as hospital or camera)",
    )


def data_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what `add_data` read, as options of Dataset.open."""
    options = ("labels", "label_column", "path_column", "group", "classes", "root", "interval")
    shown = {name: getattr(arguments, name) for name in ("window", "page") if name in arguments}
    return {**{name: getattr(arguments, name) for name in options}, **shown}


def task_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what `add_task` read, as options of Dataset.open; what was not given is left out."""
    return {name: value for name in ("task", "ordered") if (value := getattr(arguments, name)) is not None}


def add_objectives(parser: argparse.ArgumentParser) -> None:
    """Add the options for what decisions should achieve, and how well that is tested."""
    group = parser.add_argument_group("decisions and their testing")
    group.add_argument("--folds", type=int, metavar="N", help="test every image once, by cross-validation; 5 is usual")
    group.add_argument(
        "--repeats",
        type=int,
        metavar="N",
        help="train N times with different seeds, to see how much chance matters",
    )
    group.add_argument(
        "--positive", metavar="CLASS", help="the class compared with all others (default: the second of two)"
    )
    aim = group.add_mutually_exclusive_group()
    aim.add_argument(
        "--sensitivity",
        type=share,
        metavar="S",
        help="choose the threshold that finds this share of positives, such as 0.9 or 90%%",
    )
    aim.add_argument(
        "--specificity",
        type=share,
        metavar="S",
        help="choose the threshold that correctly rejects this share of the others",
    )
    aim.add_argument(
        "--cost",
        type=costs,
        metavar="C",
        help="choose the threshold with the lowest cost, such as miss=10,false-alarm=1",
    )
    group.add_argument(
        "--aims",
        metavar="FILE",
        help="with several labels: a table with the columns label and sensitivity, specificity, or miss and false_alarm",
    )
    group.add_argument(
        "--prevalence", type=share, metavar="P", help="share of positive images expected where the model will be used"
    )
    group.add_argument(
        "--most-probable",
        action="store_true",
        help="answer with the most probable class even when class sizes are very unequal",
    )


def objective_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what `add_objectives` read, as options of train."""
    asked = {
        name: getattr(arguments, name)
        for name in ("positive", "sensitivity", "specificity", "aims", "prevalence", "repeats")
    }
    return {**asked, **(arguments.cost or {}), "even": False if arguments.most_probable else None}


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add the option for how results are printed."""
    parser.add_argument(
        "--format",
        choices=("table", "json", "csv", "excel"),
        default="table",
        help="how results are printed (default: table); excel is CSV that Excel opens by a double click, in your language",
    )


def names(text: str) -> list[str]:
    """Split a list at commas; a name with a comma stands in quotation marks.

    >>> names('a, "b, c",d')
    ['a', 'b, c', 'd']
    """
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), []) if name.strip()]


def input_shape(text: str) -> tuple[int, int, int]:
    """Read '32x32x3' as (height, width, channels)."""
    match = re.fullmatch(r"(\d+)[x×](\d+)[x×]([13])", text)
    if not match or not all(1 <= int(side) <= 4096 for side in match.groups()):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an input shape; write height x width x channels (1 or 3), such as 32x32x3"
        )
    return int(match[1]), int(match[2]), int(match[3])


def require_positive(arguments: argparse.Namespace, *names: str) -> None:
    """Raise RequestError when one of these options is given and is less than 1."""
    for name in names:
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise RequestError(f"--{name.replace('_', '-')} {value}: it must be 1 or more.")
