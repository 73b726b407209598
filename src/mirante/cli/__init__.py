"""The command line: one module per verb, each with `add` (its arguments) and `run` (call, print).

Importing this imports none of the other packages: a verb does that when it runs, so that --help answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from mirante.cli import (
    compare,
    data,
    demo,
    dossier,
    evaluate,
    export,
    monitor,
    photos,
    predict,
    rollback,
    see,
    serve,
    streams,
    studio,
    summary,
    train,
    tune,
    versions,
)
from mirante.errors import MiranteError, RequestError, WorkError, explained
from mirante.files import system_reason
from mirante.places import keep_matplotlib_at_home
from mirante.torchrun import leads

VERBS = (
    demo,
    train,
    evaluate,
    predict,
    compare,
    summary,
    data,
    see,
    studio,
    photos,
    export,
    serve,
    monitor,
    versions,
    rollback,
    dossier,
    tune,
)


def _show_log(quiet: bool, code: str) -> None:
    """Send the library's log messages to stderr, in the user's language; with `quiet`, only warnings and errors."""
    import logging

    from mirante.locale.messages import Formatter

    log = logging.getLogger("mirante")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(code))
    log.handlers = [handler]
    log.setLevel(logging.WARNING if quiet else logging.INFO)
    log.propagate = False


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, without repeating the usage."""

    def error(self, message: str) -> NoReturn:
        raise RequestError(f"{message}; `{self.prog} --help` shows the options.")


class _PortugueseHelp(argparse.HelpFormatter):
    def add_usage(self, usage: str | None, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, "uso: " if prefix is None else prefix)


def _translate(parser: argparse.ArgumentParser, code: str) -> None:
    """Put the help of a parser, and of those below it, into the language of this code."""
    from mirante.locale.messages import help_in

    parser.formatter_class = _PortugueseHelp
    for group in parser._action_groups:
        group.title = help_in(code, group.title or "")
    parser._positionals.title, parser._optionals.title = "argumentos", "opções"
    parser.description = help_in(code, parser.description or "")
    parser.epilog = help_in(code, parser.epilog) if parser.epilog else None
    for action in parser._actions:
        if action.help not in (None, argparse.SUPPRESS):
            action.help = help_in(code, str(action.help))
        if isinstance(action, argparse._SubParsersAction):
            for listed in action._choices_actions:
                listed.help = help_in(code, listed.help or "")
            for child in action.choices.values():
                _translate(child, code)


def make_parser(code: str = "en") -> argparse.ArgumentParser:
    """Return the parser of the whole command line, its help in this language; the docs are generated from it."""
    from mirante import __version__

    parser = _Parser(
        prog="mirante",
        description="Train image classifiers on your own images, and know how far to trust each answer.",
        epilog="First time here: mirante demo",
    )
    parser.add_argument("--version", action="version", version=f"mirante {__version__}")
    shared = _Parser(add_help=False)
    shared.add_argument(
        "--lang", choices=("en", "pt"), help="language of all that is printed and drawn (default: the system's)"
    )
    shared.add_argument("--quiet", action="store_true", help="print results, warnings and errors only")
    shared.add_argument("--debug", action="store_true", help="show the traceback of an error")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for verb in VERBS:
        name = verb.__name__.rpartition(".")[2]
        lines = (verb.__doc__ or "").strip().split("\n", 1)
        child = verbs.add_parser(
            name,
            parents=[shared],
            help=lines[0],
            description=f"{lines[0]} {lines[1].strip()}" if len(lines) > 1 else lines[0],
        )
        verb.add(child)
        child.set_defaults(run=verb.run)
    if code != "en":
        _translate(parser, code)
    return parser


def _language_of(words: Sequence[str]) -> str:
    """Return the language that a command line asks for, before it is read: errors in it are told in that language too."""
    from mirante.locale import LANGUAGES, language

    for at, word in enumerate(words):
        option, sign, value = word.partition("=")
        asked = value if sign else "".join(words[at + 1 : at + 2])
        if option in ("--la", "--lan", "--lang") and asked in LANGUAGES:  # as argparse takes it
            return asked
    return language(None).code


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 the work failed, 2 the request was wrong, 130 stopped by Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    streams.prepare()
    keep_matplotlib_at_home()
    code = _language_of(words)
    try:
        _require_verb(words)
        parsed = make_parser(code).parse_args(words)
        _show_log(getattr(parsed, "quiet", False), code)
        parsed.run(parsed)
        if unwritten := streams.finish():
            print(f"mirante: {_in(code, unwritten)}", file=sys.stderr)
            sys.exit(1)
    except KeyboardInterrupt:
        print(_in(code, "Stopped."), file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        streams.discard()  # the reader (head, less) has gone
        sys.exit(0)
    except Exception as error:
        if "--debug" in words:
            raise
        error = _known(error)
        if isinstance(error, MiranteError):
            if not error.told and (
                leads() or not isinstance(error, RequestError)
            ):  # every process got the same wrong request
                from mirante.data.entries import printable

                lines = map(printable, _in(code, str(error)).split("\n"))
                print("mirante:", "\n".join(lines), file=sys.stderr)
            sys.exit(error.exit_status)
        told = f"unexpected error ({type(error).__name__}: {error}). --debug shows where; please report it."
        print(f"mirante: {_in(code, told)}", file=sys.stderr)
        sys.exit(1)
    sys.exit(0)


def _require_verb(words: Sequence[str]) -> None:
    """Raise RequestError for an option before the verb."""
    first = words[0].partition("=")[0] if words else ""
    if first.startswith("-") and not any(own.startswith(first) for own in ("-h", "--help", "--version")):
        raise RequestError(f"{first}: options come after the verb; `mirante --help` shows the verbs.")


def _in(code: str, message: str) -> str:
    from mirante.locale.messages import message_in

    return message_in(code, message)


_NO_MEMORY = (
    "allocate memory",
    "out of memory",
    "failed to allocate",
    "bad_alloc",
    "bad allocation",
    "failed to map segment",
)
"""What libraries say, each in an error of its own kind, when the system gives them no memory."""


def _known(error: Exception) -> Exception:
    """Return what a failure of the system means in Mirante's words, where that can be told."""
    if isinstance(error, ModuleNotFoundError):
        return explained(error) or error
    if isinstance(error, streams.OutputError):
        return WorkError(streams.unwritable(error))
    if isinstance(error, OSError) and error.filename is not None:
        return WorkError(f"{os.fsdecode(error.filename)}: {system_reason(error)}.")
    if isinstance(error, RuntimeError) and "home directory" in str(error).lower():
        return RequestError("this user has no home folder that ~ could stand for; write the whole path, or set HOME.")
    told = str(error).lower()
    if isinstance(error, MemoryError) or any(words in told for words in _NO_MEMORY):
        return WorkError(
            "there is not enough memory for this; close other programs, or use smaller images (--size) or batches."
        )
    return error
