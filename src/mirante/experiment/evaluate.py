"""Evaluate a run, again or on other images."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from glob import escape
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from mirante import runfolder
from mirante.data.dataset import Dataset, SourceOptions
from mirante.errors import DataError, RunError
from mirante.evaluation.card_text import short_name
from mirante.evaluation.figure import Metrics
from mirante.evaluation.judgement import Setting
from mirante.evaluation.page import Story, write_report
from mirante.experiment.options import require_known
from mirante.files import next_free, write_text
from mirante.images import Pixels
from mirante.locale import Language, language
from mirante.predictions import Predictions
from mirante.run import Run, hold_run

_IMAGES = "images.txt"
"""In the folder of an evaluation: the digest of what was evaluated there."""

_log = logging.getLogger("mirante")
_SHOWN = 30  # how many left-out images are listed


class Evaluation:
    """The result of evaluating a run: the folder with its report, the figures, and the predictions behind them."""

    def __init__(self, path: Path, metrics: Metrics, predictions: Predictions) -> None:
        self.path, self.metrics, self._predictions = path, metrics, predictions

    def __repr__(self) -> str:
        return f"<Evaluation {self.path}>"

    @property
    def report(self) -> Path:
        return self.path / runfolder.REPORT

    def predictions(self) -> Predictions:
        """Return the model's predictions for the images."""
        return self._predictions


def evaluate(
    run: str | Path | Run,
    data: str | Path | None = None,
    *,
    human_votes: str | Path | None = None,
    lang: str | None = None,
    **options: Unpack[SourceOptions],
) -> Evaluation:
    """Evaluate a run again: on its own test images, or on other labelled images with the same classes.

    human_votes  a CSV of people's votes on the images; the report then compares the model's doubt with theirs
    options      by name, as in Dataset.open: labels, group, subgroup, classes, root and the like; without data, only subgroup

    For its own images, the figures, plots and report in the run are rewritten; for other data they go to evaluations/NAME in
    the run. Raises RunError when it is not a run, or its test images have changed.
    """
    opened = run if isinstance(run, Run) else Run(run)
    say = language(lang)
    model = opened.model()
    info, folder = model.info, opened.path
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    require_known(given, SourceOptions.__annotations__, "evaluate")
    if data is None:
        if ignored := sorted(set(given) - {"subgroup"}):
            raise DataError(f"{', '.join(ignored)}: only allowed with other data (DATA); a run knows its own.")
        dataset = opened.dataset(subgroup=given.get("subgroup"))
    else:
        dataset = Dataset.open(data, **given, **info.asks.data_options(info))
    require_classes(dataset, info.classes)
    if data is not None:
        dataset = _not_seen(dataset, opened)
        folder = _evaluation_folder(opened, dataset)
    dataset, pixels = dataset.load(info.size, info.channels, info.fit, info.rendering)
    tell_skipped(dataset, strict=False)
    folded = data is None and bool(dataset.folds)
    tested = np.flatnonzero(dataset.splits != "test") if folded else dataset.rows("test")
    if data is None:
        opened.require_same(dataset, tested)
    if folded:  # the networks that answered are gone
        predictions = _as_rows_of(opened.predictions(), dataset, opened)
    else:
        predictions = model.asks.predict(model.run(pixels[tested]), tested, dataset, info)
    votes = None if human_votes is None else Path(human_votes).expanduser()
    evaluated = None if data is None else short_name(str(data))  # a report is handed on
    kept = {}
    if (
        data is None and opened.is_finished
    ):  # what only the training knew: its repetitions, with folds what was not calibrated
        kept = {name: opened.metrics[name] for name in ("repeats", "uncalibrated") if name in opened.metrics}
    with hold_run(folder):
        metrics = judge_run(
            opened, folder, predictions, dataset, pixels, say, evaluated=evaluated, kept=kept, human_votes=votes
        )
    return Evaluation(folder, metrics, predictions)


def _not_seen(dataset: Dataset, run: Run) -> Dataset:
    """Return the data set without the images that the model was made from. Raises DataError when no other is left."""
    seen, tested = run.seen, dataset.rows("test")
    known = {dataset.paths[row]: "the model was trained with it" for row in tested if dataset.digests[row] in seen}
    if 0 < len(known) == len(tested):
        raise DataError(
            f"{dataset.location}: the model was trained with all of these images; give others to test it on."
        )
    return dataset.leaving_out(known)


def _evaluation_folder(run: Run, dataset: Dataset) -> Path:
    """Make the folder of an evaluation: evaluations/NAME, with a number when other images were evaluated there."""
    wanted = run.path / "evaluations" / dataset.name
    for folder in (wanted, *wanted.parent.glob(f"{escape(wanted.name)}-[0-9]*")):
        mark = folder / _IMAGES
        if mark.is_file() and mark.read_text(encoding="utf-8").strip() == dataset.fingerprint:
            return folder
    folder = next_free(wanted)
    folder.mkdir(parents=True)
    write_text(folder / _IMAGES, dataset.fingerprint + "\n")
    return folder


def judge_run(
    run: Run,
    folder: Path,
    predictions: Predictions,
    dataset: Dataset,
    pixels: Pixels,
    say: Language,
    *,
    evaluated: str | None = None,
    again: Sequence[Predictions] = (),
    kept: Mapping[str, Any] = {},
    human_votes: Path | None = None,
) -> Metrics:
    """Measure, draw and report a run's predictions into `folder`; for its own images, these become the run's metrics.

    evaluated  where the images are, if they are not the run's own
    again      the predictions of further trainings with other seeds
    kept       figures that cannot be computed again, and still hold
    """
    info, task = run.info, run.info.asks
    objectives = task.require_objectives(run.objectives, info.classes)
    history = run.history if evaluated is None else []
    watched = str(run.settings["recipe"].get("watch", "val"))
    heatmaps = run.heatmaps if evaluated is None else None
    setting = Setting(info, dataset, pixels, objectives, say, again, history, watched, human_votes, heatmaps)
    judgement = task.judge(predictions, setting)
    judgement = replace(judgement, metrics={**kept, **judgement.metrics})
    metrics = run.publish_judgement(folder, predictions, judgement)
    known = [
        one for one in run.notes if evaluated is None or one.grave
    ]  # what the model was trained on stays as it was
    if evaluated is not None:
        known += dataset.notes
    notes = sorted(known, key=lambda one: {True: 0, False: 1, None: 2}[one.grave])
    warnings = [(note.said(say), note.grave) for note in notes]
    if said := task.plots_note(info, say):
        warnings.append((said, False))
    story = Story(
        name=run.name,
        data=run.data,
        model=info,
        recipe=run.settings["recipe"],
        versions=run.settings["versions"],
        seconds=history[-1].seconds if history else None,
        evaluated=evaluated,
        positive=objectives.positive,
        subgroup=dataset.options.get("subgroup", ""),
        warnings=warnings,
    )
    write_report(folder / runfolder.REPORT, judgement, story, say)
    write_text(folder / runfolder.CARD, task.card(judgement, story, say))
    return metrics


def require_classes(dataset: Dataset, classes: tuple[str, ...]) -> None:
    """Raise RunError unless the data set has the classes of the model."""
    if dataset.classes != classes:
        raise RunError(
            f"{dataset.location}: its classes are {_some(dataset.classes)}, the model's are {_some(classes)}; "
            "evaluate on data with the same classes, or choose them with --classes."
        )


def tell_skipped(dataset: Dataset, strict: bool) -> None:
    """List the images left out; with `strict`, raise DataError instead."""
    if not dataset.skipped:
        return
    lines = [f"  {one.path}: {one.reason}" for one in dataset.skipped]
    if strict:
        listed = "\n".join(lines)
        raise DataError(f"{dataset.location}: images that cannot be used (--strict): {len(lines)}\n{listed}")
    if len(lines) > _SHOWN:
        lines[_SHOWN:] = [f"  … and {len(lines) - _SHOWN} more; the report names them all"]
    _log.warning("\n".join([f"Left out because they cannot be used: {len(dataset.skipped)}", *lines]))


def _as_rows_of(predictions: Predictions, dataset: Dataset, run: Run) -> Predictions:
    """Return the predictions with their rows in the data set. Raises RunError when they are for other images."""
    row_of = {path: row for row, path in enumerate(dataset.paths) if dataset.splits[row] != "test"}
    if sorted(predictions.paths) != sorted(row_of):
        raise RunError(f"{run.path / runfolder.PREDICTIONS}: damaged, or not for this data; restore it or train again.")
    rows = np.array([row_of[path] for path in predictions.paths], np.int64)
    subgroups = None if dataset.subgroups is None else tuple(dataset.subgroups[row] for row in rows)
    return replace(predictions, rows=rows, subgroups=subgroups)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:6]) + (f", … ({len(names)})" if len(names) > 6 else "")
