"""The task `classify`: which one of several classes an image shows, with probabilities, prediction sets and "none of these"."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirante.errors import RunError
from mirante.predictions import PROBABILITY
from mirante.task import Counted, Task
from mirante.tasks.classify.decision import ClassifyLearned, learned_of

if TYPE_CHECKING:
    import onnx
    import pyarrow as pa
    from rich.text import Text

    from mirante.data.dataset import Dataset
    from mirante.data.entries import Skipped
    from mirante.data.labels import Labelled
    from mirante.data.notes import Note
    from mirante.data.scan import Scanned
    from mirante.data.targets import LabelOptions, Targets
    from mirante.evaluation.judgement import Judgement, Setting
    from mirante.evaluation.objectives import Objectives
    from mirante.evaluation.page import Story
    from mirante.images import Pixels
    from mirante.locale import Language
    from mirante.model.graph import Graph
    from mirante.model.network import Network
    from mirante.model_info import ModelInfo
    from mirante.prediction.onnx_model import Output
    from mirante.predictions import Predictions
    from mirante.tasks.classify.prediction import Prediction
    from mirante.timeline import Track
    from mirante.training.criterion import Criterion


class Classify(Task):
    """One class of several."""

    name = "classify"
    counted = "Class"
    one_class = True
    has_pages = True
    is_taught = True
    hub_task = "image-classification"

    def require_options(self, folds: int, classes: Sequence[str] | None, length: int | None) -> None:
        """All options are accepted; a length is for texts and has no effect here."""

    def label_images(self, location: str, scanned: list[Scanned]) -> tuple[list[Labelled], list[Skipped]]:
        from mirante.data.labels import label_by_folder

        return label_by_folder(location, scanned)

    def make_targets(self, location: str, rows: list[Labelled], options: LabelOptions) -> Targets:
        from mirante.data.classes import choose_classes
        from mirante.data.targets import Targets

        rows, names, merged = choose_classes(location, rows, options)
        number = {name: index for index, name in enumerate(names)}
        values = np.array([number[row.label] for row in rows], dtype=np.int64)
        return Targets(rows, names, values, values, (names, values), merged=merged)

    def label_names(self, targets: NDArray[np.int64], classes: Sequence[str]) -> list[str]:
        return [classes[number] for number in targets.tolist()]

    def encode_labels(
        self, labels: Sequence[str], classes: Sequence[str], output: tuple[int, ...]
    ) -> NDArray[np.int64]:
        number = {name: index for index, name in enumerate(classes)}
        return np.array([number[label] for label in labels], dtype=np.int64)

    def counts(
        self, targets: NDArray[np.int64], classes: Sequence[str], splits: Mapping[str, NDArray[np.int64]]
    ) -> dict[str, dict[str, int]]:
        found = {split: np.bincount(targets[rows], minlength=len(classes)) for split, rows in splits.items()}
        return {name: {split: int(found[split][number]) for split in found} for number, name in enumerate(classes)}

    def described(self, dataset: Dataset) -> str:
        return f"of {len(dataset.classes)} classes"

    def quick_notes(self, dataset: Dataset, pixels: Pixels) -> list[Note]:
        from mirante.data.check.quick import quick_notes

        return list(quick_notes(dataset, pixels))

    def criterion(self) -> Criterion:
        from mirante.training.criterion import cross_entropy

        return cross_entropy

    def finish_graph(self, graph: Graph, info: ModelInfo) -> dict[str, list[str | int]]:
        graph.add("Softmax", output="probabilities", axis=-1)
        return {"probabilities": ["N", *info.output]}

    def from_logits(self, logits: NDArray[np.floating], info: ModelInfo) -> dict[str, NDArray[np.float32]]:
        from mirante.prediction.calibration import softmax

        scales, shifts = info.calibration
        return {"probabilities": softmax(logits * scales + shifts)}

    def read_learned(self, values: Mapping[str, Any]) -> ClassifyLearned:
        return ClassifyLearned.from_dict(values)

    def require_objectives(self, objectives: Objectives, classes: Sequence[str]) -> Objectives:
        return objectives.of(classes)

    def calibrate(
        self, output: Output, rows: NDArray[np.int64], dataset: Dataset, info: ModelInfo, objectives: Objectives
    ) -> ModelInfo:
        from mirante.tasks.classify.calibrate import calibrate

        return calibrate(output, rows, dataset, info, objectives)

    def predict(self, output: Output, rows: NDArray[np.int64], dataset: Dataset, info: ModelInfo) -> Predictions:
        from mirante.tasks.classify.calibrate import predict

        return predict(output, rows, dataset, info)

    def table_columns(self, predictions: Predictions) -> dict[str, Sequence[Any]]:
        return predictions.probability_columns()

    def read_columns(
        self, columns: Mapping[str, Sequence[str]], classes: Sequence[str], output: tuple[int, ...]
    ) -> dict[str, Any]:
        shares = np.stack([np.array(columns[f"{PROBABILITY}{name}"], np.float32) for name in classes], axis=1)
        predicted = self.encode_labels(columns["predicted"], classes, output)
        if (shares[np.arange(len(shares)), predicted] < shares.max(axis=1, initial=0) - 1e-6).any():
            raise ValueError("predicted is not the most probable class")
        return {
            "targets": self.encode_labels(columns["label"], classes, output),
            "predicted": predicted,
            "probabilities": shares,
        }

    def answers(
        self, output: Output, info: ModelInfo, paths: Sequence[str | None], coverage: float | None
    ) -> Iterator[Prediction]:
        from mirante.tasks.classify.prediction import predictions_of

        return predictions_of(output, info, paths, coverage)

    def tracks(self, answers: Sequence[Prediction], info: ModelInfo) -> list[Track]:
        from mirante.tasks.classify.prediction import track_of

        return [track_of(answers)]

    def keywords(self, answer: Prediction) -> list[tuple[str, float]]:
        return [(answer.nearest, answer.nearest_confidence)]

    def answered(self, probabilities: NDArray[np.floating], info: ModelInfo) -> NDArray[np.int64]:
        return learned_of(info).decide(probabilities, info.classes)

    def promises_coverage(self, info: ModelInfo) -> bool:
        return learned_of(info).promises_coverage

    def in_python(self, info: ModelInfo) -> str:
        learned = learned_of(info)
        limit = learned.ood_threshold
        known = "" if limit is None else f' if answers["ood_score"][0] <= {limit!r} else None'
        if not learned.decides:
            return f"CLASSES[int(probabilities.argmax())]{known}, float(probabilities.max())"
        return f"(lambda n: (CLASSES[n]{known}, float(probabilities[n])))({learned.in_python(info.classes)})"

    def with_threshold(self, info: ModelInfo, threshold: float, where: str) -> ModelInfo:
        from dataclasses import replace

        learned = learned_of(info)
        if learned.positive is None:
            raise RunError(
                f"{where}: none of its classes has a threshold; train it with --sensitivity, --specificity or --cost."
            )
        return replace(info, learned=replace(learned, threshold=threshold))

    def recorded(self, answer: Prediction) -> tuple[str, float, bool]:
        return answer.classes[answer.number], float(answer.probabilities[answer.number]), answer.none_of_these

    def count(self, predictions: Predictions, info: ModelInfo) -> Counted:
        from mirante.tasks.classify.counted import count

        return count(predictions, super().count(predictions, info).kinds, info)

    def csv_row(self, answer: Prediction) -> dict[str, Any]:
        from mirante.tasks.classify.terminal import csv_row

        return csv_row(answer)

    def parquet_columns(self, info: ModelInfo, coverage: bool) -> dict[str, pa.DataType]:
        import pyarrow as pa

        share, text, yes = pa.float32(), pa.string(), pa.bool_()
        columns = {"label": text, "confidence": share, "nearest": text, "nearest_confidence": share}
        columns |= {"runner_up": text, "runner_up_confidence": share}
        columns |= {"none_of_these": yes, "ood_score": share}
        if coverage:
            columns |= {"prediction_set": pa.list_(text), "unsure": yes}
        return {**columns, "probabilities": pa.struct([(name, share) for name in info.classes])}

    def json_schema(self) -> dict[str, Any]:
        share = {"type": "number", "minimum": 0, "maximum": 1}
        return {
            "label": {"type": ["string", "null"], "description": "null when the image seems to be none of the classes"},
            "confidence": {**share, "type": ["number", "null"]},
            "nearest": {"type": "string", "description": "the class it would be if it were one of them"},
            "nearest_confidence": share,
            "runner_up": {"type": "string"},
            "runner_up_confidence": share,
            "prediction_set": {
                "type": "array",
                "items": {"type": "string"},
                "description": "classes that include the true one with the coverage asked for",
            },
            "unsure": {"type": "boolean"},
            "none_of_these": {"type": "boolean"},
            "ood_score": share,
            "probabilities": {"type": "object", "additionalProperties": {"type": "number"}},
        }

    def table_row(self, answer: Prediction, say: Language) -> list[tuple[str, str]]:
        from mirante.tasks.classify.terminal import table_row

        return table_row(answer, say)

    def beside_picture(self, answer: Prediction, say: Language) -> Text:
        from mirante.tasks.classify.terminal import beside_picture

        return beside_picture(answer, say)

    def judge(self, predictions: Predictions, setting: Setting) -> Judgement:
        from mirante.tasks.classify.judge import judge

        return judge(predictions, setting)

    def plots_note(self, info: ModelInfo, say: Language) -> str:
        from mirante.evaluation.plots.fonts import numbering

        return numbering(info.classes, say)

    def draw_attention(
        self,
        network: Network,
        model: onnx.ModelProto,
        dataset: Dataset,
        pixels: Pixels,
        rows: NDArray[np.int64],
        logits: NDArray[np.float32],
    ) -> bytes | None:
        from mirante.tasks.classify.heatmaps import draw

        return draw(network, dataset, pixels, rows, logits)

    def report(self, judgement: Judgement, story: Story, say: Language) -> dict[str, Any]:
        from mirante.tasks.classify.report import content

        return content(judgement, story, say)

    def card(self, judgement: Judgement, story: Story, say: Language) -> str:
        from mirante.tasks.classify.card import markdown

        return markdown(judgement, story, say)

    def key_figures(self, metrics: Mapping[str, Any], say: Language) -> tuple[str, list[list[str]]]:
        from mirante.tasks.classify.terminal import key_figures

        return key_figures(metrics, say)

    def web_lead(self, info: ModelInfo, say: Language) -> str:
        names = ", ".join(info.classes[:8]) + (", …" if len(info.classes) > 8 else "")
        return say("It recognises {count} classes: {names}.", count=len(info.classes), names=names)


TASK = Classify()
