"""Arguments that several verbs share."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from mirante.errors import RequestError

if TYPE_CHECKING:
    from mirante.experiment.objectives import Objectives


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add how the labels of DATA are found."""
    group = parser.add_argument_group("labels and classes")
    group.add_argument(
        "--labels", metavar="FILE", help="a table of path,label[,split][,group], beside DATA or inside it"
    )
    group.add_argument("--group", metavar="COLUMN", help="the table's column of what belongs together (a patient)")
    group.add_argument(
        "--text", metavar="COLUMN", help="the table's column of labels or texts (default: label, or text)"
    )
    group.add_argument("--classes", metavar="A,B", type=names, help="keep only these classes, in this order")
    group.add_argument("--root", metavar="DIR", help="where the table's paths start (default: the table's folder)")


def add_by(parser: argparse.ArgumentParser) -> None:
    """Add the column that tells figures apart."""
    parser.add_argument(
        "--by", metavar="COLUMN", help="tell the figures apart by this column of the table (a hospital, a camera)"
    )


def data_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what `add_data` read, as the arguments of Dataset.open, train and evaluate."""
    return {name: getattr(arguments, name) for name in ("labels", "group", "text", "classes", "root")}


def add_plan(parser: argparse.ArgumentParser) -> None:
    """Add what decisions are to reach, and how surely it is known."""
    group = parser.add_argument_group("decisions and their proof")
    group.add_argument(
        "--folds", type=int, default=0, metavar="N", help="test every image once, by cross-validation; 5 is usual"
    )
    group.add_argument(
        "--repeats",
        type=int,
        default=1,
        metavar="N",
        help="train N times with other seeds, to see how much chance matters",
    )
    group.add_argument(
        "--positive", metavar="CLASS", help="the class held against the others (default: of two, the second)"
    )
    aim = group.add_mutually_exclusive_group()
    aim.add_argument(
        "--sensitivity", type=share, metavar="S", help="choose the threshold that finds this share, as 0.9 or 90%%"
    )
    aim.add_argument(
        "--specificity",
        type=share,
        metavar="S",
        help="choose the threshold that leaves this share of the others in peace",
    )
    aim.add_argument(
        "--cost", type=costs, metavar="C", help="choose the threshold of least cost, as miss=10,false-alarm=1"
    )
    group.add_argument(
        "--prevalence", type=share, metavar="P", help="share of positive images where the model will be used"
    )
    group.add_argument(
        "--most-probable",
        action="store_true",
        help="answer the most probable class even where classes are very unequal",
    )


def plan_of(arguments: argparse.Namespace) -> Objectives:
    """Return what `add_plan` read."""
    from mirante.experiment.objectives import Objectives
    from mirante.prediction.decision import Aim

    asked = {name: getattr(arguments, name) for name in ("sensitivity", "specificity")}
    asked.update(arguments.cost or {})
    aim = Aim(**asked) if any(value is not None for value in asked.values()) else None
    return Objectives(
        arguments.positive,
        aim,
        arguments.prevalence,
        even=not arguments.most_probable,
        repeats=arguments.repeats,
    )


def share(text: str) -> float:
    """Read '0.9', '0,9' or '90%' as a share between 0 and 1."""
    match = re.fullmatch(r"(\d+(?:[.,]\d*)?|[.,]\d+)\s*(%?)", text.strip())
    value = float(match[1].replace(",", ".")) / (100 if match[2] else 1) if match else -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 1; write 0.9 or 90%")
    return value


def costs(text: str) -> dict[str, float]:
    """Read 'miss=10,false-alarm=1'."""
    found = dict(re.findall(r"(miss|false-alarm)=(\d+(?:\.\d+)?)", text))
    if len(found) != 2 or not re.fullmatch(r"[a-z-]+=[\d.]+,[a-z-]+=[\d.]+", text.replace(" ", "")):
        raise argparse.ArgumentTypeError(f"{text!r} are no costs; write miss=10,false-alarm=1")
    return {name.replace("-", "_"): float(value) for name, value in found.items()}


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add the choice of how results are printed."""
    parser.add_argument(
        "--format", choices=("table", "json", "csv"), default="table", help="how results are printed (default: table)"
    )


def names(text: str) -> list[str]:
    """Split a list at its commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def image_size(text: str) -> tuple[int, int]:
    """Read '64' or '60x200' as (height, width)."""
    match = re.fullmatch(r"(\d+)(?:[x×](\d+))?", text)
    if not match or not all(1 <= int(side) <= 4096 for side in match.groups() if side):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write 64 or, height first, 60x200")
    return int(match[1]), int(match[2] or match[1])


def seconds(text: str) -> float:
    """Read '90', '90s', '5m' or '1h30m' as seconds."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", text)
    total = (
        sum(float(part or 0) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True)) if match else 0
    )
    if not 1 <= total <= 1e7:
        raise argparse.ArgumentTypeError(f"{text!r} is no time from a second on; write 90s, 5m or 1h30m")
    return total


def input_shape(text: str) -> tuple[int, int, int]:
    """Read '32x32x3' as (height, width, channels)."""
    match = re.fullmatch(r"(\d+)[x×](\d+)[x×]([13])", text)
    if not match or not all(1 <= int(side) <= 4096 for side in match.groups()):
        raise argparse.ArgumentTypeError(f"{text!r} is no input; write height x width x channels (1 or 3), as 32x32x3")
    return int(match[1]), int(match[2]), int(match[3])


def require_positive(arguments: argparse.Namespace, *names: str) -> None:
    """Raise RequestError when one of these options is given and is less than 1."""
    for name in names:
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise RequestError(f"--{name.replace('_', '-')} {value}: it must be 1 or more.")
