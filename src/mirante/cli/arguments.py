"""Arguments that several verbs share."""

from __future__ import annotations

import argparse
import re
from typing import Any


def add_data(parser: argparse.ArgumentParser) -> None:
    """Add how the labels of DATA are found."""
    group = parser.add_argument_group("labels and classes")
    group.add_argument(
        "--labels", metavar="FILE", help="a table of path,label[,split][,group], beside DATA or inside it"
    )
    group.add_argument("--group", metavar="COLUMN", help="the table's column of what belongs together (a patient)")
    group.add_argument("--classes", metavar="A,B", type=names, help="keep only these classes, in this order")
    group.add_argument("--root", metavar="DIR", help="where the table's paths start (default: the table's folder)")


def data_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what `add_data` read, as the arguments of Dataset.open, train and evaluate."""
    return {name: getattr(arguments, name) for name in ("labels", "group", "classes", "root")}


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
