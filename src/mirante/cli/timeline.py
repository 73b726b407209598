"""Timelines of films on the terminal, and in the files that `mirante predict --timeline` names."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mirante.errors import RequestError

if TYPE_CHECKING:
    from mirante.locale import Language
    from mirante.prediction.films import Timelines
    from mirante.timeline import Stretch


def require_forms(files: Sequence[str], paths: Sequence[str]) -> None:
    """Raise RequestError for a file whose ending names no form of a timeline, or that cannot be made for these films."""
    from mirante.data.films import is_film

    films = sum(map(is_film, paths))
    for file in files:
        if Path(file).suffix.lower() not in _FORMS:
            raise RequestError(f"--timeline {file}: must end in {', '.join(_FORMS)}.")
        if not Path(file).expanduser().absolute().parent.is_dir():
            raise RequestError(f"--timeline {file}: no such folder.")
        if films > 1:
            _require_one(file, films)


def show_timelines(timelines: Timelines, arguments: argparse.Namespace) -> None:
    """Print the timelines if answers are printed as a table, and write the files. Raises RequestError when there is no film."""
    from mirante.files import write_text
    from mirante.locale import language

    films, say = timelines.films(), language(arguments.lang)
    if arguments.timeline and not films:
        raise RequestError(f"--timeline {arguments.timeline[0]}: {' '.join(arguments.paths)} is no film.")
    if not films:
        return
    for file in arguments.timeline:
        _require_one(file, len(films))
    found = list(timelines.all())
    if arguments.format == "table":
        from mirante.timeline import clock

        print()
        for one in found:
            label = say("none of these") if one.label is None else one.label
            print(f"{clock(one.begin)} – {clock(one.end)}  {label:<24} {say.confidence(one.confidence):>6}  {one.film}")
    for file in arguments.timeline:
        write_text(Path(file).expanduser(), _FORMS[Path(file).suffix.lower()](found, say))


def _require_one(file: str, films: int) -> None:
    if films > 1 and Path(file).suffix.lower() == ".vtt":
        raise RequestError(f"--timeline {file}: subtitles are of one film, and there are {films}; give one at a time.")


def _csv(found: Sequence[Stretch], say: Language) -> str:
    from mirante.files import csv_text

    rows = [one.to_dict() for one in found]
    return csv_text(["film", "begin", "end", "label", "confidence", "frames"], (list(row.values()) for row in rows))


def _json(found: Sequence[Stretch], say: Language) -> str:
    from mirante.files import to_json

    return to_json([one.to_dict() for one in found]) + "\n"


def _vtt(found: Sequence[Stretch], say: Language) -> str:
    from mirante.timeline import web_vtt

    return web_vtt(found, say.confidence)


def _html(found: Sequence[Stretch], say: Language) -> str:
    from mirante.evaluation.timeline_page import page

    return page(found, say)


_FORMS: dict[str, Callable[[Sequence[Stretch], Language], str]] = {
    ".csv": _csv,
    ".json": _json,
    ".vtt": _vtt,
    ".html": _html,
}
