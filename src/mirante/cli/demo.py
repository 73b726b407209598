"""Train on 1,797 real handwritten digits, evaluate, predict, and see what to do next, in under a minute.

Uses the tutorial's model on the digits that come with scikit-learn, shown at 32×32; nothing is downloaded.
"""

from __future__ import annotations

import argparse
import sys


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="RUN", help="the run folder to make (default: runs/digits-tutorial)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing run at --out")


def run(arguments: argparse.Namespace) -> None:
    from mirante.cli.evaluate import print_result
    from mirante.cli.tables import print_table
    from mirante.experiment.train import train
    from mirante.locale import language
    from mirante.task import task_named

    say = language(arguments.lang)
    finished = train("digits", "tutorial", out=arguments.out, overwrite=arguments.overwrite, lang=arguments.lang)
    task = task_named(finished.task)
    print_result(finished, task, arguments.lang)

    dataset = finished.dataset()
    model = finished.model()
    dataset, pixels = dataset.load(model.info.size, model.info.channels, model.info.fit, model.info.rendering)
    chosen = dataset.rows("test")[:4]
    print()
    if sys.stdout.isatty():
        from mirante.cli.pictures import print_beside

        for row, prediction in zip(chosen, model.predict_many(pixels[chosen]), strict=True):
            print_beside(pixels[row], None, task.beside_picture(prediction, say))
    else:
        rows = [
            [
                dataset.paths[row],
                dataset.classes[dataset.targets[row]],
                *(cell for _, cell in task.table_row(one, say)[:2]),
            ]
            for row, one in zip(chosen, model.predict_many(pixels[chosen]), strict=True)
        ]
        print_table([say("Image"), say("True class"), say("Predicted class"), say("Probability")], rows, 3)
    print(
        say(
            "Now your own images. Put each class in its own folder:\n\n"
            "    photos/cat/…   photos/dog/…\n\n"
            "    mirante train photos --out runs/pets\n"
            "    mirante predict runs/pets new-photo.jpg\n"
        )
    )
    print(say("Open the report in your browser: {path}", path=finished.path / "report.html"))
