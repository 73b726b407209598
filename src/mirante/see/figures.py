"""The pictures of pixels, channels, convolution and pooling, each with a sentence that says what it shows.

Images are uint8 (H, W, 3). Red, green and blue are told apart by their names as well as by their colours.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from mirante.errors import RequestError
from mirante.evaluation.plots.style import BLUE, GREY, INK, RED, new_figure, show_image, tidy
from mirante.images import Pixels
from mirante.locale import Language
from mirante.see.arithmetic import PoolKind, Values, convolve, output_side, pool
from mirante.see.picture import Picture

EXAMPLE = np.array([[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]], np.float64)
"""The 4×4 numbers on which pooling is usually explained."""

_MOST_CELLS = 15
_PALE = ("#CFE3F1", "#F9DCC4", "#E4E7EB", "#FFF3C4")
_HUES = ("#C0392B", "#1E8449", BLUE)


def pixels(image: Pixels, x: int, y: int, size: int, say: Language) -> Picture:
    """Show size × size pixels around column x and row y as numbers in coloured cells. Raises RequestError."""
    left, top, size = _neighbourhood(image, x, y, size)
    return _pixels(image, (x, y), (left, top), size, say)


def walk(image: Pixels, x: int, y: int, size: int, say: Language) -> list[Picture]:
    """Show the same pixels size × size times, each time with another one marked: from left to right, row by row."""
    left, top, size = _neighbourhood(image, x, y, size)
    return [
        _pixels(image, (left + column, top + row), (left, top), size, say)
        for row in range(size)
        for column in range(size)
    ]


def _neighbourhood(image: Pixels, x: int, y: int, size: int) -> tuple[int, int, int]:
    """Return the left column, the top row and the side of what is shown around a pixel. Raises RequestError."""
    height, width, _ = image.shape
    if not (0 <= x < width and 0 <= y < height):
        raise RequestError(f"--at {x},{y}: the image has columns 0 to {width - 1} and rows 0 to {height - 1}.")
    if not 1 <= size <= _MOST_CELLS:
        raise RequestError(f"--size {size}: only 1 to {_MOST_CELLS} pixels can be read as numbers.")
    size = min(size, height, width)
    left, top = (min(max(0, at - size // 2), side - size) for at, side in ((x, width), (y, height)))
    return left, top, size


def _pixels(image: Pixels, at: tuple[int, int], corner: tuple[int, int], size: int, say: Language) -> Picture:
    height, width, _ = image.shape
    (x, y), (left, top) = at, corner
    triple = "{" + ", ".join(str(int(value)) for value in image[y, x]) + "}"
    figure = new_figure(11, 5.6)
    whole, near = figure.subplots(1, 2)
    show_image(whole, image)
    whole.add_patch(Rectangle((left - 0.5, top - 0.5), size, size, fill=False, edgecolor=RED, linewidth=2))
    whole.set_title(say("{height} × {width} pixels", height=height, width=width), fontsize=11)
    part = image[top : top + size, left : left + size]
    show_image(near, part)
    for row in range(size):
        for column in range(size):
            red, green, blue = (int(value) for value in part[row, column])
            dark = 0.3 * red + 0.6 * green + 0.1 * blue < 128
            near.text(
                column, row, f"{red}\n{green}\n{blue}", ha="center", va="center",
                color="white" if dark else "black", fontsize=min(11, 60 / size),
            )  # fmt: skip
    near.add_patch(Rectangle((x - left - 0.5, y - top - 0.5), 1, 1, fill=False, edgecolor=RED, linewidth=3))
    title = say("column {x}, row {y}: {{R, G, B}} = {triple}", x=x, y=y, triple=triple)
    near.set_title(title, fontsize=11)
    alt = say("An image, and {size} × {size} of its pixels as cells in their colours, each with its red, green and blue from 0 "
              "to 255.", size=size)  # fmt: skip
    return Picture(figure, f"{alt} {title}")


def channels(image: Pixels, without: str | None, say: Language) -> Picture:
    """Show the image, each of its channels in its own colour and in grey, and how often each value occurs."""
    names = (say("Red"), say("Green"), say("Blue"))
    kept = [name != without for name in ("red", "green", "blue")]
    mixed = image * np.array(kept, np.uint8)
    figure = new_figure(12, 8)
    panels = figure.subplots(3, 4)
    show_image(panels[0, 0], mixed)
    titles = {"red": say("The image without red"), "green": say("The image without green")}
    titles |= {"blue": say("The image without blue"), "": say("The image")}
    panels[0, 0].set_title(titles[without or ""], fontsize=11)
    grey = bool((image == image[:, :, :1]).all())
    said = say("Grey: the three channels are identical.") if grey else say("Three channels, added up, give the image.")
    panels[1, 0].text(0.5, 0.5, said, ha="center", va="center", wrap=True, fontsize=11, color=INK)
    panels[1, 0].set_axis_off()
    panels[2, 0].text(0.5, 0.5, say("How many pixels have each value, 0 to 255"), ha="center", va="center", wrap=True,
                      fontsize=11, color=INK)  # fmt: skip
    panels[2, 0].set_axis_off()
    for number, (name, hue) in enumerate(zip(names, _HUES, strict=True)):
        alone = np.zeros_like(image)
        alone[:, :, number] = image[:, :, number]
        show_image(panels[0, number + 1], alone)
        panels[0, number + 1].set_title(name, fontsize=11, color=hue)
        show_image(panels[1, number + 1], image[:, :, number : number + 1])
        axes = panels[2, number + 1]
        counts, edges = np.histogram(image[:, :, number], bins=64, range=(0, 256))
        axes.bar(edges[:-1], counts, width=4, align="edge", color=hue)
        # one value that fills the image, as black often does, would flatten all the others
        axes.set_ylim(0, 1.15 * max(1, min(counts.max(), 3 * np.partition(counts, -4)[-4])))
        axes.set_yticks([])
        tidy(axes)
    alt = say("An image, its red, green and blue channels in colour and in grey, and a histogram of each.")
    return Picture(figure, f"{alt} {said}")


def convolution(image: Pixels, kernel: Values, name: str, stride: int, padding: int, say: Language) -> Picture:
    """Show an image, the kernel, the convolution of each channel and their sum, and the formula for the size."""
    result = convolve(image, kernel, stride, padding)
    formula, left_over = _formula(image.shape[:2], kernel.shape, stride, padding, say)
    figure = new_figure(12, 8)
    panels = figure.subplots(2, 3)
    show_image(panels[0, 0], image)
    panels[0, 0].set_title(
        say("Original: {height} × {width}", height=image.shape[0], width=image.shape[1]), fontsize=11
    )
    _numbers(panels[0, 1], kernel)
    panels[0, 1].set_title(say("Kernel: {name}", name=name), fontsize=11)
    panels[0, 2].imshow(_shown(result.sum(2), 3), cmap="gray", vmin=0, vmax=255)
    panels[0, 2].set_title(say("Sum of the three channels"), fontsize=11)
    for number, (channel, hue) in enumerate(zip((say("Red"), say("Green"), say("Blue")), _HUES, strict=True)):
        panels[1, number].imshow(_shown(result[:, :, number]), cmap="gray", vmin=0, vmax=255)
        panels[1, number].set_title(channel, fontsize=11, color=hue)
    for axes in (panels[0, 2], *panels[1]):
        axes.set_axis_off()
    figure.suptitle(formula + (f"\n{left_over}" if left_over else ""), fontsize=12, color=RED if left_over else INK)
    alt = say("A photo, a kernel, and the photo convolved with it, channel by channel and summed.")
    return Picture(figure, " ".join(part for part in (alt, formula, left_over) if part))


def pooling(image: Pixels, sizes: list[int], kind: PoolKind, say: Language) -> Picture:
    """Show pooling on sixteen numbers, and an image pooled by each of the sizes."""
    kinds = {"max": say("maximum"), "average": say("average")}
    figure = new_figure(3.4 * (len(sizes) + 1), 7)
    panels = figure.subplots(2, len(sizes) + 1, squeeze=False)
    for axes in panels[0, 2:]:
        axes.set_axis_off()
    corners = [[(row // 2) * 2 + column // 2 for column in range(4)] for row in range(4)]
    _numbers(panels[0, 0], EXAMPLE, corners)
    panels[0, 0].set_title("4 × 4", fontsize=11)
    _numbers(panels[0, 1], pool(EXAMPLE[:, :, None], 2, kind)[:, :, 0], [[0, 1], [2, 3]])
    panels[0, 1].set_title(say("{kind} of each 2 × 2", kind=kinds[kind]), fontsize=11)
    show_image(panels[1, 0], image)
    shapes = [f"{image.shape[0]} × {image.shape[1]}"]
    panels[1, 0].set_title(shapes[0], fontsize=11)
    for axes, size in zip(panels[1, 1:], sizes, strict=True):
        smaller = pool(image, size, kind).round().astype(np.uint8)
        show_image(axes, smaller)
        shapes.append(f"{smaller.shape[0]} × {smaller.shape[1]}")
        axes.set_title(f"{size} × {size}:  {shapes[-1]}", fontsize=11)
    alt = say("Sixteen numbers become four: the {kind} of each 2 × 2 square; and a photo, smaller and smaller: {shapes}.",
              kind=kinds[kind], shapes=", ".join(shapes))  # fmt: skip
    return Picture(figure, alt)


def sweep(matrix: Values, kernel: Values, stride: int, padding: int, say: Language) -> list[Picture]:
    """Show the kernel at each position over a small matrix: the products and their sum."""
    padded = np.pad(matrix, padding)
    result = convolve(matrix[:, :, None], kernel, stride, padding)[:, :, 0]
    formula, _ = _formula(matrix.shape, kernel.shape, stride, padding, say)
    frames = []
    for row in range(result.shape[0]):
        for column in range(result.shape[1]):
            top, left = row * stride, column * stride
            seen = padded[top : top + kernel.shape[0], left : left + kernel.shape[1]]
            products = seen * kernel
            figure = new_figure(12, 4.8)
            panels = figure.subplots(1, 3)
            _numbers(panels[0], padded)
            panels[0].add_patch(
                Rectangle(
                    (left - 0.5, top - 0.5), kernel.shape[1], kernel.shape[0], fill=False, edgecolor=RED, linewidth=3
                )
            )
            panels[0].set_title(formula, fontsize=10)
            texts = [
                [f"{_short(a)} × {_factor(b)}" for a, b in zip(*rows, strict=True)]
                for rows in zip(seen, kernel, strict=True)
            ]
            _numbers(panels[1], products, texts=texts)
            total = say("products, added up: {total}", total=_short(products.sum()))
            panels[1].set_title(total, fontsize=11)
            done = np.arange(result.size).reshape(result.shape) <= row * result.shape[1] + column
            _numbers(panels[2], np.where(done, result, np.nan))
            panels[2].add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=RED, linewidth=3))
            panels[2].set_title(say("result"), fontsize=11)
            frames.append(Picture(figure, f"{formula}; {total}"))
    return frames


def _formula(
    shape: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: int, say: Language
) -> tuple[str, str]:
    """Return O = (W − K + 2P) / S + 1 with its numbers, and a sentence where it does not divide evenly, else nothing."""
    height, over = output_side(shape[0], kernel[0], stride, padding)
    width, beside = output_side(shape[1], kernel[1], stride, padding)
    text = f"O = (W − K + 2P) / S + 1 = ({shape[1]} − {kernel[1]} + 2·{padding}) / {stride} + 1 = {width}"
    if (shape[0], kernel[0]) != (shape[1], kernel[1]):
        text += f";   ({shape[0]} − {kernel[0]} + 2·{padding}) / {stride} + 1 = {height}"
    if not over and not beside:
        return text, ""
    return text, say(
        "It does not divide evenly: rows left over at the end: {rows}; columns: {columns}.", rows=over, columns=beside
    )


def _shown(values: Values, channels: int = 1) -> NDArray[np.uint8]:
    """Return values as grey: unchanged if they lie within 0 to 255, else with 0 in the middle and 2 in 100 at the ends."""
    values = values / channels
    if values.min() < -1:
        reach = np.percentile(np.abs(values), 98) or 1.0
        values = 127.5 + values / reach * 127.5
    shown: NDArray[np.uint8] = np.clip(values, 0, 255).round().astype(np.uint8)
    return shown


def _short(value: float) -> str:
    return "" if value != value else f"{value:.2f}".rstrip("0").rstrip(".").replace("-", "−")


def _factor(value: float) -> str:
    return f"({_short(value)})" if value < 0 else _short(value)


def _numbers(
    axes: Axes, values: Values, colours: list[list[int]] | None = None, texts: list[list[str]] | None = None
) -> None:
    """Draw numbers in cells; `colours` are indices of pale colours."""
    rows, columns = values.shape
    for row in range(rows):
        for column in range(columns):
            face = _PALE[colours[row][column]] if colours else "white"
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=face, edgecolor=GREY))
            text = texts[row][column] if texts else _short(float(values[row, column]))
            size = min(16, 70 / max(rows, columns) / max(1, len(text) / 3))
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color=INK)
    axes.set_xlim(-0.6, columns - 0.4)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_aspect("equal")
    axes.set_axis_off()
