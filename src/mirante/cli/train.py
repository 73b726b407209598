"""Train a classifier on your own images, or with --task code a reader of the texts that they show.

DATA is a folder of class folders (with or without train, val and test above them), a .zip or .tar of one, a table with
the columns path and label, a .npz with x and y, or a name: digits, cifar10, cifar100, mnist, fashion-mnist. For --task code it is
a folder or archive of images that are named after their text, as 2b827.png, or a table with the columns path and text.
"""

from __future__ import annotations

import argparse
import sys

from mirante.cli.arguments import add_by, add_data, add_plan, data_options, image_size, plan_of, seconds
from mirante.errors import RequestError
from mirante.torchrun import leads


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", nargs="?", help="where the images are (may be left out with --resume)")
    parser.add_argument(
        "--task", choices=("class", "code"), default="class", help="tell classes, or read texts (default: class)"
    )
    parser.add_argument(
        "--length",
        type=int,
        metavar="N",
        help="characters of the longest text, with --task code (default: from the texts)",
    )
    parser.add_argument(
        "--recipe", help="fast, transfer, best, tutorial, code, or a .toml file (default: by the images)"
    )
    parser.add_argument(
        "--model", metavar="LAYERS", help="a line of layers, as 32C3-MP2-64N, timm:NAME, or path.py:function"
    )
    parser.add_argument("--weights", metavar="FILE", help="pretrained weights for timm:NAME, a .safetensors file")
    parser.add_argument("--epochs", type=int, metavar="N", help="passes over the training images")
    parser.add_argument(
        "--time", type=seconds, metavar="T", help="train for so long, as 60s or 5m, instead of --epochs"
    )
    parser.add_argument("--batch-size", type=int, metavar="N", help="images a step")
    parser.add_argument("--learning-rate", type=float, metavar="X", help="step size of the optimiser")
    parser.add_argument("--seed", type=int, metavar="N", help="of weights, order and augmentation (default: 0)")
    parser.add_argument(
        "--size", type=image_size, metavar="N|HxW", help="input size in pixels (default: from the data)"
    )
    parser.add_argument(
        "--fit",
        choices=("crop", "pad", "squash"),
        help="how other shapes come to it (default: crop; for texts, squash)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--out", metavar="RUN", help="the run folder to make (default: runs/DATA-RECIPE)")
    parser.add_argument("--overwrite", action="store_true", help="replace the run that is at --out")
    parser.add_argument("--resume", action="store_true", help="go on with the stopped or killed training at --out")
    parser.add_argument("--strict", action="store_true", help="make an unreadable image an error")
    parser.add_argument(
        "--track",
        action="append",
        default=[],
        metavar="NAME",
        help="also tell tensorboard, mlflow or wandb; may be repeated",
    )
    add_data(parser)
    add_by(parser)
    add_plan(parser)


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
            raise RequestError("train what? `mirante train DATA`; `mirante train --help` says what DATA can be.")
        from mirante.experiment.train import train

        if arguments.time is not None and arguments.epochs is not None:
            raise RequestError("--time and --epochs exclude each other: one says when training ends.")
        changes = {
            "layers": arguments.model,
            "sizes": None if arguments.model is None else (),
            "weights": arguments.weights,
            "epochs": arguments.epochs,
            "seconds": arguments.time,
            "batch_size": arguments.batch_size,
            "learning_rate": arguments.learning_rate,
            "seed": arguments.seed,
        }
        finished = train(
            arguments.data,
            arguments.recipe,
            changes={name: value for name, value in changes.items() if value is not None},
            out=arguments.out,
            **data_options(arguments),
            by=arguments.by,
            task=arguments.task,
            length=arguments.length,
            folds=arguments.folds,
            plan=plan_of(arguments),
            size=arguments.size,
            fit=arguments.fit,
            device=arguments.device,
            strict=arguments.strict,
            overwrite=arguments.overwrite,
            track=arguments.track,
            lang=arguments.lang,
        )
    if leads():
        from mirante.cli.evaluate import print_result

        print_result(finished, arguments.lang)


def _require_run(arguments: argparse.Namespace) -> None:
    if arguments.out is None:
        raise RequestError("--resume needs the run to go on with: mirante train --resume --out RUN")
    fixed = (
        "recipe",
        "epochs",
        "time",
        "batch_size",
        "learning_rate",
        "seed",
        "size",
        "labels",
        "length",
        "text",
        "group",
        "by",
        "classes",
        "root",
    )
    for name in fixed:
        if getattr(arguments, name) is not None:
            option = name.replace("_", "-")
            print(
                f"--{option} is left aside: a resumed training keeps the recipe and data of its run.", file=sys.stderr
            )
