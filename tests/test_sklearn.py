"""mirante.sklearn.ImageClassifier does what scikit-learn's own tools ask of an estimator, on paths and on arrays."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_shape, write_shapes
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from mirante import DataError, load
from mirante.sklearn import ImageClassifier

KINDS = ("bar", "cross", "disc")
SMALL = {"layers": "8C3-MP2-16C3-MP2-16N", "epochs": 4}


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str]]:
    folder = write_shapes(tmp_path_factory.mktemp("sklearn") / "shapes", 30)
    found = sorted(folder.rglob("*.png"))
    return [str(path) for path in found], [path.parent.name for path in found]


@pytest.fixture(scope="module")
def arrays() -> tuple[np.ndarray, np.ndarray]:
    drawn = [(np.asarray(draw_shape(kind, seed)), kind) for seed in range(40) for kind in KINDS]
    return np.stack([pixels for pixels, _ in drawn]), np.array([kind for _, kind in drawn])


def test_cross_val_score_takes_paths(paths: tuple[list[str], list[str]]) -> None:
    scores = cross_val_score(ImageClassifier(**SMALL), np.array(paths[0]), paths[1], cv=2)
    assert len(scores) == 2 and scores.mean() > 0.6  # guessing is right for a third


def test_grid_search_chooses_a_parameter_and_refits_on_arrays(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = arrays
    search = GridSearchCV(ImageClassifier(layers=SMALL["layers"]), {"epochs": [1, 4]}, cv=2)
    search.fit(images, labels)
    assert search.best_params_["epochs"] in (1, 4)
    shares = search.predict_proba(images[:7])
    assert shares.shape == (7, 3) and shares.sum(axis=1) == pytest.approx(np.ones(7), abs=1e-5)
    assert search.predict(images[:7]).tolist() == search.classes_[shares.argmax(axis=1)].tolist()


def test_a_pipeline_hands_it_what_the_step_before_made(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = arrays
    halve = FunctionTransformer(lambda given: np.asarray(given)[:, ::2, ::2].mean(axis=3) / 255)
    pipeline = Pipeline([("halve", halve), ("classify", ImageClassifier(**SMALL, size=12))])
    assert pipeline.fit(images, labels).score(images, labels) > 0.6
    assert pipeline.named_steps["classify"].model_.info.channels == 1


def test_labels_of_any_kind_come_back_as_they_were(arrays: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = arrays
    numbers = np.array([{"bar": 10, "cross": 9, "disc": -1}[one] for one in labels])
    found = ImageClassifier(**SMALL).fit(images, numbers)
    assert found.classes_.tolist() == [-1, 9, 10] and found.predict(images[:5]).dtype == numbers.dtype
    again = pickle.loads(pickle.dumps(found))
    assert np.array_equal(again.predict_proba(images[:5]), found.predict_proba(images[:5]))


def test_parameters_are_those_that_were_given_and_a_seed_gives_the_same_model(
    arrays: tuple[np.ndarray, np.ndarray],
) -> None:
    asked = ImageClassifier(**SMALL, image_fit="pad", random_state=3)
    assert clone(asked).get_params() == asked.get_params() and asked.get_params()["image_fit"] == "pad"
    one, other = (clone(asked).fit(*arrays).predict_proba(arrays[0][:9]) for _ in range(2))
    assert np.array_equal(one, other)


def test_its_model_is_that_of_load(arrays: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    found = ImageClassifier(**SMALL).fit(*arrays)
    (tmp_path / "model.onnx").write_bytes(found.onnx_)
    model = load(tmp_path / "model.onnx")
    assert model.predict(arrays[0][0]).label == found.predict(arrays[0][:1])[0]
    assert model.classes_.tolist() == found.classes_.tolist() == list(KINDS)


def test_what_cannot_be_trained_on_is_a_sentence(paths: tuple[list[str], list[str]], tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"junk")
    with pytest.raises(DataError, match=r"broken\.png: not an image"):
        ImageClassifier(**SMALL).fit([*paths[0], str(tmp_path / "broken.png")], [*paths[1], "bar"])
    with pytest.raises(DataError, match="90 images but 89 labels"):
        ImageClassifier(**SMALL).fit(paths[0], paths[1][1:])
    with pytest.raises(DataError, match="only one class"):
        ImageClassifier(**SMALL).fit(paths[0], ["bar"] * 90)
    with pytest.raises(DataError, match=r"X has shape \(4, 5\)"):
        ImageClassifier(**SMALL).fit(np.zeros((4, 5)), [0, 1, 0, 1])


def test_a_file_that_is_given_twice_counts_twice_as_an_array_does(paths: tuple[list[str], list[str]]) -> None:
    files, labels = paths[0] * 2, paths[1] * 2
    given = [np.asarray(Image.open(path)) for path in files]
    one, other = (
        ImageClassifier(**SMALL, val_share=0).fit(images, labels)  # which images validate depends on the bytes
        for images in (files, np.stack(given))
    )
    assert np.array_equal(one.predict_proba(files[:9]), other.predict_proba(files[:9]))


def test_a_series_of_any_index_and_a_column_of_labels_are_taken(paths: tuple[list[str], list[str]]) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"path": paths[0], "label": paths[1]}, index=range(100, 190))
    found = ImageClassifier(**SMALL).fit(frame.path, frame[["label"]])
    assert len(found.predict(frame.path[frame.index > 150])) == 39
    assert found.predict_proba(np.zeros((0, 24, 24, 3), np.uint8)).shape == (0, 3)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([float("nan"), *[0.0, 1.0] * 44, 1.0], "the label of image 0 is missing"),
        ([None, *["a", "b"] * 44, "a"], "the label of image 0 is missing"),
        (np.zeros((90, 2)), "give one label per image"),
    ],
)
def test_a_missing_label_is_no_class(paths: tuple[list[str], list[str]], labels: list[object], said: str) -> None:
    with pytest.raises(DataError, match=said):
        ImageClassifier(**SMALL).fit(paths[0], labels)


def test_a_fit_that_fails_leaves_the_model_and_its_classes(paths: tuple[list[str], list[str]]) -> None:
    found = ImageClassifier(**SMALL).fit(*paths)
    with pytest.raises(DataError):
        found.fit(paths[0][:3], ["x", "y", "z", "w"])
    assert found.classes_.tolist() == list(KINDS) and set(found.predict(paths[0][:9])) <= set(KINDS)
