"""Mirante trains image classifiers on a person's own images and says how far each probability can be trusted.

    import mirante

    run = mirante.train("photos/", recipe="fast")
    print(run.accuracy, run.path / "report.html")
    print(run.classifier().predict("new.jpg").label)

Each name is imported when it is first used, so that `import mirante` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mirante.data.dataset import Dataset as Dataset
    from mirante.errors import MiranteError as MiranteError
    from mirante.experiment.evaluate import evaluate as evaluate
    from mirante.experiment.train import train as train
    from mirante.prediction.classifier import Classifier as Classifier
    from mirante.prediction.reader import Reader as Reader
    from mirante.training.recipe import Recipe as Recipe

__version__ = version("mirante")

_HOMES = {
    "Classifier": "mirante.prediction.classifier",
    "Dataset": "mirante.data.dataset",
    "MiranteError": "mirante.errors",
    "Reader": "mirante.prediction.reader",
    "Recipe": "mirante.training.recipe",
    "evaluate": "mirante.experiment.evaluate",
    "train": "mirante.experiment.train",
}

__all__ = ["Classifier", "Dataset", "MiranteError", "Reader", "Recipe", "evaluate", "train"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'mirante' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
