"""Look at data before training, or fetch a named data set.

`info DATA` tells what there is: classes, splits, sizes, images that cannot be read. `get NAME` downloads a data set.
"""

from __future__ import annotations

import argparse

from mirante.cli.arguments import add_data, add_format, data_options


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("info", "get"), help="info: tell what there is; get: download a named set")
    parser.add_argument("data", metavar="DATA", help="where the images are, as for train")
    add_format(parser)
    add_data(parser)


def run(arguments: argparse.Namespace) -> None:
    if arguments.action == "get":
        _get(arguments.data)
        return
    from mirante.cli.tables import print_rows, print_table
    from mirante.data.dataset import SPLITS, Dataset
    from mirante.locale import language

    dataset = Dataset.open(
        arguments.data,
        **data_options(arguments),
    )
    counts = dataset.counts()
    if arguments.format != "table":
        print_rows([{"class": name, **per_split} for name, per_split in counts.items()], arguments.format)
        return
    say = language(arguments.lang)
    rows = [[name, *(say.number(per[split]) for split in SPLITS)] for name, per in counts.items()]
    rows.append([say("All"), *(say.number(len(dataset.rows(split))) for split in SPLITS)])
    print_table([say("Class"), say("Training"), say("Validation"), say("Test")], rows)
    shorter = dataset.sizes.min(axis=1)
    print(
        say(
            "{count} images, {low} to {high} pixels on the shorter side, {channels} channels.",
            count=say.number(len(dataset)),
            low=int(shorter.min()),
            high=int(shorter.max()),
            channels=dataset.channels,
        )
    )
    for note in dataset.notes:
        print(say(note.text, **note.values))
    if dataset.skipped:
        print(say("{count} images were left out.", count=len(dataset.skipped)))
        for one in dataset.skipped:
            print(f"  {one.path}: {one.reason}")


def _get(name: str) -> None:
    from mirante.data.downloads import FILES, get
    from mirante.errors import RequestError

    if name not in FILES:
        raise RequestError(f"{name!r} is no data set that can be fetched; there are {', '.join(FILES)}.")
    print(get(name))
