"""Every format of the list is read, whatever its metadata say, and what is not read is named."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_shape
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mirante import Dataset, ImageError
from mirante.data.check.look import right_suffix
from mirante.errors import UnavailableError
from mirante.formats import FORMATS
from mirante.images import read_header, read_image
from mirante.photos.exif import read_exif
from mirante.photos.walk import PHOTOS

ROOT = Path(__file__).parent.parent
PILLOWS = [one.name for one in FORMATS if one.name not in ("HEIF", "DICOM")]
OPTIONS = {
    "JPEG": {"quality": 98, "subsampling": 0},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 98},
    "MPO": {"quality": 98},
}


def drawn(height: int = 40, width: int = 64) -> Image.Image:
    """Return an image of four colours, one in each quarter."""
    colours = np.array([[[250, 10, 10], [10, 250, 10]], [[10, 10, 250], [250, 250, 10]]], np.uint8)
    return Image.fromarray(colours.repeat(height // 2, 0).repeat(width // 2, 1))


def written(image: Image.Image, name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name, **{**OPTIONS.get(name, {}), **options})
    return buffer.getvalue()


def heic(image: Image.Image, folder: Path, orientation: int = 1) -> bytes:
    """Write a HEIC file in a process of its own: the encoder is for these tests alone."""
    image.save(folder / "given.png")
    code = (
        "import sys, pillow_heif; from PIL import Image; pillow_heif.register_heif_opener(); image = Image.open(sys.argv[1]);"
        "exif = Image.Exif(); exif[0x0112] = int(sys.argv[3]); image.info['exif'] = exif.tobytes(); "
        "image.save(sys.argv[2], quality=95)"
    )
    command = [sys.executable, "-c", code, folder / "given.png", folder / "photo.heic", str(orientation)]
    subprocess.run(command, check=True)
    return (folder / "photo.heic").read_bytes()


def close(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and float(np.abs(one.astype(int) - other.astype(int)).mean()) < 6


@pytest.mark.parametrize("name", PILLOWS)
def test_a_file_of_every_format_is_read(name: str) -> None:
    image = drawn(64, 64) if name == "ICO" else drawn()
    content = written(image, name, **({"sizes": [(64, 64)]} if name == "ICO" else {}))
    header, pixels = read_header(content), read_image(content)
    assert (header.height, header.width) == pixels.shape[:2]
    if name == "GIF":  # 256 colours
        assert pixels.shape == np.asarray(image).shape
    else:
        assert close(pixels, np.asarray(image))


def test_what_a_phone_writes_is_read_and_turned_once(tmp_path: Path) -> None:
    for orientation in (1, 6):
        content = heic(drawn(), tmp_path, orientation)
        assert (b"irot" in content) == (orientation == 6)  # and the same turn in its EXIF block, as phones write it
        header, pixels = read_header(content), read_image(content)
        upright = np.asarray(drawn()) if orientation == 1 else np.rot90(np.asarray(drawn()), -1)
        assert (header.height, header.width) == pixels.shape[:2] and close(pixels, upright)


def test_the_document_photos_and_the_check_know_the_same_formats() -> None:
    text = " ".join((ROOT / "docs" / "data.md").read_text(encoding="utf-8").split())
    found = re.search(r"Readable formats: (.*?), and with `pip install 'mirante\[medical\]'` (.*?)\.", text)
    assert found
    assert found[1].split(", ") == [one.title for one in FORMATS if one.extra is None]
    assert [found[2]] == [one.title for one in FORMATS if one.extra == "medical"]
    for one in FORMATS:
        for ending in one.endings:
            assert f".{ending}" in PHOTOS and right_suffix(f"a.{ending}", one.name)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "MPO"]),
    st.integers(1, 8),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(["RGB", "L"]),
    st.integers(0, 3),
)
def test_header_and_image_agree_and_the_turn_is_that_of_the_tag(
    name: str, orientation: int, height: int, width: int, mode: str, stuffed: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = drawn(2 * height, 2 * width).convert(mode)
    content = written(image, name, exif=exif)
    if name == "JPEG":  # XMP, profiles and comments of 40 kB before the EXIF block, as some phones write them
        block = b"\xff\xe2" + struct.pack(">H", 40_002) + bytes(40_000)
        content = content[:2] + block * stuffed + content[2:]
    header, pixels = read_header(content), read_image(content, channels=3)
    assert (header.height, header.width) == pixels.shape[:2]
    straight = written(image, name)
    turns = {1: 0, 3: 2, 6: -1, 8: 1}
    if orientation in turns:
        assert np.array_equal(pixels, np.rot90(read_image(straight, channels=3), turns[orientation]))
    assert pixels.shape[:2] == ((2 * width, 2 * height) if orientation >= 5 else (2 * height, 2 * width))


def test_one_odd_tag_beside_the_orientation_ends_nothing(tmp_path: Path) -> None:
    """A tag of a type that it may not have: Pillow can read such a block, but not write it again."""
    odd = struct.pack("<HHII", 0x011A, 2, 4, 0x41414141)  # XResolution as text
    worse = struct.pack("<HHII", 0x9286, 5, 1, 0xFFFFFFF0)  # UserComment as a fraction that lies outside the block
    turned = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    block = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 3) + turned + odd + worse + struct.pack("<I", 0)
    segment = b"Exif\0\0" + block
    plain = written(drawn(), "JPEG")
    content = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + plain[2:]
    assert np.array_equal(read_image(content), np.rot90(read_image(plain), -1))
    for kind in ("bar", "disc"):
        (tmp_path / kind).mkdir()
        for number in range(8):
            draw_shape(kind, number).save(tmp_path / kind / f"{number}.png")
    (tmp_path / "bar" / "odd.jpg").write_bytes(content)
    dataset, _ = Dataset.open(tmp_path).load((16, 16), 3, "crop")
    assert "bar/odd.jpg" in dataset.paths


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"%PDF-1.7 ...", "a PDF"),
        (b"\0\0\0\x18ftypcrx ....", "a RAW photo"),
        (b"\0\0\0\x20ftypisom....", "a film"),
        (b"FUJIFILMCCD-RAW 0201", "a RAW photo"),
        (b"<svg xmlns=", "a vector drawing"),
        (b"some words", "not an image"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "not an image|damaged"),
    ],
)
def test_what_is_not_read_is_called_what_it_is(content: bytes, said: str) -> None:
    with pytest.raises(ImageError, match=said):
        read_image(content)


def test_the_first_valid_time_is_when_a_photo_was_taken() -> None:
    for original, digitized, changed, wanted in (
        ("2019:05:04 10:00:00", "2020:01:01 00:00:00", "2024:01:01 00:00:00", 2019),
        ("0000:00:00 00:00:00", "2020:01:01 00:00:00", "2024:01:01 00:00:00", 2020),
        ("                   ", "", "2024:01:01 00:00:00", 2024),
    ):
        exif = Image.Exif()
        exif[0x0132] = changed
        exif.get_ifd(0x8769).update({0x9003: original, 0x9004: digitized})
        content = written(drawn(), "JPEG", exif=exif)
        block = b"\xff\xe2" + struct.pack(">H", 60_002) + bytes(60_000)
        for stuffed in (0, 3):
            taken = read_exif(content[:2] + block * stuffed + content[2:]).taken
            assert taken is not None and taken.year == wanted


def test_want_of_memory_is_not_called_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(image: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    with pytest.raises(UnavailableError, match="not enough memory"):
        read_image(written(drawn(), "PNG"))
