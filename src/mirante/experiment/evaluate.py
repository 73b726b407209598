"""Judge a run, again or on other images; and what a finished run is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.data.dataset import Dataset
from mirante.data.notes import Note
from mirante.errors import DataError, RunError
from mirante.evaluation.judge import Answers, judge, require_classes
from mirante.evaluation.page import Story
from mirante.evaluation.report import card_text, write_report
from mirante.evaluation.texts import TextAnswers, judge_texts
from mirante.experiment.calibrate import answers_of, answers_read
from mirante.experiment.folder import read_recipe_toml
from mirante.experiment.objectives import Objectives
from mirante.experiment.texts import texts_of
from mirante.files import write_text
from mirante.images import Pixels
from mirante.locale import Language, language
from mirante.prediction.classifier import Classifier
from mirante.prediction.reader import Reader, open_model
from mirante.runfolder import ModelInfo
from mirante.training.history import Epoch, read_history
from mirante.training.recipe import Recipe

_SHOWN = 30  # images left out that are named on the terminal


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, and the content of its metrics.json."""

    path: Path
    metrics: dict[str, Any]

    @property
    def accuracy(self) -> float:
        return float(self.metrics["accuracy"]["value"])

    def classifier(self) -> Classifier:
        """Return its model, ready to predict. Raises RunError for one that reads texts."""
        return Classifier(self.path)

    def reader(self) -> Reader:
        """Return its model, ready to read. Raises RunError for one that knows classes."""
        return Reader(self.path)


def evaluate(
    run: str | Path,
    data: str | Path | None = None,
    *,
    labels: str | Path | None = None,
    group: str | None = None,
    by: str | None = None,
    classes: Sequence[str] | None = None,
    root: str | Path | None = None,
    votes: str | Path | None = None,
    text: str | None = None,
    lang: str | None = None,
) -> Run:
    """Judge a run again: on its own test images, or on other labelled images with the same classes.

    text   the column of the table that holds the label or text (default: label, or text)
    votes  a CSV of what people said of the images (mirante.evaluation.human_votes); the report then holds the model's doubt beside theirs

    Of its own, the figures, plots and report in the run are made anew; of other data they go to evaluations/NAME in the
    run. Raises RunError when it is no run, or its test images are not what they were.
    """
    path = Path(run).expanduser()
    runfolder.require_run(path)
    say = language(lang)
    model = open_model(path)
    info = model.info
    stored = runfolder.read_json(path, runfolder.DATA)
    folder, evaluated = path, None
    if data is None:
        recipe = Recipe.from_dict(read_recipe_toml(path)["recipe"], str(path / runfolder.RECIPE))
        chosen = stored["options"] | ({"by": by} if by else {})
        dataset = Dataset.open(stored["location"], **chosen, val_share=recipe.val_share).known_as(info.classes)
    else:
        options: dict[str, Any] = {"labels": labels, "group": group, "by": by, "classes": classes, "root": root}
        if info.characters:
            options |= {"task": "code", "text": text, "length": info.characters}
        dataset = Dataset.open(data, **options, as_test_of=info.classes)
        folder, evaluated = path / "evaluations" / dataset.name, str(data)
        folder.mkdir(parents=True, exist_ok=True)
    require_classes(dataset, info)
    dataset, pixels = dataset.load(info.size, info.channels, info.fit)
    tell_skipped(dataset, strict=False)
    folded = data is None and bool(dataset.folds)
    tested = np.flatnonzero(dataset.splits != "test") if folded else dataset.rows("test")
    if data is None:
        require_tested(path, stored, dataset, tested)
    answers: Answers | TextAnswers
    people = None if votes is None else Path(votes).expanduser()
    if isinstance(model, Reader):
        if people is not None:
            raise RunError(f"{path}: votes are for classes, and this model reads texts.")
        answers = texts_of(model, pixels, tested)
    elif folded:
        answers = answers_read(path, dataset, info)
    else:
        answers = answers_of(model, dataset, pixels, tested)
    metrics = judge_run(path, folder, answers, [], info, dataset, pixels, evaluated, [], say, people)
    return Run(folder, metrics)


def judge_run(
    run: Path,
    folder: Path,
    answers: Answers | TextAnswers,
    again: list[Answers],
    info: ModelInfo,
    dataset: Dataset,
    pixels: Pixels,
    evaluated: str | None,
    warnings: list[Note],
    say: Language,
    votes: Path | None = None,
) -> dict[str, Any]:
    """Measure, draw and report into `folder` what the run answers."""
    values = read_recipe_toml(run)
    data = runfolder.read_json(run, runfolder.DATA)
    history: list[Epoch] = read_history(run / runfolder.HISTORY) if evaluated is None else []
    watched = values["recipe"].get("watch", "val")
    plan = Objectives.from_dict(values.get("plan", {})).of(info.classes)
    if isinstance(answers, TextAnswers):
        judgement = judge_texts(answers, info, dataset, pixels, folder, history, watched, say)
    else:
        judgement = judge(
            answers, again, info, dataset, pixels, folder, history, watched, plan.positive, plan.prevalence, votes, say
        )
    notes = [*warnings, *(Note(*stored) for stored in data["notes"])]
    story = Story(
        name=run.name,
        data=data,
        model=info,
        recipe=values["recipe"],
        versions=values["versions"],
        seconds=history[-1].seconds if history else None,
        evaluated=evaluated,
        positive=plan.positive,
        by=dataset.options.get("by", ""),
        warnings=[(note.said(say), note.grave) for note in sorted(notes, key=lambda one: not one.grave)],
    )
    write_report(folder / runfolder.REPORT, judgement, story, say)
    write_text(folder / runfolder.CARD, card_text(judgement, story, say))
    return judgement.metrics


def tell_skipped(dataset: Dataset, strict: bool) -> None:
    """Name the images that are left out, on stderr; with `strict` raise DataError instead."""
    if not dataset.skipped:
        return
    lines = [f"  {one.path}: {one.reason}" for one in dataset.skipped]
    if strict:
        listed = "\n".join(lines)
        raise DataError(f"{dataset.location}: images that cannot be used (--strict): {len(lines)}\n{listed}")
    if len(lines) > _SHOWN:
        lines[_SHOWN:] = [f"  … and {len(lines) - _SHOWN} more; the report names them all"]
    print(f"Left out, because they cannot be used: {len(dataset.skipped)}", *lines, sep="\n", file=sys.stderr)


def require_tested(path: Path, stored: dict[str, Any], dataset: Dataset, tested: NDArray[np.int64]) -> None:
    """Raise RunError unless these rows are the images that a run was tested on: with folds, all that were not kept out of it."""
    folded = bool(dataset.folds)
    before = sorted(digest for _, digest, _, split in stored["files"] if (split == "test") != folded)
    if sorted(dataset.digests[row] for row in tested) != before:
        raise RunError(
            f"{stored['word']}: its test images are not those that {path} was tested on; give the data to test on: mirante "
            f"evaluate {path} DATA"
        )
