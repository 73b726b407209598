"""The technical file as Markdown and as a page, with the words that people added to it; made again, it keeps them."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from mirante.data.entries import printable
from mirante.errors import RequestError
from mirante.files import write_text
from mirante.locale import Language, language
from mirante.monitoring.log_reader import NoRowsError
from mirante.monitoring.monitor import monitor
from mirante.run import Run
from mirante.technical_file.contents import Blank, Section, Table, sections
from mirante.templates import environment, raw_css

ANSWERS, MARKDOWN, PAGE = "answers.toml", "dossier.md", "dossier.html"
_MADE = "<!-- Mirante "


@dataclass(frozen=True)
class Dossier:
    """A technical file: its folder, and the keys of what people still have to say."""

    folder: Path
    missing: tuple[str, ...]
    asked: int


def dossier(
    run: str | Path | Run,
    *,
    purpose: str = "",
    log: str | Path | None = None,
    out: str | Path | None = None,
    lang: str | None = None,
) -> Dossier:
    """Write the technical file of a finished run: dossier.md, dossier.html, and answers.toml for what only a person can say.

    purpose  what the model is for; kept in answers.toml
    log      a log of its use (`--log` of predict and serve), of which the file tells too
    out      the folder; RUN/dossier when None
    lang     en or pt; the system's when None

    Made again, it takes new figures and keeps the answers. Raises RequestError where a page of it was changed by hand, RunError.
    """
    opened, say = run if isinstance(run, Run) else Run(run), language(lang)
    folder = opened.path / "dossier" if out is None else Path(out).expanduser()
    for name in (MARKDOWN, PAGE):
        _require_ours(folder / name)
    answers = _read(folder / ANSWERS)
    if purpose:
        purpose = _lines(printable(purpose) if not purpose.isprintable() and "\n" not in purpose else purpose)
        if answers.get("purpose", "").strip() not in ("", purpose.strip()):
            raise RequestError(f"{folder / ANSWERS}: already says what the model is for; change it there.")
    is_new = bool(purpose) and answers.get("purpose", "").strip() != purpose.strip()
    if is_new:
        answers["purpose"] = purpose
    watched, silent = None, None
    if log is not None:
        try:
            watched = monitor(opened.path, Path(log).expanduser())
        except NoRowsError as error:  # this model has answered nothing yet
            silent = say.told(error)
    found = sections(opened, watched, "" if log is None else str(Path(log).expanduser().resolve()), say, silent)
    blanks = [part for section in found for part in section.parts if isinstance(part, Blank)]
    folder.mkdir(parents=True, exist_ok=True)
    if is_new or not {one.key for one in blanks} <= answers.keys():  # else it stays as it is, with a person's comments
        write_text(folder / ANSWERS, _answers(blanks, answers, say))
    _write_ours(folder / MARKDOWN, _markdown(opened, found, answers, folder, say))
    _write_ours(folder / PAGE, _page(opened, found, answers, folder, say))
    missing = tuple(one.key for one in blanks if not answers.get(one.key, "").strip())
    return Dossier(folder, missing, len(blanks))


def _write_ours(path: Path, text: str) -> None:
    """Write a file with a note by which `_require_ours` knows whether a person has changed it since."""
    write_text(path, f"{text}{_MADE}{hashlib.sha256(text.encode()).hexdigest()} -->\n")


def _require_ours(path: Path) -> None:
    """Raise RequestError where a person has changed the file since it was made."""
    if not path.exists():
        return
    text, mark, made = path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n").rpartition(_MADE)
    if not mark and path.name == PAGE:
        return  # an earlier Mirante made it, and wrote it anew each time
    if made.strip() != f"{hashlib.sha256(text.encode()).hexdigest()} -->":
        raise RequestError(
            f"{path}: was changed by hand and would be lost; write into {ANSWERS} beside it instead, and move this file away."
        )


def _read(path: Path) -> dict[str, str]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"{path}: not TOML ({error}); mend it, it was left as it is.") from error
    wrong = [key for key, value in values.items() if not isinstance(value, str)]
    if wrong:
        raise RequestError(f"{path}: {wrong[0]} must be a text in quotes.")
    return {key: _lines(value) for key, value in values.items()}


def _lines(text: str) -> str:
    """Return a text with one kind of line end."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _answers(blanks: Sequence[Blank], answers: Mapping[str, str], say: Language) -> str:
    """Return answers.toml: each question as a comment; answers to questions that are no longer asked stay."""
    import tomli_w

    lines = [f"# {say('What only a person can say. Write between the quotes, and run mirante dossier again.')}"]
    for one in blanks:
        lines.append(
            f"\n# {one.question}\n{tomli_w.dumps({one.key: answers.get(one.key, '')}, multiline_strings=True).strip()}"
        )
    others = {key: value for key, value in answers.items() if key not in {one.key for one in blanks}}
    if others:
        lines.append("\n" + tomli_w.dumps(others, multiline_strings=True).strip())
    return "\n".join(lines) + "\n"


def _link(run: Run, folder: Path, name: str) -> str:
    place = run.path.resolve() / name  # a name that begins at the root stands for itself
    try:
        return quote(Path(os.path.relpath(place, folder.resolve())).as_posix(), errors="surrogateescape")
    except ValueError:  # on another drive
        return place.as_uri()


def _name(run: Run) -> str:
    return printable(run.name)


def _lead(say: Language) -> str:
    return say(
        "Collected by Mirante from the run and from what people wrote. It claims nothing and is no legal advice. The sections "
        "follow Annex IV of Regulation (EU) 2024/1689."
    )


def _markdown(run: Run, found: Sequence[Section], answers: Mapping[str, str], folder: Path, say: Language) -> str:
    parts = [f"# {say('Technical file')}: {_plain(_name(run))}", _lead(say)]
    for number, section in enumerate(found, 1):
        parts.append(f"## {number}. {section.title}")
        for part in section.parts:
            if isinstance(part, Table):
                lines = [part.header, ["---"] * len(part.header), *part.rows]
                parts.append("\n".join(f"| {' | '.join(map(_plain, line))} |" for line in lines))
            elif isinstance(part, Blank):
                said = answers.get(part.key, "").strip()
                parts.append(f"**{part.question}**\n\n{said or '⚠ ' + say('Missing: only a person can say this.')}")
            else:
                parts.append(_plain(part))
        if section.files:
            links = ", ".join(
                f"[{_plain(printable(Path(name).name))}]({_link(run, folder, name)})" for name in section.files
            )
            parts.append(f"{say('From:')} {links}")
    return "\n\n".join(parts) + "\n\n"


def _plain(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line of a table."""
    escaped = "".join(f"\\{sign}" if sign in "\\|<>[]*_`#" else sign for sign in str(text))
    return " ".join(escaped.split()) or " "


def _page(run: Run, found: Sequence[Section], answers: Mapping[str, str], folder: Path, say: Language) -> str:
    template = environment("mirante.technical_file").get_template("dossier.html.j2")
    return (
        template.render(
            css=raw_css(),
            say=say,
            name=_name(run),
            lead=_lead(say),
            sections=found,
            answers=answers,
            kind=lambda part: type(part).__name__,
            link=lambda name: _link(run, folder, name),
        )
        + "\n"
    )
