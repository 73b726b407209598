"""States of the data: what has changed between two of them, and a lock that a training keeps to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import Command, draw_shape, write_shapes
from hypothesis import given
from hypothesis import strategies as st

from mirante import Run
from mirante.experiment.data_diff import State, diff, page
from mirante.locale import language

FILES = st.dictionaries(
    st.sampled_from([f"{letter}.png" for letter in "abcdefg"]),
    st.tuples(st.sampled_from("12345"), st.sampled_from(["cat", "dog"]), st.sampled_from(["train", "test"])),
)


@given(FILES, FILES)
def test_a_diff_accounts_for_every_image(before: dict, after: dict) -> None:  # type: ignore[type-arg]
    changes = diff(State("old", before), State("new", after))
    own = {kind: [one for one in changes if one.kind == kind] for kind in ("came", "went", "moved", "copied")}
    added = {one.path for kind in ("came", "copied", "moved") for one in own[kind]}
    gone = {one.path for one in own["went"]} | {one.before for one in own["moved"]}
    assert added == after.keys() - before.keys() and gone == before.keys() - after.keys()
    assert {one.path for one in changes if one.kind == "content"} == {
        path for path in before.keys() & after.keys() if before[path][0] != after[path][0]
    }
    for one in own["moved"]:
        assert before[one.before][0] == after[one.path][0]
    for one in own["copied"]:
        assert after[one.path][0] in {digest for digest, *_ in before.values()}
    for one in changes:
        if one.kind in ("label", "split"):
            assert after[one.path][1 if one.kind == "label" else 2] == one.after != one.before
    assert (changes == []) == (before == after)


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """Folders `old` and `new`: an image came, one went, one is relabelled and so moved, one has another content, one has a copy."""
    old = write_shapes(tmp_path / "old", 12)
    new = tmp_path / "new"
    shutil.copytree(old, new)
    draw_shape("bar", 500).save(new / "bar" / "fresh.png")
    (new / "bar" / "001.png").unlink()
    (new / "bar" / "002.png").rename(new / "disc" / "was-bar.png")
    draw_shape("disc", 501).save(new / "disc" / "003.png")
    shutil.copy(new / "cross" / "004.png", new / "cross" / "004 copy.png")
    return tmp_path


def test_what_has_changed_is_listed_with_pictures(changed: Path, mirante: Command) -> None:
    done = mirante("data", "diff", "old", "new", "--format", "json", cwd=changed)
    assert done.returncode == 0, done.stderr
    found = {(one["change"], one["path"], one["before"], one["after"]) for one in json.loads(done.stdout)}
    moved = {
        ("moved", "disc/was-bar.png", "bar/002.png", "disc/was-bar.png"),
        ("label", "disc/was-bar.png", "bar", "disc"),
    }
    others = {
        ("came", "bar/fresh.png", "", "bar"),
        ("went", "bar/001.png", "bar", ""),
        ("content", "disc/003.png", "", ""),
    }
    assert found >= moved | others and ("copied", "cross/004 copy.png", "", "cross") in found
    assert all(kind == "split" for kind, *_ in found - moved - others - {("copied", "cross/004 copy.png", "", "cross")})
    done = mirante("data", "diff", "old", "new", "--report", "page.html", "--lang", "pt", cwd=changed)
    text = (changed / "page.html").read_text(encoding="utf-8")
    assert "Imagens novas: 1" in done.stdout and "Imagens novas: 1" in text
    assert text.count("data:image/jpeg;base64,") >= 6  # both sides of what has another content
    assert "Nothing" in mirante("data", "diff", "old", "old", "--lang", "en", cwd=changed).stdout


def test_a_path_is_the_same_however_a_system_composes_its_letters() -> None:
    old = State("old", {"ip\u00ea/1.png": ("1", "a", "train"), "ip\u00ea/2.png": ("2", "a", "train")})
    new = State("new", {"ipe\u0302/1.png": ("1", "a", "train"), "ipe\u0302/2.png": ("3", "a", "train")})
    assert [(one.kind, one.path) for one in diff(old, new)] == [("content", "ipe\u0302/2.png")]
    both = State("both", {**old.files, **new.files})  # as some systems allow
    assert {one.kind for one in diff(both, new)} == {"went"} and diff(both, both) == []


def test_a_page_says_how_many_changes_it_does_not_show() -> None:
    many = State("new", {f"{number}.png": (str(number), "a", "train") for number in range(75)})
    text = page(State("old", {}), many, diff(State("old", {}), many), language("en"))
    assert text.count('class="small">') - 1 == 60 and "… and 15 more" in text


def test_a_training_keeps_to_its_lock_or_does_not_begin(changed: Path, mirante: Command) -> None:
    done = mirante("data", "freeze", "old", "--out", "first.lock.json", "--lang", "en", cwd=changed)
    assert done.returncode == 0 and "36 images written down" in done.stdout, done.stderr
    again = mirante("data", "freeze", "old", "--out", "first.lock.json", "--lang", "en", cwd=changed)
    assert again.returncode == 2 and "exists already" in again.stderr
    words = ["--recipe", "tutorial", "--epochs", "1", "--model", "4C3-MP2-8N", "--lang", "en"]
    refused = mirante("train", "new", "--locked", "first.lock.json", *words, "--out", "wrong", cwd=changed)
    assert refused.returncode == 2 and "not as it was when first.lock.json was written" in refused.stderr
    assert "changes: 6" in refused.stderr and not (changed / "wrong").exists()
    done = mirante("train", "old", "--locked", "first.lock.json", *words, "--out", "run", cwd=changed)
    assert done.returncode == 0, done.stderr
    assert any("first.lock.json" in str(note) for note in Run(changed / "run").notes)
    done = mirante("train", "old", "--locked", "first.lock.json", *words, "--folds", "3", "--out", "folds", cwd=changed)
    assert done.returncode == 0, done.stderr  # which splits it draws is for the recipe to say
    same = mirante("data", "diff", "run", "first.lock.json", "--format", "json", cwd=changed)
    assert {(one["change"], one["before"], one["after"]) for one in json.loads(same.stdout)} == {
        ("split", "train", "val")
    }
    assert "New images: 1" in mirante("data", "diff", "run", "new", "--lang", "en", cwd=changed).stdout


def test_what_is_no_state_is_said_in_a_sentence(changed: Path, mirante: Command) -> None:
    (changed / "broken.lock.json").write_text("{}")
    (changed / "no.lock.json").write_text("no")
    for words, sentence in (
        (["data", "diff", "old"], "compares two states"),
        (["data", "info", "old", "new"], "the other actions take one DATA"),
        (["data", "diff", "old", "gone"], "gone"),
        (["data", "diff", "old", "broken.lock.json"], "does not list images"),
        (["data", "diff", "old", "no.lock.json"], "not JSON"),
        (["data", "freeze", "old", "--out", "old.txt"], "must end in .lock.json"),
        (["data", "info", "old", "--report", "x.html"], "--report is for mirante data diff"),
        (["train", "old", "--locked", "gone.lock.json"], "no such lock file"),
    ):
        done = mirante(*words, "--lang", "en", cwd=changed)
        assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr, done.stderr
