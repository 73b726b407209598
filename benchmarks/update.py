"""What a model gains and loses when it learns a new class from a few photos (`mirante photos learn`).

python benchmarks/update.py FLOWERS [--new tulip] [--seeds 3] [--counts 5 10 20] [--recipe transfer] [--epochs 15] [--folds 3]

FLOWERS is a folder of class folders. For each seed a model is trained without the new class; then it learns that class from a few
photos. Measured on images that no model has seen: the test images of the old classes, and 100 other photos of the new one.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import uuid
from pathlib import Path

import numpy as np

import mirante
from mirante.data.entries import digest_of
from mirante.locale import language
from mirante.photos.learn import learn
from mirante.photos.library import Library

_JURY = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("flowers", type=Path)
    parser.add_argument("--new", default="tulip")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--counts", type=int, nargs="+", default=[5, 10, 20])
    parser.add_argument("--recipe", default="transfer")
    parser.add_argument("--epochs", type=int, help="of each training (default: as the recipe says)")
    parser.add_argument("--folds", type=int, help="train with so many folds; all images of the old classes then judge")
    arguments = parser.parse_args()
    options = {name: value for name in ("epochs", "folds") if (value := getattr(arguments, name)) is not None}
    photos = sorted((arguments.flowers / arguments.new).iterdir())
    found: dict[int, list[tuple[float, float, float]]] = {count: [] for count in arguments.counts}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        old = folder / "old"
        for kind in arguments.flowers.iterdir():
            if kind.is_dir() and kind.name != arguments.new:
                shutil.copytree(kind, old / kind.name)
        for seed in range(arguments.seeds):
            run = mirante.train(old, recipe=arguments.recipe, seed=seed, out=folder / f"run-{seed}", **options)
            drawn = np.random.default_rng(seed).permutation(len(photos))
            jury = [photos[number] for number in drawn[:_JURY]]
            for count in arguments.counts:
                copy = Path(shutil.copytree(run.path, folder / f"run-{seed}-{count}"))
                taught = folder / f"photos-{seed}-{count}"
                taught.mkdir()
                library = Library(taught)
                for number in drawn[_JURY : _JURY + count]:
                    shutil.copy(photos[number], taught)
                    digest = digest_of(photos[number].read_bytes())
                    library.answer([digest], arguments.new, "chosen", None, uuid.uuid4().hex)
                done = learn(copy, library, language("en"))
                library.close()
                model = mirante.load(copy)
                named = [model.predict(path).nearest == arguments.new for path in jury] if done.adopted else [False]
                row = done.before / done.unseen, done.after / done.unseen, float(np.mean(named))
                found[count].append(row)
                print(f"seed {seed}, {count} photos: {row}, in use: {done.adopted}", flush=True)
    print("\n| photos of the new class | old classes right, before | after | photos of the new class named |")
    print("|--:|--:|--:|--:|")
    for count, rows in found.items():
        means = np.mean(rows, axis=0)
        print(f"| {count} | " + " | ".join(f"{100 * one:.1f}%" for one in means) + " |")


if __name__ == "__main__":
    main()
