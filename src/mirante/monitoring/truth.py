"""Labels that came later: a table of what images in use really show, beside the answers of a log."""

from __future__ import annotations

import contextlib
import hashlib
import re
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirante.data.classes import class_of, look_alikes, tidy_path
from mirante.data.several import join, parse
from mirante.data.tables import Columns, read_table_file, spellings
from mirante.errors import DataError
from mirante.model_info import ModelInfo
from mirante.monitoring.log_reader import Rows

_DIGEST = re.compile(r"[0-9a-f]{32}([0-9a-f]{32})?")


def compare(
    rows: Rows, table: Path, info: ModelInfo, run: str
) -> tuple[Rows, NDArray[np.bool_], NDArray[np.bool_], dict[str, int]]:
    """Return the N rows whose images a table names, (N,) whether each answer is right, (N,) whether the model knows the label, and
    label → images of unknown labels.

    An image with a label that is no answer of the model can only be answered rightly by "none of these". Of several labels those that
    the model does not know are not judged, nor those that the table never names.

    Raises DataError for a table that contradicts itself, or has nothing in common with the log or the model.
    """
    several, places = info.asks.several_labels, {digest: place for place, digest in enumerate(rows.digests.tolist())}
    listed = read_table_file(table, Columns(several=several, options=False)).rows
    labels = _labels([row.label for row in listed], info)
    named = {name for label in labels for part in parse(label) for name in part}
    passed = np.array([several and name not in named for name in info.classes])
    told: dict[str, tuple[int, str]] = {}  # by digest: the row of the table, and the label
    for row, label in zip(listed, labels, strict=True):
        digest = _digest(table, row.path, row.number)
        if told.setdefault(digest, (row.number, label))[1] != label:
            raise DataError(f"{table}, row {row.number}: {row.path} is {row.label!r} here and something else before.")
    own = [(places[digest], number, label) for digest, (number, label) in told.items() if digest in places]
    if not own:
        raise DataError(f"{table}: none of its images is in the log.")
    unknown: Counter[str] = Counter()
    right, is_known = [], []
    for place, number, label in own:
        known, others = _parted(label, info)
        if info.asks.few_answers:
            for other in others:
                if other not in unknown:
                    _require_plain(other, info.classes, table, number)
            unknown.update(others)
        wanted = None if known is None else encoded(known, info)
        is_known.append(wanted is not None)
        if wanted is None:
            right.append(bool(rows.none_of_these[place]))
            continue
        given = info.asks.encode_labels([str(rows.answers[place])], info.classes, info.output)[0]
        same = given == wanted
        right.append(bool((same | (wanted < 0) | passed if several else same).all()))
    if (info.asks.few_answers and all(_parted(label, info)[0] is None for label in labels)) or (
        several and passed.all()
    ):
        raise DataError(f"{table}: none of its labels is one that {run} knows.")
    judged = rows.only(np.array([place for place, _, _ in own]))
    return judged, np.array(right), np.array(is_known), dict(unknown.most_common())


def _labels(labels: list[str], info: ModelInfo) -> list[str]:
    """Return labels as the model's classes are written."""
    if info.asks.several_labels:
        return [join(*map(sorted, parse(unicodedata.normalize("NFC", label)))) for label in labels]
    if not info.asks.few_answers:  # texts
        return [unicodedata.normalize("NFC", label).strip() for label in labels]
    plain = [label.strip() for label in labels]
    return [class_of(label, info.classes) or label for label in plain]


def _parted(label: str, info: ModelInfo) -> tuple[str | None, list[str]]:
    """Return what of a label the model may answer, None if nothing, and the names in it that it does not know."""
    if not info.asks.several_labels:
        return (label, []) if label in info.classes or not info.asks.few_answers else (None, [label])
    yes, open_ = ([name for name in part if name in info.classes] for part in parse(label))
    return join(yes, open_), [name for part in parse(label) for name in part if name not in info.classes]


def encoded(label: str, info: ModelInfo) -> NDArray[np.int64] | None:
    """Return a label as a target; None for a text of other letters, or too long a one."""
    try:
        found: NDArray[np.int64] = info.asks.encode_labels([label], info.classes, info.output)[0]
    except (KeyError, DataError):
        return None
    return found


def _require_plain(label: str, classes: tuple[str, ...], table: Path, number: int) -> None:
    """Raise DataError for an unknown label where something else is probably meant: a class in other letters, or a branch of a tree."""
    for one, other in look_alikes(Counter([*classes, *classes, label])):
        if other == label:
            raise DataError(
                f"{table}, row {number}: {label!r} is not a class of the model, but {one!r} is; write it as the model does."
            )
    if inside := next((one for one in classes if one.startswith(f"{tidy_path(label)}/")), None):
        raise DataError(
            f"{table}, row {number}: {label!r} is a branch of the tree; name the class at its end, such as {inside!r}, or leave "
            "the row out."
        )


def _digest(table: Path, path: str, number: int) -> str:
    if _DIGEST.fullmatch(path.lower()):
        return path.lower()[:32]
    for name in spellings(path):
        with contextlib.suppress(OSError, ValueError):
            return hashlib.sha256((table.parent / name).read_bytes()).hexdigest()[:32]
    raise DataError(f"{table}, row {number}: no file at {path}, and it is no digest.")
