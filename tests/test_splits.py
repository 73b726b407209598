"""Splits are drawn by content: stable under growth, blind to copies, never through a group."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirante import Dataset
from mirante.data import kept_splits
from mirante.data.splits import assign_splits


def digests(names: list[int]) -> list[str]:
    return [hashlib.sha256(str(name).encode()).hexdigest() for name in names]


def drawn(names: list[int], labels: list[int], groups: list[str] | None = None) -> np.ndarray:
    given = [None] * len(names)
    return assign_splits(np.array(labels), digests(names), groups, given, val_share=0.1)


def test_the_shares_are_about_those_that_were_asked_for() -> None:
    splits = drawn(list(range(20_000)), [name % 4 for name in range(20_000)])
    for label in range(4):
        mine = splits[label::4]
        assert 0.135 < (mine == "test").mean() < 0.165
        assert 0.075 < (mine == "val").mean() < 0.095  # a tenth of the 85% that are left


@given(st.lists(st.integers(0, 10_000), min_size=120, max_size=200, unique=True), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_adding_images_never_moves_one_out_of_the_test_set(names: list[int], added: int) -> None:
    labels = [0] * len(names)
    before = drawn(names[: len(names) - added], labels[: len(names) - added])
    after = drawn(names, labels)[: len(before)]
    if (before == "test").sum() > 1:  # with one alone, it may have been taken for want of any
        assert (after[before == "test"] == "test").all()


@given(st.lists(st.integers(0, 15), min_size=20, max_size=100), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_copies_stand_on_one_side_whatever_their_label(names: list[int], seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 2, len(names)).tolist()
    splits = drawn(names, labels)
    for name in set(names):
        assert len({split for split, other in zip(splits, names, strict=True) if other == name}) == 1


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), min_size=20, max_size=150))
@settings(max_examples=60, deadline=None)
def test_a_group_is_never_cut_nor_are_copies_in_two_groups(rows: list[tuple[int, int]]) -> None:
    names, groups = [name for name, _ in rows], [f"patient {group}" for _, group in rows]
    splits = drawn(names, [name % 2 for name in names], groups)
    for column in (names, groups):
        for value in set(column):
            assert len({split for split, other in zip(splits, column, strict=True) if other == value}) == 1


def test_a_class_of_three_images_has_one_on_each_side() -> None:
    for start in range(0, 300, 3):
        assert sorted(drawn([start, start + 1, start + 2], [0, 0, 0])) == ["test", "train", "val"]


def test_given_splits_stay_and_only_what_is_missing_is_drawn() -> None:
    given = ["train"] * 80 + ["test"] * 20
    splits = assign_splits(np.zeros(100, int), digests(list(range(100))), None, given, val_share=0.1)
    assert (splits[80:] == "test").all() and not (splits[:80] == "test").any()
    assert 0 < (splits[:80] == "val").sum() < 25
    none = assign_splits(np.zeros(100, int), digests(list(range(100))), None, given, val_share=0)
    assert (none == given).all()


def test_kept_splits_of_very_many_images_are_those_that_would_be_drawn(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_splits, "_MANY", 90)
    monkeypatch.setenv("MIRANTE_CACHE", str(tmp_path / "cache"))
    drawn = Dataset.open(str(shapes)).splits
    (kept,) = (tmp_path / "cache" / "splits").iterdir()
    assert Dataset.open(str(shapes)).splits.tolist() == drawn.tolist()
    np.save(kept, np.full(90, "train"))  # so that it is seen to be read
    assert set(Dataset.open(str(shapes)).splits) == {"train"}
    np.save(tmp_path / "few.npy", np.full(5, "train"))
    np.save(tmp_path / "odd.npy", np.full(90, "trai"))
    few, odd = (tmp_path / "few.npy").read_bytes(), (tmp_path / "odd.npy").read_bytes()
    for damaged in (b"\x93NUMPY", b"PK\x03\x04", b"", few, odd, few[:60] + b"\xff" + few[61:]):
        kept.write_bytes(damaged)
        assert Dataset.open(str(shapes)).splits.tolist() == drawn.tolist()
    other = Dataset.open(str(shapes), val_share=0.5).splits
    folds = Dataset.open(str(shapes), folds=3).splits
    assert (other == "val").sum() > (drawn == "val").sum() and set(folds) == {"fold1", "fold2", "fold3"}
    (shapes / "bar" / "000.png").unlink()
    monkeypatch.setattr(kept_splits, "_MANY", 89)
    fewer = Dataset.open(str(shapes)).splits
    assert fewer.tolist() == drawn.tolist()[1:]
