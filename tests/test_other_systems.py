"""What Windows and macOS do otherwise, as far as it can be played here: files that are open elsewhere, other ends of lines."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from conftest import Command, draw_shape

import mirante as package
from mirante import files
from mirante.errors import RequestError, WorkError
from mirante.photos.organise import organise
from mirante.studio.collections import add_class, make_collection
from mirante.studio.workspace import Workspace


def refused(code: int) -> PermissionError:
    error = PermissionError(13, "refused")
    error.winerror = code  # type: ignore[attr-defined]  # which Windows sets
    return error


@pytest.mark.parametrize("code", [5, 32])
def test_a_file_that_another_process_has_open_is_replaced_when_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Windows refuses to replace a file that a virus scanner or a server has open."""
    target, left, replace = tmp_path / "model.onnx", [3], Path.replace

    def refusing(self: Path, place: Path) -> Path:
        if left[0]:
            left[0] -= 1
            raise refused(code)
        return replace(self, place)

    target.write_bytes(b"old")
    monkeypatch.setattr(Path, "replace", refusing)
    files.write_bytes(target, b"new")
    assert target.read_bytes() == b"new" and list(tmp_path.iterdir()) == [target]
    left[0] = 100
    monkeypatch.setattr(files, "_WAITS", (0.0,))
    with pytest.raises(WorkError, match="another program has it open"):
        files.write_bytes(target, b"newer")
    assert target.read_bytes() == b"new" and list(tmp_path.iterdir()) == [target]


def test_no_two_photos_get_names_that_differ_only_in_case(tmp_path: Path, shapes_run: tuple[Path, Path]) -> None:
    """macOS, Windows and memory cards take them for one file: the second would be put over the first."""
    for folder, name in (("a", "IMG_1.png"), ("b", "img_1.PNG"), ("c", "Img_1.png")):
        (tmp_path / "album" / folder).mkdir(parents=True)
        draw_shape("disc", ord(folder)).save(tmp_path / "album" / folder / name, "PNG")
    organise(shapes_run[0], tmp_path / "album", into=tmp_path / "sorted", layout="{camera}", min_confidence=0.0)
    names = [path.name.casefold() for path in (tmp_path / "sorted").rglob("*") if path.suffix.lower() == ".png"]
    assert len(names) == 3 == len(set(names)), names


def test_no_two_classes_get_folders_that_differ_only_in_case(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with pytest.raises(RequestError, match="'Cat' and 'cat' differ only in upper and lower case"):
        make_collection(workspace, "pets", ["Cat", "dog", "cat"])
    make_collection(workspace, "pets", ["Cat", "dog"])  # the name is still free
    with pytest.raises(RequestError, match="'dog' and 'Dog' differ only in upper and lower case"):
        add_class(workspace, "pets", "Dog")
    assert sorted(path.name for path in (tmp_path / "images" / "pets").iterdir()) == ["Cat", "dog"]


def test_a_run_whose_texts_have_the_line_ends_of_windows_is_the_same_run(
    shapes_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    """As a repository of runs that was checked out on Windows has them."""
    run = Path(shutil.copytree(shapes_run[0], tmp_path / "run"))
    package.dossier(run, out=tmp_path / "file")
    lock = tmp_path / "shapes.lock.json"
    assert mirante("data", "freeze", shapes_run[1], "--out", lock).returncode == 0
    changed = 0
    for path in (*run.iterdir(), lock, *(tmp_path / "file").iterdir()):
        if path.suffix in (".json", ".csv", ".toml", ".md"):
            text = path.read_bytes()
            path.write_bytes(text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
            changed += 1
    assert changed >= 8
    opened, before = package.Run(run), package.Run(shapes_run[0])
    assert opened.metrics.accuracy == before.metrics.accuracy and opened.classes == before.classes
    assert opened.predictions().paths == before.predictions().paths
    assert [epoch.epoch for epoch in opened.history] == [epoch.epoch for epoch in before.history]
    assert package.evaluate(run).metrics.accuracy == before.metrics.accuracy
    assert package.compare([run, shapes_run[0]])[0].p_value == 1
    package.dossier(run, out=tmp_path / "file")
    words = ["--locked", lock, "--model", "8C3-MP2-16N", "--epochs", "1", "--out", tmp_path / "again"]
    done = mirante("train", shapes_run[1], *words)
    assert done.returncode == 0, done.stderr
    done = mirante(
        "train", "--recipe", run / "recipe.toml", shapes_run[1], "--epochs", "1", "--out", tmp_path / "third"
    )
    assert done.returncode == 0, done.stderr
