"""Images are found wherever one word says they are, and what is wrong with them is said in one sentence."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sys
import tarfile
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Command, draw_shape, write_shapes
from PIL import Image

from mirante.cli.arguments import names
from mirante.data import entries
from mirante.data.dataset import Dataset
from mirante.errors import DataError
from mirante.photos.walk import walk
from mirante.sizes import input_size


def open_error(data: str | Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        Dataset.open(data, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".")
    return message


def test_folder_of_class_folders(shapes: Path) -> None:
    dataset = Dataset.open(shapes)
    assert dataset.classes == ("bar", "cross", "disc")
    assert len(dataset) == 90 and dataset.channels == 3 and dataset.split_by == "content"
    assert [dataset.classes[label] for label in dataset.targets] == [path.split("/")[0] for path in dataset.paths]
    _, pixels = dataset.load((24, 24), 3, "crop")
    from PIL import Image

    row = dataset.paths.index("disc/007.png")
    assert np.array_equal(pixels[row], np.asarray(Image.open(shapes / "disc/007.png")))


@pytest.mark.parametrize(
    "spellings", [("train", "val", "test"), ("Training", "validation", "Testing"), ("TRAIN", "valid", "test")]
)
def test_split_folders_under_the_usual_spellings(tmp_path: Path, spellings: tuple[str, ...]) -> None:
    for number, spelling in enumerate(spellings):
        write_shapes(tmp_path / spelling, 5, first=10 * number)
    dataset = Dataset.open(tmp_path)
    assert {split: len(dataset.rows(split)) for split in ("train", "val", "test")} == {
        "train": 15,
        "val": 15,
        "test": 15,
    }
    assert dataset.split_by == "source" and dataset.classes == ("bar", "cross", "disc")


def pack(folder: Path, target: Path) -> Path:
    if target.suffix == ".zip":
        shutil.make_archive(str(target.with_suffix("")), "zip", folder.parent, folder.name)
    elif target.suffix == ".zst":
        import zstandard

        plain = target.with_suffix("")
        with tarfile.open(plain, "w") as archive:
            archive.add(folder, folder.name)
        target.write_bytes(zstandard.compress(plain.read_bytes()))
        plain.unlink()
    else:
        with tarfile.open(target, f"w:{target.suffix[1:].replace('tar', '')}") as archive:
            archive.add(folder, folder.name)
    return target


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst"])
def test_archives_hold_the_same_data_as_the_folder(tmp_path: Path, shapes: Path, suffix: str) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    dataset = Dataset.open(pack(shapes, tmp_path / f"packed{suffix}"))
    assert dataset.fingerprint == Dataset.open(shapes).fingerprint
    assert dataset.paths[0].startswith("shapes/bar/")
    _, pixels = dataset.load((24, 24), 3, "crop")
    assert pixels.shape == (90, 24, 24, 3) and pixels.any(axis=(1, 2, 3)).all()
    assert {path.name for path in tmp_path.iterdir()} == before | {f"packed{suffix}"}  # nothing was unpacked


def test_a_cut_off_archive_is_named(tmp_path: Path, shapes: Path) -> None:
    for suffix in (".tar.gz", ".tar.xz", ".zip", ".tar.zst"):
        archive = pack(shapes, tmp_path / f"cut{suffix}")
        archive.write_bytes(archive.read_bytes()[:20_000])
        assert "damaged or truncated" in open_error(archive)


@pytest.mark.parametrize("kind", ["parent", "absolute", "link", "device", "zip parent", "zip link"])
def test_archives_that_could_write_elsewhere_are_refused(tmp_path: Path, kind: str) -> None:
    image = io.BytesIO()
    draw_shape("disc", 1).save(image, "PNG")
    if kind.startswith("zip"):
        path = tmp_path / "bad.zip"
        with zipfile.ZipFile(path, "w") as archive:
            info = zipfile.ZipInfo("../disc/1.png" if kind == "zip parent" else "disc/1.png")
            info.external_attr = (0o120777 if kind == "zip link" else 0o100644) << 16
            archive.writestr(info, image.getvalue())
    else:
        path = tmp_path / "bad.tar"
        member = tarfile.TarInfo({"parent": "disc/../../1.png", "absolute": "/disc/1.png"}.get(kind, "disc/1.png"))
        member.type = {"link": tarfile.SYMTYPE, "device": tarfile.CHRTYPE}.get(kind, tarfile.REGTYPE)
        member.linkname = "/etc/passwd"
        member.size = len(image.getvalue()) if member.isreg() else 0
        with tarfile.open(path, "w") as archive:
            archive.addfile(member, io.BytesIO(image.getvalue()) if member.isreg() else None)
    assert ("points outside" if "parent" in kind or kind == "absolute" else "link or a device") in open_error(path)


@pytest.mark.parametrize(("delimiter", "name"), [(",", "list.csv"), (";", "list.csv"), ("\t", "list.tsv")])
def test_tables_of_paths_and_labels(tmp_path: Path, shapes: Path, delimiter: str, name: str) -> None:
    lines = [delimiter.join(("Path", "Label", "Split", "patient"))]
    for number, path in enumerate(sorted(shapes.rglob("*.png"))):
        split = "test" if number % 5 == 0 else "training"
        lines.append(
            delimiter.join((path.relative_to(tmp_path).as_posix(), path.parent.name, split, f"p{number // 3}"))
        )
    table = tmp_path / name
    table.write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8")
    dataset = Dataset.open(table, group="patient")
    assert len(dataset) == 90 and len(dataset.rows("test")) == 18
    assert dataset.groups is not None and dataset.groups[:4] == ("p0", "p0", "p0", "p1")
    assert any("Groups that are in more than one split" in str(note) for note in dataset.notes)


def test_parquet_says_the_same_as_csv(tmp_path: Path, shapes: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    paths = [path.relative_to(tmp_path).as_posix() for path in sorted(shapes.rglob("*.png"))]
    columns = {"path": paths, "label": [path.split("/")[1] for path in paths]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "list.parquet")
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *(f"{p},{p.split('/')[1]}" for p in paths)]))
    assert Dataset.open(tmp_path / "list.parquet").fingerprint == Dataset.open(tmp_path / "list.csv").fingerprint


def test_labels_inside_the_archive_and_some_of_the_classes(tmp_path: Path, shapes: Path) -> None:
    paths = [path.relative_to(shapes).as_posix() for path in sorted(shapes.rglob("*.png"))]
    rows = [f"{path},{path.split('/')[0]},{number // 2}" for number, path in enumerate(paths)]
    (shapes / "labels.csv").write_text("\n".join(["path,label,patient", *rows]))
    archive = pack(shapes, tmp_path / "packed.tar.xz")
    dataset = Dataset.open(archive, labels="labels.csv", group="patient", classes=["disc", "bar"])
    assert dataset.classes == ("disc", "bar") and len(dataset) == 60
    assert dataset.groups is not None
    for group in set(dataset.groups):
        sides = {split for split, other in zip(dataset.splits, dataset.groups, strict=True) if other == group}
        assert len(sides) == 1


@pytest.mark.parametrize(("prefix", "place"), [("shapes/", "."), ("", "."), ("", "shapes"), ("../shapes/", "lists")])
def test_labels_beside_a_folder_start_from_the_table_or_from_the_folder(
    tmp_path: Path, shapes: Path, prefix: str, place: str
) -> None:
    paths = [path.relative_to(shapes).as_posix() for path in sorted(shapes.rglob("*.png"))]
    (tmp_path / place).mkdir(exist_ok=True)
    table = tmp_path / place / "labels.csv"
    table.write_text("\n".join(["path,label", *(f"{prefix}{path},{'abc'[n % 3]}" for n, path in enumerate(paths))]))
    dataset = Dataset.open(shapes, labels=table)
    assert dataset.classes == ("a", "b", "c") and len(dataset) == 90


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("shapes/bar/999.png,bar,train", ["row 3", "no file at shapes/bar/999.png", "--root"]),
        ("shapes/bar/001.png,,train", ["row 3", "label of shapes/bar/001.png is empty"]),
        ("shapes/bar/001.png,bar,holdout", ["row 3", "'holdout' is not a split"]),
        (",bar,train", ["row 3", "path is empty"]),
        ("shapes/bar/000.png,disc,train", ["row 3", "'disc' here and 'bar' in row 2"]),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, shapes: Path, row: str, words: list[str]) -> None:
    (tmp_path / "list.csv").write_text(f"path,label,split\nshapes/bar/000.png,bar,train\n{row}\n")
    message = open_error(tmp_path / "list.csv")
    assert all(word in message for word in ["list.csv", *words]), message


def test_a_table_without_its_columns_or_in_no_encoding_is_named(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text("where,class\na.png,cat\n")
    message = open_error(table)
    assert (
        "no column that is known to hold the path; its first row is where, class" in message
        and "--path-column" in message
    )
    table.write_bytes(b"path,label\na.png,\x00\x81\xff\x9d\n")
    assert "not text" in open_error(table) or "no file at a.png" in open_error(table)


def test_npz_with_x_and_y(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x, y = random.integers(0, 255, (60, 9, 7), dtype=np.uint8), np.array(["ant", "bee"] * 30)
    np.savez(tmp_path / "insects.npz", x=x, y=y, x_test=x[:4] // 2, y_test=y[:4])
    dataset = Dataset.open(tmp_path / "insects.npz")
    assert dataset.classes == ("ant", "bee") and dataset.channels == 1 and len(dataset.rows("test")) == 4
    _, pixels = dataset.load((9, 7), 1, "crop")
    assert np.array_equal(pixels[:60, :, :, 0], x)


def test_npz_never_unpickles(tmp_path: Path) -> None:
    trap = tmp_path / "trap"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (trap,)  # type: ignore[return-value]

    np.savez(tmp_path / "bad.npz", x=np.array([Trap(), Trap()], dtype=object), y=np.array([0, 1]))
    assert "Python objects" in open_error(tmp_path / "bad.npz")
    assert not trap.exists()


def test_digits_need_no_network() -> None:
    dataset = Dataset.open("digits")
    assert len(dataset) == 1797 and dataset.classes == tuple("0123456789")
    assert input_size(dataset.sizes, 64) == (32, 32)


@pytest.mark.parametrize(
    ("sizes", "largest", "wanted"),
    [
        ([(32, 32)] * 3, 64, (32, 32)),
        ([(28, 28)] * 3, 64, (28, 28)),
        ([(60, 200)] * 3, 200, (60, 200)),
        ([(8, 8)] * 3, 64, (32, 32)),
        ([(500, 400), (300, 800), (1000, 900)], 64, (64, 64)),
        ([(50, 40), (40, 60), (45, 45)], 64, (40, 40)),
    ],
)
def test_the_input_size_follows_the_data(sizes: list[tuple[int, int]], largest: int, wanted: tuple[int, int]) -> None:
    assert input_size(np.array(sizes), largest) == wanted


def test_unreadable_images_are_named_and_left_out(shapes: Path) -> None:
    whole = (shapes / "bar/000.png").read_bytes()
    (shapes / "bar/empty.png").write_bytes(b"")
    (shapes / "bar/notes.jpg").write_text("no image at all")
    (shapes / "bar/half.png").write_bytes(whole[: len(whole) // 2])
    (shapes / "stray.png").write_bytes(whole)
    (shapes / "bar/Thumbs.db").write_bytes(b"\0")
    dataset, pixels = Dataset.open(shapes).load((24, 24), 3, "crop")
    reasons = {one.path: one.reason for one in dataset.skipped}
    assert reasons.keys() == {"bar/empty.png", "bar/notes.jpg", "bar/half.png", "stray.png"}
    assert "empty" in reasons["bar/empty.png"] and "truncated" in reasons["bar/half.png"]
    assert "class folder" in reasons["stray.png"]
    assert len(dataset) == len(pixels) == 90


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a file name be any bytes")
def test_names_as_people_have_them(tmp_path: Path) -> None:
    names = [
        b"ma\xc3\xa7\xc3\xa3.png",
        b"mac\xcc\xa7a\xcc\x83.png",
        b"caf\xe9.png",
        b"-dash.png",
        "😀.png".encode(),
        b"two\nlines.png",
    ]
    names += [b"a, b;c.png", b'"quoted".png', b"x" * 240 + b".png", b"trailing. .png"]
    for kind, extra in (("bar", 0), ("disc", 50)):
        (tmp_path / kind).mkdir()
        for number, name in enumerate(names):
            draw_shape(kind, number + extra).save(tmp_path / "image.png")
            (tmp_path / "image.png").rename(tmp_path / kind / os.fsdecode(name))
    dataset, pixels = Dataset.open(tmp_path).load((24, 24), 3, "crop")
    assert len(dataset) == len(pixels) == 2 * len(names) == len(set(dataset.paths)) and not dataset.skipped
    assert all(path.encode("utf-8") for path in dataset.paths) and "bar/caf\\xe9.png" in dataset.paths


def test_what_cannot_be_trained_on_is_refused(tmp_path: Path, shapes: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no image in it" in open_error(tmp_path / "empty")
    assert "no such file or folder" in open_error(tmp_path / "nowhere")
    assert "only one class, 'disc'" in open_error(write_shapes(tmp_path / "one", 5, ("disc",)))
    assert "no class 'square'" in open_error(shapes, classes=["bar", "square"])
    few = write_shapes(tmp_path / "few", 9, ("disc", "bar"))
    for path in sorted((few / "bar").iterdir())[2:]:
        path.unlink()
    message = open_error(few)
    assert "'bar' has 2" in message and "needs 3" in message


@pytest.mark.parametrize(("method", "flag", "reason"), [(99, 0, "compressed in a way"), (0, 1, "encrypted inside")])
def test_a_member_that_cannot_be_opened_is_named_and_the_others_are_read(
    tmp_path: Path, shapes: Path, method: int, flag: int, reason: str
) -> None:
    path = tmp_path / "packed.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for image in sorted(shapes.rglob("*.png")):
            archive.write(image, image.relative_to(shapes))
    raw = bytearray(path.read_bytes())
    # the first member's local header, and its entry in the directory at the end: flags, then the method of compression
    for start in (0, raw.index(b"PK\x01\x02") + 2):
        raw[start + 6 : start + 10] = flag.to_bytes(2, "little") + method.to_bytes(2, "little")
    path.write_bytes(raw)
    dataset = Dataset.open(path)
    assert len(dataset) == 89 and [one.path for one in dataset.skipped] == ["bar/000.png"]
    assert reason in dataset.skipped[0].reason


def test_labels_that_look_alike_are_named_and_not_merged(tmp_path: Path, shapes: Path) -> None:
    rows = ["path,label"]
    for number, path in enumerate(sorted((shapes / "bar").iterdir())):
        rows.append(f"shapes/bar/{path.name},{['Gato', 'gato ', 'cão'][number % 3]}")
    (tmp_path / "list.csv").write_text("\n".join(rows), encoding="utf-8")
    message = open_error(tmp_path / "list.csv")
    assert "'Gato'" in message and "'gato '" in message and "Nothing was merged" in message


def test_copies_leaks_and_contradictions_are_noted(tmp_path: Path) -> None:
    write_shapes(tmp_path / "train", 8)
    write_shapes(tmp_path / "test", 8, first=20)
    shutil.copy(tmp_path / "train/disc/001.png", tmp_path / "test/disc/same.png")
    shutil.copy(tmp_path / "train/bar/001.png", tmp_path / "train/disc/wrong.png")
    notes = [str(note) for note in Dataset.open(tmp_path).notes]
    assert any("more than one split, byte for byte: 1" in note for note in notes)
    assert any("copies have a different label: 1" in note for note in notes)


def test_the_second_time_no_image_is_read(shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    really_read = entries.read_bytes

    def noting(path: Path) -> bytes:
        read.append(path)
        return really_read(path)

    monkeypatch.setattr(entries, "read_bytes", noting)
    dataset, pixels = Dataset.open(shapes).load((24, 24), 3, "crop")
    first = pixels.copy()
    assert set(read) == set(shapes.rglob("*.png"))
    read.clear()
    again, pixels = Dataset.open(shapes).load((24, 24), 3, "crop")
    assert not read and again.fingerprint == dataset.fingerprint and np.array_equal(pixels, first)


@pytest.mark.parametrize("location", ["memory://shelf", "memory://shelf/", "memory://shelf/*/*.png"])
def test_a_store_keeps_its_class_folders_and_is_fetched_once(shapes: Path, location: str) -> None:
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    for path in shapes.rglob("*.png"):
        system.pipe_file(f"/shelf/{path.relative_to(shapes).as_posix()}", path.read_bytes())
    try:
        here, there = Dataset.open(shapes), Dataset.open(location)
        assert there.paths == here.paths and there.classes == here.classes
        assert (there.splits == here.splits).all() and (there.targets == here.targets).all()
        assert system.cat_file(there.source.named(there.paths[0])) == (shapes / there.paths[0]).read_bytes()
        first = next(iter(there.source.entries())).content
        assert first() == (shapes / there.paths[0]).read_bytes()
        system.store.clear()
        assert first() == (shapes / there.paths[0]).read_bytes()  # from the cache
    finally:
        system.store.clear()


def test_the_same_arrays_under_another_name_are_read_again(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images, labels = random.integers(100, 255, (60, 12, 12, 3), np.uint8), np.arange(60) % 2
    for name in ("first.npz", "second.npz"):
        np.savez(tmp_path / name, x=images, y=labels)
        dataset, pixels = Dataset.open(tmp_path / name).load((12, 12), 3, "crop")
        assert dataset.paths[0].startswith(Path(name).stem) and np.array_equal(dataset[0][0], images[0])
        assert np.array_equal(pixels, images)


@pytest.mark.parametrize("change", ["removed", "written over"])
def test_data_that_change_while_they_are_read_are_not_black_images(shapes: Path, change: str) -> None:
    size = (
        (9, 11) if change == "removed" else (10, 10)
    )  # what is decoded is kept by its content, and another test looks at 9 × 9
    dataset, file = Dataset.open(shapes), shapes / "bar" / "003.png"
    before, stamp = file.read_bytes(), file.stat()
    if change == "removed":
        file.unlink()
    else:
        file.write_bytes((shapes / "disc" / "003.png").read_bytes())
    with pytest.raises(DataError, match=r"003\.png: changed or gone"):
        dataset.load(size, 3, "crop")
    file.write_bytes(before)
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert dataset.load(size, 3, "crop")[1][dataset.paths.index("bar/003.png")].max() > 100


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_of_a_file_that_is_in_an_archive_twice_the_last_one_counts(tmp_path: Path, shapes: Path, kind: str) -> None:
    archive, old = tmp_path / f"updated.{kind}", (shapes / "disc" / "000.png").read_bytes()
    files = {str(path.relative_to(shapes)): path.read_bytes() for path in sorted(shapes.rglob("*.png"))}
    members = [*({**files, "bar/000.png": old}).items(), ("bar/000.png", files["bar/000.png"])]
    if kind == "tar":
        with tarfile.open(archive, "w") as opened:
            for name, content in members:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                opened.addfile(info, io.BytesIO(content))
    else:
        with warnings.catch_warnings(), zipfile.ZipFile(archive, "w") as zipped:
            warnings.simplefilter("ignore")
            for name, content in members:
                zipped.writestr(name, content)
    dataset, pixels = Dataset.open(archive).load((24, 24), 3, "crop")
    assert len(dataset) == len(pixels) == 90
    row = dataset.paths.index("bar/000.png")
    assert np.array_equal(pixels[row], np.asarray(Image.open(io.BytesIO(files["bar/000.png"]))))
    assert np.array_equal(dataset[row][0], pixels[row])


def test_what_could_not_be_read_for_a_moment_is_read_the_next_time(
    shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, whole = shapes / "bar" / "003.png", Path.read_bytes

    def refuse(path: Path) -> bytes:  # root may read everything, so the system's error is raised here
        if path == file:
            raise PermissionError(13, "Permission denied")
        return whole(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", refuse)
        assert [one.path for one in Dataset.open(shapes).skipped] == ["bar/003.png"]
    dataset = Dataset.open(shapes)
    assert not dataset.skipped
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", refuse)
        assert len(dataset.load((13, 13), 3, "crop")[0]) == 89
    assert len(dataset.load((13, 13), 3, "crop")[0]) == 90


@pytest.mark.parametrize("second", ["bar//000.png", "./bar/000.png", "bar/../bar/000.png", "shapes/bar/000.png"])
def test_one_image_under_two_spellings_is_one_image(tmp_path: Path, shapes: Path, second: str) -> None:
    rows = [f"{path.parent.name}/{path.name},{path.parent.name}" for path in sorted(shapes.rglob("*.png"))]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(["path,label", *rows, f"{second},bar"]))
    dataset = Dataset.open(shapes, labels=table, root=shapes if second[0] != "s" else None)
    assert len(dataset) == len(set(dataset.paths)) == 90 and len(dataset.load((9, 9), 3, "crop")[1]) == 90
    table.write_text("\n".join(["path,label", *rows, f"{second},disc"]))
    with pytest.raises(DataError, match=r"row 92: .*'disc' here and 'bar' in row 2"):
        Dataset.open(shapes, labels=table, root=shapes if second[0] != "s" else None)


def test_a_data_set_has_no_image_twice(shapes: Path) -> None:
    dataset = Dataset.open(shapes)
    with pytest.raises(DataError, match="is named twice"):
        dataset.only([dataset.paths[0], *dataset.paths])


def test_a_column_is_the_one_that_is_spelt_so(tmp_path: Path, shapes: Path) -> None:
    paths = [path.relative_to(shapes) for path in sorted(shapes.rglob("*.png"))]
    (shapes / "labels.csv").write_text(
        "\n".join(["path,label,Label", *(f"{path},small{row % 2},LARGE{row % 2}" for row, path in enumerate(paths))])
    )
    assert Dataset.open(shapes, labels="labels.csv").classes == ("small0", "small1")
    assert Dataset.open(shapes, labels="labels.csv", label_column="Label").classes == ("LARGE0", "LARGE1")
    with pytest.raises(DataError, match="2 columns are named 'LABEL'"):
        Dataset.open(shapes, labels="labels.csv", label_column="LABEL")


def test_a_row_with_more_cells_than_columns_is_not_cut(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,label\na.png,red\nb.png,red, dark\n")
    with pytest.raises(DataError, match="row 3: 3 cells, but the header names 2 columns"):
        Dataset.open(tmp_path / "list.csv")


def test_not_a_number_is_no_label_and_no_group(tmp_path: Path, shapes: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    paths = [str(path.relative_to(shapes)) for path in sorted(shapes.rglob("*.png"))]
    values = {"path": paths, "label": [path.split("/")[0] for path in paths], "group": [float("nan"), *range(1, 90)]}
    parquet.write_table(arrow.table(values), shapes / "list.parquet")
    with pytest.raises(DataError, match=r"row 2: the group of .* is empty"):
        Dataset.open(shapes / "list.parquet")


@pytest.mark.parametrize(
    "options",
    [
        {"val_share": 2},
        {"val_share": float("nan")},
        {"val_share": "0.2"},
        {"folds": "3"},
        {"folds": 3.0},
        {"classes": []},
    ],
)
def test_options_of_a_wrong_kind_are_said(shapes: Path, options: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="must be"):
        Dataset.open(shapes, **options)


def test_accents_written_in_two_ways_are_one_class(tmp_path: Path) -> None:
    write_shapes(tmp_path / "composed", 8, ("bar", "disc"))
    (tmp_path / "composed" / "bar").rename(tmp_path / "composed" / "caf\u00e9")
    shutil.copytree(tmp_path / "composed", tmp_path / "apart")
    (tmp_path / "apart" / "caf\u00e9").rename(tmp_path / "apart" / "cafe\u0301")
    one, other = (Dataset.open(tmp_path / name) for name in ("composed", "apart"))
    assert one.classes == other.classes == ("caf\u00e9", "disc")
    assert Dataset.open(tmp_path / "apart", as_test_of=one.classes).classes == one.classes
    assert Dataset.open(tmp_path / "apart", classes=["cafe\u0301", "disc"]).classes == one.classes


def test_folders_of_systems_and_network_drives_are_no_classes(tmp_path: Path, shapes: Path) -> None:
    for name in (
        "@eaDir",
        "#recycle",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
        "Thumbnails",
        "__MACOSX",
    ):
        shutil.copytree(shapes / "bar", tmp_path / "more" / name)
        shutil.copytree(shapes / "bar", shapes / name)
        shutil.copytree(shapes / "bar", shapes / "disc" / name)
    dataset = Dataset.open(shapes)
    assert dataset.classes == ("bar", "cross", "disc") and len(dataset) == 90
    assert len(walk(shapes).photos) == 90


def test_a_class_that_is_a_link_is_not_missing_without_a_word(tmp_path: Path, shapes: Path) -> None:
    (shapes / "disc").rename(tmp_path / "elsewhere")
    (shapes / "disc").symlink_to(tmp_path / "elsewhere")
    dataset = Dataset.open(shapes)
    assert [(one.path, one.reason) for one in dataset.skipped] == [
        ("disc", "a link to a folder, which is not followed")
    ]
    assert dataset.classes == ("bar", "cross")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of POSIX")
def test_a_pipe_in_a_folder_keeps_nobody_waiting(shapes: Path) -> None:
    os.mkfifo(shapes / "bar" / "pipe.png")
    assert [(one.path, one.reason) for one in Dataset.open(shapes).skipped] == [
        ("bar/pipe.png", "a pipe or device, not a file")
    ]


@pytest.mark.parametrize(
    ("content", "classes"),
    [
        ('path, label\nshapes/bar/000.png, blue\nshapes/disc/000.png, "red"\n', ("blue", "red")),
        ("sep=;\npath;label\nshapes/bar/000.png;blue\nshapes/disc/000.png;red\n", ("blue", "red")),
        ("filename,class\nshapes/bar/000.png,blue\nshapes/disc/000.png,red\n", ("blue", "red")),
        ("file_name,category\nshapes/bar/000.png,blue\nshapes/disc/000.png,red\n", ("blue", "red")),
        ("image_path,target\nshapes/bar/000.png,1.0\nshapes/disc/000.png,0\nshapes/disc/001.png,1\n", ("0", "1")),
        ("id,label_name\nshapes/bar/000,blue\nshapes/disc/000,red\n", ("blue", "red")),
        ("image,blue,red\nshapes/bar/000.png,1.0,0.0\nshapes/disc/000.png,0,1\n", ("blue", "red")),
        ("where,what,path,label\nshapes/bar/000.png,blue,,\nshapes/disc/000.png,red,,\n", ("blue", "red")),
    ],
)
def test_tables_are_read_as_people_have_them(
    tmp_path: Path, shapes: Path, content: str, classes: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "list.csv").write_text(content)
    asked = {"path_column": "where", "label_column": "what"} if "where" in content else {}
    with caplog.at_level("INFO", "mirante"):
        assert Dataset.open(tmp_path / "list.csv", lenient=True, **asked).classes == classes
    assert ("taken for the classes" in caplog.text) == ("image,blue,red" in content)


@pytest.mark.parametrize(("encoding", "said"), [("cp1252", "cp1252"), ("utf-16", "utf-16"), ("utf-8-sig", "")])
def test_tables_from_excel_are_read_and_the_encoding_is_said(
    tmp_path: Path, shapes: Path, encoding: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = "".join(
        f"shapes/{kind}/{number:03d}.png;{label}\r\n"
        for kind, label in (("bar", "ipê-roxo"), ("disc", "açaí"))
        for number in range(4)
    )
    (tmp_path / "lista.csv").write_bytes(f"path;label\r\n{rows}".encode(encoding))
    with caplog.at_level("INFO", "mirante"):
        assert Dataset.open(tmp_path / "lista.csv").classes == ("açaí", "ipê-roxo")
    assert (f"read as {said}, since it is not UTF-8" in caplog.text) == bool(said)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('path,label\na.png,"cat\nb.png,dog\n' + "c.png,dog\n" * 500, ["row 2", "quotation mark"]),
        ("path,label\nshapes/bar/000.png,NaN\n", ["row 2", "NaN, which programs write"]),
        ("path,label\nshapes/bar/000.png,n/a\n", ["row 2", "n/a, which programs write"]),
        ("image,blue,red\nshapes/bar/000.png,1,1\n", ["row 2", "2 of the columns blue, red say 1"]),
        ("image,age\nshapes/bar/000.png,12\n", ["known to hold the label", "--label-column"]),
    ],
)
def test_what_is_wrong_in_a_table_is_said_in_one_short_sentence(
    tmp_path: Path, shapes: Path, content: str, words: list[str]
) -> None:
    (tmp_path / "list.csv").write_text(content)
    message = open_error(tmp_path / "list.csv")
    assert all(word in message for word in words), message
    assert len(message) < 400 + len(str(tmp_path))


def test_a_table_whose_letters_are_composed_in_another_way_names_the_same_files(tmp_path: Path, shapes: Path) -> None:
    composed, decomposed = "ip\u00ea.png", "ipe\u0302.png"
    shutil.copy(shapes / "bar" / "000.png", tmp_path / decomposed)
    (tmp_path / "list.csv").write_text(f"path,label\n{composed},tree\nshapes/disc/000.png,disc\n", encoding="utf-8")
    for data, options in ((tmp_path / "list.csv", {}), (tmp_path, {"labels": tmp_path / "list.csv"})):
        found = Dataset.open(data, lenient=True, **options)
        assert found.classes == ("disc", "tree") and not found.skipped


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_data_set_of_the_hub_is_read_by_its_metadata(tmp_path: Path, shapes: Path, form: str) -> None:
    for split in ("train", "test"):
        rows = []
        (tmp_path / "hub" / split).mkdir(parents=True)
        for kind in ("bar", "disc"):
            for number in range(6):
                name = f"{kind}{number}.png"
                shutil.copy(
                    shapes / kind / f"{number + 6 * (split == 'test'):03d}.png", tmp_path / "hub" / split / name
                )
                rows.append({"file_name": name, "label": {"bar": "0", "disc": "1"}[kind]})
        lines = (
            [json.dumps(row) for row in rows]
            if form == "jsonl"
            else ["file_name,label", *(",".join(row.values()) for row in rows)]
        )
        (tmp_path / "hub" / split / f"metadata.{form}").write_text("\n".join(lines))
    found = Dataset.open(tmp_path / "hub")
    assert found.classes == ("0", "1") and len(found.rows("test")) == 12 and len(found) == 24


def test_names_in_a_zip_are_those_that_its_writer_meant(tmp_path: Path, shapes: Path) -> None:
    picture = {
        kind: [(shapes / kind / f"{number:03d}.png").read_bytes() for number in range(6)] for kind in ("bar", "disc")
    }
    for encoding in ("utf-8", "cp850", "backslashes"):
        path = tmp_path / f"{encoding}.zip"
        written = "cp850" if encoding == "backslashes" else encoding
        standing = {"bar": "maçã".encode(written), "disc": "pão".encode(written)}
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("cover.jpg", picture["bar"][0])  # a stray file beside the class folders
            for kind, raw in standing.items():
                for count, content in enumerate(picture[kind]):
                    folder = kind if encoding == "backslashes" else kind[0] * len(raw)  # replaced below, byte by byte
                    info = zipfile.ZipInfo()
                    info.filename = f"Fotos/{folder}/{count}.png"
                    archive.writestr(info, content)
        content = path.read_bytes()
        for kind, raw in standing.items():
            if encoding == "backslashes":
                content = content.replace(f"Fotos/{kind}/".encode(), f"Fotos\\{kind}\\".encode())
            else:
                content = content.replace(f"Fotos/{kind[0] * len(raw)}/".encode(), b"Fotos/" + raw + b"/")
        path.write_bytes(content)
        found = Dataset.open(path)
        assert found.classes == (("bar", "disc") if encoding == "backslashes" else ("maçã", "pão")), encoding
        assert [one.path for one in found.skipped] == ["cover.jpg"]


def test_a_class_without_a_readable_image_is_not_gone_without_a_word(tmp_path: Path, shapes: Path) -> None:
    (shapes / "rings").mkdir()
    assert "class 'rings' has no image that can be read (an empty folder)" in open_error(shapes)
    (shapes / "rings" / "1.png").write_bytes(b"nonsense")
    assert "class 'rings' has no image that can be read (not an image" in open_error(shapes)
    assert Dataset.open(shapes, classes=["bar", "disc"]).classes == ("bar", "disc")
    (shapes / "rings" / "1.png").unlink()
    (shapes / "bar" / "raw").mkdir()  # inside a class it is nothing to speak of
    found = Dataset.open(shapes, classes=["bar", "cross", "disc"])
    assert [one.path for one in found.skipped] == ["rings/"]


def test_in_a_list_on_stdin_one_path_that_is_gone_loses_no_answer(
    shapes_run: tuple[Path, Path], mirante: Command
) -> None:
    run, data = shapes_run
    lines = f"\ufeff{data / 'bar' / '000.png'}\n{data / 'gone.png'}\n{data / 'disc' / '000.png'}\n"
    done = mirante("predict", run, "-", "--format", "csv", stdin=lines)
    assert len(done.stdout.splitlines()) == 3 and "gone.png: left out: no such file" in done.stderr
    assert done.returncode == 0


def test_a_class_with_a_comma_in_its_name_can_be_chosen() -> None:
    assert names('"bolts, large",nuts') == ["bolts, large", "nuts"]


def test_excel_opens_what_is_written_for_it(shapes_run: tuple[Path, Path], mirante: Command) -> None:
    run, data = shapes_run
    words = ("predict", run, data / "bar" / "000.png", "--format", "excel", "--lang")
    english, portuguese = (mirante(*words, lang).stdout for lang in ("en", "pt"))
    assert english.startswith("\ufeffpath,label,confidence,") and portuguese.startswith("\ufeffpath;label;confidence;")
    row = portuguese.splitlines()[1].split(";")
    assert row[1] == "bar" and re.fullmatch(r"[01](,\d+)?", row[2])


def test_splits_without_classes_or_below_them_are_refused(tmp_path: Path, shapes: Path) -> None:
    for tops, words in (
        (("test/bar", "test/disc", "val/bar", "val/disc"), "no train with class folders"),
        (("images/train", "images/val"), "no train with class folders"),
        (("bar/train", "bar/test", "disc/train", "disc/test"), "lie below the classes"),
    ):
        root = tmp_path / words[:8].strip() / tops[0].replace("/", "-")
        for top in tops:
            shutil.copytree(shapes / "bar", root / top)
        assert words in open_error(root)


def test_a_stray_image_in_the_folder_that_all_share_does_not_make_it_a_class(tmp_path: Path, shapes: Path) -> None:
    shutil.copytree(shapes, tmp_path / "sent" / "photos")
    shutil.copy(shapes / "bar" / "000.png", tmp_path / "sent" / "photos" / "cover.png")
    found = Dataset.open(tmp_path / "sent")
    assert found.classes == ("bar", "cross", "disc") and [one.path for one in found.skipped] == ["photos/cover.png"]


def test_metadata_that_is_not_of_these_images_leaves_the_folders_alone(tmp_path: Path, shapes: Path) -> None:
    (shapes / "metadata.csv").write_text("id,class\np1,x\np2,y\n")
    assert Dataset.open(shapes).classes == ("bar", "cross", "disc")
    rows = [
        f"{path.relative_to(shapes)},{number % 2},{1 - number % 2}" for number, path in enumerate(shapes.rglob("*.png"))
    ]
    (shapes / "metadata.csv").write_text("\n".join(["file_name,male,female", *rows]))
    assert Dataset.open(shapes).classes == ("bar", "cross", "disc")


def test_one_patient_is_one_group_however_a_table_writes_the_name(tmp_path: Path, shapes: Path) -> None:
    names = ["1", "1.0", "2 ", "2", "3", "3.0", "4", "5"]
    rows = [
        f"shapes/{kind}/{number:03d}.png,{kind},{names[number % 8]}" for kind in ("bar", "disc") for number in range(16)
    ]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,group", *rows]))
    found = Dataset.open(tmp_path / "list.csv")
    assert set(found.groups or ()) == {"1", "2", "3", "4", "5"}
