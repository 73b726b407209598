"""Look at data before training, check it, or download a named data set.

`info DATA` shows what there is: classes, splits, sizes, images that cannot be read. `check DATA` looks for what is wrong
with it: copies, leaks, wrong labels, shortcuts, odd images. `get NAME` downloads a data set.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from mirante.cli.arguments import add_data, add_format, add_rendering, add_task, data_options, task_options
from mirante.cli.streams import tell


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=("info", "check", "get"),
        help="info: show what there is; check: find what is wrong; get: download a named data set",
    )
    parser.add_argument("data", metavar="DATA", help="where the images are, as for train")
    add_format(parser)
    parser.add_argument(
        "--out", metavar="DIR", help="for check: where report.html and findings.csv go (default: checks/DATA)"
    )
    parser.add_argument(
        "--fix", metavar="DIR", help="for check: write a cleaned list of labels there; no image is changed"
    )
    parser.add_argument(
        "--no-model", action="store_true", help="for check: do not use a network to find wrong labels and outliers"
    )
    add_task(parser, "for info and check: as for train")
    add_data(parser)
    add_rendering(parser)


def run(arguments: argparse.Namespace) -> None:
    if arguments.action == "get":
        _get(arguments.data)
        return
    if arguments.action == "check":
        _check(arguments)
        return
    from mirante.cli.tables import print_rows, print_table
    from mirante.data.dataset import Dataset
    from mirante.data.partition import SPLITS
    from mirante.locale import language

    dataset = Dataset.open(arguments.data, **data_options(arguments), **task_options(arguments))
    counts = dataset.counts()
    if arguments.format != "table":
        print_rows(
            [{"class": name, **per_split} for name, per_split in counts.items()], arguments.format, arguments.lang
        )
        return
    say = language(arguments.lang)
    rows = [[name, *(say.number(per[split]) for split in SPLITS)] for name, per in counts.items()]
    rows.append([say("All"), *(say.number(len(dataset.rows(split))) for split in SPLITS)])
    print_table([say(dataset.asks.counted), say("Training"), say("Validation"), say("Test")], rows)
    shorter = dataset.sizes.min(axis=1)
    print(
        say(
            "{count} images, {low} to {high} pixels on the shorter side; channels: {channels}.",
            count=say.number(len(dataset)),
            low=int(shorter.min()),
            high=int(shorter.max()),
            channels=dataset.channels,
        )
    )
    for note in dataset.notes:
        print(note.said(say))
    if dataset.skipped:
        print(say("{count} images were left out.", count=len(dataset.skipped)))
        for one in dataset.skipped:
            tell(f"  {one.path}: {one.reason}", arguments.lang, sys.stdout)


def _check(arguments: argparse.Namespace) -> None:
    from mirante.cli.tables import print_rows, print_table
    from mirante.data.check.findings import KINDS
    from mirante.experiment.check import CLEANED, REPORT, check, require_new, write_check, write_cleaned
    from mirante.locale import language

    fix = None if arguments.fix is None else require_new(arguments.fix)
    out = None if arguments.out is None else require_new(arguments.out)
    done = check(
        arguments.data, **data_options(arguments), **task_options(arguments), with_model=not arguments.no_model
    )
    folder = write_check(done, out, arguments.lang)
    say = language(arguments.lang)
    if arguments.format != "table":
        rows = done.rows()
        if arguments.format != "json":
            rows = [
                {name: " | ".join(cell) if isinstance(cell, list) else cell for name, cell in row.items()}
                for row in rows
            ]
        print_rows(rows, arguments.format, arguments.lang)
    else:
        counts = done.counts()
        if counts:
            lines = [
                [say(KINDS[kind].title), say(KINDS[kind].harm), say.number(count)] for kind, count in counts.items()
            ]
            print_table([say("Finding"), say("Harm"), say("How often")], lines)
        else:
            print(say("Nothing was found that needs your attention."))
        for one in done.findings:
            if one.kind == "shortcut":
                print(one.note.said(say))
    print(folder / REPORT, file=sys.stderr)
    if fix is not None:
        gone = write_cleaned(done, fix)
        left = f"{fix / CLEANED}: {len(done.dataset) - gone:,} images, {gone:,} left out; to train with it:"
        tell(left, arguments.lang)
        print(shlex.join(_train_words(arguments, fix / CLEANED, done.dataset.groups is not None)), file=sys.stderr)


def _train_words(arguments: argparse.Namespace, table: Path, grouped: bool) -> list[str]:
    """Return the command that trains on the same images with a cleaned list of labels."""
    data = Path(arguments.data).expanduser()
    if arguments.data.lower().endswith((".csv", ".tsv", ".parquet")):
        words = [str(table), "--root", str(arguments.root or data.parent)]
    else:
        words = [arguments.data, "--labels", str(table), *(["--root", arguments.data] if data.is_dir() else [])]
    words += [] if arguments.task is None else ["--task", arguments.task]
    words += [] if arguments.ordered is None else ["--ordered", ",".join(arguments.ordered)]
    return ["mirante", "train", *words, *(["--group-column", "group"] if grouped else [])]


def _get(name: str) -> None:
    from mirante.data.downloads import FILES, get
    from mirante.errors import RequestError

    if name not in FILES:
        raise RequestError(f"{name!r} is not a data set that can be downloaded; available: {', '.join(FILES)}.")
    print(get(name))
