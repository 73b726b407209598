"""Train a classifier on your own images, also of grades (--ordered), of a tree of classes (--tree), of several labels per image
(--task tag), or a reader of texts (--task read).

DATA is a folder of class folders (with or without train, val and test above them), a .zip or .tar of one, a table with
the columns path and label, a .npz with x and y, or a name: digits, cifar10, cifar100, mnist, fashion-mnist. For --task read it is
a folder or archive of images named after their text, such as 2b827.png, or a table with the columns path and text. For --task tag
the label column of a table holds any number of labels, or there are columns of yes and no.
"""

from __future__ import annotations

import argparse

from mirante.cli.arguments import (
    add_data,
    add_objectives,
    add_rendering,
    add_subgroup,
    add_task,
    data_options,
    image_size,
    objective_options,
    seconds,
    words,
)
from mirante.cli.streams import tell
from mirante.errors import RequestError
from mirante.torchrun import leads

_OPTIONS = (
    "task",
    "ordered",
    "length",
    "weights",
    "epochs",
    "time",
    "batch_size",
    "learning_rate",
    "augment",
    "seed",
    "subgroup",
    "folds",
)


_RESUMED = ("data", "model", "device", "track", "out", "resume")
"""The options that a resumed training takes."""


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", nargs="?", help="where the images are (may be left out with --resume)")
    add_task(
        parser,
        "classify: name one class; grade: one of classes with an order; tree: one of classes in a tree; tag: any number of labels, or "
        "none; read: read the text that an image shows",
    )
    parser.add_argument(
        "--length",
        type=int,
        metavar="N",
        help="with --task read: length of the longest text (default: from the texts)",
    )
    parser.add_argument(
        "--recipe", help="fast, transfer, best, tutorial, read, or a .toml file (default: chosen by the images)"
    )
    parser.add_argument(
        "--model", metavar="LAYERS", help="a line of layers, such as 32C3-MP2-64N, timm:NAME, or path.py:function"
    )
    parser.add_argument("--weights", metavar="FILE", help="pretrained weights for timm:NAME, a .safetensors file")
    parser.add_argument("--epochs", type=int, metavar="N", help="passes over the training images")
    parser.add_argument(
        "--time", type=seconds, metavar="T", help="train for this long, such as 60s or 5m, instead of --epochs"
    )
    parser.add_argument("--batch-size", type=int, metavar="N", help="images per step")
    parser.add_argument("--learning-rate", type=float, metavar="X", help="step size of the optimiser")
    parser.add_argument(
        "--augment",
        type=words,
        metavar="LIST",
        help="how training images are changed, such as 'mirror, shift 2, rotate 15', or 'none' (docs/recipes.md)",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="seed for weights, order and augmentation (default: 0)")
    parser.add_argument(
        "--size", type=image_size, metavar="N|HxW", help="input size in pixels (default: from the data)"
    )
    parser.add_argument(
        "--fit",
        choices=("crop", "pad", "squash"),
        help="how images of other shapes are made to fit (default: crop; for texts, squash)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--out", metavar="RUN", help="the run folder to make (default: runs/DATA-RECIPE)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing run at --out")
    parser.add_argument("--resume", action="store_true", help="continue the stopped or killed training at --out")
    parser.add_argument("--strict", action="store_true", help="treat an unreadable image as an error")
    parser.add_argument(
        "--locked",
        metavar="FILE",
        help="train only if DATA is what a lock file says (mirante data freeze), image by image",
    )
    parser.add_argument(
        "--track",
        action="append",
        default=[],
        metavar="NAME",
        help="also log to tensorboard, mlflow or wandb; may be repeated",
    )
    add_data(parser)
    add_rendering(parser)
    add_subgroup(parser)
    add_objectives(parser)


def run(arguments: argparse.Namespace) -> None:
    if arguments.resume:
        _require_run(arguments)
        from mirante.experiment.train import resume

        finished = resume(
            arguments.out,
            data=arguments.data,
            layers=arguments.model,
            device=arguments.device,
            track=arguments.track,
            lang=arguments.lang,
        )
    else:
        if arguments.data is None:
            raise RequestError(
                "nothing to train on: `mirante train DATA`; `mirante train --help` says what DATA can be."
            )
        from mirante.experiment.train import train

        if arguments.time is not None and arguments.epochs is not None:
            raise RequestError("--time and --epochs exclude each other: give only one.")
        finished = train(
            arguments.data,
            arguments.recipe,
            out=arguments.out,
            size=arguments.size,
            fit=arguments.fit,
            device=arguments.device,
            strict=arguments.strict,
            overwrite=arguments.overwrite,
            locked=arguments.locked,
            track=arguments.track,
            lang=arguments.lang,
            **data_options(arguments),
            **{name: getattr(arguments, name) for name in _OPTIONS},
            **objective_options(arguments),
            layers=arguments.model,
        )
    if leads():
        from mirante.cli.evaluate import print_result
        from mirante.task import task_named

        print_result(finished, task_named(finished.task), arguments.lang)


def _require_run(arguments: argparse.Namespace) -> None:
    if arguments.out is None:
        raise RequestError("--resume needs the run to continue: mirante train --resume --out RUN")
    parser = argparse.ArgumentParser()
    add(parser)
    left = vars(parser.parse_args([]))
    for name, value in vars(arguments).items():
        if name not in _RESUMED and value != left.get(name, value):
            option = {"group": "group-column"}.get(name, name.replace("_", "-"))
            tell(f"--{option} is ignored: a resumed training keeps the recipe and data of its run.", arguments.lang)
