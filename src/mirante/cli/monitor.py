"""See what became of a model in use: do its images still look like the test images, and how accurate is it now.

LOG is what mirante predict --log and mirante serve --log write. No labels are needed; with --labels, what is known by now is put
beside the estimates. Exit status 3 when the images look different.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mirante.cli.arguments import age, require_page

if TYPE_CHECKING:
    from mirante.locale import Language
    from mirante.monitoring.monitor import Watched

ALARM = 3


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="the run folder of the model")
    parser.add_argument("log", metavar="LOG", help="the folder of the log")
    parser.add_argument(
        "--since", type=age, metavar="T", help="only what was logged in the last 12h, 30d or 4w (default: all)"
    )
    parser.add_argument(
        "--every",
        type=age,
        metavar="T",
        help="look at each hour, day or week (or 12h, 2d) by itself, and at all of them together (default: the whole log at once)",
    )
    parser.add_argument(
        "--labels",
        metavar="FILE",
        help="a table with what is true by now: label, and path (from the table's folder) or the digest in the log",
    )
    parser.add_argument(
        "--report", metavar="FILE.html", help="write a page with all of it, and the pictures that were kept"
    )
    parser.add_argument(
        "--format", choices=("table", "json"), default="table", help="a table, or JSON for programs (default: table)"
    )


def run(arguments: argparse.Namespace) -> None:
    require_page(arguments)
    from mirante.files import to_json, write_text
    from mirante.locale import language
    from mirante.monitoring.monitor import monitor

    say = language(arguments.lang)
    found = monitor(
        arguments.run_folder, arguments.log, since=arguments.since, every=arguments.every, labels=arguments.labels
    )
    if arguments.report is not None:
        from mirante.monitoring.page import page

        write_text(Path(arguments.report).expanduser(), page(found, say))
    if arguments.format == "json":
        print(to_json(found.to_dict()))
    else:
        _print(found, say)
    if found.alarm:
        sys.exit(ALARM)


def _print(found: Watched, say: Language) -> None:
    from mirante.cli.tables import print_table
    from mirante.monitoring.page import figure, headline, rows_of, trust, truth

    print(headline(found, say))
    print(trust(found, say))
    if found.others:
        text = "{count} answers of other versions of the model are left out."
        print(say(text, count=say.number(found.others)))
    if len(found.periods) > 1:
        header = [say("Period (UTC)"), say("Images"), say("p-value"), say("Evidence"), say("Probably right")]
        print_table(header, rows_of(found, say))
    kinds = [(say.known(one.name), one) for one in found.kinds]
    differing = [(name, one) for name, one in (*kinds, *found.mix.items()) if one.differs]
    if differing:
        print_table(
            [say("What has changed"), say("Now"), say("In the test")],
            [[name, figure(one.now, say), figure(one.then, say)] for name, one in differing],
        )
    for name, (count, none, right) in found.subgroups.items():
        text = "{name}: {count} images, {none} none of these, probably right: {right}"
        print(say(text, name=name, count=say.number(count), none=figure(none, say), right=figure(right, say)))
    for line in truth(found, say):
        print(line)
