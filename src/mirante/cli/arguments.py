"""Arguments that several verbs share."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Any, TypeVar

from mirante.errors import RequestError
from mirante.quantities import read_costs, read_seconds, read_share, read_size
from mirante.tasks import NAMES as TASKS

Value = TypeVar("Value")


def _typed(read: Callable[[str], Value]) -> Callable[[str], Value]:
    """Return a type for argparse, which says what was wrong in the sentence of `read`."""

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


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add how the labels of DATA are found."""
    group = parser.add_argument_group("labels and classes")
    group.add_argument(
        "--labels", metavar="FILE", help="a table of path,label[,split][,group], beside DATA or inside it"
    )
    group.add_argument(
        "--label-column", metavar="COLUMN", help="the table's column of labels or texts (default: label, or text)"
    )
    group.add_argument(
        "--group-column", dest="group", metavar="COLUMN", help="the table's column of what belongs together (a patient)"
    )
    group.add_argument("--classes", metavar="A,B", type=names, help="keep only these classes, in this order")
    group.add_argument("--root", metavar="DIR", help="where the table's paths start (default: the table's folder)")


def add_task(parser: argparse.ArgumentParser, what: str) -> None:
    """Add what is asked of an image."""
    parser.add_argument("--task", choices=TASKS, help=f"{what} (default: {TASKS[0]})")


def add_subgroup(parser: argparse.ArgumentParser) -> None:
    """Add the column that tells figures apart."""
    parser.add_argument(
        "--subgroup", metavar="COLUMN", help="tell the figures apart by this column of the table (a hospital, a camera)"
    )


def data_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what `add_data` read, as options of Dataset.open."""
    return {name: getattr(arguments, name) for name in ("labels", "label_column", "group", "classes", "root")}


def add_objectives(parser: argparse.ArgumentParser) -> None:
    """Add what decisions are to reach, and how surely it is known."""
    group = parser.add_argument_group("decisions and their proof")
    group.add_argument("--folds", type=int, metavar="N", help="test every image once, by cross-validation; 5 is usual")
    group.add_argument(
        "--repeats",
        type=int,
        metavar="N",
        help="train N times with other seeds, to see how much chance matters",
    )
    group.add_argument(
        "--positive", metavar="CLASS", help="the class held against the others (default: of two, the second)"
    )
    aim = group.add_mutually_exclusive_group()
    aim.add_argument(
        "--sensitivity", type=share, metavar="S", help="choose the threshold that finds this share, such as 0.9 or 90%%"
    )
    aim.add_argument(
        "--specificity",
        type=share,
        metavar="S",
        help="choose the threshold that leaves this share of the others in peace",
    )
    aim.add_argument(
        "--cost", type=costs, metavar="C", help="choose the threshold of least cost, such as miss=10,false-alarm=1"
    )
    group.add_argument(
        "--prevalence", type=share, metavar="P", help="share of positive images where the model will be used"
    )
    group.add_argument(
        "--most-probable",
        action="store_true",
        help="answer the most probable class even where classes are very unequal",
    )


def objective_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what `add_objectives` read, as options of train."""
    asked = {
        name: getattr(arguments, name) for name in ("positive", "sensitivity", "specificity", "prevalence", "repeats")
    }
    return {**asked, **(arguments.cost or {}), "even": not arguments.most_probable}


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add the choice of how results are printed."""
    parser.add_argument(
        "--format", choices=("table", "json", "csv"), default="table", help="how results are printed (default: table)"
    )


def names(text: str) -> list[str]:
    """Split a list at its commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def input_shape(text: str) -> tuple[int, int, int]:
    """Read '32x32x3' as (height, width, channels)."""
    match = re.fullmatch(r"(\d+)[x×](\d+)[x×]([13])", text)
    if not match or not all(1 <= int(side) <= 4096 for side in match.groups()):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an input; write height x width x channels (1 or 3), as 32x32x3"
        )
    return int(match[1]), int(match[2]), int(match[3])


def require_positive(arguments: argparse.Namespace, *names: str) -> None:
    """Raise RequestError when one of these options is given and is less than 1."""
    for name in names:
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise RequestError(f"--{name.replace('_', '-')} {value}: it must be 1 or more.")
