"""Warnings of shortcuts: how often they are false, and how often they find what was planted, over many data sets made by script.

MIRANTE_TEST_DATA=… python benchmarks/shortcuts.py
"""

from __future__ import annotations

import io
import os
import random
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont
from record import record

PER_CLASS = 400
Images = tuple[list[Image.Image], NDArray[np.int64]]
Plant = Callable[[Image.Image, bool], tuple[Image.Image, int | None]]
"""What becomes of an image, and the JPEG quality it is written with (None: as the others); True for the class that is planted in."""


def main() -> None:
    from mirante.data.check.shortcuts import find_shortcuts

    lines = [
        "| without a shortcut | data sets (all classes, and each pair) | with a warning | of |",
        "|---|--:|--:|---|",
    ]
    sets = dict(sound())
    every = wrong = 0
    for name, (images, labels) in sets.items():
        looks = looks_of([written(image, form_of(name)) for image in images])
        alarms: Counter[str] = Counter()
        tried = alarmed = 0
        for chosen in (tuple(range(labels.max() + 1)), *combinations(range(labels.max() + 1), 2)):
            rows = np.flatnonzero(np.isin(labels, chosen))
            found = find_shortcuts(
                part(looks, rows), names(rows), np.searchsorted(chosen, labels[rows]), list(map(str, chosen)), None, 40
            )
            strong = [one.name for one in found if one.strong]
            tried, alarmed = tried + 1, alarmed + bool(strong)
            alarms.update(strong)
        every, wrong = every + tried, wrong + alarmed
        lines.append(
            f"| {name} | {tried} | {alarmed} | {', '.join(f'{key} {count}' for key, count in alarms.items()) or '–'} |"
        )
    lines += [f"| all | {every} | {wrong} | |", ""]
    plants = list(PLANTS)
    lines += [f"| planted in one class of two | {' | '.join(PAIRS)} |", "|---|" + "--:|" * len(PAIRS)]
    for plant in plants:
        cells = []
        for name, pairs in PAIRS.items():
            caught = [caught_in(sets[name], pair, PLANTS[plant], form_of(name)) for pair in pairs]
            cells.append(f"{sum(caught)} of {len(caught)}")
        lines.append(f"| {plant} | {' | '.join(cells)} |")
    record("Warnings of shortcuts: false ones, and planted ones that are found", lines)


PAIRS = {
    "flowers": ((0, 1), (1, 3), (2, 4)),
    "CIFAR-10": ((0, 6), (3, 5), (1, 9)),
    "X-rays of one source": ((0, 1),),
    "digits": ((0, 1), (3, 8), (4, 9)),
    "clothes": ((0, 1), (2, 6), (4, 5)),
}


def caught_in(images: Images, pair: tuple[int, int], plant: Plant, form: str) -> bool:
    from mirante.data.check.shortcuts import find_shortcuts

    rows = np.flatnonzero(np.isin(images[1], pair))
    labels = (images[1][rows] == pair[1]).astype(np.int64)
    contents = []
    for row, label in zip(rows.tolist(), labels.tolist(), strict=True):
        image, quality = plant(images[0][row], bool(label))
        contents.append(written(image, "JPEG" if quality else form, quality or 90))
    found = find_shortcuts(looks_of(contents), names(rows), labels, ["one", "other"], None, 40)
    return any(one.strong for one in found)


def on_one(change: Callable[[Image.Image], Image.Image], share: float = 1.0) -> Plant:
    def plant(image: Image.Image, chosen: bool) -> tuple[Image.Image, int | None]:
        return (change(image) if chosen and random.random() < share else image), None

    return plant


def mark(part_: float) -> Callable[[Image.Image], Image.Image]:
    def change(image: Image.Image) -> Image.Image:
        image, side, start = image.copy(), max(2, round(min(image.size) * part_)), int(min(image.size) > 16)
        ImageDraw.Draw(image).rectangle((start, start, start + side - 1, start + side - 1), fill=white(image))
        return image

    return change


def text(image: Image.Image) -> Image.Image:
    image = image.copy()
    font = ImageFont.load_default(max(8, min(image.size) // 10))
    ImageDraw.Draw(image).text((image.width - 2, image.height - 2), "L 3", white(image), font, "rs")
    return image


def frame(light: bool) -> Callable[[Image.Image], Image.Image]:
    def change(image: Image.Image) -> Image.Image:
        image, wide = image.copy(), max(1, round(min(image.size) * 0.03))
        colour = white(image) if light else 0 if image.mode == "L" else (0, 0, 0)
        ImageDraw.Draw(image).rectangle((0, 0, image.width - 1, image.height - 1), outline=colour, width=wide)
        return image

    return change


def cast(strength: float) -> Callable[[Image.Image], Image.Image]:
    def change(image: Image.Image) -> Image.Image:
        pixels = np.asarray(image.convert("RGB")).astype(float) * [1 + strength, 1, 1 - strength]
        return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))

    return change


def white(image: Image.Image) -> int | tuple[int, int, int]:
    return 255 if image.mode == "L" else (255, 255, 255)


PLANTS = {
    "a white square in a corner, a tenth of the side": on_one(mark(0.1)),
    "the same in 8 of 10 images": on_one(mark(0.1), 0.8),
    "a white square, 6% of the side": on_one(mark(0.06)),
    "two letters in a corner": on_one(text),
    "a black frame, 3% of the side": on_one(frame(False)),
    "a white frame, 3% of the side": on_one(frame(True)),
    "images of 80% of the size": on_one(lambda image: image.resize((image.width * 4 // 5, image.height * 4 // 5))),
    "JPEG quality 85 instead of 90": lambda image, chosen: (image, 85 if chosen else 90),
    "a cast: red + 5%, blue − 5%": on_one(cast(0.05)),
    "a cast: red + 10%, blue − 10%": on_one(cast(0.1)),
    "a cast: red + 20%, blue − 20%": on_one(cast(0.2)),
    "out of focus: Gaussian blur of 2 pixels": on_one(lambda image: image.filter(ImageFilter.GaussianBlur(2))),
    "darker: 60% of the light": on_one(lambda image: ImageEnhance.Brightness(image).enhance(0.6)),
}


def sound() -> Iterator[tuple[str, Images]]:
    """Yield data sets in which nothing but the content tells the classes apart."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    yield "digits", ([Image.fromarray((one * 255 / 16).astype(np.uint8)) for one in digits.images], digits.target)
    yield "clothes", drawn(clothes, ("trousers", "dress", "bag", "shoe", "shirt", "coat", "hat"))
    yield "letters, white on black", drawn(letter, tuple("ILOTWMX8"))
    yield "letters, black on white", inverted(drawn(letter, tuple("ILOTWMX8"), 1))
    yield (
        "shapes of any colour",
        drawn(lambda kind, draw: shape(kind, draw, (0.3, 0.9)), ("circle", "square", "triangle", "line")),
    )
    yield (
        "shapes that touch the border",
        drawn(lambda kind, draw: shape(kind, draw, (0.85, 1.0)), ("circle", "square", "triangle", "line")),
    )
    yield "textures", drawn(texture, ("rows", "columns", "slopes", "grain"))
    yield "cells under a microscope", drawn(cells, ("few", "some", "many"))
    data = Path(os.environ["MIRANTE_TEST_DATA"])
    yield "flowers", archived(data / "flowers-128.tar.xz", -2)
    yield "CIFAR-10", archived(data / "cifar10-images.tar.xz", -2)
    images, labels = archived(data / "chest-xray-320.tar.xz", -2)
    kept = np.flatnonzero(labels > 0)  # covid19, the first, comes from elsewhere
    yield "X-rays of one source", ([images[row] for row in kept.tolist()], labels[kept] - 1)
    images, labels = archived(data / "flowers-128.tar.xz", -2)
    yield "flowers, labels drawn by lot", (images, np.random.default_rng(0).integers(0, 5, len(images)))


def drawn(
    draw: Callable[[str, random.Random], Image.Image], kinds: tuple[str, ...], seed: int = 0, count: int = 120
) -> Images:
    lot = random.Random(seed)
    images = [draw(kind, lot) for kind in kinds for _ in range(count)]
    return images, np.repeat(np.arange(len(kinds)), count)


def inverted(images: Images) -> Images:
    return [Image.fromarray(255 - np.asarray(one)) for one in images[0]], images[1]


def clothes(kind: str, lot: random.Random, side: int = 28) -> Image.Image:
    """Draw a garment in grey on black, as large as the image, as catalogues of clothes for learners do."""
    large = side * 4
    image = Image.new("L", (large, large), 0)
    pen, fill = ImageDraw.Draw(image), lot.randint(70, 250)

    def at(low: float, high: float) -> float:
        return lot.uniform(low, high) * large

    wide, middle, top, bottom = at(0.25, 0.45), large / 2 + at(-0.03, 0.03), at(0, 0.08), at(0.92, 1)
    if kind == "trousers":
        pen.rectangle((middle - wide / 2, top, middle + wide / 2, top + large / 4), fill=fill)
        for sign in (-1, 1):
            leg = [
                (middle, top),
                (middle + sign * wide / 2, top),
                (middle + sign * wide * 0.55, bottom),
                (middle + sign * wide * 0.1, bottom),
            ]
            pen.polygon(leg, fill=fill)
    elif kind == "dress":
        corners = [
            (middle - wide * 0.35, top),
            (middle + wide * 0.35, top),
            (middle + wide * 0.8, bottom),
            (middle - wide * 0.8, bottom),
        ]
        pen.polygon(corners, fill=fill)
    elif kind == "bag":
        height = at(0.3, 0.45)
        pen.rectangle((at(0, 0.08), height, large - at(0, 0.08), bottom), fill=fill)
        pen.arc(
            (large / 4, height - large / 5, large * 0.75, height + large / 5), 180, 360, fill=fill, width=large // 20
        )
    elif kind == "shoe":
        height = at(0.35, 0.5)
        pen.polygon([(0, height), (large * 0.35, height), (large * 0.6, height + large / 5), (large, height + large * 0.3),
                     (large, large * 0.8), (0, large * 0.8)], fill=fill)  # fmt: skip
    elif kind == "hat":
        pen.ellipse((large * 0.1, large * 0.3, large * 0.9, large * 0.8), fill=fill)
        pen.rectangle((0, large * 0.7, large, large * 0.78), fill=fill)
    else:
        end = bottom if kind == "coat" else at(0.8, 0.95)
        pen.rectangle((large / 4, top, large * 0.75, end), fill=fill)
        for sign in (-1, 1):
            arm = [(0.25, 0), (0.5, 0.5), (0.38, 0.6), (0.2, 0.35)]
            pen.polygon([(large / 2 + sign * x * large, top + y * large) for x, y in arm], fill=fill)
        if kind == "coat":
            pen.line((middle, top, middle, end), fill=fill // 2, width=3)
            pen.rectangle((0, large * 0.4, large / 10, end), fill=fill)
            pen.rectangle((large * 0.9, large * 0.4, large, end), fill=fill)
    small = np.asarray(image.resize((side, side), Image.Resampling.BOX)).astype(float)
    cloth = 1 + lot.uniform(0, 0.3) * np.random.default_rng(lot.randrange(10**9)).normal(size=small.shape)
    return Image.fromarray((small * cloth).clip(0, 255).astype(np.uint8))


def letter(kind: str, lot: random.Random, side: int = 32) -> Image.Image:
    import matplotlib

    fonts = Path(matplotlib.__file__).parent / "mpl-data" / "fonts" / "ttf"
    chosen = lot.choice(("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSerif-Italic", "DejaVuSansMono"))
    font = ImageFont.truetype(str(fonts / f"{chosen}.ttf"), int(side * lot.uniform(0.8, 1.25)))
    image = Image.new("L", (side, side), 0)
    place = side / 2 + lot.uniform(-2, 2), side / 2 + lot.uniform(-2, 2)
    ImageDraw.Draw(image).text(place, kind, fill=lot.randint(150, 255), font=font, anchor="mm")
    return image


def shape(kind: str, lot: random.Random, radii: tuple[float, float], side: int = 48) -> Image.Image:
    def colour() -> tuple[int, ...]:
        return tuple(lot.randint(0, 255) for _ in range(3))

    image = Image.new("RGB", (side * 2, side * 2), colour())
    pen, fill = ImageDraw.Draw(image), colour()
    middle, radius = side * lot.uniform(0.9, 1.1), side * lot.uniform(*radii)
    low, high = middle - radius, middle + radius
    if kind == "circle":
        pen.ellipse((low, low, high, high), fill=fill)
    elif kind == "square":
        pen.rectangle((low, low, high, high), fill=fill)
    elif kind == "triangle":
        pen.polygon([(middle, low), (high, high), (low, high)], fill=fill)
    else:
        pen.line((low, high, high, low), fill=fill, width=6)
    return image.resize((side, side), Image.Resampling.BOX)


def texture(kind: str, lot: random.Random, side: int = 64) -> Image.Image:
    grain = np.random.default_rng(lot.randrange(10**9))
    down, along = np.mgrid[:side, :side] * 2 * np.pi / lot.uniform(6, 14)
    waves = {
        "rows": np.sin(down),
        "columns": np.sin(along),
        "slopes": np.sin((down + along) * 0.7),
        "grain": np.zeros((side, side)),
    }[kind]
    noise = grain.normal(size=(side, side)) * lot.uniform(0.3, 1.0)
    pixels = lot.uniform(90, 160) + lot.uniform(20, 50) * (waves + noise)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def cells(kind: str, lot: random.Random, side: int = 96) -> Image.Image:
    """Draw stained cells on a bright ground; the classes differ in how many there are."""
    grain = np.random.default_rng(lot.randrange(10**9))
    image = Image.new("RGB", (side, side), (lot.randint(222, 238),) * 3)
    pen = ImageDraw.Draw(image)
    for _ in range({"few": 3, "some": 8, "many": 20}[kind] + lot.randint(-1, 1)):
        x, y, radius = lot.uniform(0, side), lot.uniform(0, side), lot.uniform(5, 9)
        pen.ellipse(
            (x - radius, y - radius, x + radius, y + radius), fill=(lot.randint(140, 190), 90, lot.randint(150, 200))
        )
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(0.7))) + grain.normal(0, 3, (side, side, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def archived(path: Path, place: int) -> Images:
    """Return up to PER_CLASS images of each class, which is the folder at this place of the path."""
    found: dict[str, list[Image.Image]] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if member.name.endswith((".jpg", ".png")):
                kept = found.setdefault(member.name.split("/")[place], [])
                if len(kept) < PER_CLASS:
                    image = Image.open(io.BytesIO(archive.extractfile(member).read()))  # type: ignore[union-attr]
                    image.load()
                    kept.append(image)
    images = [one for name in sorted(found) for one in found[name]]
    return images, np.repeat(np.arange(len(found)), [len(found[name]) for name in sorted(found)])


def written(image: Image.Image, form: str, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    image = image if image.mode in ("L", "RGB") else image.convert("RGB")
    image.save(buffer, form, **({"quality": quality} if form == "JPEG" else {}))
    return buffer.getvalue()


def form_of(name: str) -> str:
    """Return the format in which images of a set are written: photos as JPEG, drawings as PNG."""
    return "JPEG" if name.startswith(("flowers", "CIFAR-10", "X-rays")) else "PNG"


def looks_of(contents: list[bytes]):  # type: ignore[no-untyped-def]
    from mirante.data.check.look import Looks, look_at
    from mirante.rendering import USUAL

    found = [look_at(content, USUAL) for content in contents]
    small, numbers = (np.stack([one[place] for one in found]) for place in (0, 1))
    return Looks(small, numbers, tuple(one[2] for one in found), {})


def part(looks, rows):  # type: ignore[no-untyped-def]
    from mirante.data.check.look import Looks

    return Looks(looks.small[rows], looks.numbers[rows], tuple(looks.formats[row] for row in rows), {})


def names(rows: NDArray[np.int64]) -> list[str]:
    return [f"{row}.x" for row in rows.tolist()]


if __name__ == "__main__":
    main()
