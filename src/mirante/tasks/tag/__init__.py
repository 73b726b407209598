"""The task `tag`: which of several labels an image has, any number of them or none, each with its probability."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mirante.errors import DataError, RequestError, RunError
from mirante.predictions import PROBABILITY
from mirante.task import Counted, Task

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
    from mirante.tasks.tag.answer import Tags
    from mirante.tasks.tag.calibrate import TagLearned
    from mirante.timeline import Track
    from mirante.training.criterion import Criterion


class Tag(Task):
    """Any number of several labels."""

    name = "tag"
    counted = "Label"
    several_labels = True
    has_pages = True
    is_taught = True
    activation: Literal["softmax", "sigmoid"] = "sigmoid"
    hub_task = "image-classification"

    def require_options(self, folds: int, classes: Sequence[str] | None, length: int | None) -> None:
        if length is not None:
            raise DataError("--length: only for --task read; labels have none.")

    def label_images(self, location: str, scanned: list[Scanned]) -> tuple[list[Labelled], list[Skipped]]:
        from mirante.tasks.tag.labels import label_by_folders

        return label_by_folders(location, scanned)

    def make_targets(self, location: str, rows: list[Labelled], options: LabelOptions) -> Targets:
        from mirante.tasks.tag.labels import make_targets

        return make_targets(location, rows, options)

    def label_names(self, targets: NDArray[np.int64], classes: Sequence[str]) -> list[str]:
        from mirante.tasks.tag.labels import label_texts

        return label_texts(targets, classes)

    def encode_labels(
        self, labels: Sequence[str], classes: Sequence[str], output: tuple[int, ...]
    ) -> NDArray[np.int64]:
        from mirante.tasks.tag.labels import encode_texts

        return encode_texts(labels, classes)

    def output_shape(self, targets: NDArray[np.int64], classes: Sequence[str]) -> tuple[int, ...]:
        return (len(classes),)

    def counts(
        self, targets: NDArray[np.int64], classes: Sequence[str], splits: Mapping[str, NDArray[np.int64]]
    ) -> dict[str, dict[str, int]]:
        found = {split: (targets[rows] > 0).sum(axis=0) for split, rows in splits.items()}
        return {name: {split: int(found[split][number]) for split in found} for number, name in enumerate(classes)}

    def described(self, dataset: Dataset) -> str:
        each = float((dataset.targets > 0).sum(axis=1).mean())
        return f"with {len(dataset.classes)} labels, {each:.1f} per image on average"

    def quick_notes(self, dataset: Dataset, pixels: Pixels) -> list[Note]:
        from mirante.data.notes import Note
        from mirante.tasks.tag.judge import LEAST

        rows = np.arange(len(dataset)) if dataset.folds else dataset.rows("test")
        counts = (dataset.targets[rows] > 0).sum(axis=0).tolist()
        rare = [f"{name} ({count})" for name, count in zip(dataset.classes, counts, strict=True) if count < LEAST]
        if not rare:
            return []
        text = "Labels that fewer than {least} test images have, too rare to judge: {labels}. They are trained all the same."
        return [Note(text, {"least": LEAST, "labels": ", ".join(rare)})]

    def criterion(self) -> Criterion:
        from mirante.training.criterion import binary_cross_entropy

        return binary_cross_entropy

    def finish_graph(self, graph: Graph, info: ModelInfo) -> dict[str, list[str | int]]:
        graph.add("Sigmoid", output="probabilities")
        return {"probabilities": ["N", *info.output]}

    def from_logits(self, logits: NDArray[np.floating], info: ModelInfo) -> dict[str, NDArray[np.float32]]:
        from mirante.prediction.calibration import sigmoid

        scales, shifts = info.calibration
        return {"probabilities": sigmoid(logits * scales + shifts)}

    def read_learned(self, values: Mapping[str, Any]) -> TagLearned:
        from mirante.tasks.tag.calibrate import TagLearned

        return TagLearned.from_dict(values)

    def require_objectives(self, objectives: Objectives, classes: Sequence[str]) -> Objectives:
        for option, value in (("--positive", objectives.positive), ("--prevalence", objectives.prevalence)):
            if value is not None:
                raise RequestError(
                    f"{option}: for one class against the others; with --task tag an aim such as --sensitivity 90% is for each label."
                )
        if unknown := [label for label, _ in objectives.aims if label not in classes]:
            raise RequestError(f"--aims: no label {unknown[0]!r}; the labels are {', '.join(classes[:20])}.")
        if not 1 <= objectives.repeats <= 20:
            raise RequestError(f"--repeats {objectives.repeats}: must be from 1 to 20.")
        return objectives

    def calibrate(
        self, output: Output, rows: NDArray[np.int64], dataset: Dataset, info: ModelInfo, objectives: Objectives
    ) -> ModelInfo:
        from mirante.tasks.tag.calibrate import calibrate

        return calibrate(output, rows, dataset, info, objectives)

    def predict(self, output: Output, rows: NDArray[np.int64], dataset: Dataset, info: ModelInfo) -> Predictions:
        from mirante.tasks.tag.calibrate import predict

        return predict(output, rows, dataset, info)

    def table_columns(self, predictions: Predictions) -> dict[str, Sequence[Any]]:
        return predictions.probability_columns()

    def read_columns(
        self, columns: Mapping[str, Sequence[str]], classes: Sequence[str], output: tuple[int, ...]
    ) -> dict[str, Any]:
        return {
            "targets": self.encode_labels(columns["label"], classes, output),
            "predicted": self.encode_labels(columns["predicted"], classes, output),
            "probabilities": np.stack(
                [np.array(columns[f"{PROBABILITY}{name}"], np.float32) for name in classes], axis=1
            ),
        }

    def answers(
        self, output: Output, info: ModelInfo, paths: Sequence[str | None], coverage: float | None
    ) -> Iterator[Tags]:
        from mirante.tasks.tag.answer import tags_of

        return tags_of(output, info, paths, coverage)

    def tracks(self, answers: Sequence[Tags], info: ModelInfo) -> list[Track]:
        from mirante.tasks.tag.answer import tracks_of

        return tracks_of(answers, info)

    def keywords(self, answer: Tags) -> list[tuple[str, float]]:
        return [] if answer.none_of_these else [(name, answer.share_of(name)) for name in answer.labels]

    def recorded(self, answer: Tags) -> tuple[str, float, bool]:
        return answer.label, answer.confidence, answer.none_of_these

    def count(self, predictions: Predictions, info: ModelInfo) -> Counted:
        answers, mixes = {}, []
        for number, name in enumerate(info.classes):
            share, target = predictions.probabilities[:, number], predictions.targets[:, number]
            answers[name] = predictions.predicted[:, number] > 0
            mixes.append(((name,), np.stack([share, 1 - share], axis=1), np.where(target < 0, -1, 1 - target)))
        return Counted(super().count(predictions, info).kinds, answers, mixes)

    def answered(self, probabilities: NDArray[np.floating], info: ModelInfo) -> NDArray[np.int64]:
        from mirante.tasks.tag.calibrate import decide

        return decide(probabilities, info)

    def promises_coverage(self, info: ModelInfo) -> bool:
        from mirante.tasks.tag.calibrate import learned_of

        return bool(learned_of(info).risk_thresholds)

    def with_threshold(self, info: ModelInfo, threshold: float, where: str) -> ModelInfo:
        from dataclasses import replace

        from mirante.tasks.tag.calibrate import learned_of

        return replace(info, learned=replace(learned_of(info), thresholds=(threshold,) * len(info.classes)))

    def in_python(self, info: ModelInfo) -> str:
        from mirante.tasks.tag.calibrate import thresholds_of

        listed = ", ".join(f"{one:.6g}" for one in thresholds_of(info))
        return f"[name for name, share, least in zip(CLASSES, probabilities, [{listed}]) if share >= least]"

    def csv_row(self, answer: Tags) -> dict[str, Any]:
        from mirante.tasks.tag.terminal import csv_row

        return csv_row(answer)

    def parquet_columns(self, info: ModelInfo, coverage: bool) -> dict[str, pa.DataType]:
        import pyarrow as pa

        share, text = pa.float32(), pa.string()
        columns = {"labels": pa.list_(text), "confidence": share, "none_of_these": pa.bool_(), "ood_score": share}
        if coverage:
            columns["prediction_set"] = pa.list_(text)
        return {**columns, "probabilities": pa.struct([(name, share) for name in info.classes])}

    def json_schema(self) -> dict[str, Any]:
        share = {"type": "number", "minimum": 0, "maximum": 1}
        return {
            "labels": {
                "type": "array",
                "items": {"type": "string"},
                "description": "of a model of several labels: those that the image has, the most probable first",
            },
            "confidence": {**share, "description": "the probability that all labels are right"},
            "none_of_these": {"type": "boolean"},
            "ood_score": share,
            "prediction_set": {
                "type": "array",
                "items": {"type": "string"},
                "description": "labels that include the share asked for of those that the image has, on average",
            },
            "probabilities": {"type": "object", "additionalProperties": {"type": "number"}},
        }

    def table_row(self, answer: Tags, say: Language) -> list[tuple[str, str]]:
        from mirante.tasks.tag.terminal import table_row

        return table_row(answer, say)

    def beside_picture(self, answer: Tags, say: Language) -> Text:
        from mirante.tasks.tag.terminal import beside_picture

        return beside_picture(answer, say)

    def judge(self, predictions: Predictions, setting: Setting) -> Judgement:
        from mirante.tasks.tag.judge import judge

        if setting.human_votes is not None:
            raise RunError(f"{setting.human_votes}: votes are for one class of several, and this model gives labels.")
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
        return None  # several labels have several places: mirante see heatmap shows that of one

    def report(self, judgement: Judgement, story: Story, say: Language) -> dict[str, Any]:
        from mirante.tasks.tag.report import content

        return content(judgement, story, say)

    def card(self, judgement: Judgement, story: Story, say: Language) -> str:
        from mirante.tasks.tag.report import markdown

        return markdown(judgement, story, say)

    def key_figures(self, metrics: Mapping[str, Any], say: Language) -> tuple[str, list[list[str]]]:
        from mirante.tasks.tag.terminal import key_figures

        return key_figures(metrics, say)

    def web_lead(self, info: ModelInfo, say: Language) -> str:
        names = ", ".join(info.classes[:8]) + (", …" if len(info.classes) > 8 else "")
        return say("It finds which of {count} labels an image has: {names}.", count=len(info.classes), names=names)


TASK = Tag()
