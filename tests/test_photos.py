"""Photos are sorted into folders and nothing is ever lost: whatever they are called, whatever is killed, whatever is in the way."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import Command, draw_shape, write_shapes
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mirante.errors import ImageError, RequestError
from mirante.locale import language
from mirante.photos import xmp
from mirante.photos.arrange import Decided, arrange, require_layout
from mirante.photos.journal import Step, read_journals, write_plan
from mirante.photos.library import Library, contradictions, labels_of
from mirante.photos.moving import carry_out, restore_times, undo
from mirante.photos.names import numbered, safe_name
from mirante.photos.questions import choose
from mirante.photos.walk import Photo, walk

NAMES = [
    "plain.jpg", "-rf.jpg", "a b.jpg", "dots..jpg", "new\nline.jpg", "flor é.jpg", "flor e\u0301.jpg", "🌷🌷.jpg",
    "IMG.JPG", "img.jpg", "Img.jpg", "x" * 246 + ".jpg", "'quote\".jpg", "no\udce9text.jpg", "trailing.jpg.", "%s{class}.jpg",
]  # fmt: skip


def tree(folder: Path) -> dict[str, tuple[str, int, int, str]]:
    """Return path → (content's digest, mode, time of change, kind) of everything in a folder; links are not followed."""
    found = {}
    for here, folders, names in os.walk(os.fspath(folder)):
        for name in [*folders, *names]:
            path = os.path.join(here, name)
            status = os.lstat(path)
            kind = "link" if os.path.islink(path) else "folder" if os.path.isdir(path) else "file"
            digest = hashlib.sha256(Path(path).read_bytes()).hexdigest() if kind == "file" else ""
            found[os.path.relpath(path, folder)] = (digest, status.st_mode, status.st_mtime_ns, kind)
    return found


def contents(*folders: Path) -> Counter[str]:
    """Return how often each content is in some folders, what Mirante keeps for itself left out."""
    found: Counter[str] = Counter()
    for folder in folders:
        for path, (digest, _, _, kind) in tree(folder).items() if folder.exists() else ():
            if kind == "file" and ".mirante" not in path:
                found[digest] += 1
    return found


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Photos with names as people have them, in two folders, with companions, links and things that are no photos."""
    folder = tmp_path / "album"
    for number, name in enumerate(NAMES):
        place = folder / ("2023" if number % 2 else "2024")
        place.mkdir(parents=True, exist_ok=True)
        draw_shape(("bar", "cross", "disc")[number % 3], number).save(place / name, "PNG")
        os.utime(place / name, ns=(10**18 + number, 10**18 + 12345 * number))
        (place / name).chmod(0o640 if number % 2 else 0o604)
    for name in ("plain.xmp", "plain.jpg.xmp", "PLAIN.MOV", "plain.CR2", "plain.aae"):
        (folder / "2024" / name).write_bytes(
            xmp.with_class(None, "old", 0.5) if name.endswith("xmp") else name.encode()
        )
    (folder / "2024" / "notes.txt").write_text("not a photo")
    (folder / "2024" / "broken.jpg").write_bytes(b"no image")
    (folder / "2024" / "link.jpg").symlink_to("plain.jpg")
    (folder / "2024" / "away").symlink_to("/etc")
    os.link(folder / "2024" / "plain.jpg", folder / "2023" / "hard.jpg")
    os.utime(folder / "2023", ns=(10**18, 10**18))
    return folder


@pytest.mark.parametrize("how", ["--move", "--copy", "--link"])
def test_sorted_and_taken_back_everything_is_as_it_was(
    album: Path, tmp_path: Path, shapes_run: tuple[Path, Path], mirante: Command, how: str
) -> None:
    before, into = tree(tmp_path), tmp_path / "sorted"
    photos = {
        path
        for path, (_, _, _, kind) in tree(album).items()
        if kind == "file" and not path.endswith((".txt", "broken.jpg"))
    }
    words = ("photos", "organise", shapes_run[0], album, "--into", into, how, "--min-confidence", "34%", "--lang", "en")
    environment = {"HOME": str(tmp_path.parent / f"home{how}"), "XDG_STATE_HOME": str(tmp_path.parent / f"state{how}")}
    shown = mirante(*words, "--dry-run", **environment)
    assert shown.returncode == 0 and tree(tmp_path) == before
    done = mirante(*words, **environment)
    assert done.returncode == 0, done.stderr
    assert "broken.jpg" in done.stderr and "link.jpg: a link" in done.stderr and "away: a link" in done.stderr
    placed = {path for path, (_, _, _, kind) in tree(into).items() if kind == "file" and ".mirante" not in path}
    assert len(placed) == len(photos)
    assert sum((contents(into) - contents(album)).values()) == (len(photos) if how == "--move" else 0)
    # what belongs together stays together
    [home] = into.rglob("plain.CR2")
    assert {"plain.jpg", "plain.xmp", "plain.jpg.xmp", "PLAIN.MOV", "plain.aae"} <= {
        path.name for path in home.parent.iterdir()
    }
    assert home.parent.joinpath("plain.jpg").stat().st_mtime_ns == before["album/2024/plain.jpg"][2]

    back = mirante("photos", "undo", **environment)
    assert back.returncode == 0, back.stderr
    assert tree(tmp_path) == before
    assert mirante("photos", "undo", **environment).returncode == 2


def test_a_name_that_is_taken_gets_a_number_and_the_same_photo_is_known(
    tmp_path: Path, shapes_run: tuple[Path, Path], mirante: Command
) -> None:
    folder, into = tmp_path / "in", tmp_path / "out"
    for number in range(3):
        (folder / str(number)).mkdir(parents=True)
        draw_shape("bar", number).save(folder / str(number) / "one.png")
        (folder / str(number) / "one.MOV").write_text(f"film {number}")
    (into / "all").mkdir(parents=True)
    (into / "all" / "one (2).png").write_text("somebody's")
    said = {one.path: Decided("all", 1.0, False) for one in walk(folder).photos}
    found = arrange(folder, walk(folder).photos, said, into, "{class}", "copy", False, language("en"))
    came = carry_out(write_plan("copy", folder, into, [], found.steps))
    assert came.count == 6 and came.left == []
    assert sorted(path.name for path in (into / "all").iterdir()) == [
        "one (2).png", "one (3).MOV", "one (3).png", "one (4).MOV", "one (4).png", "one.MOV", "one.png"
    ]  # fmt: skip
    for name in ("one (3)", "one (4)"):  # the film has the number of its photo
        number = (into / "all" / f"{name}.MOV").read_text()[-1]
        assert (into / "all" / f"{name}.png").read_bytes() == (folder / number / "one.png").read_bytes()
    assert (into / "all" / "one (2).png").read_text() == "somebody's"
    again = arrange(folder, walk(folder).photos, said, into, "{class}", "copy", False, language("en"))
    assert again.left[0].reason == "is there already, byte for byte"


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
    assert done.returncode == 0 and "interrupted is finished first" in done.stderr, done.stderr
    assert len(list(into.rglob("class */*.jpg"))) == 3000 and not list(folder.rglob("*.jpg"))


def test_a_plan_that_was_cut_off_while_it_was_written_has_touched_nothing_and_is_forgotten(tmp_path: Path) -> None:
    plan_of(tmp_path / "photos", tmp_path / "sorted", "move", 20)
    [journal] = read_journals(tmp_path / "sorted")
    text = journal.file.read_text()
    journal.file.write_text(text[: len(text) // 2])
    assert read_journals(tmp_path / "sorted") == []


def elsewhere(tmp_path: Path) -> Path:
    """Return a folder on another file system."""
    place = Path("/dev/shm")
    if not place.is_dir() or place.stat().st_dev == tmp_path.stat().st_dev or not os.access(place, os.W_OK):
        pytest.skip("no second file system here: /dev/shm is missing or the same as the temporary folder")
    return place / f"mirante-test-{os.getpid()}-{time.monotonic_ns()}"


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


@settings(max_examples=60, deadline=None)
@given(
    stem=st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=260),
    number=st.integers(1, 10**6),
)
def test_numbered_names_fit_and_keep_what_comes_after_the_stem(stem: str, number: int) -> None:
    name = numbered(stem + ".jpg.xmp", len(stem), number)
    assert name.endswith(".jpg.xmp") and (number == 1 or f" ({number})" in name)
    if len(os.fsencode(stem)) < 240:
        assert len(os.fsencode(name)) <= 255 and name.startswith(stem)
    assert number == 1 or len(os.fsencode(name)) <= 255


@settings(deadline=None)
@given(st.text(max_size=300))
def test_any_class_makes_a_name_for_a_folder(label: str) -> None:
    name = safe_name(label.encode("utf-8", "ignore").decode())
    assert name and len(os.fsencode(name)) <= 201 and not set(name) & set('/\\:*?"<>|\0\n')
    assert name[0] != "." and name[-1] not in ". "


def test_layouts_take_what_the_photo_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0110] = "Cam/era 1"
    exif.get_ifd(0x8769)[0x9003] = "2019:07:03 10:20:30"
    draw_shape("bar", 0).save(tmp_path / "a.jpg", exif=exif)
    draw_shape("bar", 1).save(tmp_path / "b.jpg")
    photos = [Photo("a.jpg"), Photo("b.jpg")]
    decided = {one.path: Decided("rose", 0.87, False) for one in photos}
    layout = require_layout("{class}/{year}-{month}/{camera} {confidence}")
    found = arrange(tmp_path, photos, decided, tmp_path / "out", layout, "copy", False, language("pt"))
    assert [str(Path(step.target).relative_to(tmp_path / "out")) for step in found.steps] == [
        "rose/2019-07/Cam-era 1 80%+/a.jpg", "rose/sem data-sem data/câmera desconhecida 80%+/b.jpg"
    ]  # fmt: skip


FOREIGN = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:darktable="http://darktable.sf.net/" xmp:Rating="4" darktable:history_end="3">
<dc:subject><rdf:Bag><rdf:li>holiday</rdf:li></rdf:Bag></dc:subject>
<darktable:history><rdf:Seq><rdf:li darktable:operation="exposure"/></rdf:Seq></darktable:history>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


@settings(max_examples=40, deadline=None)
@given(
    labels=st.lists(
        st.text(st.characters(whitelist_categories=("L", "N", "P", "Zs")), min_size=1, max_size=20),
        min_size=1,
        max_size=3,
    ),
    share=st.floats(0, 1),
)
def test_a_sidecar_keeps_what_it_held_and_says_the_class_once(labels: list[str], share: float) -> None:
    labels = [
        text for label in labels if (text := label.replace("|", "").replace("/", "").strip()) and text != "holiday"
    ] or ["rose"]
    content: bytes = FOREIGN
    for label in labels:
        content = xmp.with_class(content, label, share)
    assert xmp.keywords(content) == ["holiday"]  # its own guess counts for nothing
    root = content.decode()
    assert 'xmp:Rating="4"' in root and 'darktable:operation="exposure"' in root and 'darktable:history_end="3"' in root
    parsed = xmp.ET.fromstring(content)
    subjects = [one.text for one in parsed.iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li") if one.text]
    assert subjects.count(labels[-1]) == 1 and subjects.count(f"Mirante|{labels[-1]}") == 1
    assert all(label == labels[-1] or f"Mirante|{label}" not in subjects for label in labels)
    person = content.replace(f'mirante:class="{labels[-1]}"'.encode(), b'mirante:class="?"')
    if person != content:
        assert labels[-1] in xmp.keywords(person)


@pytest.mark.parametrize(
    "content", [b"", b"<x/>", b"not xml", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', b"\xff\xfe"]
)
def test_what_is_no_sidecar_is_said_and_not_touched(content: bytes) -> None:
    with pytest.raises(ImageError):
        xmp.keywords(content)


def test_sidecars_are_written_with_the_photos_and_taken_back(
    tmp_path: Path, shapes_run: tuple[Path, Path], mirante: Command
) -> None:
    folder = write_shapes(tmp_path / "photos", 2)
    (folder / "bar" / "000.png.xmp").write_bytes(FOREIGN)
    os.utime(folder / "bar" / "000.png.xmp", ns=(10**18, 10**18))
    (folder / "bar" / "001.xmp").write_bytes(b"<x/>")
    before = tree(folder)
    for words in (("--into", tmp_path / "out", "--move"), ()):
        done = mirante(
            "photos", "organise", shapes_run[0], folder, *words, "--write-xmp", "--min-confidence", "34%",
            XDG_STATE_HOME=str(tmp_path / "s"),
        )  # fmt: skip
        assert done.returncode == 0 and "001.png: a sidecar that is no XMP" in done.stderr, done.stderr
        written = list((tmp_path / "out" if words else folder).rglob("*.xmp"))
        assert len(written) == 6  # five of Mirante's, one of them in a sidecar that was there, and the one that is none
        [kept] = [path.read_bytes() for path in written if b"holiday" in path.read_bytes()]
        assert b"mirante:class" in kept and b"darktable" in kept
        assert mirante("photos", "undo", XDG_STATE_HOME=str(tmp_path / "s")).returncode == 0
        after = tree(folder)
        assert {path: one for path, one in after.items() if one[3] == "file"} == {
            path: one for path, one in before.items() if one[3] == "file"
        }


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


def test_an_older_library_is_brought_up_to_date_and_a_newer_one_refused(tmp_path: Path) -> None:
    Library(tmp_path).answer(["a"], "rose", "chosen", None, "1")
    place = tmp_path / ".mirante" / "photos.sqlite"
    with sqlite3.connect(place) as database:  # as the first version left it
        database.execute("DROP TABLE members")
        database.execute("DROP TABLE names")
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


def test_a_second_look_reads_only_what_is_new(tmp_path: Path) -> None:
    write_shapes(tmp_path, 3)
    library = Library(tmp_path)
    first = {one.path: one.digest for one in library.look()[0]}
    assert len(first) == 9
    known = tmp_path / "bar" / "000.png"
    status = known.stat()
    known.write_bytes(bytes(status.st_size))  # would be unreadable; but size and time say that it is known
    os.utime(known, ns=(status.st_atime_ns, status.st_mtime_ns))
    draw_shape("disc", 99).save(tmp_path / "new.png")
    found, skipped = library.look()
    assert {one.path: one.digest for one in found if one.path != "new.png"} == first and not skipped
    os.utime(known)
    assert [one.path for one in library.look()[1]] == ["bar/000.png"]


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


def test_new_photos_are_classified_as_they_arrive(tmp_path: Path, shapes_run: tuple[Path, Path]) -> None:
    folder = write_shapes(tmp_path / "photos", 1)
    command = [sys.executable, "-m", "mirante", "photos", "watch", str(shapes_run[0]), str(folder), "--interval", "0.3",
               "--format", "json", "--into", str(tmp_path / "sorted"), "--min-confidence", "34%"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    try:
        assert "Watching" in process.stderr.readline()
        draw_shape("disc", 500).save(folder / "late.png")
        (folder / "torn.png").write_bytes(b"x")
        found = {row["path"]: row for row in (json.loads(process.stdout.readline()) for _ in range(2))}
    finally:
        process.terminate()
        process.wait()
    assert found["late.png"]["label"] in ("bar", "cross", "disc") and "not an image" in found["torn.png"]["error"]
    assert [path.name for path in (tmp_path / "sorted").rglob("*.png")] == ["late.png"]
