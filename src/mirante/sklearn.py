"""A scikit-learn estimator: `fit`, `predict`, `predict_proba` and `score` on image paths or on arrays of pixels.

    from mirante.sklearn import ImageClassifier
    cross_val_score(ImageClassifier(epochs=5), paths, labels, cv=5)

It follows scikit-learn's rules for estimators (parameters are stored as given, `fit` returns self, learned attributes end in an
underscore), so it works in Pipeline, GridSearchCV and the like. No test images are set aside: scikit-learn does the evaluation.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from mirante.data.arrays import ArraySource, Part, as_images
from mirante.data.dataset import VAL_SHARE, Dataset
from mirante.data.entries import Entry, Source
from mirante.data.folders import ListedFiles
from mirante.data.opening import dataset_of
from mirante.errors import DataError
from mirante.resize import Fit
from mirante.training.recipe import Recipe

if TYPE_CHECKING:
    from mirante.prediction.model import Model

Images = Sequence[str | os.PathLike[str]] | NDArray[Any]
"""N paths, or pixels (N, H, W), (N, H, W, 1) or (N, H, W, 3), uint8 or floats from 0 to 1."""


class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An image classifier for scikit-learn.

    recipe      a recipe's name, a .toml file, or a mirante.Recipe; None chooses one by the images
    layers      the line of layers, or `timm:NAME`; None for the recipe's
    epochs, time, batch_size, learning_rate   as in mirante.train; None for the recipe's
    val_share   share of the images, drawn by a hash of their content, used to calibrate the probabilities and not trained on
    size, image_fit   the input size in pixels, and how images are made to fit it: `size` and `fit` of mirante.train
    device      auto, cpu, cuda or mps
    random_state  the seed of weights, order and augmentation

    After `fit`: `classes_`, the labels in the order of `predict_proba`; `model_`, the mirante.Model.
    """

    def __init__(
        self,
        recipe: str | Recipe | None = None,
        *,
        layers: str | None = None,
        epochs: int | None = None,
        time: str | float | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        val_share: float = VAL_SHARE,
        size: int | tuple[int, int] | None = None,
        image_fit: Fit | None = None,
        device: str = "auto",
        random_state: int = 0,
    ) -> None:
        self.recipe = recipe
        self.layers = layers
        self.epochs = epochs
        self.time = time
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.val_share = val_share
        self.size = size
        self.image_fit = image_fit
        self.device = device
        self.random_state = random_state

    def fit(self, X: Images, y: Sequence[Any] | NDArray[Any]) -> Self:  # noqa: N803 (scikit-learn's own name)
        """Train on images and their labels (N,). Raises DataError for an unreadable image, or when there is only one class."""
        from mirante.data.partition import spread
        from mirante.experiment.defaults import changed, choose_recipe, suited
        from mirante.experiment.fit_network import CALIBRATED, ask, fit_network
        from mirante.experiment.options import sort_options
        from mirante.experiment.train import prepare
        from mirante.model.export import with_calibration

        classes, numbers = _numbered(y)
        dataset = _dataset(X, numbers, tuple(str(one) for one in classes.tolist()), self.val_share)
        names = ("layers", "epochs", "time", "batch_size", "learning_rate")
        asked = sort_options({**{name: getattr(self, name) for name in names}, "seed": self.random_state})
        recipe = suited(changed(self.recipe or choose_recipe(dataset, asked.recipe), asked.recipe), dataset)
        training, spent = prepare(dataset, recipe, self.size, self.image_fit, self.device)
        dataset, task = training.dataset, training.info.asks
        with tempfile.TemporaryDirectory(prefix="mirante-") as folder:
            fitted = fit_network(training.changed(folder=Path(folder)), spent=spent)
            held = spread(dataset.rows("val"), CALIBRATED)
            output = ask(fitted, dataset, training.pixels, held)
            objectives = task.require_objectives(asked.objectives, dataset.classes)
            info = task.calibrate(output, held, dataset, fitted.info, objectives)
        self.classes_ = classes
        self.onnx_ = with_calibration(fitted.model, info).SerializeToString()
        self.n_features_in_ = int(np.prod(np.shape(X)[1:])) if np.ndim(X) > 1 else 1  # type: ignore[arg-type]
        self.__dict__.pop("_opened", None)
        return self

    @property
    def model_(self) -> Model:
        """The trained model, as `mirante.load` would return it."""
        from mirante.prediction.model import Model

        check_is_fitted(self, "onnx_")
        if "_opened" not in self.__dict__:
            self.__dict__["_opened"] = Model(self.onnx_)
        opened: Model = self.__dict__["_opened"]
        return opened

    def predict_proba(self, X: Images) -> NDArray[np.float32]:  # noqa: N803
        """Return the probabilities (N, classes) of images, in the order of `classes_`. Raises ImageError."""
        return self.model_.predict_proba(_pictures(X))

    def predict(self, X: Images) -> NDArray[Any]:  # noqa: N803
        """Return the most probable label of each image (N,). Raises ImageError."""
        shares = self.predict_proba(X)
        labels: NDArray[Any] = self.classes_[shares.argmax(axis=1)]
        return labels

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_opened"}


def _numbered(labels: Sequence[Any] | NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the labels that there are, in order, and the number of each image's; raises DataError for one that is missing."""
    given = np.asarray(labels)
    if given.ndim == 0:
        raise DataError("y is missing; give one label per image, (N,).")
    if given.ndim == 2 and given.shape[1] == 1:
        given = given[:, 0]
    if given.ndim != 1:
        raise DataError(f"y has shape {given.shape}; give one label per image, (N,).")
    missing = [row for row, label in enumerate(given.tolist()) if label is None or label != label]
    if missing:
        raise DataError(f"y: the label of image {missing[0]} is missing; leave out images without a label.")
    return np.unique(given, return_inverse=True)


def _dataset(images: Images, numbers: NDArray[np.int64], classes: tuple[str, ...], val_share: float) -> Dataset:
    if len(images) != len(numbers):
        raise DataError(f"{len(images)} images but {len(numbers)} labels; each image needs one label.")
    source: Source
    labels: dict[str, str]
    if _are_paths(images):
        paths = [os.fspath(one) for one in images]
        labels = {}
        for path, number in zip(paths, numbers.tolist(), strict=True):
            if labels.setdefault(path, classes[number]) != classes[number]:
                raise DataError(f"{path}: has two labels, {labels[path]} and {classes[number]}.")
        files = _GivenFiles(paths)
        source, labels = files, {name: labels[path] for name, path in files.given.items()}
    else:
        pixels = as_images("images", "X", np.asarray(images), len(numbers))
        source = ArraySource("images", classes, [Part(None, pixels, numbers.astype(np.int64))])
        labels = {entry.path: entry.label or "" for entry in source.entries()}
    return dataset_of(source, labels, classes, val_share)


class _GivenFiles(ListedFiles):
    """Files as they were given: one that is given three times counts three times, as an array would."""

    def __init__(self, paths: list[str]) -> None:
        super().__init__(Path(), paths, "images")
        seen: Counter[str] = Counter()
        self.given: dict[str, str] = {}
        for path in paths:
            seen[path] += 1
            self.given[path if seen[path] == 1 else f"{path} ({seen[path]})"] = path

    def stamp(self) -> str:
        return f"{super().stamp()} {list(self.given)}"

    def entries(self) -> Iterator[Entry]:
        for name, path in self.given.items():
            yield Entry(name, Path(path))


def _pictures(images: Images) -> Sequence[Any]:
    if _are_paths(images):
        return [os.fspath(one) for one in images]
    return list(as_images("images", "X", np.asarray(images), len(images)))


def _are_paths(images: Images) -> bool:
    return len(images) > 0 and isinstance(next(iter(images)), (str, os.PathLike))
