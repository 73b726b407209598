"""XMP sidecars: what they held stays, the class is said once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import Command, write_shapes
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_trees import tree

from mirante import xmp
from mirante.errors import ImageError
from mirante.photos.walk import walk

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
        assert done.returncode == 0 and "001.png: a sidecar that is not XMP" in done.stderr, done.stderr
        written = list((tmp_path / "out" if words else folder).rglob("*.xmp"))
        assert len(written) == 6  # five of Mirante's, one of them in a sidecar that was there, and the one that is none
        [kept] = [path.read_bytes() for path in written if b"holiday" in path.read_bytes()]
        assert b"mirante:class" in kept and b"darktable" in kept
        assert mirante("photos", "undo", XDG_STATE_HOME=str(tmp_path / "s")).returncode == 0
        after = tree(folder)
        assert {path: one for path, one in after.items() if one[3] == "file"} == {
            path: one for path, one in before.items() if one[3] == "file"
        }


@pytest.mark.parametrize(
    ("photo", "beside"),
    [
        ("IMG_1.jpg", "IMG_1.jpg.supplemental-metadata.json"),
        ("IMG_1.jpg", "IMG_1.jpg.supplemental-meta.json"),
        ("IMG_1.jpg", "IMG_1.jpg.suppl.json"),
        ("IMG_1.jpg", "IMG_1.jpg.json"),
        ("IMG_1(1).jpg", "IMG_1.jpg(1).json"),
        ("IMG_1(1).jpg", "IMG_1.jpg.supplemental-metadata(1).json"),
        ("IMG_1(1).jpg", "IMG_1(1).json"),
        (
            "Screenshot_20200101-101010_Some long name of an app.jpg",
            "Screenshot_20200101-101010_Some long name of a.json",
        ),
        ("PXL_20210101.MP.jpg", "PXL_20210101.MP"),
        ("DSC_9.jpg", "DSC_9.nef.xmp"),
        ("DSC_9.jpg", "DSC_9.NEF"),
        ("IMG_7.HEIC", "IMG_7.MOV"),
    ],
)
def test_what_phones_and_takeout_put_beside_a_photo_goes_with_it(tmp_path: Path, photo: str, beside: str) -> None:
    for name in (photo, beside, "other.png", "album.json"):
        (tmp_path / name).write_bytes(b"x")
    found = walk(tmp_path)
    assert {one.path: one.companions for one in found.photos} == {photo: (beside,), "other.png": ()}
    assert not found.skipped


def test_raw_photos_and_films_that_stay_are_named(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.nef", "b.nef", "c.mov", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    said = {one.path: one.reason for one in walk(tmp_path).skipped}
    assert said == {
        "b.nef": "a RAW photo without a picture beside it; left where it is",
        "c.mov": "a film; left where it is",
    }
