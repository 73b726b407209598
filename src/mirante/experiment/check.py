"""The complete data check: look at every image, compare all with all, ask a model, report, and write a cleaned list."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

import mirante
from mirante.data.check.copies import find_copies
from mirante.data.check.findings import (
    KINDS,
    Finding,
    find_among_classes,
    find_copies_of,
    find_in_files,
    find_shortcuts_in,
    leave_out,
)
from mirante.data.check.look import Looks, look
from mirante.data.check.shortcuts import Shortcut, find_shortcuts
from mirante.data.dataset import Dataset, SourceOptions
from mirante.data.notes import Note
from mirante.errors import RequestError
from mirante.evaluation.card_text import short_name
from mirante.experiment.label_errors import LEAST_OF_LABEL, LabelErrors, find_label_errors
from mirante.experiment.options import require_known
from mirante.experiment.pictures import small_pictures
from mirante.files import csv_text, next_free, write_json, write_text
from mirante.locale import Language, language
from mirante.model.packages import OFFLINE, at_hand
from mirante.templates import environment, raw_css

_SHOWN = 40  # findings per kind whose pictures are in the report; the table lists all
_PICTURES = 6  # per finding

REPORT, TABLE, CLEANED, DOUBTFUL = "report.html", "findings.csv", "labels.csv", "doubtful.csv"
FINDINGS = "findings.json"  # as findings.csv, with the notes in parts that can be translated


@dataclass(frozen=True)
class Check:
    """The result of a data check.

    findings   the most harmful kind first
    shortcuts  every property that was measured, the most predictive first
    doubts     what a model says about each image, or None if none was used
    """

    dataset: Dataset
    findings: tuple[Finding, ...]
    shortcuts: tuple[Shortcut, ...]
    doubts: LabelErrors | None

    def counts(self) -> dict[str, int]:
        """Return kind → number of findings, the most harmful kind first."""
        found = Counter(one.kind for one in self.findings)
        return {kind: found[kind] for kind in KINDS if found[kind]}

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per finding: kind, harm, paths, classes and a note."""
        names = self.dataset.names
        return [
            {
                "kind": one.kind,
                "harm": KINDS[one.kind].harm,
                "paths": [one.path] if one.path else [self.dataset.paths[row] for row in one.rows],
                "labels": [names[row] for row in one.rows],
                "splits": [str(self.dataset.splits[row]) for row in one.rows],
                "note": str(one.note),
            }
            for one in self.findings
        ]


class CheckOptions(SourceOptions, total=False):
    """How the images are read and shown (as in Dataset.open), and the share of them kept for validation."""

    task: str
    ordered: Sequence[str] | None
    val_share: float
    window: str | None
    page: int | None


def check(data: str | Path, *, with_model: bool = True, **options: Unpack[CheckOptions]) -> Check:
    """Look for what is wrong with labelled images; options as in Dataset.open: labels, label_column, path_column,
    group, subgroup, classes, root, interval, task, ordered, val_share, window, page. Of several labels, each is checked by itself.

    with_model  also use a pretrained network, if one is installed, to find doubtful labels and outliers
    """
    require_known(options, CheckOptions.__annotations__, "check")
    dataset = Dataset.open(data, **options, lenient=True)
    looks = look(dataset.source, dict(zip(dataset.paths, dataset.digests, strict=True)), dataset.rendering)
    dataset.asks.require_checkable(dataset.location)
    shortcuts = _shortcuts(dataset, looks)
    findings = [
        *find_copies_of(dataset, find_copies(looks.small, dataset.sizes.min(axis=1))),
        *find_among_classes(dataset),
        *find_shortcuts_in(shortcuts),
        *find_in_files(dataset, looks),
    ]
    doubts = None
    if with_model and not at_hand():
        logging.getLogger("mirante").warning(
            "Wrong labels and outliers are not checked: that needs a pretrained network; run pip install 'mirante[train]'."
        )
    elif with_model:
        asked, doubts = find_label_errors(dataset, OFFLINE)
        findings += _from_doubts(dataset, asked, doubts)
    order = list(KINDS)
    findings.sort(key=lambda one: order.index(one.kind))
    return Check(dataset, tuple(findings), tuple(shortcuts), doubts)


def _shortcuts(dataset: Dataset, looks: Looks) -> list[Shortcut]:
    """Return what tells the classes; of several labels, what tells each of them, the most predictive first."""
    targets = dataset.targets
    if targets.ndim == 1:
        return find_shortcuts(looks, dataset.paths, targets, dataset.classes, dataset.groups)
    found: list[Shortcut] = []
    for label, name in enumerate(dataset.classes):
        known = np.flatnonzero(targets[:, label] >= 0)
        wanted = (targets[:, label] > 0).astype(np.int64)
        if np.bincount(wanted[known], minlength=2).min() < LEAST_OF_LABEL:
            continue
        told = find_shortcuts(
            looks.only(known),
            [dataset.paths[row] for row in known],
            wanted[known],
            ("", name),
            dataset.groups and [dataset.groups[row] for row in known],
        )
        found += [replace(one, best=name) for one in told]
    return sorted(found, key=lambda one: -one.area)


def require_new(folder: str | Path) -> Path:
    """Return the folder as a path; raises RequestError when it is not empty."""
    path = Path(folder).expanduser()
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RequestError(f"{path}: already exists and is not empty; choose another folder.")
    return path


def write_check(done: Check, folder: Path | None = None, lang: str | None = None) -> Path:
    """Write report.html and findings.csv into a folder, the next free one under checks/ when None, and return it."""
    if folder is None:
        folder = next_free(Path("checks") / done.dataset.name)
    _make(folder)
    found = []
    for row in done.rows():
        for number, path in enumerate(row["paths"] or [""]):
            label, split = (row["labels"][number], row["splits"][number]) if row["labels"] else ("", "")
            others = " | ".join(other for other in row["paths"] if other != path)
            found.append([row["kind"], row["harm"], path, label, split, others, row["note"]])
    write_text(folder / TABLE, csv_text(["kind", "harm", "path", "label", "split", "with", "note"], found))
    write_text(folder / REPORT, _page(done, language(lang)))
    rows = [
        {**row, "text": [one.note.text, one.note.values]} for row, one in zip(done.rows(), done.findings, strict=True)
    ]
    write_json(folder / FINDINGS, rows)  # written last: other processes wait for this file
    return folder


def write_cleaned(done: Check, folder: Path) -> int:
    """Write labels.csv, the list without harmful images, and doubtful.csv; return how many images the list leaves out.

    No image is changed. Raises RequestError when the folder is not empty.
    """
    _make(folder)
    dataset = done.dataset
    gone = leave_out(dataset, list(done.findings))
    # splits drawn by content come out the same when drawn again for the remaining images
    columns = {"path": dataset.paths, "label": dataset.names}
    if dataset.split_by == "source":
        columns["split"] = dataset.splits.tolist()
    if dataset.groups is not None:
        columns["group"] = dataset.groups
    rows = [values for row, values in enumerate(zip(*columns.values(), strict=True)) if row not in gone]
    write_text(folder / CLEANED, csv_text(list(columns), rows))
    if done.doubts is not None:
        doubtful, names = [], dataset.names
        for one in done.findings:
            if one.kind == "doubtful":
                said, row = one.note.values, one.rows[0]
                doubtful.append([dataset.paths[row], names[row], _said(one), said["share"], said["own"]])
        header = ["path", "label", "model_says", "probability", "probability_of_label"]
        write_text(folder / DOUBTFUL, csv_text(header, doubtful))
    return len(gone)


def _from_doubts(dataset: Dataset, asked: Dataset, doubts: LabelErrors) -> list[Finding]:
    """Return the doubtful labels and the outliers, as rows of `dataset`; `asked` lacks the images that could not be decoded."""
    row_of = {path: row for row, path in enumerate(dataset.paths)}
    found = []
    asked_labels = doubts.asked.tolist() if doubts.asked is not None else []
    for row, label in zip(doubts.doubtful.tolist(), asked_labels, strict=False):
        share = float(doubts.probabilities[row, label])
        has = asked.targets[row, label] > 0
        text = "more likely without {other} ({share})" if has else "more likely with {other} ({share})"
        share, own = (1 - share, share) if has else (share, 1 - share)
        values = {
            "other": asked.classes[label],
            "should_have": int(not has),
            "share": round(share, 3),
            "own": round(own, 3),
        }
        found.append(Finding("doubtful", (row_of[asked.paths[row]],), Note(text, values)))
    for row in doubts.doubtful.tolist() if doubts.asked is None else ():
        shares = doubts.probabilities[row].copy()
        own = float(shares[asked.targets[row]])
        shares[asked.targets[row]] = -1
        other = int(shares.argmax())
        values = {"other": asked.classes[other], "share": round(float(shares[other]), 3), "own": round(own, 3)}
        text = "more likely {other} ({share}; its own class: {own})"
        found.append(Finding("doubtful", (row_of[asked.paths[row]],), Note(text, values)))
    for row in doubts.outliers.tolist():
        text = "{times} times as far from its nearest images as usual"
        values = {"times": round(float(doubts.distances[row]), 2)}
        found.append(Finding("outlier", (row_of[asked.paths[row]],), Note(text, values)))
    return found


def _said(one: Finding) -> str:
    """Return what the model says in place of a doubtful label: a class, or whether the image has the label."""
    other, should_have = str(one.note.values["other"]), one.note.values.get("should_have")
    return other if should_have is None else f"{'with' if should_have else 'without'} {other}"


def _make(folder: Path) -> None:
    try:
        require_new(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"{folder}: the folder cannot be created ({error.strerror}).") from error


def _page(done: Check, say: Language) -> str:
    shown: dict[str, list[Finding]] = {kind: [] for kind in KINDS}
    for one in done.findings:
        if len(shown[one.kind]) < _SHOWN:
            shown[one.kind].append(one)
    rows = {row for group in shown.values() for one in group for row in one.rows[:_PICTURES]}
    pictures = small_pictures(done.dataset, {done.dataset.paths[row] for row in rows})
    counts, names = done.counts(), done.dataset.names
    template = environment("mirante.experiment").get_template("check.html.j2")
    return template.render(
        css=raw_css(),
        say=say,
        location=short_name(done.dataset.location),
        total=say.number(len(done.dataset)),
        classes=len(done.dataset.classes),
        kinds=[
            {
                "title": say(KINDS[kind].title),
                "meaning": say(KINDS[kind].meaning),
                "harm": KINDS[kind].harm,
                "count": say.number(count),
                "more": count - len(shown[kind]),
                "findings": [_shown(done.dataset, names, one, pictures, say) for one in shown[kind]],
            }
            for kind, count in counts.items()
        ],
        shortcuts=[
            {
                "name": say(one.name),
                "accuracy": say.percent(one.accuracy),
                "chance": f"{say.percent(one.chance[0])} – {say.percent(one.chance[1])}",
                "best": one.best,
                "area": say.number(one.area, 2),
                "strong": one.strong,
            }
            for one in done.shortcuts
        ],
        asked=None if done.doubts is None else say.percent(done.doubts.accuracy),
        footer=say("Made by Mirante {version} on this computer. No image left it.", version=mirante.__version__),
    )


def _shown(
    dataset: Dataset, names: Sequence[str], one: Finding, pictures: dict[str, str], say: Language
) -> dict[str, Any]:
    return {
        "note": one.note.said(say),
        "path": one.path,
        "pictures": [
            {
                "data": pictures.get(dataset.paths[row]),
                "path": dataset.paths[row],
                "label": names[row] or "–",
                "split": say({"train": "Training", "val": "Validation", "test": "Test"}[str(dataset.splits[row])]),
            }
            for row in one.rows[:_PICTURES]
        ],
    }
