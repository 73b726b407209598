"""A reader finds the old content or the new, never half of either."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.errors import WorkError
from mirante.files import to_json, write_file, write_text


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = {letter * 3_000_000 for letter in "ab"}
    write_text(path, "a" * 3_000_000)
    seen: set[bool] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_text() in contents)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(40):
        write_text(path, "ab"[number % 2] * 3_000_000)
    stop.set()
    reader.join()
    assert seen == {True}


def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")

    def fail(part: Path) -> None:
        part.write_text("half of the n")
        raise OSError(28, "No space left on device")

    with pytest.raises(WorkError, match="the disk is full"):
        write_file(path, fail)
    assert path.read_text() == "old" and [one.name for one in tmp_path.iterdir()] == ["file"]
    for where in (path / "inside", tmp_path / ("x" * 300), tmp_path / "gone" / "file"):
        with pytest.raises(WorkError, match="could not be written"):
            write_text(where, "new")


def test_threads_that_write_leave_the_rights_of_new_files_as_the_user_wants_them(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: write_text(tmp_path / str(number), ""), range(400)))
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    if os.name == "posix":
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}


@given(
    st.recursive(
        st.none() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_is_strict_whatever_the_numbers(value: object) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(to_json(value), parse_constant=refuse)
