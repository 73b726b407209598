"""Pictures of the inside of a trained model: feature maps, kernels, the whole path of an image, and where it looked.

Feature maps are (C, H, W); each map is drawn on its own scale, dark for its lowest value and bright for its highest.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mirante import runfolder
from mirante.errors import RequestError
from mirante.evaluation.attribution import Map, grad_cam, shapley
from mirante.evaluation.plots.fonts import numbered
from mirante.evaluation.plots.style import BLUE, GREY, INK, new_figure, shorten, show_image
from mirante.images import Pixels
from mirante.locale import Language
from mirante.model.notation import is_own_code
from mirante.prediction.model import Model
from mirante.see.inside import Inside, Values, require_one_answer
from mirante.see.picture import Picture

_MOST_MAPS = 64
_MOST_KERNELS, _MOST_CHANNELS = 16, 12
_STAGES_A_ROW, _MAPS_A_STAGE = 8, 4
_MOST_BARS = 12


def features(inside: Inside, pixels: Pixels, number: int, say: Language) -> Picture:
    """Show the maps of stage `number` for one image, up to 64 of them; a dense layer is shown as one strip."""
    stage = inside.stages[number]
    value = inside.look(pixels)[number]
    if value.ndim == 1:
        figure = new_figure(9, 2.2)
        axes = figure.subplots()
        axes.bar(range(len(value)), value, color=BLUE)
        axes.set_title(say("{word}: {count} neurons", word=stage.word, count=len(value)), fontsize=11)
        alt = say("The values of the {count} neurons of {word} for one image.", count=len(value), word=stage.word)
        return Picture(figure, alt)
    shown = value[:_MOST_MAPS]
    columns = min(8, len(shown) + 1)
    rows = -(-(len(shown) + 1) // columns)
    figure = new_figure(1.35 * columns, 1.35 * rows + 0.6)
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    for place in places:
        place.set_axis_off()
    show_image(places[0], pixels)
    for place, one in zip(places[1:], shown, strict=False):
        place.imshow(one, cmap="viridis", interpolation="nearest")
    count, height, width = value.shape
    title = say("{word}: {count} maps of {height} × {width}", word=stage.word, count=count, height=height, width=width)
    if len(shown) < count:
        title += say(", the first {shown}", shown=len(shown))
    figure.suptitle(title, fontsize=11)
    return Picture(figure, say("One image and its feature maps: {title}.", title=title))


def kernels(inside: Inside, layer: str | None, say: Language) -> Picture:
    """Show the kernels of a convolution: in colour where they see pixels, else as a grid with one slice per channel."""
    found = inside.kernels()
    chosen = found[0] if found else None
    if layer is not None:
        matching = [one for one in found if layer in (one.word, one.word.partition(" ")[0])]
        if layer.isdigit() and 1 <= int(layer) <= len(found):
            matching = [found[int(layer) - 1]]
        chosen = matching[0] if matching else None
    if chosen is None:
        names = ", ".join(f"{number} {one.word}" for number, one in enumerate(found, 1)) or "none"
        raise RequestError(f"kernels of {layer or 'this model'}: its convolutions are {names}.")
    weights = chosen.weights
    count, depth, height, width = weights.shape
    title = say("{word}: {count} kernels of {height} × {width} × {depth}", word=chosen.word, count=count, height=height,
                width=width, depth=depth)  # fmt: skip
    figure = Figure()
    if depth in (1, 3):
        columns = min(16, count)
        rows = -(-min(count, _MOST_MAPS) // columns)
        figure = new_figure(max(5, 0.8 * columns), 0.8 * rows + 0.7)
        draw_kernels(figure.subplots(rows, columns, squeeze=False).ravel(), weights)
        said = say("grey is zero, bright colours are positive, dark ones negative")
    else:
        rows, columns = min(count, _MOST_KERNELS), min(depth, _MOST_CHANNELS)
        figure = new_figure(0.62 * columns + 1, 0.62 * rows + 0.9)
        places = figure.subplots(rows, columns, squeeze=False)
        reach = float(np.abs(weights).max()) or 1.0
        for row in range(rows):
            for column in range(columns):
                places[row, column].imshow(weights[row, column], cmap="PuOr_r", vmin=-reach, vmax=reach)
                places[row, column].set_axis_off()
        said = say("one row per kernel, one column per input channel, the first {rows} and {columns}; orange is positive, "
                   "purple negative", rows=rows, columns=columns)  # fmt: skip
    figure.suptitle(f"{title}\n{said}", fontsize=9.5)
    return Picture(figure, f"{title}; {said}.")


def draw_kernels(places: NDArray[np.object_], weights: Values) -> None:
    """Draw kernels (N, 1 or 3, K, L) as small images around grey, one per axes."""
    reach = float(np.abs(weights).max()) or 1.0
    for place in places:
        place.set_axis_off()
    for place, one in zip(places, weights, strict=False):
        shown = np.clip(127.5 + 127.5 * one.transpose(1, 2, 0) / reach, 0, 255).astype(np.uint8)
        show_image(place, shown)


def path(inside: Inside, pixels: Pixels, say: Language) -> Picture:
    """Show one image through all layers: the strongest maps of each, and the bars of the answer."""
    values = inside.look(pixels)
    shares = inside.probabilities(pixels)
    count = len(values) + 2
    rows = -(-count // _STAGES_A_ROW)
    columns = min(count, _STAGES_A_ROW)
    figure = new_figure(1.75 * columns + 0.5, 5.4 * rows)
    grid = figure.add_gridspec(rows, columns)
    first = figure.add_subplot(grid[0, 0])
    show_image(first, pixels)
    first.set_title(f"{say('image')}\n{' × '.join(map(str, pixels.shape))}", fontsize=9)
    for number, (stage, value) in enumerate(zip(inside.stages, values, strict=True), 1):
        cell = grid[divmod(number, _STAGES_A_ROW)]
        title = f"{stage.word.replace(' ', chr(10), 1)}\n{_size(value)}"
        if value.ndim == 1:
            axes = figure.add_subplot(cell)
            axes.imshow(value[:, None], aspect="auto", cmap="viridis", interpolation="nearest")
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_title(title, fontsize=9)
            continue
        strongest = np.argsort(-value.reshape(len(value), -1).std(1), kind="stable")[:_MAPS_A_STAGE]
        inner = cell.subgridspec(_MAPS_A_STAGE, 1)
        for place, channel in enumerate(np.sort(strongest)):
            axes = figure.add_subplot(inner[place])
            axes.imshow(value[channel], cmap="viridis", interpolation="nearest")
            axes.set_axis_off()
            if place == 0:
                axes.set_title(title, fontsize=9)
    with numbered(inside.info.classes):
        _bars(figure.add_subplot(grid[divmod(count - 1, _STAGES_A_ROW)]), shares, inside.info.classes, say)
    best = int(shares.argmax())
    alt = say("One image on its way through {count} layers, four maps from each, to the answer {label} with {share}.",
              count=len(values), label=inside.info.classes[best], share=say.confidence(float(shares[best])))  # fmt: skip
    return Picture(figure, alt)


def heatmap(model: Model, pixels: Pixels, label: str | None, say: Language) -> Picture:
    """Show an image, Shapley values and Grad-CAM for one class, side by side; for the model's own answer when it is None.

    Grad-CAM needs the weights beside model.onnx, and is left out without them or for a network from one's own file.
    """
    require_one_answer(model.info)
    shares = model.run(pixels[None]).probabilities[0]
    if label is not None and label not in model.classes:
        raise RequestError(f"--class {label}: the model's classes are {', '.join(model.classes)}.")
    number = int(shares.argmax()) if label is None else model.classes.index(label)
    parts = shapley(lambda images: model.run(images).probabilities, pixels, number)
    weights = model.path.with_name(runfolder.WEIGHTS)
    cam: Map | None = None
    if weights.is_file() and not is_own_code(model.info.layers):
        from mirante.model.network import load_network

        cam = grad_cam(load_network(model.info, weights), pixels, number)
    with numbered(model.classes):
        return heat_picture(pixels, parts, cam, model.classes[number], float(shares[number]), say)


def heat_picture(pixels: Pixels, parts: Map, cam: Map | None, name: str, share: float, say: Language) -> Picture:
    """Draw the maps over the image; `parts` are Shapley values, `cam` is None where torch does not know the network."""
    figure = new_figure(3.6 * (2 if cam is None else 3), 4.3)
    panels = figure.subplots(1, 2 if cam is None else 3)
    show_image(panels[0], pixels)
    panels[0].set_title(f"{shorten(name)}: {say.confidence(share)}", fontsize=11)
    reach = float(np.abs(parts).max()) or 1.0
    _over(panels[1], pixels, parts / reach, "PuOr_r", -1)
    best = np.unravel_index(int(parts.argmax()), parts.shape)
    panels[1].set_title(
        say("Shapley: what each part contributes\n(total {sum}, largest {most})", sum=_signed(float(parts.sum()), say),
            most=_signed(float(parts[best]), say)), fontsize=10,
    )  # fmt: skip
    if cam is not None:
        _over(panels[2], pixels, cam, "viridis", 0)
        panels[2].set_title(say("Grad-CAM: where the last\nfeature maps support it"), fontsize=10)
    rows, columns = parts.shape
    alt = say(
        "Where the model looked for {label} ({share}): of {rows} × {columns} parts of the image, the one in row {row}, column "
        "{column} contributed the most, {most}.",
        label=name, share=say.confidence(share), rows=rows, columns=columns, row=int(best[0]) + 1, column=int(best[1]) + 1,
        most=_signed(float(parts[best]), say),
    )  # fmt: skip
    return Picture(figure, alt)


def _over(axes: Axes, pixels: Pixels, heat: Map, colours: str, lowest: float) -> None:
    grey = pixels.astype(np.float64).mean(2)
    height, width = grey.shape
    axes.imshow(grey, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0))
    smooth = "nearest" if lowest < 0 else "bilinear"
    axes.imshow(heat, cmap=colours, vmin=lowest, vmax=1, alpha=0.55, interpolation=smooth, extent=(0, width, height, 0))
    axes.set_axis_off()


def _bars(axes: Axes, shares: NDArray[np.floating], classes: tuple[str, ...], say: Language) -> None:
    order = np.argsort(-shares, kind="stable")[:_MOST_BARS]
    shown = np.sort(order)
    colours = [BLUE if number == order[0] else "#9aa5b1" for number in shown]
    axes.barh(np.arange(len(shown)) + 0.16, shares[shown], 0.42, color=colours)
    for place, number in enumerate(shown):
        axes.text(0.02, place - 0.13, f"{shorten(classes[number], 14)} {say.confidence(float(shares[number]))}", fontsize=8,
                  color=INK)  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(len(shown) - 0.3, -0.9)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_color(GREY)
    axes.set_title(say("probabilities"), fontsize=9)


def _size(value: Values) -> str:
    return " × ".join(map(str, (*value.shape[1:], value.shape[0]) if value.ndim == 3 else value.shape))


def _signed(share: float, say: Language) -> str:
    return f"{'+' if share >= 0 else '−'}{say.percent(abs(share))}"
