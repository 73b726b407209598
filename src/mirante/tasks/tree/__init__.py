"""The task `tree`: which one of several classes in a tree an image shows, answered as deep as can be promised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirante.task import Task
from mirante.tasks.classify import Classify
from mirante.tasks.tree.decision import TreeLearned

if TYPE_CHECKING:
    from mirante.data.dataset import Dataset
    from mirante.data.entries import Skipped
    from mirante.data.labels import Labelled
    from mirante.data.scan import Scanned
    from mirante.data.targets import LabelOptions, Targets
    from mirante.evaluation.judgement import Judgement, Setting
    from mirante.evaluation.objectives import Objectives
    from mirante.evaluation.page import Story
    from mirante.locale import Language
    from mirante.model_info import ModelInfo
    from mirante.prediction.onnx_model import Output
    from mirante.predictions import Predictions
    from mirante.tasks.classify.prediction import Prediction
    from mirante.timeline import Track


class Tree(Classify):
    """One class of several, each a path such as animal/bird/owl."""

    name = "tree"
    is_taught = False

    def label_images(self, location: str, scanned: list[Scanned]) -> tuple[list[Labelled], list[Skipped]]:
        from mirante.data.labels import label_by_folder

        return label_by_folder(location, scanned, nested=True)

    def make_targets(self, location: str, rows: list[Labelled], options: LabelOptions) -> Targets:
        from mirante.tasks.tree.paths import require_tree, tidied

        targets = super().make_targets(location, tidied(rows), options)
        if options.model is None:
            require_tree(location, targets.classes)
        return targets

    def read_learned(self, values: Mapping[str, Any]) -> TreeLearned:
        return TreeLearned.from_dict(values)

    def calibrate(
        self, output: Output, rows: NDArray[np.int64], dataset: Dataset, info: ModelInfo, objectives: Objectives
    ) -> ModelInfo:
        from mirante.tasks.tree.calibrate import calibrate

        return calibrate(output, rows, dataset, info, objectives)

    def answers(
        self, output: Output, info: ModelInfo, paths: Sequence[str | None], coverage: float | None
    ) -> Iterator[Prediction]:
        from mirante.tasks.classify.prediction import predictions_of
        from mirante.tasks.tree.answer import TreePrediction

        return predictions_of(output, info, paths, coverage, TreePrediction)

    def tracks(self, answers: Sequence[Any], info: ModelInfo) -> list[Track]:
        if answers[0].node is None:
            return super().tracks(answers, info)
        return Task.tracks(self, answers, info)  # nodes at several levels

    def table_row(self, answer: Any, say: Language) -> list[tuple[str, str]]:
        from mirante.tasks.tree.answer import table_row

        return table_row(answer, say)

    def judge(self, predictions: Predictions, setting: Setting) -> Judgement:
        from mirante.tasks.tree.judge import judge

        return judge(predictions, setting)

    def report(self, judgement: Judgement, story: Story, say: Language) -> dict[str, Any]:
        from mirante.tasks.tree.report import content

        return content(judgement, story, say)

    def key_figures(self, metrics: Mapping[str, Any], say: Language) -> tuple[str, list[list[str]]]:
        from mirante.tasks.tree.report import key_figures

        return key_figures(metrics, say)


TASK = Tree()
