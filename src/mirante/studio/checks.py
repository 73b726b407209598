"""The data check of a collection: `mirante data check` as a process, its findings, and what a person decided about each.

A decision changes the collection's edits, so it affects every training from then on; no file is touched.
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from mirante.data.check.findings import KINDS
from mirante.data.notes import Note
from mirante.errors import RequestError
from mirante.files import next_free, write_json
from mirante.locale import Language
from mirante.studio import collections, edits, listing, processes
from mirante.studio.workspace import Workspace, require_name

Decision = Literal["keep", "leave out", "relabel"]
_LOCK = threading.RLock()
_FINDINGS = "findings.json"
_LINES = 6


@dataclass(frozen=True)
class Checking:
    """One check: the collection's name, the folder that it is written to, its process and birth.

    decided  finding → decision
    before   finding → how its images were before the decision (edits.state_of)
    """

    name: str
    folder: str
    pid: int
    born: float
    decided: dict[str, Decision] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)


def start(workspace: Workspace, name: str) -> None:
    """Check a collection as it is now; what was found and decided before is set aside; the edits stay."""
    one = collections.read_collection(workspace, name)
    words = listing.training_words(workspace, one)
    with _LOCK:
        before = _read(workspace, name)
        if before is not None and processes.alive(before.pid, before.born):
            raise RequestError("These images are already being checked.")
        folder = next_free(workspace.memory("checks") / one.name)
        log = _log_beside(folder)
        pid, born = processes.launch(["data", "check", *words, "--out", str(folder)], workspace.root, log)
        _write(workspace, Checking(one.name, str(folder), pid, born))


def progress(workspace: Workspace, name: str, say: Language) -> dict[str, Any]:
    """Return the state of a check (none, running, failed, done), and what it found, the most harmful first."""
    collections.read_collection(workspace, name)
    one = _read(workspace, name)
    if one is None:
        return {"state": "none"}
    findings = _findings(one)
    if findings is None:
        lines = processes.printed(_log(one))
        if processes.alive(one.pid, one.born):
            return {"state": "running", "said": lines[-1] if lines else ""}
        return {"state": "failed", "said": "\n".join(lines[-_LINES:])}
    now = {item.path: item for item in listing.listing(collections.read_collection(workspace, name)).items}
    return {
        "state": "done",
        "findings": [
            {
                "number": number,
                "title": say(KINDS[row["kind"]].title),
                "meaning": say(KINDS[row["kind"]].meaning),
                "harm": row["harm"],
                "note": Note(*row["text"]).said(say),
                "pictures": [
                    {"path": path, "label": label, "goes": path in _goes(row)}
                    for path, label in zip(row["paths"], row["labels"], strict=False)
                ],
                "suggested": _suggested(row),
                "decision": _decision(one, number, row, now),
            }
            for number, row in enumerate(findings)
            if row["labels"]
        ],
        "others": [
            {
                "title": say(KINDS[row["kind"]].title),
                "path": " ".join(row["paths"]),
                "note": Note(*row["text"]).said(say),
            }
            for row in findings
            if not row["labels"]
        ],
    }


def decide(workspace: Workspace, name: str, number: int, what: str) -> None:
    """Keep, leave out or relabel the images of a finding; an empty decision undoes the previous one. Raises RequestError."""
    with _LOCK:
        one = _read(workspace, name)
        findings = None if one is None else _findings(one)
        if one is None or findings is None or not 0 <= number < len(findings):
            raise RequestError("There is no such finding; check these images again.")
        row, decided = findings[number], dict(one.decided)
        goes = _goes(row)
        if decided.pop(str(number), None) in ("leave out", "relabel") and str(number) in one.before:
            edits.restore(workspace, name, one.before[str(number)])
        before = {**one.before, str(number): edits.state_of(collections.read_collection(workspace, name), goes)}
        if what == "leave out":
            edits.edit(workspace, name, goes, None)
        elif what == "relabel":
            if not (suggested := _suggested(row)):
                raise RequestError("No other class is suggested for these images.")
            if (has := row["text"][1].get("should_have")) is None:
                edits.edit(workspace, name, goes, suggested)
            else:
                edits.give_label(workspace, name, goes, suggested, bool(has))
        elif what not in ("keep", ""):
            raise RequestError(f"{what!r} is not a decision.")
        if what:
            decided[str(number)] = what  # type: ignore[assignment]
        _write(workspace, replace(one, decided=decided, before=before))


def forget(workspace: Workspace, name: str) -> None:
    """Forget the check of a collection that is forgotten itself."""
    _file(workspace, name).unlink(missing_ok=True)


def _decision(one: Checking, number: int, row: dict[str, Any], now: dict[str, listing.Item]) -> str | None:
    """Return what was decided, unless it has been undone elsewhere since."""
    what, goes = one.decided.get(str(number)), [path for path in _goes(row) if path in now]
    if what == "leave out" and not all(now[path].left_out for path in goes):
        return None
    if what == "relabel" and any(now[path].label == now[path].original for path in goes):
        return None
    return what


def _goes(row: dict[str, Any]) -> list[str]:
    """Return the images removed when a finding is fixed: for copies all but the first, for a contradiction all of them."""
    paths: list[str] = row["paths"]
    return paths[1:] if row["kind"] in ("leak", "copy") else paths


def _suggested(row: dict[str, Any]) -> str | None:
    return row["text"][1].get("other") if row["kind"] == "doubtful" else None


def _findings(one: Checking) -> list[dict[str, Any]] | None:
    try:
        found: list[dict[str, Any]] = json.loads((Path(one.folder) / _FINDINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def _log(one: Checking) -> Path:
    return _log_beside(Path(one.folder))


def _log_beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.log")


def _file(workspace: Workspace, name: str) -> Path:
    return workspace.memory("checks") / f"{require_name(name)}.json"


def _read(workspace: Workspace, name: str) -> Checking | None:
    try:
        return Checking(**json.loads(_file(workspace, name).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _write(workspace: Workspace, one: Checking) -> None:
    write_json(_file(workspace, one.name), asdict(one))
