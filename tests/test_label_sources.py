"""Labels from other programs: keywords of photo libraries, COCO, Label Studio."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import Command
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mirante import DataError, Dataset
from mirante.data.several import parse
from mirante.xmp import embedded_keywords, keyword_paths, keywords

RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
SPACES = (
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:lr="http://ns.adobe.com/lightroom/1.0/" '
    'xmlns:digiKam="http://www.digikam.org/ns/1.0/"'
)


def packet(subject: list[str] = (), lightroom: list[str] = (), digikam: list[str] = ()) -> bytes:  # type: ignore[assignment]
    """Return XMP as Lightroom (subject and hierarchicalSubject) and digiKam (TagsList) write it."""

    def bag(name: str, kind: str, words: list[str]) -> str:
        items = "".join(f"<rdf:li>{word}</rdf:li>" for word in words)
        return f"<{name}><rdf:{kind}>{items}</rdf:{kind}></{name}>" if words else ""

    inside = bag("dc:subject", "Bag", subject) + bag("lr:hierarchicalSubject", "Bag", lightroom)
    inside += bag("digiKam:TagsList", "Seq", digikam)
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {RDF}><rdf:Description rdf:about="" {SPACES}>{inside}'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def picture(number: int, ending: str = "jpg", **saved: object) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, {"jpg": "JPEG", "tif": "TIFF"}.get(ending, ending), **saved)
    return held.getvalue()


def labels_of(data: Path, **options: object) -> dict[str, list[str]]:
    """Return path → labels, what is not known with a question mark."""
    dataset = Dataset.open(data, val_share=0.0, as_test_of=None, lenient=True, **options)  # type: ignore[arg-type]
    texts = dataset.asks.label_names(dataset.targets, dataset.classes)
    return {
        path: sorted([*parse(text)[0], *(f"?{one}" for one in parse(text)[1])])
        for path, text in zip(dataset.paths, texts, strict=True)
    }


@pytest.mark.parametrize(
    ("content", "paths"),
    [
        (packet(["beach", "dog"]), ["beach", "dog"]),
        (packet(["owl", "bird", "night"], ["animal|bird|owl"]), ["animal/bird/owl", "night"]),
        (packet(["owl"], digikam=["animal/bird/owl", "places/Recife"]), ["animal/bird/owl", "places/Recife"]),
        (packet(["x"], ["darktable|exported|jpg"], ["_Digikam_Internal_Tags_/Color Label None"]), ["x"]),
        (packet(["animal|bird"]), ["animal/bird"]),
        (packet(), []),
    ],
)
def test_keywords_keep_their_path_and_are_said_once(content: bytes, paths: list[str]) -> None:
    assert keyword_paths(content) == paths
    assert {one.rpartition("/")[2] for one in paths} <= set(keywords(content))


def test_keywords_inside_photos_of_each_format_are_read() -> None:
    told = packet(["sea", "dog"])
    png = PngInfo()
    png.add_itxt("XML:com.adobe.xmp", told.decode())
    photos = {
        "jpg": picture(0, xmp=told),
        "webp": picture(1, "webp", xmp=told),
        "tif": picture(2, "tif", tiffinfo={700: told}),
        "png": picture(3, "png", pnginfo=png),
    }
    import pillow_heif

    heic = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (16, 16))).save(heic, xmp=told)
    photos["heic"] = heic.getvalue()
    for ending, content in photos.items():
        assert embedded_keywords(content) == ["sea", "dog"], ending
    assert embedded_keywords(picture(4)) == []


@pytest.mark.parametrize(("marked", "encoding"), [(True, "utf-8"), (False, "utf-8"), (False, "cp1252")])
def test_keywords_of_older_programs_are_read_as_iptc(marked: bool, encoding: str) -> None:
    def dataset(record: int, number: int, value: bytes) -> bytes:
        return bytes((0x1C, record, number)) + len(value).to_bytes(2, "big") + value

    iim = dataset(1, 90, b"\x1b%G") if marked else b""
    iim += dataset(2, 25, "coração".encode(encoding)) + dataset(2, 25, b"dog")
    resource = b"8BIM\x04\x04\x00\x00" + len(iim).to_bytes(4, "big") + iim + b"\0" * (len(iim) % 2)
    segment = b"Photoshop 3.0\x00" + resource
    plain = picture(0)
    photo = plain[:2] + b"\xff\xed" + (len(segment) + 2).to_bytes(2, "big") + segment + plain[2:]
    assert embedded_keywords(photo) == ["coração", "dog"]


def write_library(folder: Path) -> Path:
    """Write a photo library as several programs leave one."""
    folder.mkdir()
    (folder / "embedded.jpg").write_bytes(picture(0, xmp=packet(["beach", "dog"])))
    (folder / "lightroom.jpg").write_bytes(picture(1))
    (folder / "lightroom.xmp").write_bytes(packet(["owl", "bird"], ["animal|bird|owl"]))
    (folder / "year").mkdir()
    (folder / "year" / "digikam.jpg").write_bytes(picture(2, xmp=packet(["old"])))
    (folder / "year" / "digikam.jpg.xmp").write_bytes(packet(["bird"], digikam=["animal/bird"]))
    (folder / "untold.jpg").write_bytes(picture(3))
    (folder / "damaged.jpg").write_bytes(picture(4))
    (folder / "damaged.xmp").write_bytes(b"not xml")
    return folder


def test_a_photo_library_is_a_set_of_labelled_images(tmp_path: Path) -> None:
    library = write_library(tmp_path / "library")
    expected = {
        "embedded.jpg": ["beach", "dog"],
        "lightroom.jpg": ["animal/bird", "animal/bird/owl"],  # the other photo says that owls are birds
        "year/digikam.jpg": ["animal/bird"],  # what the sidecar says counts, not what the file said before
    }
    assert labels_of(library, task="tag", labels="xmp") == expected
    left = {one.path: one.reason for one in Dataset.open(library, task="tag", labels="xmp", lenient=True).skipped}
    assert left == {"untold.jpg": "has no keywords", "damaged.jpg": "a sidecar that is not XMP"}
    archive = tmp_path / "library.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for file in sorted(library.rglob("*.*")):
            zipped.write(file, file.relative_to(library))
    assert labels_of(archive, task="tag", labels="xmp") == expected
    single = Dataset.open(library, labels="xmp", lenient=True)
    assert single.classes == ("animal/bird", "animal/bird/owl") and len(single) == 2
    assert [one.reason for one in single.skipped if one.path == "embedded.jpg"] == ["has 2 keywords: beach, dog"]


def test_a_library_without_keywords_is_refused(tmp_path: Path, mirante: Command) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(picture(0))
    done = mirante("train", tmp_path / "photos", "--task", "tag", "--labels", "xmp", "--out", tmp_path / "run")
    assert done.returncode == 2 and "no photo has keywords" in done.stderr and "Traceback" not in done.stderr


def write_pictures(folder: Path, names: list[str]) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture(number))
    return folder


def test_coco_gives_each_image_the_categories_of_its_annotations(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", ["train/1.jpg", "train/2.jpg", "train/3.jpg"])
    coco = {
        "images": [
            {"id": 7, "file_name": "1.jpg"},
            {"id": 8, "file_name": "2.jpg"},
            {"id": 9, "file_name": "train/3.jpg"},
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "bbox": [0, 0, 4, 4]},
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": [4, 4, 4, 4]},
            {"id": 3, "image_id": 7, "category_id": 2},
            {"id": 4, "image_id": 9, "category_id": 2},
        ],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco), encoding="utf-8")
    expected = {"train/1.jpg": ["cat", "dog"], "train/2.jpg": [], "train/3.jpg": ["dog"]}
    assert labels_of(data, task="tag", labels="coco.json") == expected
    with pytest.raises(DataError, match="'dog' here and 'cat'"):
        Dataset.open(data, labels="coco.json")


def test_label_studio_gives_what_all_who_answered_chose(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", ["a/1.jpg", "0f1e2d3c-2.jpg", "3.jpg", "4.jpg", "5.jpg"])

    def answer(*choices: str, **more: object) -> dict[str, object]:
        return {"result": [{"type": "choices", "value": {"choices": list(choices)}}] if choices else [], **more}

    tasks = [
        {"data": {"image": "/data/local-files/?d=a/1.jpg"}, "annotations": [answer("cat", "dog"), answer("cat")]},
        {"data": {"image": "/data/upload/1/0f1e2d3c-2.jpg"}, "annotations": [answer("dog")]},
        {"data": {"image": "s3://bucket/3.jpg"}, "annotations": [answer()]},
        {"data": {"image": "4.jpg"}, "annotations": [answer("cat", was_cancelled=True)]},
        {
            "data": {"image": "5.jpg"},
            "annotations": [{"result": [{"type": "taxonomy", "value": {"taxonomy": [["animal", "bird"], ["place"]]}}]}],
        },
    ]
    (tmp_path / "tasks.json").write_text(json.dumps(tasks), encoding="utf-8")
    assert labels_of(data, task="tag", labels="tasks.json") == {
        "a/1.jpg": ["?dog", "cat"],
        "0f1e2d3c-2.jpg": ["dog"],
        "3.jpg": [],
        "5.jpg": ["animal/bird", "place"],
    }
    least = [
        {"image": "/data/upload/2/aaaaaaaa-3.jpg", "choice": "cat"},
        {"image": "4.jpg", "choice": {"choices": ["cat", "dog"]}},
        {"image": "5.jpg", "choice": "dog", "annotator": 1},
    ]
    (tmp_path / "min.json").write_text(json.dumps(least), encoding="utf-8")
    found = labels_of(data, task="tag", labels="min.json")
    assert found == {"3.jpg": ["cat"], "4.jpg": ["cat", "dog"], "5.jpg": ["dog"]}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "not JSON"),
        ("[1, 2]", "not an annotation file"),
        ('{"path": "1.jpg"}', "not an annotation file"),
        (
            '{"images": [{"id": 1, "file_name": "1.jpg"}], "categories": [], "annotations": []}',
            "no image in it has a label",
        ),
        ('{"images": [], "categories": [], "annotations": [{"image_id": 3, "category_id": 4}]}', "is not listed"),
        ('[{"data": {"text": "hello"}}]', "names no image"),
        (
            '{"images": [{"id": 1, "file_name": "1.jpg"}, {"id": 1, "file_name": "2.jpg"}], "categories": [{"id": 1, "name": "a"}], '
            '"annotations": [{"image_id": 1, "category_id": 1}]}',
            "two of its images have the same id",
        ),
    ],
)
def test_annotations_that_say_nothing_are_refused(tmp_path: Path, content: str, told: str) -> None:
    data = write_pictures(tmp_path / "data", ["1.jpg"])
    (tmp_path / "labels.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=told):
        Dataset.open(data, task="tag", labels="labels.json")


def test_two_questions_of_label_studio_are_kept_apart(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", ["1.jpg", "2.jpg"])

    def told(question: str, choice: str) -> dict[str, object]:
        return {"type": "choices", "from_name": question, "value": {"choices": [choice]}}

    tasks = [
        {"data": {"image": "1.jpg"}, "annotations": [{"result": [told("cat", "yes"), told("dog", "no")]}]},
        {"data": {"image": "2.jpg"}, "annotations": [{"result": [told("cat", "no"), told("dog", "yes")]}]},
    ]
    (tmp_path / "tasks.json").write_text(json.dumps(tasks), encoding="utf-8")
    assert labels_of(data, task="tag", labels="tasks.json") == {
        "1.jpg": ["cat/yes", "dog/no"],
        "2.jpg": ["cat/no", "dog/yes"],
    }


def test_a_date_before_a_name_is_no_code_of_an_upload(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", ["a/20240101-1.jpg", "a/2.jpg", "b/3.jpg"])
    (data / "labels.csv").write_text("path,label\n1.jpg,x\n2.jpg,x\n3.jpg,y\n")
    with pytest.raises(DataError, match=r"no file at 1\.jpg"):
        Dataset.open(data, labels="labels.csv", lenient=True)


def test_the_question_of_json_min_may_have_any_name(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", ["1.jpg", "2.jpg"])
    rows = [
        {"image": "1.jpg", "id": 1, "kind": "cat", "annotator": 3, "lead_time": 1.5, "created_at": "2026-01-01"},
        {"image": "2.jpg", "id": 2, "kind": {"choices": ["cat", "dog"]}, "annotator": 3},
    ]
    (tmp_path / "min.json").write_text(json.dumps(rows), encoding="utf-8")
    assert labels_of(data, task="tag", labels="min.json") == {"1.jpg": ["cat"], "2.jpg": ["cat", "dog"]}
    for row in rows:
        row["kind"], row["hospital"] = "cat", "north"
    (tmp_path / "min.json").write_text(json.dumps(rows), encoding="utf-8")
    with pytest.raises(DataError, match="'hospital' or 'kind'"):
        Dataset.open(data, task="tag", labels="min.json")


def test_several_labels_in_coco_without_the_task_hint_at_it(tmp_path: Path, mirante: Command) -> None:
    (tmp_path / "1.png").write_bytes(picture(1, "png"))
    told = {
        "images": [{"id": 1, "file_name": "1.png"}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1}, {"id": 2, "image_id": 1, "category_id": 2}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(told))
    done = mirante("data", "info", tmp_path, "--labels", tmp_path / "coco.json")
    assert done.returncode == 2 and "--task tag" in done.stderr
