"""What a person said of photos, kept; and which photos are asked about."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_shape, write_shapes
from hypothesis import given, settings
from hypothesis import strategies as st

from mirante.errors import RequestError
from mirante.photos import library as photos_library
from mirante.photos.library import Library, contradictions, labels_of, several_of
from mirante.photos.questions import choose

ANSWERING = """
import sys
from pathlib import Path
from mirante.photos.library import Library
library = Library(Path(sys.argv[1]))
for number in range(10**6):
    library.answer([f"photo {number}"], "rose", "chosen", None, f"turn {number}")
    print(number, flush=True)
"""


def test_an_answer_that_was_taken_survives_a_kill(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ANSWERING, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(60):
        last = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    rest = process.stdout.read().split()
    last = int(rest[-1]) if rest and rest[-1].isdigit() and len(rest) > 1 else last
    answered = labels_of(Library(tmp_path).answers())
    assert all(f"photo {number}" in answered for number in range(last + 1))


def test_answers_are_kept_once_taken_back_together_and_contradictions_shown(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.answer(["a", "b"], "rose", "together", "rose", "1")
    library.answer(["a", "b"], "rose", "together", "rose", "1")
    library.answer(["a"], "tulip", "chosen", "rose", "2")
    library.answer(["c"], None, "random", "rose", "3")
    assert len(library.answers()) == 4
    assert labels_of(library.answers()) == {"a": "tulip", "b": "rose", "c": None}
    assert contradictions(library.answers()) == {"a": ["rose", "tulip"]}
    assert library.take_back() == ["c"] and library.take_back() == ["a"]
    assert labels_of(library.answers()) == {"a": "rose", "b": "rose"}
    assert sorted(library.take_back()) == ["a", "b"] and library.take_back() == []


def test_answers_about_labels_stand_beside_classes(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.answer(["a"], "beach", "chosen", None, "1")
    library.answer_label({"a": 0, "b": 1, "c": -1}, "dog", "random", "2")
    library.answer_label({"a": 1}, "dog", "chosen", "3")
    library.answer_label({"a": 1}, "dog", "chosen", "3")
    library.answer_label({"b": 1, "d": 1}, "dog", "sidecar", "4")
    library.answer_label({"d": 0}, "dog", "chosen", "5")
    library.answer_label({"d": 1}, "dog", "sidecar", "6")  # a keyword is never the last word
    assert several_of(library.answers())["d"]["dog"].has == 0
    assert [library.take_back() for _ in range(3)] == [["d"], ["d"], ["b", "d"]]
    assert labels_of(library.answers()) == {"a": "beach"} and contradictions(library.answers()) == {}
    told = several_of(library.answers())
    has = {digest: {label: one.has for label, one in labels.items()} for digest, labels in told.items()}
    assert has == {"a": {"beach": 1, "dog": 1}, "b": {"dog": 1}, "c": {"dog": -1}}
    assert library.take_back() == ["a"]
    assert several_of(library.answers())["a"]["dog"].has == 0


def test_what_was_said_can_be_changed_whoever_said_it(tmp_path: Path) -> None:
    library = Library(tmp_path)
    library.answer(["a"], "cat", "random", "cat", "1")
    library.answer_label({"b": 1}, "dog", "sidecar", "2")
    library.change(["a", "never answered"], "owl", None, "3")
    library.change(["b"], "dog", 0, "4")
    assert labels_of(library.answers())["a"] == "owl" and several_of(library.answers())["b"]["dog"].has == 0
    assert [one.kind for one in library.answers() if one.digest == "a"] == ["random", "random"]
    assert {one.digest for one in library.answers()} == {"a", "b"}
    assert library.take_back() == ["b"] and several_of(library.answers())["b"]["dog"].has == 1


def test_an_older_library_is_brought_up_to_date_and_a_newer_one_refused(tmp_path: Path) -> None:
    Library(tmp_path).answer(["a"], "rose", "chosen", None, "1")
    place = tmp_path / ".mirante" / "photos.sqlite"
    with sqlite3.connect(place) as database:  # as the first version left it
        database.execute("DROP TABLE members")
        database.execute("DROP TABLE names")
        database.execute("ALTER TABLE answers DROP COLUMN has")
        database.execute("PRAGMA user_version = 1")
    library = Library(tmp_path)
    assert labels_of(library.answers()) == {"a": "rose"}
    library.keep_groups([["a", "b"], ["c"]], ["one", "two"])
    assert library.move_to_group(["c"], 0) == 0 and library.groups() == {0: ("one", ["a", "b", "c"])}
    with sqlite3.connect(place) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(RequestError, match="newer"):
        Library(tmp_path)
    (tmp_path / "other" / ".mirante").mkdir(parents=True)
    (tmp_path / "other" / ".mirante" / place.name).write_bytes(b"no database, but long enough to be one" * 100)
    with pytest.raises(RequestError, match="damaged"):
        Library(tmp_path / "other")


def test_a_second_look_reads_only_what_is_new_or_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_shapes(tmp_path, 3)
    library, really_read = Library(tmp_path), photos_library._read
    first = {one.path: one.digest for one in library.look()[0]}
    assert len(first) == 9
    read = []

    def noting(path: Path) -> tuple[str | None, str | None, float | None]:
        read.append(path.relative_to(tmp_path).as_posix())
        return really_read(path)

    monkeypatch.setattr(photos_library, "_read", noting)
    draw_shape("disc", 99).save(tmp_path / "new.png")
    found, skipped = library.look()
    assert {one.path: one.digest for one in found if one.path != "new.png"} == first and not skipped
    assert read == ["new.png"]
    changed = tmp_path / "bar" / "000.png"
    status = changed.stat()
    changed.unlink()
    changed.write_bytes(bytes(status.st_size))  # of the same size and time, and no image
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert [one.path for one in library.look()[1]] == ["bar/000.png"] and read == ["new.png", "bar/000.png"]


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 80),
    classes=st.integers(2, 5),
    asked=st.integers(1, 30),
    begun=st.integers(0, 50),
    seed=st.integers(0, 10**6),
    data=st.data(),
)
def test_questions_are_of_photos_that_are_open_and_one_in_five_is_drawn(
    count: int, classes: int, asked: int, begun: int, seed: int, data: st.DataObject
) -> None:
    random = np.random.default_rng(seed)
    features = np.abs(random.normal(size=(count, 12))).astype(np.float32)
    shares = random.dirichlet(np.ones(classes) * 0.3, count).astype(np.float32)
    answered = data.draw(
        st.dictionaries(st.integers(0, count - 1), st.one_of(st.none(), st.integers(0, classes - 1)), max_size=count)
    )
    aside = frozenset(data.draw(st.sets(st.integers(0, count - 1), max_size=5)))
    apart = np.arange(count) % 5 == 0
    for one in choose(features, shares, answered, asked, random, aside, begun, apart):
        assert one.again or {bool(apart[row]) for row in one.rows} == {one.kind == "random"}
    found = choose(features, shares, answered, asked, random, aside, begun)
    fresh = [row for one in found if not one.again for row in one.rows]
    assert len(fresh) == len(set(fresh)) and not set(fresh) & (answered.keys() | aside)
    assert all(row in answered and row not in aside for one in found if one.again for row in one.rows)
    assert len(found) == asked or len(fresh) == count - len(answered.keys() | aside)
    for number, one in enumerate(found, begun):
        assert (one.kind == "random") == (number % 5 == 0)
        assert one.kind != "together" or (
            len(one.rows) > 1 and {int(shares[row].argmax()) for row in one.rows} == {one.label}
        )
