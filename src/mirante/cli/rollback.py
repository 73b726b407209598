"""Put an earlier model of a run in use again; the present one is kept. A server of this run changes over by itself."""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="the run folder")
    parser.add_argument(
        "--to", type=int, metavar="N", help="its number, as mirante versions lists it (default: the latest)"
    )
    parser.add_argument("--why", metavar="TEXT", default="", help="why it is replaced, for those who ask later")


def run(arguments: argparse.Namespace) -> None:
    import sys

    from mirante.cli.streams import tell
    from mirante.experiment.model_versions import rollback

    kept = rollback(arguments.run_folder, arguments.to, why=arguments.why)
    tell(
        f"{arguments.run_folder}: the earlier model is in use; the one before is kept in {kept}."
        if arguments.to is None
        else f"{arguments.run_folder}: earlier model {arguments.to} is in use; the one before is kept in {kept}.",
        arguments.lang,
        sys.stdout,
    )
