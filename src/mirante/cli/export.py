"""Export a finished model: ONNX for any image size, 8 bits, Keras, PyTorch, OpenVINO, Core ML, LiteRT, a web page, the Hub.

Each export is tested on real images, and its largest difference from model.onnx is printed; one that disagrees is not kept.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from mirante.cli.arguments import add_format
from mirante.exports import forms


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", help="the run folder")
    parser.add_argument(
        "--to",
        choices=forms(),
        default="onnx",
        help="onnx (images of any size), keras, torch, web (a page that classifies, offline), hub-folder, openvino, coreml, "
        "litert (default: onnx)",
    )
    parser.add_argument(
        "--int8",
        action="store_true",
        help="with --to onnx, openvino, coreml or litert: also export in 8 bits, and report what that costs and gains",
    )
    parser.add_argument("--out", metavar="FOLDER", help="the folder to make (default: RUN/exports/FORM)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing export")
    parser.add_argument("--images", metavar="FOLDER", help="images to test it on (default: the run's own)")
    parser.add_argument("--runtime", metavar="FILE.tgz", help="with --to web: onnxruntime-web as `npm pack` makes it")
    add_format(parser)


def run(arguments: argparse.Namespace) -> None:
    from mirante.cli.tables import print_rows
    from mirante.exports.export import export
    from mirante.locale import language

    say = language(arguments.lang)
    done = export(
        arguments.run_folder,
        arguments.to,
        int8=arguments.int8,
        out=arguments.out,
        overwrite=arguments.overwrite,
        images=arguments.images,
        runtime=arguments.runtime,
        lang=arguments.lang,
    )
    if arguments.format != "table":
        row = {
            "folder": str(done.folder),
            "images": done.images,
            "largest_difference": done.difference,
            "takes": done.takes,
            "speed": done.speed,
            "remark": done.remark,
        }
        quantised = {f"int8_{name}": value for name, value in asdict(done.quantised).items()} if done.quantised else {}
        print_rows([row | quantised], arguments.format, arguments.lang)
        return
    print(
        say(
            "{folder}: on {count} real images, probabilities differ from model.onnx by at most {difference}.",
            folder=done.folder,
            count=done.images,
            difference=f"{done.difference:.1e}",
        )
    )
    print(done.takes)
    if done.remark:
        print(done.remark)
    if done.quantised is not None:
        found = done.quantised
        words = {
            "file": found.file,
            "size": say.percent(found.bytes / found.were, 0),
            "changed": say.percent(found.changed),
            "difference": say.number(found.difference, 3),
        }
        if found.speed == found.speed:
            text = say(
                "{file}, in 8 bits: {speed} times as fast, {size} of the size; {changed} of the answers change, probabilities "
                "differ by at most {difference}.",
                speed=say.number(found.speed, 1),
                **words,
            )
        else:
            text = say(
                "{file}, in 8 bits: {size} of the size; {changed} of the answers change, probabilities differ by at most "
                "{difference}.",
                **words,
            )
        print(text)
        if found.accuracy == found.accuracy:
            print(
                say(
                    "Its accuracy on these images is {after}; that of model.onnx is {before}.",
                    after=say.percent(found.accuracy),
                    before=say.percent(found.before),
                )
            )
