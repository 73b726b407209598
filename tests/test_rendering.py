"""Numbers that are not bytes: shown through one window of the data set and its model, never each image by its own values."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import Command, draw_shape
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import Dataset as Header
from test_dicom import RAMP, make

from mirante import Dataset, ImageError, RequestError, load, train
from mirante.images import read_header, read_image, read_values
from mirante.rendering import Rendering, Window, choose_window, shown_between

KINDS = {1: 0, 2: 4, 3: 2, 4: 6}  # channels → colour type of PNG


def png(values: np.ndarray) -> bytes:
    """Write uint16 (H, W, 1 to 4) as a PNG of 16 bits, its rows filtered as differences from the row above."""
    height, width, channels = values.shape
    rows = values.astype(">u2").tobytes()
    stride = 2 * width * channels
    lines = np.frombuffer(rows, np.uint8).reshape(height, stride)
    above = np.vstack([np.zeros((1, stride), np.uint8), lines[:-1]])
    filtered = b"".join(b"\x02" + line.tobytes() for line in lines - above)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 16, KINDS[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(filtered)) + chunk(b"IEND", b"")


def tiff(values: np.ndarray, order: str = "<", photometric: int | None = None, kind: int = 1, pages: int = 1) -> bytes:
    """Write numbers (H, W) or (H, W, C) as an uncompressed TIFF, in either byte order."""
    deep = values.reshape(*values.shape[:2], -1)
    height, width, channels = deep.shape
    bits = deep.dtype.itemsize * 8
    photometric = photometric if photometric is not None else 2 if channels >= 3 else 1
    pixels = deep.astype(deep.dtype.newbyteorder(order)).tobytes()
    extra = channels - (3 if photometric in (2, 8) else 1)
    out = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8)
    for page in range(pages):
        tags = [
            (256, 4, [width]),
            (257, 4, [height]),
            (258, 3, [bits] * channels),
            (259, 3, [1]),
            (262, 3, [photometric]),
        ]
        tags += [
            (273, 4, [0]),
            (277, 3, [channels]),
            (278, 4, [height]),
            (279, 4, [len(pixels)]),
            (339, 3, [kind] * channels),
        ]
        if extra:
            tags.append((338, 3, [0] * extra))
        tags.sort()
        at = len(out) + 2 + 12 * len(tags) + 4
        entries, beyond = b"", b""
        room = at + sum(2 * len(one) for _, code, one in tags if code == 3 and len(one) > 2)
        for tag, code, one in tags:
            one = [room] if tag == 273 else one
            packed = struct.pack(f"{order}{len(one)}{'H' if code == 3 else 'I'}", *one)
            if len(packed) > 4:
                packed, beyond = struct.pack(f"{order}I", at + len(beyond)), beyond + packed
            entries += struct.pack(f"{order}HHI", tag, code, len(one)) + packed.ljust(4, b"\0")
        following = 0 if page == pages - 1 else room + len(pixels)
        out += struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", following) + beyond + pixels
    return out


def test_an_image_of_eight_and_of_sixteen_bits_is_the_same() -> None:
    eight = np.random.default_rng(0).integers(0, 256, (20, 30, 4)).astype(np.uint8)
    eight[..., 3] = 255
    for channels in (1, 2, 3, 4):
        own = eight[..., :channels] if channels != 2 else eight[..., [0, 3]]
        wanted = eight[..., :1].repeat(3, 2) if channels < 3 else eight[..., :3]
        assert (read_image(png(own.astype(np.uint16) * 257)) == wanted).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_all_sixteen_bits_of_colour_and_of_grey_with_alpha_count(channels: int, order: str) -> None:
    values = np.random.default_rng(1).integers(0, 4096, (12, 18, channels)).astype(np.uint16)
    if channels in (2, 4):
        values[..., -1] = 65535
    colours = values[..., :-1] if channels in (2, 4) else values
    wanted = np.floor(colours / 4095 * 255 + 0.5).astype(np.uint8)
    through = Rendering(Window(0, 4095))
    shown = read_image(png(values), None, 1 if channels < 3 else 3, rendering=through)
    assert (shown == wanted).all()
    if channels in (1, 3):
        assert (read_image(tiff(values, order), None, channels, rendering=through) == wanted).all()  # type: ignore[arg-type]


def test_white_is_zero_is_turned_round() -> None:
    values = np.arange(0, 60000, 1000, dtype=np.uint16).reshape(6, 10)
    plain, turned = (read_image(tiff(values, photometric=one), None, 1) for one in (1, 0))
    assert np.abs(plain.astype(int) + turned - 255).max() <= 1


@pytest.mark.parametrize(
    ("values", "window"),
    [
        ([np.array([[0, 4000]], np.uint16)], "0–4095"),
        ([np.array([[0, 60000]], np.uint16)], "full range"),
        ([np.array([[0, 250]], np.uint16)], "0–255"),
        ([np.linspace(29000, 31000, 5000).astype(np.uint16)], "29001–30998"),  # a thermal camera
        ([np.linspace(0, 1, 5000, dtype=np.float32)], "full range"),
        ([np.linspace(0, 1.05, 5000, dtype=np.float32)], "0.00105–1.049"),
        ([np.linspace(-80, -20, 5000, dtype=np.float32)], "-79.94–-20.06"),  # decibels
        ([np.array([[0.0, np.nan, np.inf, 200]], np.float32)], "0–255"),
        ([np.full((3, 3), np.nan, np.float32)], "full range"),
        ([np.full((3, 3), 7.5, np.float32)], "full range"),
        ([np.linspace(0, 1, 50), np.array([[0, 60000]], np.uint16)], "full range"),
    ],
)  # fmt: skip
def test_the_window_follows_the_values_of_all_training_images(values: list[np.ndarray], window: str) -> None:
    chosen, because = choose_window(values)
    assert str(chosen) == window and because


@settings(derandomize=True, max_examples=200)
@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-3, 1e6))
def test_a_window_is_written_and_read_back(low: float, span: float) -> None:
    window = Window(low, low + span)
    again = Window.parse(str(window))
    assert again.low is not None and again.high is not None
    assert (again.low, again.high) == (low, low + span)


@pytest.mark.parametrize("text", ["", "4095", "10-5", "a-b", "full", "5-5"])
def test_what_is_no_window_says_how_one_is_written(text: str) -> None:
    with pytest.raises(RequestError, match="such as 0-4095"):
        Window.parse(text)


def test_what_is_not_a_number_is_black() -> None:
    assert shown_between(np.array([np.nan, 1.0, 3.0]), 1.0, 3.0).tolist() == [0, 0, 255]


def test_brightness_that_tells_the_classes_apart_survives(tmp_path: Path, mirante: Command) -> None:
    """Two classes of 12 bits that differ only in brightness: each by its own window, they would look the same."""
    random = np.random.default_rng(0)
    for number in range(60):
        for name, level in (("dim", 600), ("bright", 2400)):
            (tmp_path / "cells" / name).mkdir(parents=True, exist_ok=True)
            values = random.normal(level, level / 8, (16, 16)).clip(0, 4000).astype(np.uint16)
            (tmp_path / "cells" / name / f"{number}.png").write_bytes(png(values[..., None]))
    run = tmp_path / "run"
    words = ("--model", "8C3-GAP", "--epochs", "8", "--seed", "1", "--out", run)
    done = mirante("train", tmp_path / "cells", *words, cwd=tmp_path)
    assert done.returncode == 0 and "through the window “0–4095” (the smallest usual range" in done.stderr
    info = json.loads((run / "model.json").read_text())
    assert (info["window"], info["page"]) == ("0–4095", 0) and "usual range" in info["window_because"]
    assert "0–4095" in (run / "report.html").read_text()
    model = load(run)
    assert model.predict(tmp_path / "cells" / "bright" / "3.png").label == "bright"
    assert model.predict(tmp_path / "cells" / "dim" / "3.png").label == "dim"
    mine = train(tmp_path / "cells", layers="4C3-GAP", epochs=1, window="per image", out=tmp_path / "own")
    assert mine.info.window == "per image" and mine.info.window_because == "asked for"
    wrong = mirante("train", tmp_path / "cells", "--window", "many", cwd=tmp_path)
    assert wrong.returncode == 2 and "such as 0-4095" in wrong.stderr


def test_dicom_without_a_window_is_shown_through_that_of_the_data_set(tmp_path: Path) -> None:
    for number, name in enumerate(["a", "b"] * 12):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / f"{number}.dcm").write_bytes(make(RAMP // 4 + number, bits=16, PatientID=f"{number}"))
    dataset = Dataset.open(tmp_path)
    assert str(dataset.rendering.window) == "0–4095"  # the lightest values are a little above 1,023
    assert read_header((tmp_path / "a" / "0.dcm").read_bytes()).depth == "integers"
    asked = Rendering(Window(1000, 2000, asked=True))
    shown = read_image(make(RAMP, WindowCenter=1024, WindowWidth=1024), None, 1, rendering=asked)[0, :, 0]
    assert shown[15] == 0 and shown[32] == 255  # 960 is black, 2048 white: the window asked for, not the file's


def animated(count: int = 3, shade: int = 0) -> bytes:
    frames = [Image.new("RGB", (8, 6), (80 * number, shade, 0)) for number in range(count)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def test_of_several_pages_one_counts_and_which_is_said(tmp_path: Path) -> None:
    many = tiff(np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000, pages=3)
    assert [read_header(one).pages for one in (many, animated(), tiff(np.zeros((4, 4), np.uint8)))] == [3, 3, 1]
    assert read_image(animated(), rendering=Rendering(page=3))[0, 0].tolist() == [160, 0, 0]
    with pytest.raises(ImageError, match="no page 4: it has 3"):
        read_image(animated(), rendering=Rendering(page=4))
    frames = np.stack([np.full((20, 30), value) for value in (100, 900, 4000)])
    scan = make(frames, WindowCenter=2048, WindowWidth=4096)
    middle, last = (int(read_image(scan, None, 1, rendering=Rendering(page=page))[0, 0, 0]) for page in (0, 3))
    assert middle < 70 < 240 < last
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(12):
            (tmp_path / name / f"{number}.gif").write_bytes(
                animated(3, shade=number + 20 * (name == "b")) if number else animated(1, number)
            )
    assert any("The first is used" in str(note) for note in Dataset.open(tmp_path).notes)
    second = Dataset.open(tmp_path, page=2)
    assert any("Page 2 of each is used" in str(note) for note in second.notes)
    assert [one.reason for one in second.skipped] == ["no page 2: it has 1"] * 2


@pytest.mark.parametrize(
    ("name", "values", "photometric", "reason"),
    [
        ("five channels", np.zeros((4, 5, 5), np.uint8), 1, "5 channels"),
        ("two channels of 16 bits", np.zeros((4, 5, 2), np.uint32), 1, "2 channels of 32 bits"),
    ],
)
def test_what_no_screen_can_show_is_named(name: str, values: np.ndarray, photometric: int, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        read_image(tiff(values, photometric=photometric))


def test_lab_is_read_as_the_colours_it_means() -> None:
    lab = np.zeros((4, 4, 3), np.uint8)
    lab[..., 0], lab[..., 1], lab[..., 2] = 136, 81, 70  # red: L 53, a 80, b 67, as bytes
    assert np.abs(read_image(tiff(lab, photometric=8)).astype(int) - [255, 0, 0]).max() < 25


def test_dicom_without_a_preamble_and_with_a_window_of_no_width_is_read() -> None:
    whole = make(RAMP, WindowCenter=1024, WindowWidth=1024)
    assert (read_image(whole[132:], None, 1) == read_image(whole, None, 1)).all()
    flat = make(RAMP, WindowCenter=1024, WindowWidth=0)
    assert (read_image(flat, None, 1) == read_image(make(RAMP), None, 1)).all()
    assert draw_shape("bar", 0).size  # a plain image is none of this


def test_the_window_comes_from_images_of_all_classes(tmp_path: Path) -> None:
    """The first hundred images are of two dark classes; the third one is bright."""
    for kind, level in (("a", 200), ("b", 200), ("c", 4000)):
        (tmp_path / kind).mkdir()
        for number in range(60):
            values = np.random.default_rng(number).integers(0, level, (6, 6, 1)).astype(np.uint16)
            values[0, 0] = ord(kind)
            (tmp_path / kind / f"{number:02d}.png").write_bytes(png(values))
    assert str(Dataset.open(tmp_path).rendering.window) == "0–4095"


def test_a_window_that_was_chosen_leaves_the_windows_of_other_dicom_files_alone() -> None:
    chosen, asked = Rendering(Window(0, 1023)), Rendering(Window(0, 1023, asked=True))
    own = make(RAMP, WindowCenter=2048, WindowWidth=4096)
    assert (read_image(own, None, 1, rendering=chosen) == read_image(own, None, 1)).all()
    assert (read_image(own, None, 1, rendering=asked) != read_image(own, None, 1)).any()
    small = make(RAMP >> 4, bits=8)  # bytes are never windowed
    assert read_header(small).depth == "bytes"
    assert (read_image(small, None, 1, rendering=Rendering(Window(0, 4095))) == read_image(small, None, 1)).all()
    fractions = read_values(make(RAMP, RescaleSlope="0.001", RescaleIntercept="0"))
    assert fractions.dtype.kind == "f" and 4 < fractions.max() < 4.1


def test_an_enhanced_dicom_file_says_its_window_frame_by_frame() -> None:
    frames = np.stack([RAMP, RAMP])
    window, slope = Header(), Header()
    window.WindowCenter, window.WindowWidth, slope.RescaleSlope, slope.RescaleIntercept = 1024, 1024, 1, 0
    group = Header()
    group.FrameVOILUTSequence, group.PixelValueTransformationSequence = [window], [slope]
    enhanced = make(frames, PerFrameFunctionalGroupsSequence=[Header(), group])
    plain = make(RAMP, WindowCenter=1024, WindowWidth=1024)
    assert (read_image(enhanced, None, 1, rendering=Rendering(page=2)) == read_image(plain, None, 1)).all()


@pytest.mark.parametrize("compression", ["raw", "tiff_adobe_deflate", "tiff_lzw"])
def test_the_byte_order_of_a_file_changes_nothing(compression: str) -> None:
    """libtiff gives numbers in the machine's order, whatever the file's."""
    values = np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8)
    shown = []
    for order in "<>":
        buffer = io.BytesIO(tiff(values, order, kind=3))
        if compression != "raw":
            opened = Image.open(io.BytesIO(tiff(values, order, kind=3)))
            buffer = io.BytesIO()
            opened.save(buffer, "TIFF", compression=compression, big_endian=order == ">")
        shown.append(read_image(buffer.getvalue(), None, 1)[..., 0])
    assert (shown[0] == shown[1]).all() and shown[0][0, 0] == 0 and shown[0][-1, -1] == 255


def test_pages_that_are_smaller_copies_do_not_count() -> None:
    grey, colour = (tiff(np.full((4, 5, *more), 200, np.uint8)) for more in ((), (3,)))
    buffer = io.BytesIO()
    first, second = (Image.open(io.BytesIO(one)) for one in (grey, colour))
    first.save(buffer, "TIFF", save_all=True, append_images=[second])
    assert [read_header(buffer.getvalue(), page).channels for page in (1, 2)] == [1, 3]
    shown = io.BytesIO()
    full = Image.fromarray(np.arange(20, dtype=np.uint8).reshape(4, 5))
    small = Image.new("L", (2, 2))
    small.encoderinfo = {"tiffinfo": {254: 1}}  # a smaller copy
    full.save(shown, "TIFF", save_all=True, append_images=[small, full])
    assert read_header(shown.getvalue()).pages == 2
    assert read_image(shown.getvalue(), rendering=Rendering(page=2)).shape == (4, 5, 3)
    with pytest.raises(ImageError, match="no page 3: it has 2"):
        read_image(shown.getvalue(), rendering=Rendering(page=3))


def test_sixteen_bit_colour_that_pillow_has_halved_is_not_taken_for_whole(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 4096, (6, 6, 3)).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(png(values))
    through = Rendering(Window(0, 4095))
    by_path = read_image(tmp_path / "a.png", rendering=through)
    assert (read_image(Image.open(tmp_path / "a.png"), rendering=through) == by_path).all()
    with pytest.raises(ImageError, match="give the file or its bytes"):
        read_image(Image.open(io.BytesIO(png(values))), rendering=through)


def test_an_image_outside_the_window_is_told(caplog: pytest.LogCaptureFixture) -> None:
    ramp = np.linspace(0, 0.9, 48, dtype=np.float32).reshape(6, 8)
    with caplog.at_level("WARNING", "mirante"):
        read_image(tiff(ramp, kind=3), rendering=Rendering(Window(17, 4095)))
    assert "all black or all white in the window, 17 to 4095" in caplog.text
