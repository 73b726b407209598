"""The task: what is asked of an image. All that depends on it is in one folder of mirante.tasks; here is what that must have.

    classify   the one class of several that the image shows
    grade      the same, of classes with an order
    tree       the same, of classes in a tree
    read       the text that it shows
    tag        which of several labels it has: any number of them, or none

Other packages ask a Task for what they need and never which one it is. A folder defines `TASK`; what imports torch, plots or
pages there is imported only when needed, so that naming a task costs nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from mirante.errors import RequestError, RunError
from mirante.images import Pixels
from mirante.resize import Fit

if TYPE_CHECKING:
    import onnx
    import pyarrow as pa
    from rich.text import Text

    from mirante.data.dataset import DataOptions, Dataset
    from mirante.data.entries import Skipped
    from mirante.data.labels import Labelled
    from mirante.data.notes import Note
    from mirante.data.scan import Scanned
    from mirante.data.targets import LabelOptions, Targets
    from mirante.evaluation.judgement import Judgement, Setting
    from mirante.evaluation.objectives import Objectives
    from mirante.evaluation.page import Story
    from mirante.locale import Language
    from mirante.model.graph import Graph
    from mirante.model.network import Network
    from mirante.model_info import ModelInfo
    from mirante.prediction.onnx_model import Output
    from mirante.predictions import Predictions
    from mirante.timeline import Track
    from mirante.training.criterion import Criterion


def task_names() -> tuple[str, ...]:
    """Return the names of the tasks; to add one, add a folder to mirante.tasks and its name there."""
    names: tuple[str, ...] = import_module("mirante.tasks").NAMES
    return names


def task_named(name: str) -> Task:
    """Return the task of that name. Raises RequestError when there is none."""
    if name not in task_names():
        raise RequestError(f"task {name!r}: must be one of {', '.join(task_names())}.")
    task: Task = import_module(f"mirante.tasks.{name}").TASK
    return task


def own_recipes() -> set[str]:
    """Return the names of the recipes that only one task uses."""
    return {recipe for name in task_names() if (recipe := task_named(name).recipe) is not None}


@dataclass(frozen=True)
class Learned:
    """What was learned about a network's answers from images it was not trained on; each task adds its own fields.

    temperature     what logits are divided by; 1 changes nothing
    scales, shifts  what logits of each class are multiplied by, and what is then added, if that was better than one temperature;
                    else empty
    """

    temperature: float = 1.0
    scales: tuple[float, ...] = ()
    shifts: tuple[float, ...] = ()

    def affine(self, classes: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what the logits of each class are multiplied by, and what is then added, each (classes,)."""
        scales = self.scales or [1 / self.temperature] * classes
        return np.array(scales, np.float32), np.array(self.shifts or [0] * classes, np.float32)

    def is_sound(self, classes: Sequence[str]) -> bool:
        """Tell whether the values fit a model of these classes."""
        return self.temperature > 0 and all(len(one) in (0, len(classes)) for one in (self.scales, self.shifts))

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON takes; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def extending(cls, other: Learned, **more: Any) -> Self:
        """Return what another task learned, with further fields or other values."""
        return cls(
            **{**{one.name: getattr(other, one.name) for one in fields(other) if one.name in cls.names()}, **more}
        )

    @classmethod
    def names(cls) -> set[str]:
        """Return the names of its fields."""
        return {one.name for one in fields(cls)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read it back; unknown fields are ignored. Raises TypeError when one is missing."""
        return cls(**{name: _as_tuples(value) for name, value in values.items() if name in cls.names()})


_MOST_TOLD = 500  # different answers for the frames of a film, the most frequent ones, that its timeline can tell


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value


@dataclass(frozen=True)
class Counted:
    """What is counted of N answers, to compare those in use with those to the test images.

    kinds    kind of answer, in words → which images (N,) have it
    answers  class or label → for which images (N,) it was the answer
    mixes    questions with several alternatives, one of which is true: the probability of each (N, alternatives), the number of the
             true one (N,), -1 where it is not known, and the names of those whose share is wanted, the first ones
    """

    kinds: Mapping[str, NDArray[np.bool_]]
    answers: Mapping[str, NDArray[np.bool_]]
    mixes: Sequence[tuple[tuple[str, ...], NDArray[np.floating], NDArray[np.int64]]] = ()


class Answer(Protocol):
    """What a model says about one image.

    path        of the image, if it has one
    label       the answer in words: a class, a text; None when the model can tell that it has none
    confidence  the probability that it is right; None without an answer
    """

    @property
    def path(self) -> str | None: ...
    @property
    def label(self) -> str | None: ...
    @property
    def confidence(self) -> float | None: ...

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON and the server give it."""
        ...


class Task(ABC):
    """What is asked of an image.

    name      as written in recipes, in model.json and after --task
    counted   what a table of the data counts: Class, Letter
    recipe    the name of its own recipe, which no other task uses; None uses the shared ones
    fit       how images of another shape are brought to the input size, unless the user says otherwise
    mirrors   whether an image and its mirror image have the same answer
    judges_ood  whether a model can recognise images unlike any it was trained on
    several_labels  whether an image may have several labels, or none
    activation  what turns the calibrated logits of one answer into probabilities
    is_taught  whether a person's answers about photos can teach a model (mirante.photos.learn)
    one_class  whether the answer is one of the classes
    few_answers  whether answers are few enough for each to be counted
    has_pages  whether the studio can show its answers one by one
    hub_task  the task's name on the Hugging Face Hub
    """

    name: str
    counted: str
    recipe: str | None = None
    fit: Fit = "crop"
    mirrors: bool = True
    judges_ood: bool = True
    several_labels: bool = False
    activation: Literal["softmax", "sigmoid"] = "softmax"
    is_taught: bool = False
    one_class: bool = False
    few_answers: bool = True
    has_pages: bool = False
    hub_task: str

    @property
    def package(self) -> str:
        """Its package, with report.html.j2 for the report and web.js for the function `told(answer)` of the exported page."""
        return type(self).__module__

    @property
    def packages(self) -> list[str]:
        """The packages of the tasks that it extends, and last its own."""
        return [one.__module__ for one in reversed(type(self).__mro__) if issubclass(one, Task) and one is not Task]

    # --- data: labels and targets

    @abstractmethod
    def require_options(self, folds: int, classes: Sequence[str] | None, length: int | None) -> None:
        """Raise DataError when an option does not apply to this task."""

    @abstractmethod
    def label_images(self, location: str, scanned: list[Scanned]) -> tuple[list[Labelled], list[Skipped]]:
        """Label images by their folder or file name, when there is no table. Raises DataError."""

    @abstractmethod
    def make_targets(self, location: str, rows: list[Labelled], options: LabelOptions) -> Targets:
        """Return the targets of labelled images. Raises DataError for labels that cannot be used as they are."""

    @abstractmethod
    def label_names(self, targets: NDArray[np.int64], classes: Sequence[str]) -> list[str]:
        """Return targets (N, …) in words."""

    @abstractmethod
    def encode_labels(
        self, labels: Sequence[str], classes: Sequence[str], output: tuple[int, ...]
    ) -> NDArray[np.int64]:
        """Return labels in words as targets (N, …); the reverse of `label_names`. Raises KeyError or DataError."""

    def output_shape(self, targets: NDArray[np.int64], classes: Sequence[str]) -> tuple[int, ...]:
        """Return the shape of the logits of one image: (classes,), or (answers, classes) if an image has several answers."""
        return (*targets.shape[1:], len(classes))

    @abstractmethod
    def counts(
        self, targets: NDArray[np.int64], classes: Sequence[str], splits: Mapping[str, NDArray[np.int64]]
    ) -> dict[str, dict[str, int]]:
        """Return what the data holds: class or letter → split → count; splits are row numbers by name."""

    @abstractmethod
    def described(self, dataset: Dataset) -> str:
        """Return what the images are, for the line that begins a training: "of 10 classes"."""

    def require_checkable(self, location: str) -> None:  # noqa: B027 (most tasks can be checked)
        """Raise DataError when the data check does not know what the labels of this task are."""

    def quick_notes(self, dataset: Dataset, pixels: Pixels) -> list[Note]:
        """Return what a look at some of the pixels says about the data."""
        return []

    def input_size(
        self, sizes: NDArray[np.int64], output: tuple[int, ...], max_size: int, min_size: int
    ) -> tuple[int, int]:
        """Choose the (height, width) in pixels at which images of these sizes (N, 2) are shown to a network."""
        from mirante.sizes import input_size

        return input_size(sizes, max_size, min_size)

    # --- the network and its graph

    def require_layers(self, line: str) -> None:  # noqa: B027 (most tasks accept every network)
        """Raise RequestError for a network that cannot answer this task."""

    @abstractmethod
    def criterion(self) -> Criterion:
        """Return the loss, and what counts as right. Imports torch."""

    @abstractmethod
    def finish_graph(self, graph: Graph, info: ModelInfo) -> dict[str, list[str | int]]:
        """Extend a graph that ends in calibrated logits so that it outputs answers; return each output's name and shape."""

    def constants(self, info: ModelInfo) -> dict[str, NDArray[np.float32]]:
        """Return the constants of the finished graph that are learned after training, by name."""
        return {}

    @abstractmethod
    def from_logits(self, logits: NDArray[np.floating], info: ModelInfo) -> dict[str, NDArray[np.float32]]:
        """Return what the finished graph answers for logits (N, …, classes), by the names of its outputs."""

    # --- what is learned after training

    @abstractmethod
    def read_learned(self, values: Mapping[str, Any]) -> Learned:
        """Return what model.json holds under `learned`."""

    @abstractmethod
    def require_objectives(self, objectives: Objectives, classes: Sequence[str]) -> Objectives:
        """Return the objectives for these classes. Raises RequestError when they do not fit."""

    @abstractmethod
    def calibrate(
        self, output: Output, rows: NDArray[np.int64], dataset: Dataset, info: ModelInfo, objectives: Objectives
    ) -> ModelInfo:
        """Return the model calibrated on its output for held-out images, `rows` of the data set; unchanged if there are none."""

    def data_options(self, info: ModelInfo) -> DataOptions:
        """Return the options for opening data that a model is to be evaluated on."""
        return {"task": self.name, "as_test_of": info.classes, "window": info.window, "page": info.page}

    # --- predictions

    @abstractmethod
    def predict(self, output: Output, rows: NDArray[np.int64], dataset: Dataset, info: ModelInfo) -> Predictions:
        """Return the predictions that a model's output gives for these rows of the data set, as one table."""

    @abstractmethod
    def table_columns(self, predictions: Predictions) -> dict[str, Sequence[Any]]:
        """Return the columns of predictions.csv that are this task's own."""

    @abstractmethod
    def read_columns(
        self, columns: Mapping[str, Sequence[str]], classes: Sequence[str], output: tuple[int, ...]
    ) -> dict[str, Any]:
        """Return the fields of Predictions that `table_columns` wrote. Raises ValueError or KeyError."""

    @abstractmethod
    def answers(
        self, output: Output, info: ModelInfo, paths: Sequence[str | None], coverage: float | None
    ) -> Iterator[Answer]:
        """Yield the answers that the output gives for some images, one by one."""

    def answered(self, probabilities: NDArray[np.floating], info: ModelInfo) -> NDArray[np.int64]:
        """Return what probabilities (N, …, classes) answer, shaped as targets (N, …)."""
        best: NDArray[np.int64] = probabilities.argmax(axis=-1)
        return best

    def promises_coverage(self, info: ModelInfo) -> bool:
        """Tell whether prediction sets with guaranteed coverage are available."""
        return False

    def require_coverage(self, info: ModelInfo, where: str) -> None:
        """Raise RunError when no coverage can be guaranteed."""
        if not self.promises_coverage(info):
            raise RunError(
                f"{where}: no coverage can be guaranteed: no images were held out when it was trained. Train again with "
                "validation images, or with --folds."
            )

    @abstractmethod
    def with_threshold(self, info: ModelInfo, threshold: float, where: str) -> ModelInfo:
        """Return the model with another decision threshold. Raises RunError for one without a threshold."""

    def tracks(self, answers: Sequence[Any], info: ModelInfo) -> list[Track]:
        """Return what the answers for the frames of a film say, for its timeline; here, the answer in words with its confidence."""
        from mirante.timeline import Track

        told = [label for label, _ in Counter(one.label for one in answers).most_common(_MOST_TOLD)]
        number = {label: at for at, label in enumerate(told)}
        shares = np.zeros((len(answers), len(told)), np.float32)
        for row, one in enumerate(answers):
            sure = 0.5 if one.confidence is None else one.confidence
            shares[row] = (1 - sure) / max(1, len(told) - 1)
            if one.label in number:
                shares[row, number[one.label]] = sure
        return [Track(tuple(told), shares)]

    def recorded(self, answer: Any) -> tuple[str, float, bool]:
        """Return what a log keeps of an answer: it in words, as `encode_labels` reads it; the probability that it is right; whether
        the image seems to be none of the classes.
        """
        return answer.label, answer.confidence, False

    def count(self, predictions: Predictions, info: ModelInfo) -> Counted:
        """Return what is counted of answers in use, and of those to the test images."""
        none = predictions.out_of_distribution
        return Counted({} if none is None else {"none of these": none}, {})

    def keywords(self, answer: Any) -> list[tuple[str, float]]:
        """Return what an answer says the image shows, each with its probability, the surest first; for the keywords of a photo."""
        return []

    # --- how answers look

    @abstractmethod
    def csv_row(self, answer: Any) -> dict[str, Any]:
        """Return an answer as the columns of `mirante predict --format csv`."""

    @abstractmethod
    def parquet_columns(self, info: ModelInfo, coverage: bool) -> dict[str, pa.DataType]:
        """Return the columns of Parquet files of answers; `coverage` says whether there are prediction sets."""

    @abstractmethod
    def json_schema(self) -> dict[str, Any]:
        """Return the properties of `to_dict` of its answers, as JSON Schema."""

    @abstractmethod
    def table_row(self, answer: Any, say: Language) -> list[tuple[str, str]]:
        """Return (heading, cell) for each column of a table of answers, except the image's name."""

    @abstractmethod
    def beside_picture(self, answer: Any, say: Language) -> Text:
        """Return the text shown beside the image in a terminal."""

    # --- judging

    @abstractmethod
    def judge(self, predictions: Predictions, setting: Setting) -> Judgement:
        """Measure labelled predictions, and draw."""

    def plots_note(self, info: ModelInfo, say: Language) -> str:
        """Say what a reader must know to read the plots; nothing if there is nothing."""
        return ""

    @abstractmethod
    def draw_attention(
        self,
        network: Network,
        model: onnx.ModelProto,
        dataset: Dataset,
        pixels: Pixels,
        rows: NDArray[np.int64],
        logits: NDArray[np.float32],
    ) -> bytes | None:
        """Return a PNG of where the network looked in a few of the rows; None if that is not known."""

    @abstractmethod
    def report(self, judgement: Judgement, story: Story, say: Language) -> dict[str, Any]:
        """Return what goes into report.html.j2."""

    @abstractmethod
    def card(self, judgement: Judgement, story: Story, say: Language) -> str:
        """Return the model card as Markdown."""

    @abstractmethod
    def key_figures(self, metrics: Mapping[str, Any], say: Language) -> tuple[str, list[list[str]]]:
        """Return the title, and the name, value and interval of each main figure, for the terminal."""

    # --- handing over

    @abstractmethod
    def in_python(self, info: ModelInfo) -> str:
        """Return the answer as a Python expression, given `answers` (output → array), `probabilities` of one image and CLASSES."""

    @abstractmethod
    def web_lead(self, info: ModelInfo, say: Language) -> str:
        """Return the sentence of the exported page that says what the model does."""
