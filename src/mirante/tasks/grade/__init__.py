"""The task `grade`: which one of several classes with an order an image shows, from none to severe."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from mirante.errors import DataError, RequestError
from mirante.tasks.classify import Classify
from mirante.tasks.grade.decision import GradeLearned

if TYPE_CHECKING:
    from mirante.data.dataset import Dataset
    from mirante.data.labels import Labelled
    from mirante.data.targets import LabelOptions, Targets
    from mirante.evaluation.judgement import Judgement, Setting
    from mirante.evaluation.objectives import Objectives
    from mirante.evaluation.page import Story
    from mirante.locale import Language
    from mirante.model_info import ModelInfo
    from mirante.prediction.onnx_model import Output
    from mirante.training.criterion import Criterion


class Grade(Classify):
    """One class of several with an order."""

    name = "grade"
    is_taught = False
    counted = "Grade"

    def make_targets(self, location: str, rows: list[Labelled], options: LabelOptions) -> Targets:
        if options.model is not None:
            return super().make_targets(location, rows, options)
        present = {normalize("NFC", row.label) for row in rows}
        numbers = all(re.fullmatch(r"-?\d+(\.\d+)?", one) for one in present)
        if numbers:  # pandas makes 1.0 of 1 where a value is missing
            present = {one.removesuffix(".0") for one in present}
        if options.ordered is not None:
            ordered = [normalize("NFC", name).removesuffix(".0" if numbers else "") for name in options.ordered]
        elif numbers:
            ordered = sorted(present, key=float)
        else:
            raise DataError(
                f'{location}: the order of the grades is not known; give it, such as --ordered "none,mild,severe".'
            )
        if options.classes is not None:
            if unplaced := [name for name in options.classes if name not in ordered]:
                raise DataError(f"{location}: class {unplaced[0]!r} (--classes) has no place in the order (--ordered).")
            ordered = [name for name in ordered if name in options.classes]
        elif missing := sorted(present - set(ordered)):
            raise DataError(
                f"{location}: class {missing[0]!r} has no place in the order (--ordered); give it one, or name the classes to keep "
                "with --classes."
            )
        if absent := [name for name in ordered if name not in present]:
            raise DataError(
                f"{location}: no image of grade {absent[0]!r} (--ordered); the classes are {', '.join(sorted(present))}."
            )
        return super().make_targets(location, rows, replace(options, classes=ordered))

    def criterion(self) -> Criterion:
        from mirante.training.criterion import ordered_cross_entropy

        return ordered_cross_entropy

    def read_learned(self, values: Mapping[str, Any]) -> GradeLearned:
        return GradeLearned.from_dict(values)

    def require_objectives(self, objectives: Objectives, classes: Sequence[str]) -> Objectives:
        if objectives.positive == classes[0]:
            raise RequestError(
                f"--positive {classes[0]}: every image has at least this grade; name the lowest grade that is to be found."
            )
        if objectives.positive is None and len(classes) > 2:  # an aim is then for each boundary
            return replace(replace(objectives, aim=None).of(classes), positive=None, aim=objectives.aim)
        return objectives.of(classes)

    def calibrate(
        self, output: Output, rows: NDArray[np.int64], dataset: Dataset, info: ModelInfo, objectives: Objectives
    ) -> ModelInfo:
        from mirante.tasks.grade.calibrate import calibrate

        return calibrate(output, rows, dataset, info, objectives)

    def with_threshold(self, info: ModelInfo, threshold: float, where: str) -> ModelInfo:
        from mirante.tasks.grade.decision import grades_learned

        return replace(info, learned=replace(grades_learned(info), boundaries=(threshold,) * (len(info.classes) - 1)))

    def judge(self, predictions: Any, setting: Setting) -> Judgement:
        from mirante.tasks.grade.judge import judge

        return judge(predictions, setting)

    def report(self, judgement: Judgement, story: Story, say: Language) -> dict[str, Any]:
        from mirante.tasks.grade.report import content

        return content(judgement, story, say)

    def key_figures(self, metrics: Mapping[str, Any], say: Language) -> tuple[str, list[list[str]]]:
        from mirante.tasks.grade.report import key_figures

        return key_figures(metrics, say)

    def web_lead(self, info: ModelInfo, say: Language) -> str:
        return say(
            "It recognises {count} grades: {names}.", count=len(info.classes), names=", ".join(info.classes[:12])
        )


TASK = Grade()
