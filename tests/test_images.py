"""Any image becomes uint8 pixels, and what is no image says why."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from profiles import display_p3, printing_ink

from mirante.errors import ImageError
from mirante.images import MAX_PIXELS, read_header, read_image

NOISE = np.random.default_rng(0).integers(0, 255, (100, 100, 3)).astype(np.uint8)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def gradient(width: int = 40, height: int = 20) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 6, y * 12, x * 0 + 80], axis=-1).astype(np.uint8))


def test_colour_and_grey_come_out_as_they_are() -> None:
    image = gradient()
    assert np.array_equal(read_image(encoded(image)), np.asarray(image))
    grey = image.convert("L")
    assert np.array_equal(read_image(encoded(grey), channels=1)[:, :, 0], np.asarray(grey))
    assert np.array_equal(read_image(encoded(grey), channels=3), np.asarray(grey.convert("RGB")))
    assert (read_header(encoded(image)).channels, read_header(encoded(grey)).channels) == (3, 1)


def test_transparency_lies_over_white() -> None:
    red = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    red.putpixel((0, 0), (255, 0, 0, 255))
    pixels = read_image(encoded(red))
    assert pixels[0, 0].tolist() == [255, 0, 0]
    assert pixels[3, 3].tolist() == [255, 255, 255]


def test_palette_with_a_transparent_colour_lies_over_white() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30] + [0] * 762)
    image.putpixel((2, 2), 0)
    pixels = read_image(encoded(image, transparency=1))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[2, 2].tolist() == [0, 0, 0]


def test_cmyk_becomes_rgb() -> None:
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert np.abs(read_image(encoded(image, "TIFF")).astype(int) - [255, 0, 0]).max() <= 2


def test_a_colour_profile_is_applied_and_that_of_srgb_changes_nothing() -> None:
    image = Image.new("RGB", (8, 8), (200, 60, 40))
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}
    # P3 in linear light → XYZ → sRGB, by the matrices of the two: a red outside of what 200, 60, 40 says in sRGB
    for form, more in options.items():
        shown = read_image(encoded(image, form, icc_profile=display_p3(), **more))[0, 0].astype(int)
        assert np.abs(shown - [219, 37, 13]).max() <= 3, form
        plain = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        same = read_image(encoded(image, form, icc_profile=plain, **more))
        assert (same == read_image(encoded(image, form, **more))).all(), form
        damaged = read_image(encoded(image, form, icc_profile=display_p3()[:200], **more))
        assert (damaged == read_image(encoded(image, form, **more))).all(), form
    turned = encoded(image, "JPEG", icc_profile=display_p3(), quality=100, exif=exif_of(6))
    assert np.abs(read_image(turned, channels=1).astype(int) - 88).max() <= 3  # grey comes after the profile


def test_ink_is_shown_as_its_profile_says() -> None:
    magenta = Image.new("CMYK", (8, 8), (0, 255, 0, 0))
    assert read_image(encoded(magenta, "TIFF"))[0, 0].tolist() == [255, 0, 255]
    shown = read_image(encoded(magenta, "TIFF", icc_profile=printing_ink()))[0, 0].astype(int)
    assert np.abs(shown - [224, 107, 149]).max() <= 3


@pytest.mark.skipif(sys.platform == "win32", reason="memory is measured by the resource module")
@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_memory_follows_the_pixels_asked_for_and_not_the_shape_of_the_file(fit: str) -> None:
    code = (
        "import io, resource, sys; from PIL import Image; from mirante.images import read_image\n"
        "files = []\n"
        "for size in ((1, 1_000_000), (1_000_000, 1)):\n"
        "    held = io.BytesIO(); Image.new('RGB', size, (200, 30, 30)).save(held, 'PNG'); files.append(held.getvalue())\n"
        "read_image(Image.new('RGB', (8, 8)), (4, 4))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"shown = [read_image(one, (224, 224), 3, {fit!r}) for one in files]\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, *(one.max(axis=(0, 1)).tolist() for one in shown))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    more, *colours = done.stdout.split(maxsplit=1)
    assert int(more) < 100_000, done.stdout  # kB (bytes on macOS); the whole strip, scaled, would be 670 MB
    assert colours == ["[200, 30, 30] [200, 30, 30]\n"]


def test_floats_from_0_to_1_fill_the_range() -> None:
    values = np.array([[0.0, 0.5, 1.0]], dtype=np.float32)
    assert read_image(encoded(Image.fromarray(values), "TIFF"), channels=1)[0, :, 0].tolist() == [0, 128, 255]


def test_exif_rotation_is_applied_to_pixels_and_to_the_header() -> None:
    image = gradient(40, 20)
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side: turn it clockwise to see it upright
    data = encoded(image, "PNG", exif=exif)
    assert read_image(data).shape == (40, 20, 3)
    assert np.array_equal(read_image(data), np.rot90(np.asarray(image), -1))
    header = read_header(data)
    assert (header.height, header.width) == (40, 20)


def test_of_an_animation_the_first_frame_counts() -> None:
    first, second = Image.new("RGB", (6, 6), (200, 0, 0)), Image.new("RGB", (6, 6), (0, 0, 200))
    data = encoded(first, "GIF", save_all=True, append_images=[second])
    assert read_image(data)[0, 0, 0] > 150


def test_crop_keeps_the_centre_pad_keeps_all_squash_keeps_neither_aspect() -> None:
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, :20], pixels[:, 20:40], pixels[:, 40:] = 50, 150, 250
    assert set(np.unique(read_image(pixels, (20, 20), fit="crop"))) == {150}
    padded = read_image(pixels, (60, 60), fit="pad")
    assert padded[0].max() == 0 and padded[30, 10, 0] == 50 and padded[30, 50, 0] == 250
    squashed = read_image(pixels, (20, 20), fit="squash")
    assert squashed[10, 1, 0] == 50 and squashed[10, 18, 0] == 250


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"GIF, or so it says", "not an image"),
        (encoded(Image.fromarray(NOISE))[:5000], "truncated"),
        (encoded(Image.fromarray(NOISE), "JPEG")[:2000], "truncated"),
    ],
)
def test_what_is_no_image_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        read_image(data)


@pytest.mark.parametrize("side", [11_500, 20_000])  # the second is beyond Pillow's own limit too
def test_a_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    bomb = encoded(Image.new("1", (side, side)))
    assert side * side > MAX_PIXELS and len(bomb) < 200_000
    for read in (read_header, read_image):
        with pytest.raises(ImageError, match="megapixels"):
            read(bomb)


@given(st.binary(max_size=300), st.sampled_from(["PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG"]), st.data())
@settings(max_examples=150, deadline=None)
def test_damage_of_any_kind_gives_pixels_or_an_image_error(noise: bytes, form: str, data: st.DataObject) -> None:
    whole = bytearray(encoded(gradient(), form))
    start = data.draw(st.integers(0, len(whole)))
    whole[start : start + len(noise)] = noise
    for damaged in (bytes(whole), noise):
        try:
            pixels = read_image(damaged, (16, 16))
        except ImageError as error:
            assert str(error)
        else:
            assert pixels.shape == (16, 16, 3) and pixels.dtype == np.uint8


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from([1, 3]),
    st.sampled_from(["crop", "pad", "squash"]),
    st.integers(1, 40),
    st.integers(1, 40),
)
@settings(max_examples=60, deadline=None)
def test_the_size_asked_for_is_the_size_given(h: int, w: int, channels: int, fit: str, height: int, width: int) -> None:
    image = np.zeros((h, w, 3), np.uint8)
    assert read_image(image, (height, width), channels, fit).shape == (height, width, channels)  # type: ignore[arg-type]


def test_arrays_that_are_no_images_are_refused() -> None:
    for array in (
        np.zeros((4, 4, 3)),
        np.zeros((4,), np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ):
        with pytest.raises(ImageError, match="an array of"):
            read_image(array)
