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
from PIL.PngImagePlugin import PngInfo

from mirante import Dataset, ImageError
from mirante.data.check.look import right_suffix
from mirante.errors import UnavailableError
from mirante.formats import FORMATS
from mirante.images import read_header, read_image
from mirante.photos.exif import read_exif
from mirante.photos.walk import PHOTOS

ROOT = Path(__file__).parent.parent
PILLOWS = [one.name for one in FORMATS if one.name not in ("HEIF", "DICOM", "RAW")]
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


def raw_photo(preview: Image.Image, orientation: int = 1) -> bytes:
    """Write a DNG: what a sensor of 64 × 96 pixels saw, all of one grey, and a preview in JPEG."""
    jpeg, (height, width) = written(preview, "JPEG"), (64, 96)
    jpeg += b"\0" * (-len(jpeg) % 16)
    sensor = np.full((height, width), 1000, np.uint16).tobytes()
    inner_at = 8 + len(jpeg) + len(sensor)
    inner = [(254, 4, [1]), (256, 4, [preview.width]), (257, 4, [preview.height]), (258, 3, [8, 8, 8]), (259, 3, [7])]
    inner += [(262, 3, [6]), (273, 4, [8]), (277, 3, [3]), (278, 4, [preview.height]), (279, 4, [len(jpeg)])]
    inside = tags_of(inner, inner_at)
    outer = [(254, 4, [0]), (256, 4, [width]), (257, 4, [height]), (258, 3, [16]), (259, 3, [1]), (262, 3, [32803])]
    outer += [
        (271, 2, b"Maker\0"),
        (272, 2, b"Model\0"),
        (273, 4, [8 + len(jpeg)]),
        (274, 3, [orientation]),
        (277, 3, [1]),
    ]
    outer += [
        (278, 4, [height]),
        (279, 4, [len(sensor)]),
        (330, 4, [inner_at]),
        (33421, 3, [2, 2]),
        (33422, 1, [0, 1, 1, 2]),
    ]
    outer += [(50706, 1, [1, 4, 0, 0]), (50708, 2, b"Maker Model\0"), (50717, 4, [65535]), (50778, 3, [21])]
    outer.append((50721, 10, [1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1]))
    outer_at = inner_at + len(inside)
    return struct.pack("<2sHI", b"II", 42, outer_at) + jpeg + sensor + inside + tags_of(outer, outer_at)


def tags_of(tags: list[tuple[int, int, list[int] | bytes]], at: int) -> bytes:
    """Return a directory of TIFF tags (number, type, values) for a place in the file."""
    entries, beyond, room = struct.pack("<H", len(tags)), b"", at + 2 + 12 * len(tags) + 4
    for tag, kind, values in tags:
        code = {1: "B", 2: "s", 3: "H", 4: "I", 10: "i"}[kind]
        packed = values if isinstance(values, bytes) else struct.pack(f"<{len(values)}{code}", *values)
        count = len(values) // 2 if kind == 10 else len(values)
        if len(packed) > 4:
            beyond += b"\0" * (len(beyond) % 2)
            packed, beyond = struct.pack("<I", room + len(beyond)), beyond + packed
        entries += struct.pack("<HHI", tag, kind, count) + packed.ljust(4, b"\0")
    whole = entries + b"\0\0\0\0" + beyond
    return whole + b"\0" * (len(whole) % 2)


def test_of_a_raw_photo_the_preview_is_shown_upright(tmp_path: Path) -> None:
    for orientation, upright in ((1, np.asarray(drawn())), (6, np.rot90(np.asarray(drawn()), -1))):
        content = raw_photo(drawn(), orientation)
        header, pixels = read_header(content), read_image(content)
        assert (header.height, header.width) == pixels.shape[:2] and close(pixels, upright)
    (tmp_path / "photo.dng").write_bytes(content)
    code = (
        "import sys; sys.modules['rawpy'] = None; from mirante.images import read_image\n"
        "try:\n    read_image(sys.argv[1])\nexcept Exception as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "photo.dng"], capture_output=True, text=True)
    assert done.stdout == "a RAW photo of a camera; run pip install 'mirante[raw]' and try again\n"
    with pytest.raises(ImageError, match="a RAW photo of a camera without a preview"):
        read_image(content.replace(struct.pack("<HHII", 273, 4, 1, 8), struct.pack("<HHII", 273, 4, 1, 1 << 30)))


def test_no_library_writes_to_the_terminal_about_one_file(tmp_path: Path) -> None:
    """A compressed TIFF that libtiff complains about: it does not know Mirante's way of saying things."""
    whole = bytearray(written(drawn(), "TIFF", compression="tiff_adobe_deflate"))
    content = (
        bytes(whole).replace(b"x\xda", b"x\xdb", 1).replace(b"x\x9c", b"x\x9d", 1)
    )  # the head of the compressed pixels
    (tmp_path / "odd.tif").write_bytes(content)
    body = "import sys\n{}\ntry:\n    {}(sys.argv[1])\nexcept Exception:\n    print('damaged')"
    code = body.format("from mirante.images import read_image", "read_image")
    loud = body.format("from PIL import Image", "(lambda path: Image.open(path).load())")
    quiet, heard = (
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", one, tmp_path / "odd.tif"], capture_output=True, text=True
        )
        for one in (code, loud)
    )
    assert "ZIPDecode" in heard.stderr
    assert (quiet.stdout, quiet.stderr) == ("damaged\n", "")


def test_a_damaged_list_of_parts_does_not_end_the_process(tmp_path: Path) -> None:
    """The binding of libheif crashes on a part of no type, and on a block of metadata without a place."""
    content = heic(drawn(), tmp_path, 6)
    assert content.count(b"\0\x02\0\0Exif") == 1 and close(read_image(content), np.rot90(np.asarray(drawn()), -1))
    places = content.index(b"iloc") + 12  # version, sizes and count, then the items
    second = content.index(b"\0\x02\0\0\0\0", places)
    for broken in (
        content.replace(b"\0\x02\0\0Exif", b"\0\x02\0\0\xb6xif"),
        content[: second + 8] + b"\0\0" + content[second + 10 :],
    ):
        with pytest.raises(ImageError, match="its list of parts cannot be read"):
            read_header(broken)


def test_the_document_photos_and_the_check_know_the_same_formats() -> None:
    text = " ".join((ROOT / "docs" / "data.md").read_text(encoding="utf-8").split())
    pattern = r"Readable formats: (.*?), with `pip install 'mirante\[medical\]'` (.*?), and with `pip install 'mirante\[raw\]'` (\w+)"
    found = re.search(pattern, text)
    assert found
    assert found[1].split(", ") == [one.title for one in FORMATS if one.extra is None]
    assert [found[2], found[3]] == [one.title for one in FORMATS if one.extra is not None]
    for one in FORMATS:
        for ending in one.endings:
            assert (f".{ending}" in PHOTOS) == (one.name != "RAW") and right_suffix(f"a.{ending}", one.name)


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


def test_an_orientation_that_only_xmp_gives_is_not_followed_in_any_format() -> None:
    """Some programs follow it and some do not; the size before decoding and the pixels must agree, whatever the format."""
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    words = PngInfo()
    words.add_itxt("XML:com.adobe.xmp", xmp.decode())
    for name, options in (("JPEG", {"xmp": xmp}), ("WEBP", {"xmp": xmp}), ("PNG", {"pnginfo": words})):
        content = written(drawn(), name, **options)
        assert b"Orientation" in content
        header, pixels = read_header(content), read_image(content)
        assert (header.height, header.width) == pixels.shape[:2] == (40, 64), name
