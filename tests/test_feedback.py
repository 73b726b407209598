"""Corrections from a server, from a table and from the studio end in one memory, and the model learns from all of them."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from conftest import Command, draw_shape
from PIL import Image
from test_dicom import make as dicom_file
from test_photos_learn import rings
from test_serving import serving, wait

from mirante.data.classes import known_as
from mirante.data.entries import digest_of
from mirante.errors import DataError, RequestError
from mirante.photos.feedback import Feedback, read_labels
from mirante.photos.library import Answer, Kind, Library, labels_of
from mirante.photos.said import said_classes, said_labels
from mirante.prediction.model import Model


@pytest.fixture
def own_run(shapes_run: tuple[Path, Path], tmp_path: Path) -> Path:
    shutil.copytree(shapes_run[0], tmp_path / "run")
    return tmp_path / "run"


def png(kind: str, seed: int) -> bytes:
    held = io.BytesIO()
    draw_shape(kind, seed).save(held, "PNG")
    return held.getvalue()


def answers_of(folder: Path) -> dict[str, str | None]:
    library = Library(folder)
    try:
        return labels_of(library.answers())
    finally:
        library.close()


def test_a_new_class_is_learned_from_what_was_sent_to_a_server(own_run: Path, tmp_path: Path, mirante: Command) -> None:
    """Five corrections are enough; the server itself answers with the new model, and the old classes stay as good."""
    (tmp_path / "rings").mkdir()
    rings(tmp_path / "rings", 8)
    sent = sorted((tmp_path / "rings").iterdir())
    place = tmp_path / "corrections" / "run"
    with serving(own_run, "--feedback", str(place.parent)) as server:
        for path in sent[:6]:
            status, _, told = server.ask("POST", "/v1/models/run/feedback?label=ring", path.read_bytes(), "image/png")
            assert status == 200 and told == {"model": "run", "labels": ["ring"], "new": ["ring"]}
        first = server.ask("GET", "/v1/models/run")[2]["version"]
        done = mirante("photos", "learn", own_run, place)
        assert done.returncode == 0 and "ring" in done.stdout, done.stdout + done.stderr
        wait(lambda: server.ask("GET", "/v1/models/run")[2]["version"] != first)
        (told,) = server.predict(sent[7].read_bytes())[2]["predictions"]
    assert told["nearest"] == "ring" and Model(own_run).classes == ("bar", "cross", "disc", "ring")
    kept = json.loads(mirante("versions", own_run, "--format", "json").stdout)
    assert kept[1]["why"].startswith("mirante photos learn") and kept[0]["accuracy"] >= kept[1]["accuracy"]


def test_the_last_word_about_an_image_counts_and_it_is_kept_once(own_run: Path, tmp_path: Path) -> None:
    content, place = png("disc", 700), tmp_path / "corrections" / "run"
    with serving(own_run, "--feedback", str(place.parent)) as server:
        for label in ("disc", "bär & co", "disc"):
            address = f"/v1/models/run/feedback?label={quote(label)}"
            assert server.ask("POST", address, content, "image/png")[0] == 200
    (kept,) = place.glob("*.png")
    assert kept.read_bytes() == content and answers_of(place) == {digest_of(content): "disc"}


def test_what_cannot_be_meant_is_refused_and_nothing_is_kept(own_run: Path, tmp_path: Path) -> None:
    place, good = tmp_path / "corrections" / "run", png("disc", 701)
    wide = io.BytesIO()
    Image.new("RGB", (1500, 1500)).save(wide, "PNG")
    with serving(own_run, "--feedback", str(place.parent), "--max-megapixels", "1") as server:
        for query, body, said in (
            ("", good, "Say what the image shows"),
            ("?label=", good, "Say what the image shows, once"),
            ("?label=disc&label=bar", good, "Say what the image shows, once"),
            ("?label=" + "x" * 101, good, "up to 100 printable"),
            ("?label=a%0Ab", good, "printable"),
            ("?label=disc", b"nothing", "The image:"),
            ("?label=disc", b"", "The image:"),
            ("?label=disc", wide.getvalue(), "pixels, more than"),
        ):
            status, _, told = server.ask("POST", f"/v1/models/run/feedback{query}", body, "image/png")
            assert status == 400 and said in told["error"], (query, status, told)
    assert [one for one in place.iterdir() if one.is_file()] == [] and answers_of(place) == {}
    with serving(own_run) as server:
        assert server.ask("POST", "/v1/models/run/feedback?label=disc", good, "image/png")[0] == 404


def test_a_full_folder_is_said_and_keeps_what_it_has(own_run: Path, tmp_path: Path) -> None:
    info = Model(own_run).info
    feedback = Feedback(tmp_path / "full", 0, info)
    with pytest.raises(Exception, match="holds 0 MB"):
        feedback.add(png("disc", 1), ["disc"])
    feedback.close()
    assert answers_of(tmp_path / "full") == {}


def test_a_table_of_labels_becomes_answers(own_run: Path, tmp_path: Path, mirante: Command) -> None:
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    contents = {"sub/a.png": png("disc", 1), "b.png": png("bar", 2), "c.png": png("bar", 3)}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    table = tmp_path / "labels.csv"
    table.write_text("path,label\nsub/a.png,disc\nphotos/b.png,bar\ngone.png,bar\n")
    library = Library(folder)
    read, left = read_labels(library, table, own_run)
    assert (read, [one.reason for one in left]) == (2, [f"gone.png is not in {folder}"])
    assert read_labels(library, table, own_run)[0] == 2 and len(library.answers()) == 2
    table.write_text("path,label\nc.png,bar\nc.png,disc\n")
    with pytest.raises(DataError, match=r"row 3: c\.png is 'disc' here and 'bar' before"):
        read_labels(library, table, own_run)
    for label, stands in (("Bar ", "bar"), ("disc", "disc"), ("bar", "bar")):  # other letters; and the same once more
        table.write_text(f"path,label\nc.png,{label}\n")
        assert read_labels(library, table, own_run) == (1, [])
        assert labels_of(library.answers())[digest_of(contents["c.png"])] == stands
    table.write_text("path,label\nb.png,cross\nc.png,None of these\n")
    before = library.answers()
    with pytest.raises(RequestError, match="to images of no class"):
        read_labels(library, table, own_run)
    assert library.answers() == before  # nothing of a table that is refused
    table.write_text("path,label\nc.png,bar\n")
    library.change([digest_of(contents["c.png"])], "cross", None, "the later word")
    assert read_labels(library, table, own_run) == (1, [])
    assert labels_of(library.answers())[digest_of(contents["c.png"])] == "cross"
    shutil.copy(table, tmp_path / "another.csv")  # of somebody else, who says so later
    read_labels(library, tmp_path / "another.csv", own_run)
    assert labels_of(library.answers())[digest_of(contents["c.png"])] == "bar"
    read_labels(library, table, own_run)
    library.take_back()
    assert labels_of(library.answers())[digest_of(contents["c.png"])] == "cross"
    library.take_back()
    library.close()
    done = mirante("photos", "learn", own_run, folder, "--labels", table)
    assert done.returncode == 0 and "Photos with a label in" in done.stderr and ": 1." in done.stderr, done.stderr
    assert answers_of(folder)[digest_of(contents["c.png"])] == "bar"


def test_a_correction_of_a_dicom_file_is_kept(own_run: Path, tmp_path: Path) -> None:
    feedback = Feedback(tmp_path / "kept", 10, Model(own_run).info)
    content = dicom_file(np.arange(400).reshape(20, 20), 12)
    feedback.add(content, ["disc"])
    feedback.close()
    library = Library(tmp_path / "kept")
    ((one,), skipped) = library.look()
    assert one.path.endswith(".dcm") and not skipped and labels_of(library.answers()) == {one.digest: "disc"}
    library.close()


def test_a_new_class_is_learned_from_photos_that_teach_not_from_those_that_judge() -> None:
    def answers(kind: Kind, count: int) -> list[Answer]:
        return [Answer(f"{kind}{number}", "ring", kind, None, str(number), 0.0, None) for number in range(count)]

    few = said_classes([*answers("chosen", 4), *answers("random", 9)], ("disc",), set(), set())
    assert (few.classes, few.waiting) == (("disc",), {"ring": 4})
    tested = said_classes(answers("chosen", 6), ("disc",), {"chosen0", "chosen1"}, set())
    assert (tested.classes, tested.waiting) == (("disc",), {"ring": 4})
    assert said_classes(answers("chosen", 5), ("disc",), set(), set()).classes == ("disc", "ring")


def test_a_new_class_that_is_written_in_several_ways_is_one(own_run: Path, tmp_path: Path) -> None:
    folder, info = tmp_path / "photos", Model(own_run).info
    rings(folder, 6)
    names = ("Ring", "ring", "RING ", " ring", "Ring", "rinG")
    rows = (f"ring{number}.png,{name}" for number, name in enumerate(names))
    (tmp_path / "labels.csv").write_text("path,label\n" + "\n".join(rows))
    library, feedback = Library(folder), Feedback(folder, 10, info)
    read_labels(library, tmp_path / "labels.csv", own_run)
    for number, name in enumerate(("RINg", "Disc", "ring")):
        feedback.add(png("disc", 800 + number), [name])
    feedback.close()
    library.answer([digest_of(png("disc", 801))], "DISC", "chosen", None, "later")  # and one that the model knows
    answers = library.answers()
    assert {one.label for one in answers} == {"Ring", "disc"}
    assert said_classes(answers, info.classes, set(), set()).classes == ("bar", "cross", "disc", "Ring")
    assert said_labels(answers, info.classes, set(), set()).classes == info.classes  # none says where it is not
    library.classes = ("ring", "Disc")  # a model that has learned it since
    assert {one.label for one in library.answers()} == {"ring", "Disc"}
    before = library.answers()
    moved = Path(shutil.copytree(tmp_path, tmp_path.with_name("elsewhere")))  # where the table lies as before
    again = Library(moved / "photos")
    assert read_labels(again, moved / "labels.csv", own_run) == (6, [])
    assert len(again.answers()) == len(before)
    again.close()
    library.close()


def test_a_label_is_the_class_that_is_meant_however_it_is_written() -> None:
    assert [known_as(label, ("1", "ipê", "a/b")) for label in ("1.0", " IPE\u0302 ", "a / b/", "2.0", "rosa")] == [
        "1", "ipê", "a/b", "2.0", "rosa"
    ]  # fmt: skip


def test_a_correction_in_any_format_is_a_photo_that_is_found(own_run: Path, tmp_path: Path) -> None:
    feedback = Feedback(tmp_path / "kept", 10, Model(own_run).info)
    for kind in ("JPEG2000", "TIFF", "JPEG", "BMP", "WEBP", "GIF"):
        held = io.BytesIO()
        Image.new("RGB", (20, 20), (len(kind), 9, 9)).save(held, kind)
        feedback.add(held.getvalue(), ["Disc"])
    feedback.close()
    library = Library(tmp_path / "kept")
    found, skipped = library.look()
    assert (len(found), skipped) == (6, []) and set(labels_of(library.answers()).values()) == {"disc"}
    library.close()
