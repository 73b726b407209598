"""The model's doubt beside people's: what many people said about the same images, and whether both doubt the same ones."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante.errors import DataError
from mirante.evaluation.metrics import entropies
from mirante.locale import Language

_FIRST = (0.01, 0.05, 0.1)
_SURE, _UNSURE = 0.05, 0.5  # dispersion up to which the model counts as sure, and from which as unsure


def read_human_votes(file: Path, paths: Sequence[str], classes: Sequence[str]) -> NDArray[np.float64]:
    """Return people's votes as shares (N, classes) for N images; a row of NaN for images that nobody voted on.

    file   a CSV with the column path and one column per class, called NAME or people_NAME: counts or shares
    paths  paths of the images; the file may omit leading folders

    Raises DataError when a column is missing, a vote is not a number, or none of the images is in it.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as opened:
            rows = list(csv.DictReader(opened))
    except OSError as error:
        raise DataError(f"{file}: the votes cannot be read ({error.strerror or error}).") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: the votes cannot be read; the file must be a CSV in UTF-8.") from error
    columns = list(rows[0]) if rows else []
    names = [next((one for one in (name, f"people_{name}") if one in columns), "") for name in classes]
    if "path" not in columns or not all(names):
        missing = "path" if "path" not in columns else classes[names.index("")]
        raise DataError(f"{file}: no column {missing!r}; it must have path, and one column per class with its votes.")
    places: dict[str, int | None] = {}
    for row, path in enumerate(paths):
        parts = path.split("/")
        for start in range(len(parts)):
            tail = "/".join(parts[start:])
            places[tail] = None if tail in places else row
    votes = np.zeros((len(paths), len(classes)))  # an image may have several rows, one per person for example
    for number, line in enumerate(rows, 2):
        place = places.get((line["path"] or "").replace("\\", "/").removeprefix("./"))
        if place is None:
            continue
        try:
            given = np.array([float(line[name]) for name in names])
        except (TypeError, ValueError) as error:
            raise DataError(f"{file}, row {number}: a vote must be a number.") from error
        if not (given >= 0).all() or not 0 < given.sum() < np.inf:
            raise DataError(f"{file}, row {number}: votes must be counts or shares, at least one above 0.")
        votes[place] += given
    if not votes.any():
        raise DataError(f"{file}: none of its paths is one of the evaluated images, such as {paths[0]}.")
    given = votes.sum(axis=1, keepdims=True)
    return np.where(given > 0, votes / np.where(given > 0, given, 1), np.nan)


def compare_with_humans(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64], votes: NDArray[np.float64]
) -> dict[str, Any]:
    """Return how far the model's doubts match people's; probabilities and votes (N, classes), labels (N,).

    others_named   images for which most people name another class than the label
    model_agrees   of those, how many the model gives that other class
    in_first       share of the ranking (labels that the model believes least first) → share of those in it
    """
    from scipy.stats import spearmanr

    voted = ~np.isnan(votes[:, 0])
    probabilities, labels, votes = probabilities[voted], labels[voted], votes[voted]
    ours, theirs = entropies(probabilities), entropies(votes)
    named = votes.argmax(axis=1)
    other = named != labels
    order = np.argsort(probabilities[np.arange(len(labels)), labels], kind="stable")
    found: dict[str, Any] = {
        "images": len(labels),
        "rank_correlation": float(spearmanr(ours, theirs).statistic) if np.ptp(ours) and np.ptp(theirs) else float("nan"),
        "others_named": int(other.sum()),
        "model_agrees": int((other & (probabilities.argmax(axis=1) == named)).sum()),
        "in_first": {
            f"{share:g}": float(other[order[: max(1, round(share * len(order)))]].sum() / max(1, other.sum())) for share in _FIRST
        },
    }  # fmt: skip
    for name, chosen in (("dispersion_where_sure", ours <= _SURE), ("dispersion_where_unsure", ours >= _UNSURE)):
        found[name] = float(theirs[chosen].mean()) if chosen.any() else float("nan")
    return found


def human_votes_sentences(found: dict[str, Any], say: Language) -> list[str]:
    """Return what the report says about it; nothing without votes."""
    people = found.get("human_votes")
    if people is None:
        return []
    sentences = [
        say(
            "People voted on {count} of these images. The dispersion of their votes and that of the model's probabilities have a rank "
            "correlation of {correlation}: 1 would mean that both doubt the same images, 0 that their doubts are unrelated.",
            count=say.number(people["images"]),
            correlation=say.number(people["rank_correlation"], 2),
        ),
        say(
            "Where the model is sure, people's dispersion is {sure} on average; where it is unsure, {unsure}.",
            sure=say.number(people["dispersion_where_sure"], 3),
            unsure=say.number(people["dispersion_where_unsure"], 3),
        ),
    ]
    if people["others_named"]:
        shares = ", ".join(
            f"{say.percent(float(first), 0)}: {say.percent(share, 0)}" for first, share in people["in_first"].items()
        )
        sentences.append(
            say(
                "For {count} images, most people name another class than the label, and the model agrees with them on {agrees}. "
                "Ranked by what the model believes least, this share of them is in the first {shares}.",
                count=say.number(people["others_named"]),
                agrees=say.number(people["model_agrees"]),
                shares=shares,
            )
        )
    return sentences
