"""Write the technical file of a model: what a board, or Annex IV of the EU's AI Act, asks, as far as the run knows it.

RUN/dossier gets dossier.md, dossier.html (print it for a PDF) and answers.toml, for what only a person can say. Made again, it takes
new figures and keeps the answers.
"""

from __future__ import annotations

import argparse


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="the run folder")
    parser.add_argument("--purpose", metavar="TEXT", default="", help="what the model is for, for whom")
    parser.add_argument("--log", metavar="LOG", help="the log of its use, of which the file tells too")
    parser.add_argument("--out", metavar="DIR", help="the folder to write (default: RUN/dossier)")


def run(arguments: argparse.Namespace) -> None:
    from mirante.locale import language
    from mirante.technical_file.write import ANSWERS, dossier

    say = language(arguments.lang)
    made = dossier(
        arguments.run_folder, purpose=arguments.purpose, log=arguments.log, out=arguments.out, lang=arguments.lang
    )
    print(say("The technical file is in {folder}.", folder=made.folder))
    if made.missing:
        text = "{count} of {asked} answers that only a person can give are missing; write them into {file}."
        print(say(text, count=len(made.missing), asked=made.asked, file=made.folder / ANSWERS))
