"""Your photos: group them, sort them into folders, answer questions about them, teach a model with the answers.

Nothing is ever lost or overwritten, and whatever was moved can be undone.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mirante.cli.arguments import share

if TYPE_CHECKING:
    from mirante.data.entries import Skipped

_SHOWN = 20  # photos left that are named on the terminal


def add(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", metavar="WHAT", required=True)

    def kind(name: str, text: str) -> argparse.ArgumentParser:
        child = kinds.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        child.add_argument(
            "--lang", choices=("en", "pt"), default=argparse.SUPPRESS, help="language (default: the system's)"
        )
        child.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
        )
        return child

    organise = kind("organise", "one folder a class, the unsure ones in review/")
    organise.add_argument("run_folder", metavar="RUN", help="a run folder, or a model.onnx")
    organise.add_argument("folder", metavar="FOLDER", help="the photos")
    organise.add_argument("--into", metavar="DIR", help="where the folders are made; may be left out with --write-xmp")
    how = organise.add_mutually_exclusive_group()
    how.add_argument("--move", dest="how", action="store_const", const="move", help="move the photos (default: copy)")
    how.add_argument("--copy", dest="how", action="store_const", const="copy", help="copy them")
    how.add_argument(
        "--link", dest="how", action="store_const", const="link", help="hard links: a second name, no second copy"
    )
    organise.set_defaults(how="copy")
    _add_deciding(organise)
    organise.add_argument("--dry-run", action="store_true", help="show what would happen, as a tree")
    organise.add_argument("--write-xmp", action="store_true", help="write class and confidence into XMP sidecars")
    undo = kind("undo", "take back the last organising, all of it that nobody has changed since")
    undo.add_argument("into", metavar="DIR", nargs="?", help="where it went (default: where it last went)")


def _add_deciding(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--layout",
        metavar="LAYOUT",
        default="{class}",
        help="folders, of {class}, {year}, {month}, {day}, {camera}, {confidence} (default: {class})",
    )
    parser.add_argument(
        "--at-least", type=share, metavar="P", default=None, help="the probability that counts as sure (default: 80%%)"
    )
    parser.add_argument(
        "--memory",
        metavar="DIR",
        type=Path,
        help="where what is known of the photos is kept (default: FOLDER/.mirante)",
    )


def run(arguments: argparse.Namespace) -> None:
    {"organise": _organise, "undo": _undo}[arguments.what](arguments)


def _organise(arguments: argparse.Namespace) -> None:
    from mirante.errors import RequestError
    from mirante.locale import language
    from mirante.photos.sorting import organise, show

    say = language(arguments.lang)
    if arguments.into is None and not arguments.write_xmp:
        raise RequestError("Where to? --into DIR names the folder; --write-xmp alone leaves the photos where they are.")
    done = organise(
        arguments.run_folder,
        Path(arguments.folder),
        None if arguments.into is None else Path(arguments.into),
        how=arguments.how,
        layout=arguments.layout,
        at_least=arguments.at_least,
        write_xmp=arguments.write_xmp,
        memory=arguments.memory,
        dry_run=arguments.dry_run,
        say=say,
    )
    for line in show(done, arguments.dry_run, say):
        print(line)
    name_left(done.left)


def _undo(arguments: argparse.Namespace) -> None:
    from mirante.errors import WorkError
    from mirante.locale import language
    from mirante.photos.sorting import undo_last

    say = language(arguments.lang)
    into, came = undo_last(None if arguments.into is None else Path(arguments.into))
    print(say("{count} files of {folder} are back where they were.", count=say.number(came.count), folder=into))
    name_left(came.left)
    if came.left:
        raise WorkError(f"{into}: {len(came.left)} files could not be taken back; they are where they were put.")


def name_left(left: list[Skipped]) -> None:
    """Name on stderr what was left where it is, and why."""
    for one in left[:_SHOWN]:
        print(f"{one.path}: {one.reason}", file=sys.stderr)
    if len(left) > _SHOWN:
        print(f"… and {len(left) - _SHOWN:,} more", file=sys.stderr)
