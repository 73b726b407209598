"""Files are read again when they are others than before, and only then."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mirante import Dataset
from mirante.data import file_states
from mirante.data.entries import digest_of
from mirante.data.file_states import digest_of_states, has_lasting_numbers
from mirante.photos.library import Library

SAME_TIME = 1_700_000_000_000_000_000


def same_time(folder: Path) -> Path:
    """Give all files one time of change, as an archive does that was made at once."""
    for path in folder.rglob("*.bmp"):
        os.utime(path, ns=(SAME_TIME, SAME_TIME))
    return folder


def bitmaps(folder: Path, count: int = 12) -> Path:
    """Write two classes of images that all have one size and one time of change."""
    chance = np.random.default_rng(0)
    for number in range(2 * count):
        place = folder / ("dark", "bright")[number % 2] / f"{number // 2}.bmp"
        place.parent.mkdir(parents=True, exist_ok=True)
        low = 150 * (number % 2)
        Image.fromarray(chance.integers(low, low + 100, (16, 16, 3), np.uint8)).save(place)
    return same_time(folder)


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): digest_of(path.read_bytes()) for path in folder.rglob("*.bmp")}


def opened(folder: Path) -> dict[str, str]:
    dataset = Dataset.open(folder)
    return dict(zip(dataset.paths, dataset.digests, strict=True))


def exchange(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def test_two_class_folders_that_change_names_are_seen(tmp_path: Path) -> None:
    folder = bitmaps(tmp_path / "data")
    before = opened(folder)
    assert before == contents(folder)
    exchange(folder / "dark", folder / "bright")
    assert opened(folder) == contents(folder) != before


def test_two_files_that_change_names_are_seen(tmp_path: Path) -> None:
    folder = bitmaps(tmp_path / "data")
    before, library = opened(folder), Library(folder)
    assert {
        one.path.as_posix() if isinstance(one.path, Path) else one.path: one.digest for one in library.look()[0]
    } == before
    exchange(folder / "dark" / "0.bmp", folder / "bright" / "0.bmp")
    after = contents(folder)
    assert opened(folder) == after != before
    assert {one.path: one.digest for one in library.look()[0]} == after


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps no time of a change of what is known about a file")
def test_a_file_that_is_rewritten_with_its_size_and_time_is_seen(tmp_path: Path) -> None:
    folder = bitmaps(tmp_path / "data")
    before = opened(folder)
    place = folder / "dark" / "0.bmp"
    content = bytearray(place.read_bytes())
    content[-1] ^= 255
    with place.open("r+b") as file:  # in place, so that it is the same file
        file.write(content)
    os.utime(place, ns=(SAME_TIME, SAME_TIME))
    assert opened(folder) == contents(folder) != before


def test_several_processes_find_what_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bitmaps(tmp_path / "data")
    there = [path.relative_to(folder).as_posix() for path in folder.rglob("*.bmp")]
    names = [
        *(f"a none {number}" for number in range(70_000)),
        *sorted(there),
        "caffè\udcff.bmp",
    ]  # the last share is another's
    alone = digest_of_states(folder, names)
    monkeypatch.setattr(file_states, "_MANY", 10)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert digest_of_states(folder, names) == alone
    (folder / max(there)).unlink()  # one that another process looks at
    less = digest_of_states(folder, names)
    assert less != alone and digest_of_states(folder, []) not in (alone, less)
    for executable, script in (
        ("/none", file_states.__file__),
        (sys.executable, "none.py"),
    ):  # it cannot be started, or fails
        monkeypatch.setattr(sys, "executable", executable)
        monkeypatch.setattr(file_states, "__file__", script)
        assert digest_of_states(folder, names) == less


def test_numbers_of_files_count_where_they_last(tmp_path: Path) -> None:
    mounts, card = tmp_path / "mounts", tmp_path / "memory card" / "DCIM"
    card.mkdir(parents=True)
    place = str(card.parent.resolve()).replace(" ", r"\040")
    for kind, lasts in (("ext4", True), ("exfat", False), ("vfat", False), ("fuse.sshfs", False), ("fuseblk", True)):
        mounts.write_text(f"/dev/a / btrfs rw 0 0\n/dev/b {place} {kind} rw 0 0\n")
        assert has_lasting_numbers(card, mounts) is lasts
        assert has_lasting_numbers(tmp_path, mounts)
    assert has_lasting_numbers(card, tmp_path / "no such file")
