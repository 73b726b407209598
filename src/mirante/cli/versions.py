"""List the models that a run has and had, and compare them; put the model of another run in its place.

Each model that was replaced, by mirante photos learn, --adopt or mirante rollback, is kept whole in RUN/earlier.
"""

from __future__ import annotations

import argparse

from mirante.cli.arguments import add_format


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="the run folder")
    parser.add_argument(
        "--adopt", metavar="NEW", help="first put the model of the run NEW in use here; NEW stays as it is"
    )
    parser.add_argument("--why", metavar="TEXT", default="", help="why it is replaced, for those who ask later")
    add_format(parser)


def run(arguments: argparse.Namespace) -> None:
    from dataclasses import asdict

    from mirante.cli.streams import tell
    from mirante.cli.tables import print_rows, print_table
    from mirante.errors import RequestError
    from mirante.experiment.model_versions import adopt, versions
    from mirante.locale import language

    if arguments.why and arguments.adopt is None:
        raise RequestError("--why says why a model is replaced; it needs --adopt.")
    if arguments.adopt is not None:
        kept = adopt(arguments.run_folder, arguments.adopt, why=arguments.why)
        tell(
            f"{arguments.run_folder}: the model of {arguments.adopt} is in use; the one before is kept in {kept}.",
            arguments.lang,
        )
    found = versions(arguments.run_folder)
    if arguments.format != "table":
        print_rows([asdict(one) for one in found], arguments.format, arguments.lang)
        return
    say = language(arguments.lang)
    rows = []
    for one in found:
        rows.append(
            [
                say("in use") if one.number is None else str(one.number),
                one.version,
                say.percent(one.accuracy, 2),
                f"{say.percent(one.low)} – {say.percent(one.high)}",
                say.number(one.images),
                one.compared(say),
                one.when,
                one.who,
                say.told(one.why),
            ]
        )
    header = [
        say("Version"),
        say("Model"),
        say("Accuracy"),
        say("95% interval"),
        say("Test images"),
        say("Against the one in use"),
        say("Replaced (UTC)"),
        say("By"),
        say("Why"),
    ]
    print_table(header, rows)
