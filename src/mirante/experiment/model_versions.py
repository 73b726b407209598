"""The models that a run has had: each kept whole in RUN/earlier/1, 2, …, with who replaced it, when and why; any can come back.

A kept model is a run folder too, so that every verb takes it.
"""

from __future__ import annotations

import getpass
import logging
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from math import nan
from pathlib import Path

import numpy as np

from mirante import runfolder
from mirante.data.notes import Note
from mirante.data.several import join, parse
from mirante.errors import RequestError, RunError
from mirante.evaluation.figure import Figure
from mirante.evaluation.metrics import wilson
from mirante.experiment.compare import mcnemar
from mirante.files import write_json
from mirante.locale import Language
from mirante.prediction.onnx_model import version_of
from mirante.replacement import commit, copy_model, stage
from mirante.run import Run, hold_run

_REPLACED = "replaced.json"


@dataclass(frozen=True)
class Version:
    """A model that a run has or had, on the run's test images.

    number     under which it is kept, as `rollback` takes it; None for the one in use
    version    of its model.onnx, as the server and logs name it
    replaced   when it was replaced, in ISO 8601 (UTC), by whom and why; None for the one in use and where nobody noted it
    accuracy, low, high   the share of its test images that it gets right, with Wilson's 95% interval
    images     that it was tested on
    only_this, only_now   test images that only this one, or only the one in use, gets right; None where their test images differ
    p_value    of the exact McNemar test between the two; None where their test images differ
    """

    number: int | None
    version: str
    folder: str
    replaced: str | None
    who: str
    why: str
    accuracy: float
    low: float
    high: float
    images: int
    only_this: int | None
    only_now: int | None
    p_value: float | None

    def compared(self, say: Language) -> str:
        """Return how it does against the one in use on the same test images, in words; nothing for the one in use."""
        if self.p_value is None:
            return say("other test images")
        if self.number is None:
            return ""
        return say(
            "{better} better, {worse} worse (p = {p})",
            better=say.number(self.only_this or 0),
            worse=say.number(self.only_now or 0),
            p=say.number(self.p_value, 3),
        )

    @property
    def when(self) -> str:
        """When it was replaced (UTC), as people write it; "" for the one in use."""
        return (self.replaced or "").replace("T", " ").removesuffix("+00:00")


def versions(run: str | Path | Run) -> list[Version]:
    """Return the models that a run has and had, the one in use first, then the latest. Raises RunError."""
    opened = _opened(run)
    now = _right(opened)
    kept = [(Run(folder), number) for number, folder in reversed(earlier_models(opened.path).items())]
    return [_version(one, number, now) for one, number in ((opened, None), *kept)]


def rollback(run: str | Path | Run, to: int | None = None, *, why: str = "") -> Path:
    """Put an earlier model of a run in use again, and return where the present one is kept.

    to   its number; the latest when None

    Raises RequestError when there is none, RunError.
    """
    opened = _opened(run)
    with hold_run(opened.path):
        number = max(earlier_models(opened.path), default=0) if to is None else to
        return _replace(opened, earlier_model(opened.path, number), why or f"back to {runfolder.EARLIER}/{number}")


def adopt(run: str | Path | Run, new: str | Path | Run, *, why: str = "") -> Path:
    """Put the model of another run in the place of this run's, and return where the present one is kept.

    The other run stays as it is. Raises RunError, RequestError when both are the same, or answer another question.
    """
    opened, other = _opened(run), _opened(new)
    if opened.path.resolve() == other.path.resolve():
        raise RequestError(f"{other.path}: this is the same run.")
    if opened.task != other.task:
        raise RequestError(f"{other.path}: a model for the task {other.task}; that of {opened.path} is {opened.task}.")
    gone = [name for name in opened.classes if name not in other.classes]
    if len(gone) == len(opened.classes) and opened.info.asks.few_answers:
        raise RequestError(f"{other.path}: none of its classes is one of {opened.path}: it answers another question.")
    with hold_run(opened.path):
        if gone:
            logging.getLogger("mirante").warning(f"{other.path}: it no longer knows {', '.join(gone)}.")
        return _replace(opened, other.path, why or f"the model of {other.path}")


def keep(run: Path, why: str) -> Path:
    """Keep the model of a run as it is now, with why it is replaced, and return that folder, which is never there half-written."""
    folder = run / runfolder.EARLIER
    taken = [int(one.name) for one in folder.iterdir() if one.name.isdigit()] if folder.is_dir() else []
    last = max([0, *taken])
    kept = folder / str(last if _is_in_use(folder / str(last), run) else last + 1)
    part = kept.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    copy_model(run, part)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(part / _REPLACED, {"format": runfolder.FORMAT, "when": when, "who": _who(), "why": why})
    shutil.rmtree(kept, ignore_errors=True)
    part.rename(kept)
    return kept


def _replace(run: Run, source: Path, why: str) -> Path:
    for name in (
        runfolder.RECIPE,
        runfolder.DATA,
        runfolder.MODEL,
        runfolder.METRICS,
        runfolder.PREDICTIONS,
        runfolder.ONNX,
    ):
        runfolder.require_file(source, name)
    if _is_in_use(source, run.path):
        raise RequestError(f"{source}: its model is the one in use in {run.path}.")
    staged = stage(run.path, source)
    kept = keep(run.path, why)
    text = "This model was put in the place of another on {day}: {why}. The one before is kept in {folder}."
    day = datetime.now(UTC).date().isoformat()
    Run(staged).note(Note(text, {"day": day, "why": why, "folder": f"{runfolder.EARLIER}/{kept.name}"}))
    commit(run.path, staged)
    run.read_anew()
    warn_of_outdated(run.path)
    return kept


def warn_of_outdated(run: Path) -> None:
    """Name what was made with the model that a run had before."""
    for name in ("exports", "evaluations", "dossier"):
        if (run / name).exists():
            logging.getLogger("mirante").warning(
                f"{run / name}: made with the model before; make again what you still need."
            )


def _opened(run: str | Path | Run) -> Run:
    opened = run if isinstance(run, Run) else Run(run)
    runfolder.require_file(opened.path, runfolder.ONNX)
    return opened


def earlier_models(run: Path) -> dict[int, Path]:
    """Return number → folder of the models that a run has had, the first one first."""
    folder = run / runfolder.EARLIER
    found = [one for one in folder.iterdir() if one.name.isdigit()] if folder.is_dir() else []
    kept = sorted((int(one.name), one) for one in found if runfolder.is_run(one))
    return dict(kept[:-1] if kept and _is_in_use(kept[-1][1], run) else kept)


def earlier_model(run: Path, number: int) -> Path:
    """Return the folder of an earlier model. Raises RequestError when there is none of that number."""
    kept = earlier_models(run)
    if not kept:
        raise RequestError(f"{run}: there is no earlier model to go back to.")
    if number not in kept:
        raise RequestError(
            f"{run}: there is no earlier model {number}; there are {', '.join(map(str, kept))} (mirante versions {run})."
        )
    return kept[number]


def _is_in_use(kept: Path, run: Path) -> bool:
    """Tell whether the model of a folder is the one in use: kept last, it was kept, and then what was to replace it was killed."""
    both = kept / runfolder.ONNX, run / runfolder.ONNX
    return runfolder.is_run(kept) and all(one.is_file() for one in both) and version_of(both[0]) == version_of(both[1])


_Right = dict[tuple[str, str, str], bool]
"""Path, label and digest of a test image → whether it was answered rightly."""


def _right(run: Run) -> _Right:
    table, digests = run.predictions(), run.digests
    labels = table.labels
    if run.info.asks.several_labels:  # a label that was learned later is not known of any of them
        labels = [join(parse(label)[0]) for label in labels]
    keys = [(path, label, digests.get(path, "")) for path, label in zip(table.paths, labels, strict=True)]
    return dict(zip(keys, table.right.tolist(), strict=True))


def _version(run: Run, number: int | None, now: _Right) -> Version:
    """Describe a model; `now` is how the one in use answers its test images."""
    noted: dict[str, str] = {}
    if number is not None and (run.path / _REPLACED).exists():  # a copy of a kept model has it too
        noted = runfolder.read_json(run.path, _REPLACED)
    try:
        right = _right(run)
    except RunError:  # a kept model without its predictions can still come back to look at, but not be compared
        right = {}
    share = wilson(sum(right.values()), len(right)) if right else Figure(nan, nan, nan)
    same = right.keys() == now.keys()
    here, there = (np.array([one[key] for key in now]) for one in (right, now)) if same else (None, None)
    return Version(
        number,
        version_of(run.path / runfolder.ONNX) if (run.path / runfolder.ONNX).exists() else "",
        str(run.path),
        noted.get("when"),
        noted.get("who", ""),
        noted.get("why", ""),
        share.value,
        share.low,
        share.high,
        len(right),
        None if here is None or there is None else int((here & ~there).sum()),
        None if here is None or there is None else int((there & ~here).sum()),
        None if here is None or there is None else mcnemar(here, there),
    )


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user may have no name
        return ""
