"""Plans of moves that are killed, run into a full disk or find something changed: nothing is lost."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import Command, write_shapes
from photo_trees import contents, tree

from mirante.photos.journal import Step, read_journals, write_plan
from mirante.photos.moving import carry_out, restore_times, undo

KILLED = """
import sys
from pathlib import Path
from mirante.photos.journal import read_journals
from mirante.photos.moving import carry_out, undo
into = Path(sys.argv[1])
print("ready", flush=True)
[journal] = read_journals(into)
(undo if sys.argv[2] == "undo" else carry_out)(journal)
"""


def kill_while(into: Path, what: str, seconds: float) -> None:
    """Carry a plan out, or undo it, in a process that is killed so many seconds after it began."""
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(into), what], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()


def plan_of(folder: Path, into: Path, how: str, count: int) -> None:
    steps = []
    for number in range(count):
        path = folder / f"{number % 7}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number % 251]) * (200 + number))
        os.utime(path, ns=(10**18, 10**18 + number))
        target = into / f"class {number % 5}" / f"{number}.jpg"
        steps.append(Step(str(path), str(target), path.stat().st_size, path.stat().st_mtime_ns))
    write_plan(how, folder, into, [str(into / f"class {number}") for number in range(5)], steps)  # type: ignore[arg-type]


def elsewhere(tmp_path: Path) -> Path:
    """Return a folder on another file system."""
    place = Path("/dev/shm")
    if not place.is_dir() or place.stat().st_dev == tmp_path.stat().st_dev or not os.access(place, os.W_OK):
        pytest.skip("no second file system here: /dev/shm is missing or the same as the temporary folder")
    return place / f"mirante-test-{os.getpid()}-{time.monotonic_ns()}"


@pytest.mark.parametrize("how", ["move", "copy"])
def test_killed_at_any_moment_nothing_is_lost_and_undo_gives_the_tree_back(tmp_path: Path, how: str) -> None:
    folder, into = tmp_path / "photos", tmp_path / "sorted"
    plan_of(folder, into, how, 1500)
    [first] = read_journals(into)
    before, all_of_them = tree(folder), contents(folder)
    random = np.random.default_rng(0)
    states = set()
    for turn in range(8):
        kill_while(into, "do" if turn % 2 == 0 else "undo", float(random.uniform(0.0, 0.25)))
        now = contents(folder, into)
        assert not all_of_them - now, turn  # nothing is missing
        states.add(sum(1 for path in into.rglob("*.jpg")))
        if how == "move":
            empty = [path for path in [*folder.rglob("*.jpg"), *into.rglob("*.jpg")] if path.stat().st_size == 0]
            assert len(empty) <= turn + 1 and sum(now.values()) <= 1500 + len(empty)
        if not read_journals(into):
            break
    assert len(states) > 1  # it was killed in different places
    for journal in read_journals(into):
        assert undo(journal).left == []
    restore_times(first)
    assert tree(folder) == before
    assert list(into.rglob("*.jpg")) == [] and list(into.rglob("*.part")) == []


def test_an_interrupted_organising_is_finished_by_the_next_one(
    tmp_path: Path, shapes_run: tuple[Path, Path], mirante: Command
) -> None:
    folder, into = tmp_path / "photos", tmp_path / "sorted"
    plan_of(folder, into, "move", 3000)
    kill_while(into, "do", 0.02)
    assert len(list(folder.rglob("*.jpg"))) > 0 and not read_journals(into)[0].done
    write_shapes(tmp_path / "else", 1)
    done = mirante("photos", "organise", shapes_run[0], tmp_path / "else", "--into", into, "--lang", "en")
    assert done.returncode == 0 and "finishing an earlier organise that was interrupted" in done.stderr, done.stderr
    assert len(list(into.rglob("class */*.jpg"))) == 3000 and not list(folder.rglob("*.jpg"))


def test_a_plan_that_was_cut_off_while_it_was_written_has_touched_nothing_and_is_forgotten(tmp_path: Path) -> None:
    plan_of(tmp_path / "photos", tmp_path / "sorted", "move", 20)
    [journal] = read_journals(tmp_path / "sorted")
    text = journal.file.read_text()
    journal.file.write_text(text[: len(text) // 2])
    assert read_journals(tmp_path / "sorted") == []


def test_to_another_file_system_and_back_with_times_and_modes(tmp_path: Path) -> None:
    folder, into = tmp_path / "photos", elsewhere(tmp_path)
    try:
        plan_of(folder, into, "move", 300)
        (folder / "3" / "3.jpg").chmod(0o600)
        os.utime(folder / "3", ns=(10**18, 10**18))
        [journal] = read_journals(into)
        before = {path: one for path, one in tree(folder).items() if one[3] == "file"}
        kill_while(into, "do", 0.05)
        assert not contents(folder) + contents(into) - contents(folder, into)
        assert carry_out(journal).left == []
        assert not list(folder.rglob("*.jpg")) and len(list(into.rglob("*.jpg"))) == 300
        assert (into / "class 3" / "3.jpg").stat().st_mode & 0o777 == 0o600
        kill_while(into, "undo", 0.05)
        assert undo(journal).left == []
        assert {path: one for path, one in tree(folder).items() if one[3] == "file"} == before
    finally:
        shutil.rmtree(into, ignore_errors=True)


def test_a_full_disk_stops_with_a_sentence_and_nothing_is_half(tmp_path: Path) -> None:
    folder, into = tmp_path / "photos", tmp_path / "sorted"
    plan_of(folder, into, "copy", 60)
    big = folder / "0" / "56.jpg"
    status = big.stat()
    limited = (
        "import resource, sys; from pathlib import Path; from mirante.errors import WorkError\n"
        "from mirante.photos.journal import read_journals; from mirante.photos.moving import carry_out\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (230, 230))\n"
        "try: carry_out(read_journals(Path(sys.argv[1]))[0])\n"
        "except WorkError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", limited, str(into)], capture_output=True, text=True, check=False)
    assert "could not be written" in done.stdout and "the others where they were" in done.stdout, done.stderr
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 230
    copies = list(into.rglob("*.jpg"))
    assert 0 < len(copies) < 60 and all(path.stat().st_size for path in copies) and not list(into.rglob("*.part"))
    assert (big.stat().st_size, big.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    [journal] = read_journals(into)
    assert carry_out(journal).left == [] and len(list(into.rglob("*.jpg"))) == 60  # with space, it goes on
    assert undo(journal).left == [] and not list(into.rglob("*.jpg"))


def test_what_cannot_be_written_or_is_being_worked_on_is_said_before_anything_is_touched(
    tmp_path: Path, shapes_run: tuple[Path, Path], mirante: Command
) -> None:
    folder = write_shapes(tmp_path / "photos", 2)
    before = tree(folder)
    for into in (
        "/proc/sorted",
        tmp_path / "photos" / "bar" / "000.png",
        tmp_path / "photos" / "bar" / "000.png" / "x",
    ):
        done = mirante("photos", "organise", shapes_run[0], folder, "--into", into, "--move")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    (tmp_path / "busy" / ".mirante").mkdir(parents=True)
    with (tmp_path / "busy" / ".mirante" / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = mirante("photos", "organise", shapes_run[0], folder, "--into", tmp_path / "busy", "--move")
        assert done.returncode == 2 and "another command" in done.stderr
    for words in (("--layout", "{nonsense}"), ("--layout", "../{class}"), ("--layout", "{class")):
        assert mirante("photos", "organise", shapes_run[0], folder, "--into", tmp_path / "x", *words).returncode == 2
    assert mirante("photos", "organise", shapes_run[0], folder).returncode == 2
    assert mirante("photos", "undo", tmp_path / "photos").returncode == 2
    assert tree(folder) == before and not (tmp_path / "x").exists()


def test_what_has_gone_or_changed_meanwhile_is_left_and_said(tmp_path: Path) -> None:
    folder, into = tmp_path / "photos", tmp_path / "sorted"
    plan_of(folder, into, "move", 12)
    [journal] = read_journals(into)
    (folder / "1" / "1.jpg").unlink()
    (folder / "2" / "2.jpg").write_bytes(b"edited")
    (into / "class 3").mkdir(parents=True)
    (into / "class 3" / "3.jpg").write_bytes(b"somebody's")
    came = carry_out(journal)
    assert [one.reason for one in came.left] == ["gone since it was planned", "changed since it was planned"]
    assert (into / "class 3" / "3.jpg").read_bytes() == b"somebody's" and (into / "class 3" / "3 (2).jpg").exists()
    [journal] = read_journals(into)
    (into / "class 4" / "4.jpg").write_bytes(b"edited afterwards")
    (folder / "5" / "5.jpg").write_bytes(b"a new one")
    came = undo(journal)
    reasons = {Path(one.path).name: one.reason for one in came.left}
    assert reasons.pop("1.jpg").startswith("gone")
    assert reasons.pop("4.jpg") == "changed since; left here" and "another file" in reasons.pop("5.jpg") and not reasons
    assert (folder / "5" / "5.jpg").read_bytes() == b"a new one" and (into / "class 0" / "5.jpg").exists()
    assert (folder / "3" / "3.jpg").exists() and len(list(folder.rglob("*.jpg"))) == 10
    (into / "class 4" / "4.jpg").write_bytes(bytes([4]) * 204)
    os.utime(into / "class 4" / "4.jpg", ns=(10**18, 10**18 + 4))
    (folder / "5" / "5.jpg").unlink()
    assert [Path(one.path).name for one in undo(journal).left] == ["1.jpg"]  # the rest can be tried again


def test_a_copy_is_not_removed_when_its_original_has_gone(tmp_path: Path) -> None:
    plan_of(tmp_path / "photos", tmp_path / "sorted", "copy", 4)
    [journal] = read_journals(tmp_path / "sorted")
    carry_out(journal)
    (tmp_path / "photos" / "2" / "2.jpg").unlink()
    assert [one.reason for one in undo(journal).left] == ["its original is gone, so the copy stays"]
    assert (tmp_path / "sorted" / "class 2" / "2.jpg").exists()
