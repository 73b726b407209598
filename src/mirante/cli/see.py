"""See every step from pixel to answer, as pictures of your own image and your own model.

Without IMAGE, it uses a photo that comes with scikit-learn. Pictures are written as PNG or SVG, films as GIF or APNG; what
they show is printed in words.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mirante.cli.arguments import input_shape, names, words
from mirante.errors import RequestError

if TYPE_CHECKING:
    from mirante.see.picture import Film, Picture


def add(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", metavar="WHAT", required=True)

    def kind(name: str, text: str, *places: str) -> argparse.ArgumentParser:
        child = kinds.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        for place in places:
            helps = {
                "image": "an image file",
                "run_folder": "a run folder, or its model.onnx",
                "what_drawn": "layers or a run",
            }
            metavar = {"what_drawn": "LAYERS|RUN", "run_folder": "RUN"}.get(place, place.upper())
            child.add_argument(place, metavar=metavar, nargs="?" if place == "image" else None, help=helps[place])
        child.add_argument("--out", metavar="FILE", help=f"file to write (default: see-{name}.png or .gif, numbered)")
        child.add_argument(
            "--lang", choices=("en", "pt"), default=argparse.SUPPRESS, help="language (default: the system's)"
        )
        child.add_argument(
            "--quiet", action="store_true", default=argparse.SUPPRESS, help="print results, warnings and errors only"
        )
        child.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
        )
        return child

    pixels = kind("pixels", "the pixels around one, as numbers", "image")
    pixels.add_argument("--at", metavar="X,Y", help="column and row of the pixel (default: the middle)")
    pixels.add_argument("--size", type=int, metavar="N", help="pixels per side (default: 8; with --animate, 4)")
    pixels.add_argument("--animate", action="store_true", help="a film that walks over the pixels, one by one")
    channels = kind("channels", "the red, green and blue channels", "image")
    channels.add_argument("--without", choices=("red", "green", "blue"), help="leave one out")
    convolve = kind("convolve", "a kernel over an image", "image")
    convolve.add_argument("--kernel", default="edge", help="identity, edge, sharpen, blur, gauss, emboss, sobel-x, sobel-y, or "
                          "rows of numbers: '0 -1 0; -1 5 -1; 0 -1 0'")  # fmt: skip
    convolve.add_argument(
        "--stride", type=int, default=1, metavar="N", help="pixels from one position to the next (default: 1)"
    )
    convolve.add_argument("--padding", type=int, default=0, metavar="N", help="zeros around the image (default: 0)")
    convolve.add_argument(
        "--animate", action="store_true", help="a film of the kernel over 5×5 numbers, showing every product"
    )
    pool = kind("pool", "squares of pixels reduced to one pixel each", "image")
    pool.add_argument(
        "--kind", choices=("max", "average"), default="max", help="how a square is reduced (default: max)"
    )
    pool.add_argument("--size", default="2,6,15", metavar="N[,N]", help="sides of the squares (default: 2,6,15)")
    augment = kind("augment", "how training would change an image", "image")
    augment.add_argument(
        "--augment",
        type=words,
        metavar="LIST",
        help="words, such as 'mirror, rotate 15', or 'all' for every one there is",
    )
    augment.add_argument("--recipe", default="transfer", help="whose words are shown otherwise (default: transfer)")
    augment.add_argument(
        "--size", type=int, default=224, metavar="N", help="pixels that the network sees (default: 224)"
    )
    augment.add_argument("--seed", type=int, default=0, metavar="N", help="seed of what is drawn (default: 0)")
    model = kind("model", "a drawing of a network", "what_drawn")
    model.add_argument("--input", type=input_shape, default=(32, 32, 3), metavar="HxWxC", help="input shape of LAYERS")
    model.add_argument("--num-classes", type=int, default=10, metavar="N", help="the number of classes (default: 10)")
    features = kind("features", "the feature maps of a layer", "run_folder", "image")
    features.add_argument(
        "--layer", metavar="K", help="its number, or its word in the line of layers (default: the first)"
    )
    kernels = kind("kernels", "the kernels a model has learned", "run_folder")
    kernels.add_argument("--layer", metavar="K", help="number or word of the convolution (default: the first)")
    kind("path", "one image through all layers, on one sheet", "run_folder", "image")
    heatmap = kind("heatmap", "where the model looked", "run_folder", "image")
    heatmap.add_argument(
        "--class",
        "--label",
        dest="label",
        metavar="NAME",
        help="the class or label to explain (default: the most probable one)",
    )
    kind("training", "a training as a film, epoch by epoch", "run_folder")


def run(arguments: argparse.Namespace) -> None:
    from mirante.files import next_free
    from mirante.see.picture import MOVING, STILL, Film, require_new

    film = arguments.what == "training" or getattr(arguments, "animate", False)
    place = None
    if arguments.out is not None:
        place = require_new(Path(arguments.out), MOVING if film else STILL)  # before the work, not after it
    made = _make(arguments)
    ending = ".gif" if isinstance(made, Film) else ".png"
    written = made.save(place or next_free(Path(f"see-{arguments.what}{ending}"), ending))
    print(written, made.alt, sep="\n")


def _make(arguments: argparse.Namespace) -> Picture | Film:
    from mirante import see

    given, lang = arguments, arguments.lang
    match arguments.what:
        case "pixels":
            at = _numbers(given.at, "--at") if given.at else None
            if at is not None and len(at) != 2:
                raise RequestError(f"--at {given.at}: write column and row, such as 120,80.")
            draw, usual = (see.walk, 4) if given.animate else (see.pixels, 8)
            return draw(given.image, None if at is None else (at[0], at[1]), given.size or usual, lang)
        case "channels":
            return see.channels(given.image, given.without, lang)
        case "convolve":
            if given.animate:
                return see.sweep(given.kernel, given.stride, given.padding, lang)
            return see.convolve(given.image, given.kernel, given.stride, given.padding, lang)
        case "pool":
            return see.pool(given.image, _numbers(given.size, "--size"), given.kind, lang)
        case "augment":
            listed = "all" if given.augment == ("all",) else given.augment
            return see.augment(given.image, listed, given.recipe, given.size, given.seed, lang)
        case "model":
            return see.model(given.what_drawn, given.input, given.num_classes, lang)
        case "features":
            return see.features(given.run_folder, given.image, given.layer, lang)
        case "kernels":
            return see.kernels(given.run_folder, given.layer, lang)
        case "path":
            return see.path(given.run_folder, given.image, lang)
        case "heatmap":
            return see.heatmap(given.run_folder, given.image, given.label, lang)
        case _:
            return see.training(given.run_folder, lang)


def _numbers(text: str, option: str) -> list[int]:
    try:
        return [int(part) for part in names(text)]
    except ValueError as error:
        raise RequestError(f"{option} {text}: write whole numbers, such as 2,6,15.") from error
