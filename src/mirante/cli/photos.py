"""Your photos: group them, sort them into folders, answer questions about them, teach a model with the answers.

Nothing is ever lost or overwritten, and every move can be undone.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from mirante.cli.arguments import interval, names, share
from mirante.cli.streams import tell

if TYPE_CHECKING:
    from mirante.data.entries import Skipped

_SHOWN = 20  # how many skipped photos are named on the terminal


def add(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", metavar="WHAT", required=True)

    def kind(name: str, text: str) -> argparse.ArgumentParser:
        child = kinds.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        child.add_argument(
            "--lang", choices=("en", "pt"), default=argparse.SUPPRESS, help="language (default: the system's)"
        )
        child.add_argument(
            "--quiet", action="store_true", default=argparse.SUPPRESS, help="print results, warnings and errors only"
        )
        child.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
        )
        return child

    group = kind(
        "group", "group photos by what they show, without any labels; names and groups can be changed in the studio"
    )
    group.add_argument("folder", metavar="FOLDER", help="the photos")
    group.add_argument("--format", choices=("table", "json"), default="table", help="a table, or JSON with every photo")
    _add_memory(group)
    review = kind("review", "open the studio at the questions whose answers help a model most")
    review.add_argument("run_folder", metavar="RUN", help="a run folder")
    review.add_argument("folder", metavar="FOLDER", help="the photos")
    review.add_argument("--port", type=int, metavar="N", help="port to listen on (default: 8765, or the next free one)")
    review.add_argument("--no-browser", action="store_true", help="only print the address")
    _add_memory(review)
    learn = kind("learn", "improve a run with your answers; if there is no run yet, train the first one from them")
    learn.add_argument("run_folder", metavar="RUN", help="a run folder, or where to make the first one")
    learn.add_argument("folder", metavar="FOLDER", help="the photos")
    learn.add_argument(
        "--read-xmp", action="store_true", help="also learn from keywords in XMP sidecars that are class names"
    )
    learn.add_argument(
        "--labels", metavar="FILE", help="also learn from a table with path and label, of photos in the folder"
    )
    _add_memory(learn)
    watch = kind("watch", "classify new photos as they arrive, until Ctrl-C")
    watch.add_argument("run_folder", metavar="RUN", help="a run folder, or a model.onnx")
    watch.add_argument("folder", metavar="FOLDER", help="the folder to watch")
    watch.add_argument("--into", metavar="DIR", type=Path, help="also sort the photos into folders there")
    watch.add_argument("--move", action="store_true", help="move the photos there (default: copy)")
    watch.add_argument("--interval", type=float, default=2.0, metavar="SECONDS", help="how often to look (default: 2)")
    watch.add_argument(
        "--format", choices=("table", "json"), default="table", help="one line of text, or one JSON object, per photo"
    )
    _add_deciding(watch)
    organise = kind("organise", "sort photos into one folder per class, the unsure ones into review/")
    organise.add_argument("run_folder", metavar="RUN", help="a run folder, or a model.onnx")
    organise.add_argument("folder", metavar="FOLDER", help="the photos")
    organise.add_argument("--into", metavar="DIR", help="where the folders are made; may be left out with --write-xmp")
    how = organise.add_mutually_exclusive_group()
    how.add_argument("--move", dest="how", action="store_const", const="move", help="move the photos (default: copy)")
    how.add_argument("--copy", dest="how", action="store_const", const="copy", help="copy the photos (default)")
    how.add_argument(
        "--link", dest="how", action="store_const", const="link", help="hard links: a second name, no second copy"
    )
    organise.set_defaults(how="copy")
    _add_deciding(organise)
    _add_memory(organise)
    organise.add_argument(
        "--rule",
        metavar="A,B,C",
        type=names,
        default=(),
        help="with a model of several labels: a photo goes into the folder of the first of these labels that it has",
    )
    organise.add_argument(
        "--interval",
        type=interval,
        metavar="T",
        default=1.0,
        help="look at films this often, such as 0.5s or 1m (default: 1s)",
    )
    organise.add_argument("--dry-run", action="store_true", help="show what would happen, as a tree")
    organise.add_argument(
        "--write-xmp",
        action="store_true",
        help="write class and confidence into XMP sidecars (default with several labels)",
    )
    undo = kind("undo", "undo the last organising, except for files changed since")
    undo.add_argument("into", metavar="DIR", nargs="?", help="the folder it sorted into (default: the last one)")


def _add_deciding(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--layout",
        metavar="LAYOUT",
        default="{class}",
        help="folder names, built from {class}, {year}, {month}, {day}, {camera}, {confidence} (default: {class})",
    )
    parser.add_argument(
        "--min-confidence",
        type=share,
        metavar="P",
        default=None,
        help="the probability from which an answer counts as sure (default: 80%%)",
    )


def _add_memory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--memory",
        metavar="DIR",
        type=Path,
        help="where the data about the photos is kept (default: FOLDER/.mirante)",
    )


def run(arguments: argparse.Namespace) -> None:
    verbs = {
        "group": _group, "organise": _organise, "undo": _undo, "review": _review, "learn": _learn, "watch": _watch
    }  # fmt: skip
    verbs[arguments.what](arguments)


def _group(arguments: argparse.Namespace) -> None:
    from mirante.cli.tables import print_rows, print_table
    from mirante.locale import language
    from mirante.photos.grouping import group_folder
    from mirante.photos.library import Library

    say = language(arguments.lang)
    library = Library(Path(arguments.folder), arguments.memory)
    found, skipped = group_folder(library, say)
    if arguments.format == "json":
        print_rows([one.to_dict() for one in found], "json", arguments.lang)
    else:
        lines = [[one.name, say.number(len(one.photos)), say.number(one.stacks), one.photos[0].path] for one in found]
        print_table([say("Group"), say("Photos"), say("Bursts as one"), say("Most typical")], lines)
        print(say("To keep, rename, merge and split them: mirante studio, Photos."))
    name_left(skipped, arguments.lang)


def _review(arguments: argparse.Namespace) -> None:
    from mirante.cli.studio import serve
    from mirante.studio.gallery import open_gallery
    from mirante.studio.workspace import Workspace

    workspace = Workspace(Path.cwd())
    gallery = open_gallery(workspace, arguments.folder, arguments.run_folder, arguments.memory)
    page = f"/photos/{quote(gallery.name)}/review"
    serve(Path.cwd(), "127.0.0.1", arguments.port, arguments.lang, not arguments.no_browser, page)


def _learn(arguments: argparse.Namespace) -> None:
    from mirante.locale import language
    from mirante.photos.learn import learn
    from mirante.photos.learned_words import learned_sentence, waiting_sentences
    from mirante.photos.library import Library
    from mirante.photos.sidecars import read_sidecars
    from mirante.photos.table import first_table

    say = language(arguments.lang)
    library, run = Library(Path(arguments.folder), arguments.memory), Path(arguments.run_folder).expanduser()
    if arguments.read_xmp:
        read, left = read_sidecars(library, run)
        print(
            say("{count} photos have a class or a label among their keywords.", count=say.number(read)), file=sys.stderr
        )
        name_left(left, arguments.lang)
    if arguments.labels is not None:
        from mirante.photos.feedback import read_labels

        read, left = read_labels(library, Path(arguments.labels).expanduser(), run)
        print(
            say("Photos with a label in {file}: {count}.", count=say.number(read), file=arguments.labels),
            file=sys.stderr,
        )
        name_left(left, arguments.lang)
    if not run.exists():
        from mirante.experiment.train import train

        train(library.folder, labels=first_table(library), root=library.folder, out=run, lang=arguments.lang)
        print(say("The first model is in {run}.", run=run))
        return
    done = learn(run, library, say)
    for path, labels in done.said_twice.items():
        text = say("{path}: answered {labels}; the last word counts.", path=path, labels=", ".join(labels))
        print(text, file=sys.stderr)
    for text in waiting_sentences(done, say):
        print(text, file=sys.stderr)
    print(learned_sentence(done, say))


def _watch(arguments: argparse.Namespace) -> None:
    from mirante.files import to_json
    from mirante.locale import language
    from mirante.photos.watch import watch

    say = language(arguments.lang)
    arrivals = watch(
        arguments.run_folder,
        Path(arguments.folder),
        arguments.into,
        how="move" if arguments.move else "copy",
        layout=arguments.layout,
        min_confidence=arguments.min_confidence,
        interval=arguments.interval,
        say=say,
    )
    print(say("Watching {folder}; Ctrl-C stops it.", folder=arguments.folder), file=sys.stderr, flush=True)
    for path, one, reason in arrivals:
        if one is None:
            told = to_json({"path": path, "error": reason}, None) if arguments.format == "json" else f"{path}: {reason}"
            print(told, file=sys.stdout if arguments.format == "json" else sys.stderr, flush=True)
        elif arguments.format == "json":
            row = {"path": path, "label": one.label, "confidence": round(one.confidence, 6), "unsure": one.unsure}
            print(to_json(row, None), flush=True)
        else:
            unsure = f"  {say('unsure')}" if one.unsure else ""
            print(f"{one.label:<20} {say.confidence(one.confidence):>8}  {path}{unsure}", flush=True)


def _organise(arguments: argparse.Namespace) -> None:
    from mirante.errors import RequestError
    from mirante.locale import language
    from mirante.photos.organise import organise, show
    from mirante.prediction.model import Model

    say = language(arguments.lang)
    several = arguments.into is None and not arguments.write_xmp and Model(arguments.run_folder).asks.several_labels
    if arguments.into is None and not arguments.write_xmp and not several:
        raise RequestError("Where to? Give --into DIR, or --write-xmp, which leaves the photos where they are.")
    done = organise(
        arguments.run_folder,
        arguments.folder,
        arguments.into,
        how=arguments.how,
        layout=arguments.layout,
        min_confidence=arguments.min_confidence,
        write_xmp=arguments.write_xmp,
        rule=arguments.rule,
        interval=arguments.interval,
        memory=arguments.memory,
        dry_run=arguments.dry_run,
        lang=arguments.lang,
    )
    for line in show(done, arguments.dry_run, say):
        print(line)
    name_left(done.left, arguments.lang)


def _undo(arguments: argparse.Namespace) -> None:
    from mirante.errors import WorkError
    from mirante.locale import language
    from mirante.photos.organise import undo_last

    say = language(arguments.lang)
    into, came = undo_last(None if arguments.into is None else Path(arguments.into))
    count = say.number(came.count)
    if came.how == "move":
        print(say("{count} files from {folder} are back where they were.", count=count, folder=into))
    else:
        print(
            say("{count} copies in {folder} were removed; the originals are where they were.", count=count, folder=into)
        )
    name_left(came.left, arguments.lang)
    if came.left:
        raise WorkError(f"{into}: {len(came.left)} files could not be moved back; they are still where they were put.")


def name_left(left: list[Skipped], lang: str | None) -> None:
    """List on stderr the files that were left where they are, and why."""
    for one in left[:_SHOWN]:
        tell(f"{one.path}: {one.reason}", lang)
    if len(left) > _SHOWN:
        tell(f"… and {len(left) - _SHOWN:,} more", lang)
