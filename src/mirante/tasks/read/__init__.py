"""The task `read`: the text that an image shows, letter by letter, each with its probability, and that of the whole text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mirante.errors import DataError, RequestError, RunError
from mirante.resize import Fit
from mirante.task import Counted, Task

if TYPE_CHECKING:
    import onnx
    import pyarrow as pa
    from rich.text import Text

    from mirante.data.dataset import DataOptions, Dataset
    from mirante.data.entries import Skipped
    from mirante.data.labels import Labelled
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
    from mirante.tasks.read.calibrate import ReadLearned
    from mirante.tasks.read.reading import Reading
    from mirante.training.criterion import Criterion

_POWER = "power"


class Read(Task):
    """A text of up to a given number of characters."""

    name = "read"
    counted = "Letter"
    recipe = "read"
    fit: Fit = "squash"  # a text must not lose its ends
    mirrors = False
    judges_ood = False
    few_answers = False
    hub_task = "image-to-text"

    def require_options(self, folds: int, classes: Sequence[str] | None, length: int | None) -> None:
        from mirante.tasks.read.texts import MAX_CHARACTERS

        if folds or classes:
            option = "--folds divides" if folds else "--classes chooses"
            raise DataError(f"--task read: {option} classes, and texts have none.")
        if length is not None and not 1 <= length <= MAX_CHARACTERS:
            raise DataError(f"--length {length}: must be from 1 to {MAX_CHARACTERS}.")

    def label_images(self, location: str, scanned: list[Scanned]) -> tuple[list[Labelled], list[Skipped]]:
        from mirante.tasks.read.texts import label_by_name

        return label_by_name(location, scanned)

    def make_targets(self, location: str, rows: list[Labelled], options: LabelOptions) -> Targets:
        from mirante.tasks.read.texts import make_targets

        return make_targets(location, rows, options)

    def label_names(self, targets: NDArray[np.int64], classes: Sequence[str]) -> list[str]:
        from mirante.tasks.read.texts import decode

        return decode(targets, classes)

    def encode_labels(
        self, labels: Sequence[str], classes: Sequence[str], output: tuple[int, ...]
    ) -> NDArray[np.int64]:
        from mirante.tasks.read.texts import encode

        return encode("labels", labels, classes, output[0])

    def counts(
        self, targets: NDArray[np.int64], classes: Sequence[str], splits: Mapping[str, NDArray[np.int64]]
    ) -> dict[str, dict[str, int]]:
        found = {split: np.bincount(targets[rows].ravel(), minlength=len(classes)) for split, rows in splits.items()}
        letters = enumerate(classes[:-1])
        return {name: {split: int(found[split][number]) for split in found} for number, name in letters}

    def described(self, dataset: Dataset) -> str:
        letters = "".join(dataset.classes)
        return f"with texts of up to {dataset.output[0]} characters out of {len(letters)} ({letters})"

    def input_size(
        self, sizes: NDArray[np.int64], output: tuple[int, ...], max_size: int, min_size: int
    ) -> tuple[int, int]:
        from mirante.tasks.read.texts import text_size

        return text_size(sizes, output[0], max_size)

    def require_layers(self, line: str) -> None:
        from mirante.model.notation import has_layers

        if not has_layers(line):
            raise RequestError(f"{line}: only a network given as a line of layers can read texts (docs/reading.md).")

    def require_checkable(self, location: str) -> None:
        raise DataError(
            f"{location}: the data check is for classes and labels; leave --task read out to check the images alone."
        )

    def criterion(self) -> Criterion:
        from mirante.training.criterion import cross_entropy

        return cross_entropy

    def finish_graph(self, graph: Graph, info: ModelInfo) -> dict[str, list[str | int]]:
        graph.add("Softmax", output="probabilities", axis=-1)
        graph.add("ReduceMax", np.array([2]), keepdims=0)
        graph.add("ReduceProd", np.array([1]), keepdims=0)
        graph.add("Pow", self.constants(info)[_POWER], names=[_POWER], output="confidence")
        return {"probabilities": ["N", *info.output], "confidence": ["N"]}

    def constants(self, info: ModelInfo) -> dict[str, NDArray[np.float32]]:
        from mirante.tasks.read.calibrate import learned_of

        return {_POWER: np.array(learned_of(info).power, np.float32)}

    def from_logits(self, logits: NDArray[np.floating], info: ModelInfo) -> dict[str, NDArray[np.float32]]:
        from mirante.prediction.calibration import softmax

        scales, shifts = info.calibration
        shares = softmax(logits * scales + shifts)
        return {"probabilities": shares, "confidence": shares.max(axis=2).prod(axis=1) ** self.constants(info)[_POWER]}

    def read_learned(self, values: Mapping[str, Any]) -> ReadLearned:
        from mirante.tasks.read.calibrate import ReadLearned

        return ReadLearned.from_dict(values)

    def require_objectives(self, objectives: Objectives, classes: Sequence[str]) -> Objectives:
        asked = {
            "--positive": objectives.positive,
            "--prevalence": objectives.prevalence,
            "--sensitivity, --specificity and --cost": objectives.aim,
            "--aims": objectives.aims or None,
        }
        for option, value in asked.items():
            if value is not None:
                raise RequestError(
                    f"{option}: only for classes; --task read reads texts, and says itself when it is unsure."
                )
        if objectives.repeats > 1:
            raise RequestError("--repeats: not with --task read; train again with --seed instead.")
        return objectives

    def calibrate(
        self, output: Output, rows: NDArray[np.int64], dataset: Dataset, info: ModelInfo, objectives: Objectives
    ) -> ModelInfo:
        from mirante.tasks.read.calibrate import calibrate

        return calibrate(output, rows, dataset, info)

    def in_python(self, info: ModelInfo) -> str:
        return '"".join(CLASSES[number] for number in probabilities.argmax(1))'

    def data_options(self, info: ModelInfo) -> DataOptions:
        return {**super().data_options(info), "length": info.output[0]}

    def predict(self, output: Output, rows: NDArray[np.int64], dataset: Dataset, info: ModelInfo) -> Predictions:
        from mirante.tasks.read.calibrate import predict

        return predict(output, rows, dataset, info)

    def table_columns(self, predictions: Predictions) -> dict[str, Sequence[Any]]:
        import json

        told = zip(predictions.predicted.tolist(), predictions.probabilities.tolist(), strict=True)
        letters = [
            [[predictions.classes[number], float(f"{share:.9g}")] for number, share in zip(*one, strict=True)]
            for one in told
        ]
        return {"letters": [json.dumps(one, ensure_ascii=False) for one in letters]}

    def read_columns(
        self, columns: Mapping[str, Sequence[str]], classes: Sequence[str], output: tuple[int, ...]
    ) -> dict[str, Any]:
        import json

        letters = [json.loads(cell) for cell in columns["letters"]]
        number = {name: index for index, name in enumerate(classes)}
        return {
            "targets": self.encode_labels(columns["label"], classes, output),
            "predicted": np.array([[number[letter] for letter, _ in one] for one in letters], np.int64),
            "probabilities": np.array([[share for _, share in one] for one in letters], np.float32),
        }

    def answers(
        self, output: Output, info: ModelInfo, paths: Sequence[str | None], coverage: float | None
    ) -> Iterator[Reading]:
        from mirante.tasks.read.reading import readings_of

        return readings_of(output, info, paths)

    def answered(self, probabilities: NDArray[np.floating], info: ModelInfo) -> NDArray[np.int64]:
        from mirante.tasks.read.calibrate import read

        return read(probabilities, info)[0]

    def count(self, predictions: Predictions, info: ModelInfo) -> Counted:
        from mirante.tasks.read.calibrate import learned_of

        return Counted({"unsure": predictions.confidences < learned_of(info).sure_from}, {})

    def require_coverage(self, info: ModelInfo, where: str) -> None:
        raise RunError(f"{where}: coverage is only available for classes; an uncertain text is marked unsure.")

    def with_threshold(self, info: ModelInfo, threshold: float, where: str) -> ModelInfo:
        raise RunError(f"{where}: a model that reads texts has no threshold to set.")

    def csv_row(self, answer: Reading) -> dict[str, Any]:
        from mirante.tasks.read.terminal import csv_row

        return csv_row(answer)

    def parquet_columns(self, info: ModelInfo, coverage: bool) -> dict[str, pa.DataType]:
        import pyarrow as pa

        letters = pa.list_(pa.struct([("letter", pa.string()), ("probability", pa.float32())]))
        return {"text": pa.string(), "confidence": pa.float32(), "unsure": pa.bool_(), "letters": letters}

    def json_schema(self) -> dict[str, Any]:
        return {
            "text": {"type": "string", "description": "of a model that reads texts"},
            "confidence": {"type": "number", "minimum": 0, "maximum": 1},
            "unsure": {"type": "boolean"},
            "letters": {
                "type": "array",
                "description": "of a model that reads texts: each letter and its probability",
            },
        }

    def table_row(self, answer: Reading, say: Language) -> list[tuple[str, str]]:
        from mirante.tasks.read.terminal import table_row

        return table_row(answer, say)

    def beside_picture(self, answer: Reading, say: Language) -> Text:
        from mirante.tasks.read.terminal import beside_picture

        return beside_picture(answer, say)

    def judge(self, predictions: Predictions, setting: Setting) -> Judgement:
        from mirante.tasks.read.judge import judge

        if setting.human_votes is not None:
            raise RunError(f"{setting.human_votes}: votes are for classes, and this model reads texts.")
        return judge(predictions, setting)

    def draw_attention(
        self,
        network: Network,
        model: onnx.ModelProto,
        dataset: Dataset,
        pixels: Pixels,
        rows: NDArray[np.int64],
        logits: NDArray[np.float32],
    ) -> bytes | None:
        from mirante.tasks.read.attention import draw

        return draw(model, dataset, pixels, rows)

    def report(self, judgement: Judgement, story: Story, say: Language) -> dict[str, Any]:
        from mirante.tasks.read.report import content

        return content(judgement, story, say)

    def card(self, judgement: Judgement, story: Story, say: Language) -> str:
        from mirante.tasks.read.report import markdown

        return markdown(judgement, story, say)

    def key_figures(self, metrics: Mapping[str, Any], say: Language) -> tuple[str, list[list[str]]]:
        from mirante.tasks.read.terminal import key_figures

        return key_figures(metrics, say)

    def web_lead(self, info: ModelInfo, say: Language) -> str:
        return say("It reads texts of up to {characters} characters.", characters=info.output[0])


TASK = Read()
