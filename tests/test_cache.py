"""What was read and decoded once is not read and decoded again; what has changed is. The answer is that of a fresh look."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import write_shapes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mirante.data.cache import decoded
from mirante.data.dataset import Dataset
from mirante.data.folders import FolderSource
from mirante.data.scan import scan
from mirante.rendering import Rendering


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIRANTE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def pixels_of(folder: Path, wanted: dict[str, str]) -> tuple[np.ndarray, dict[str, str]]:  # type: ignore[type-arg]
    images, failed = decoded(FolderSource(folder), wanted, (16, 16), 3, "crop", Rendering())
    return np.array(images), failed


def digests(folder: Path) -> dict[str, str]:
    return {row.path: row.digest for row in scan(FolderSource(folder)) if row.error is None}


def test_of_a_folder_with_more_images_only_those_are_decoded(tmp_path: Path, cache: Path) -> None:
    """The files of before are gone when it is decoded again: whatever is right was not taken from them."""
    folder = tmp_path / "shapes"
    write_shapes(folder, 12)
    first = digests(folder)
    before, _ = pixels_of(folder, first)
    for number in range(5):
        Image.new("RGB", (20, 30), (number * 40, 9, 9)).save(folder / "bar" / f"new{number}.png")
    wanted = digests(folder)
    assert len(wanted) == len(first) + 5
    for path in first:
        (folder / path).unlink()
    after, failed = pixels_of(folder, wanted)
    assert failed == {}
    for row, path in enumerate(wanted):
        if path in first:
            assert (after[row] == before[list(first).index(path)]).all()
        else:
            assert (after[row] == after[row][0, 0]).all() and after[row][0, 0, 1] == 9


def test_a_damaged_image_is_tried_again_and_a_damaged_cache_is_not_believed(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "shapes"
    write_shapes(folder, 4)
    torn = folder / "bar" / "torn.png"
    content = (folder / "bar" / "000.png").read_bytes()
    torn.write_bytes(content[: len(content) // 2])
    wanted = digests(folder)
    fresh, failed = pixels_of(folder, wanted)
    assert list(failed) == ["bar/torn.png"]
    for place in (cache / "images").iterdir():
        (place / "rows.txt").write_text("nonsense")
    Image.new("RGB", (9, 9)).save(folder / "disc" / "more.png")
    again, failed = pixels_of(folder, digests(folder))
    assert list(failed) == ["bar/torn.png"]
    rows = [row for row, path in enumerate(digests(folder)) if path != "disc/more.png"]
    assert (again[rows] == fresh).all()


def test_pixels_that_were_overwritten_are_decoded_again(tmp_path: Path, cache: Path) -> None:
    """A cache that was damaged does no harm to the arrays that come after it."""
    folder = tmp_path / "shapes"
    write_shapes(folder, 6)
    before, _ = pixels_of(folder, digests(folder))
    (place,) = (cache / "images").iterdir()
    damaged = np.load(place / "images.npy", mmap_mode="r+")
    damaged[3] = 7
    damaged.flush()
    Image.new("RGB", (9, 9)).save(folder / "disc" / "more.png")
    wanted = digests(folder)
    after, failed = pixels_of(folder, wanted)
    assert failed == {} and (after[[row for row, path in enumerate(wanted) if path != "disc/more.png"]] == before).all()


CHANGES = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "rewrite", "rename", "same"]), st.integers(0, 5)), max_size=6
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHANGES)
def test_whatever_changes_the_folder_looks_as_it_would_to_somebody_who_never_saw_it(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, changes: list[tuple[str, int]]
) -> None:
    place = tmp_path_factory.mktemp("changes")
    folder = place / "images"
    for number in range(4):
        for kind in ("a", "b"):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8 + number, 9), (number, 0, 0)).save(folder / kind / f"{number}.png")
    monkeypatch.setenv("MIRANTE_CACHE", str(place / "cache"))
    for what, number in [("same", 0), *changes]:
        path = folder / "a" / f"{number}.png"
        if what == "add" or (what == "rewrite" and path.exists()):
            Image.new("RGB", (30, 7 + number), (9, len(what), number)).save(path)
        elif what == "remove":
            path.unlink(missing_ok=True)
        elif what == "rename" and path.exists():
            path.rename(folder / "b" / f"was{number}.png")
        monkeypatch.setenv("MIRANTE_CACHE", str(place / "cache"))
        known = scan(FolderSource(folder))
        pixels, _ = pixels_of(folder, {row.path: row.digest for row in known})
        monkeypatch.setenv("MIRANTE_CACHE", str(place / f"fresh-{os.urandom(4).hex()}"))
        assert known == scan(FolderSource(folder))
        assert (pixels == pixels_of(folder, {row.path: row.digest for row in known})[0]).all()
    shutil.rmtree(place)


def test_what_a_table_says_of_a_file_is_what_it_says_today(tmp_path: Path, cache: Path) -> None:
    """A file that has not changed may have another label, split or group."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(8):
        Image.new("RGB", (9, 9), (number * 30, 0, 0)).save(folder / f"{number}.png")
    table = folder / "labels.csv"
    for labels in ("abababab", "aabbaabb"):
        table.write_text("path,label\n" + "".join(f"{number}.png,{label}\n" for number, label in enumerate(labels)))
        found = Dataset.open(folder, labels="labels.csv")
        assert [found.classes[number] for number in found.targets] == list(labels)
    rows = "".join(f"{number}.png,{label},p{number // 2}\n" for number, label in enumerate("abababab"))
    table.write_text(f"path,label,group\n{rows}")
    assert Dataset.open(folder, labels="labels.csv").groups is not None
    table.write_text("path,label\n" + "".join(f"{number}.png,{label}\n" for number, label in enumerate("abababab")))
    assert Dataset.open(folder, labels="labels.csv").groups is None
