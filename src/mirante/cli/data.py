"""Look at data before training, check it, or download a named data set.

`info DATA` shows what there is: classes, splits, sizes, images that cannot be read. `check DATA` looks for what is wrong
with it: copies, leaks, wrong labels, shortcuts, odd images. `get NAME` downloads a data set. `freeze DATA` writes down every image
with its label and split, for `train --locked`; `diff OLD NEW` shows what has changed between two of them, or folders, or what runs
were trained on.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from mirante.cli.arguments import (
    add_data,
    add_format,
    add_rendering,
    add_task,
    data_options,
    require_page,
    task_options,
)
from mirante.cli.streams import tell
from mirante.errors import RequestError

_LISTED = 20  # changes of each kind that are printed; --format lists all


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=("info", "check", "get", "freeze", "diff"),
        help="info: show what there is; check: find what is wrong; get: download a named data set; freeze: write down what there is; "
        "diff: show what has changed",
    )
    parser.add_argument(
        "data", metavar="DATA", help="where the images are, as for train; for diff also a lock file or a run"
    )
    parser.add_argument("new", metavar="NEW", nargs="?", help="for diff: the later state, a lock file or a run too")
    add_format(parser)
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="for check: where report.html and findings.csv go (default: checks/DATA); for freeze: the lock file",
    )
    parser.add_argument(
        "--fix", metavar="DIR", help="for check: write a cleaned list of labels there; no image is changed"
    )
    parser.add_argument(
        "--no-model", action="store_true", help="for check: do not use a network to find wrong labels and outliers"
    )
    parser.add_argument("--report", metavar="FILE.html", help="for diff: write a page with the pictures")
    add_task(parser, "for info, check, freeze and diff: as for train")
    add_data(parser)
    add_rendering(parser)


def run(arguments: argparse.Namespace) -> None:
    if (arguments.action == "diff") != (arguments.new is not None):
        raise RequestError("mirante data diff OLD NEW compares two states; the other actions take one DATA.")
    if arguments.action != "diff" and arguments.report is not None:
        raise RequestError("--report is for mirante data diff.")
    if arguments.action == "freeze":
        _freeze(arguments)
        return
    if arguments.action == "diff":
        _diff(arguments)
        return
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
        print(say("Images left out: {count}.", count=len(dataset.skipped)))
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


def _freeze(arguments: argparse.Namespace) -> None:
    from mirante.experiment.data_diff import LOCK_ENDING, freeze

    out = arguments.out or f"{Path(arguments.data).name or 'data'}{LOCK_ENDING}"
    state = freeze(arguments.data, out, **data_options(arguments), **task_options(arguments))
    text = f"{out}: {len(state.files):,} images written down; mirante train {arguments.data} --locked {out} trains on these only."
    tell(text, arguments.lang, sys.stdout)


def _diff(arguments: argparse.Namespace) -> None:
    from mirante.cli.tables import print_rows, print_table
    from mirante.experiment.data_diff import KINDS, State, diff, page, titles
    from mirante.files import write_text
    from mirante.locale import language

    require_page(arguments)
    options = {**data_options(arguments), **task_options(arguments)}
    old, new = (State.read(one, **options) for one in (arguments.data, arguments.new))
    changes, say = diff(old, new), language(arguments.lang)
    for one in (old, new):
        if one.learned:
            text = "{run}: it has learned from photos too ({count}), which are not compared here."
            tell(say(text, run=one.name, count=say.number(one.learned)), arguments.lang)
    if arguments.report is not None:
        write_text(Path(arguments.report).expanduser(), page(old, new, changes, say))
    if arguments.format != "table":
        rows = [{"change": one.kind, "path": one.path, "before": one.before, "after": one.after} for one in changes]
        print_rows(rows, arguments.format, arguments.lang)
        return
    if not changes:
        print(say("Nothing: the same images with the same labels in the same splits."))
        return
    for kind in KINDS:
        own = [one for one in changes if one.kind == kind]
        if own:
            lines = [[one.path, one.before, one.after] for one in own[:_LISTED]]
            if len(own) > _LISTED:
                lines.append([say("… and {count} more", count=say.number(len(own) - _LISTED)), "", ""])
            title = f"{titles(say)[kind]}: {say.number(len(own))}"
            print_table([say("Image"), say("Before"), say("Now")], lines, numbers_from=3, title=title)


def _get(name: str) -> None:
    from mirante.data.downloads import FILES, get

    if name not in FILES:
        raise RequestError(f"{name!r} is not a data set that can be downloaded; available: {', '.join(FILES)}.")
    print(get(name))
