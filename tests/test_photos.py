"""Photos organised into folders: every name, mode and time as people have them, and taken back."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from conftest import Command, draw_shape, write_shapes
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_trees import contents, tree, write_album
from PIL import Image

from mirante.locale import language
from mirante.photos.arrange import Decided, arrange, require_layout
from mirante.photos.journal import write_plan
from mirante.photos.moving import carry_out
from mirante.photos.names import numbered, safe_name
from mirante.photos.organise import organise, show
from mirante.photos.walk import Photo, walk


@pytest.mark.parametrize("how", ["--move", "--copy", "--link"])
def test_sorted_and_taken_back_everything_is_as_it_was(
    tmp_path: Path, shapes_run: tuple[Path, Path], mirante: Command, how: str
) -> None:
    album, into = write_album(tmp_path / "album"), tmp_path / "sorted"
    before = tree(tmp_path)
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
    found = arrange(folder, walk(folder).photos, said, into, "{class}", "copy", False, language("en"), {})
    came = carry_out(write_plan("copy", folder, into, [], found.steps))
    assert came.count == 6 and came.left == []
    assert sorted(path.name for path in (into / "all").iterdir()) == [
        "one (2).png", "one (3).MOV", "one (3).png", "one (4).MOV", "one (4).png", "one.MOV", "one.png"
    ]  # fmt: skip
    for name in ("one (3)", "one (4)"):  # the film has the number of its photo
        number = (into / "all" / f"{name}.MOV").read_text()[-1]
        assert (into / "all" / f"{name}.png").read_bytes() == (folder / number / "one.png").read_bytes()
    assert (into / "all" / "one (2).png").read_text() == "somebody's"
    again = arrange(folder, walk(folder).photos, said, into, "{class}", "copy", False, language("en"), {})
    assert again.left[0].reason == "is already there, byte for byte"


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
    found = arrange(tmp_path, photos, decided, tmp_path / "out", layout, "copy", False, language("pt"), {})
    assert [str(Path(step.target).relative_to(tmp_path / "out")) for step in found.steps] == [
        "rose/2019-07/Cam-era 1 80%+/a.jpg", "rose/sem data-sem data/câmera desconhecida 80%+/b.jpg"
    ]  # fmt: skip


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


def test_classes_whose_folders_would_be_one_are_kept_apart(shapes_run: tuple[Path, Path], tmp_path: Path) -> None:
    """A model whose classes are `A/B`, `a-b` and `review`: three folders, beside that of the photos to review."""
    run = tmp_path / "run"
    shutil.copytree(shapes_run[0], run)
    model = onnx.load(run / "model.onnx")
    info = json.loads(model.metadata_props[0].value)
    info["classes"] = ["A/B", "a-b", "review"]
    model.metadata_props[0].value = json.dumps(info)
    onnx.save(model, run / "model.onnx")
    folder = write_shapes(tmp_path / "photos", 3)
    done = organise(run, folder, tmp_path / "sorted", min_confidence=0.0, lang="en")
    assert sum(done.counts.values()) == 9 and set(done.counts) == {"A-B", "a-b (2)", "review (2)"}
    assert "The folder of the class a-b is called a-b (2)" in "\n".join(show(done, False, language("en")))


@pytest.mark.skipif(
    os.name != "posix" or os.getuid() != 0, reason="a file system that cannot be written is mounted by root"
)
def test_photos_are_copied_from_where_nothing_can_be_written(shapes_run: tuple[Path, Path], tmp_path: Path) -> None:
    folder = write_shapes(tmp_path / "photos", 2)
    code = (
        "import subprocess, sys; from mirante.photos.organise import organise\n"
        "subprocess.run(['mount', '--bind', sys.argv[2], sys.argv[2]], check=True)\n"
        "subprocess.run(['mount', '-o', 'remount,ro,bind', sys.argv[2]], check=True)\n"
        "done = organise(sys.argv[1], sys.argv[2], sys.argv[3], min_confidence=0.0); print(done.count, len(done.left))"
    )
    words = ["unshare", "--mount", sys.executable, "-c", code, shapes_run[0], folder, tmp_path / "sorted"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "mount" in done.stderr and "permi" in done.stderr.lower() and "CalledProcessError" in done.stderr:
        pytest.skip("mounting is not allowed here")
    assert done.stdout == "6 0\n", done.stderr
    assert len(list((tmp_path / "sorted").rglob("*.png"))) == 6
