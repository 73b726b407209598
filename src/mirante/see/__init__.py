"""Explanatory pictures of your own image and your own model: every step from a pixel to the answer.

    from mirante import see
    see.convolve("photo.jpg", "sharpen").save("sharp.png")
    see.heatmap("runs/flowers-transfer", "photo.jpg")        # in a notebook, this shows it

Each function returns a Picture or a Film: `save(path)` writes it, `alt` says what it shows, a notebook displays it. An image is
a path, encoded bytes, a PIL image or an array; if none is given, a photo that comes with scikit-learn is used. `lang`
is en or pt, the system's when None. A RequestError says what cannot be drawn, and why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mirante.images import Pixels
    from mirante.prediction.model import Model
    from mirante.prediction.onnx_model import Picture as AnyImage
    from mirante.see.inside import Inside
    from mirante.see.picture import Film, Picture

Channel = Literal["red", "green", "blue"]
_LARGEST = 640  # pixels per side of what is drawn: a camera photo is scaled down first


def pixels(
    image: AnyImage | None = None, at: tuple[int, int] | None = None, size: int = 8, lang: str | None = None
) -> Picture:
    """Show size × size pixels around column x and row y (`at`, the middle when None) as numbers in coloured cells."""
    from mirante.locale import language
    from mirante.see import figures

    seen = read(image)
    x, y = at or (seen.shape[1] // 2, seen.shape[0] // 2)
    return figures.pixels(seen, x, y, size, language(lang))


def walk(
    image: AnyImage | None = None, at: tuple[int, int] | None = None, size: int = 4, lang: str | None = None
) -> Film:
    """Walk over size × size pixels from left to right, row by row, and give each one's {R, G, B}."""
    from mirante.locale import language
    from mirante.see import figures
    from mirante.see.picture import Film

    seen = read(image)
    x, y = at or (seen.shape[1] // 2, seen.shape[0] // 2)
    return Film(figures.walk(seen, x, y, size, language(lang)), seconds=0.5)


def channels(image: AnyImage | None = None, without: Channel | None = None, lang: str | None = None) -> Picture:
    """Show the image and its three channels, in colour and in grey, with their histograms; leave one out."""
    from mirante.locale import language
    from mirante.see import figures

    return figures.channels(read(image), without, language(lang))


def convolve(
    image: AnyImage | None = None, kernel: str = "edge", stride: int = 1, padding: int = 0, lang: str | None = None
) -> Picture:
    """Show the image, the kernel (a name, or rows of numbers such as "0 -1 0; -1 5 -1; 0 -1 0"), and the result."""
    from mirante.locale import language
    from mirante.see import figures
    from mirante.see.arithmetic import read_kernel

    return figures.convolution(read(image), read_kernel(kernel), kernel, stride, padding, language(lang))


def sweep(kernel: str = "edge", stride: int = 1, padding: int = 0, lang: str | None = None) -> Film:
    """Sweep the kernel over 5×5 numbers: at each position the products and their sum."""
    import numpy as np

    from mirante.locale import language
    from mirante.see import figures
    from mirante.see.arithmetic import read_kernel
    from mirante.see.picture import Film

    matrix = np.random.default_rng(0).integers(0, 10, (5, 5)).astype(np.float64)
    return Film(figures.sweep(matrix, read_kernel(kernel), stride, padding, language(lang)))


def pool(
    image: AnyImage | None = None,
    sizes: Sequence[int] = (2, 6, 15),
    kind: Literal["max", "average"] = "max",
    lang: str | None = None,
) -> Picture:
    """Show pooling on sixteen numbers, and the image pooled by each of the sizes."""
    from mirante.locale import language
    from mirante.see import figures

    return figures.pooling(read(image), list(sizes), kind, language(lang))


def augment(
    image: AnyImage | None = None,
    words: Sequence[str] | Literal["all"] | None = None,
    recipe: str | Path = "transfer",
    size: int = 224,
    seed: int = 0,
    lang: str | None = None,
) -> Picture:
    """Show the image as training would: changed by each word of augmentation, six times, and by all together.

    words  such as ["mirror", "rotate 15"]; the recipe's own when None, or "all" there are
    size   pixels per side that the network sees
    """
    from mirante.errors import RequestError
    from mirante.images import read_image
    from mirante.locale import language
    from mirante.see import augmentation
    from mirante.training.augment import VOCABULARY, Step, read_augment
    from mirante.training.recipe import Recipe

    if not 0 <= seed < 2**31:
        raise RequestError(f"--seed {seed}: must be between 0 and {2**31 - 1}.")
    if not 8 <= size <= _LARGEST:
        raise RequestError(f"--size {size}: must be between 8 and {_LARGEST} pixels.")
    if words == "all":
        steps = tuple(Step(name, one.amount or 0.0) for name, one in VOCABULARY.items())
    else:
        steps = read_augment(Recipe.load(recipe).augment if words is None else tuple(words))
    if not steps:
        raise RequestError("these words change no images; name some, such as --augment 'mirror, rotate 15', or all.")
    seen = read_image(read(image), (size, size), 3, "crop")
    return augmentation.draw(seen, steps, seed, language(lang))


def model(
    what: str | Path,
    shape: tuple[int, int, int] = (32, 32, 3),
    classes: Sequence[str] | int = 10,
    lang: str | None = None,
) -> Picture:
    """Draw a network: volumes to scale, dense layers, classes. `what` is a line of layers or a run.

    shape, classes  (height, width, channels) and the names or number of classes, for a line; a run knows its own
    """
    from mirante.errors import RequestError
    from mirante.locale import language
    from mirante.model.notation import Shape, has_layers, parse_layers
    from mirante.model_info import read_model_info
    from mirante.see.drawing import draw_model
    from mirante.see.picture import Picture

    line = str(what)
    outputs: Shape = (classes if isinstance(classes, int) else len(classes),)
    if Path(what).expanduser().is_dir():
        info = read_model_info(Path(what).expanduser())
        line, shape, classes, outputs = info.layers, info.shape, info.classes, info.output
    if not has_layers(line):
        raise RequestError(
            f"{line}: not a line of layers; only those can be drawn. `mirante see features` shows what is inside it."
        )
    layers = parse_layers(line, shape, outputs)
    drawing = draw_model(layers, shape, classes, language(lang))
    return Picture(drawing, f"{line}: {drawing.alt}")


def features(
    run: str | Path, image: AnyImage | None = None, layer: str | None = None, lang: str | None = None
) -> Picture:
    """Show the feature maps of a layer, named by its word or by its number from 1, for an image."""
    from mirante.locale import language
    from mirante.see import network
    from mirante.see.inside import Inside

    inside = Inside(run)
    return network.features(inside, _seen(inside, image), inside.choose(layer), language(lang))


def kernels(run: str | Path, layer: str | None = None, lang: str | None = None) -> Picture:
    """Show the learned kernels of a convolution, the first one when none is named."""
    from mirante.locale import language
    from mirante.see import network
    from mirante.see.inside import Inside

    return network.kernels(Inside(run), layer, language(lang))


def path(run: str | Path, image: AnyImage | None = None, lang: str | None = None) -> Picture:
    """Show one image through all layers on one sheet, to the bars of its probabilities."""
    from mirante.locale import language
    from mirante.see import network
    from mirante.see.inside import Inside

    inside = Inside(run)
    return network.path(inside, _seen(inside, image), language(lang))


def heatmap(
    run: str | Path, image: AnyImage | None = None, label: str | None = None, lang: str | None = None
) -> Picture:
    """Show where the model looked for the class `label` (its own answer when None): Grad-CAM and Shapley values."""
    from mirante.locale import language
    from mirante.prediction.model import Model
    from mirante.see import network

    opened = Model(run)
    return network.heatmap(opened, _seen(opened, image), label, language(lang))


def training(run: str | Path, lang: str | None = None) -> Film:
    """Show a training as a film: kernels, curves and the confusion matrix, epoch by epoch."""
    from mirante.locale import language
    from mirante.run import Run
    from mirante.see.film import frames
    from mirante.see.picture import Film

    return Film(frames(Run(run), language(lang)), seconds=0.6)


def read(image: AnyImage | None) -> Pixels:
    """Return an image as uint8 (H, W, 3), no larger than is drawn. Raises RequestError naming its file."""
    from mirante.images import read_image
    from mirante.rendering import Rendering, Window

    with _naming(image):
        seen = read_image(_given(image), rendering=Rendering(Window(per_image=True)))
    height, width, _ = seen.shape
    if max(height, width) > _LARGEST:
        scale = _LARGEST / max(height, width)
        seen = read_image(seen, (max(1, round(scale * height)), max(1, round(scale * width))), 3, "squash")
    return seen


def _seen(model: Model | Inside, image: AnyImage | None) -> Pixels:
    """Return an image as a model takes it. Raises RequestError naming its file."""
    with _naming(image):
        return model.pixels(_given(image))


@contextmanager
def _naming(image: AnyImage | None) -> Iterator[None]:
    """Name the file of an image that cannot be read."""
    from mirante.errors import ImageError, RequestError

    try:
        yield
    except ImageError as error:
        name = f"{image}: " if isinstance(image, (str, Path)) else ""
        raise RequestError(f"{name}{error}; give an image file.") from error


def _given(image: AnyImage | None) -> AnyImage:
    if image is not None:
        return image
    from sklearn.datasets import load_sample_image

    photo: Pixels = load_sample_image("flower.jpg")
    return photo
