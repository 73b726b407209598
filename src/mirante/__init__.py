"""Mirante trains image classifiers on your own images and says how far each probability can be trusted.

    import mirante

    run = mirante.train("photos", epochs=5, out="runs/pets")
    print(run.metrics.accuracy, run.report)
    print(mirante.load("runs/pets").predict("new.jpg").label)

Each name is imported when it is first used, so that `import mirante` costs nothing. Log messages go to the logger
`mirante`; `logging.basicConfig(level="INFO")` shows it.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

from mirante.privacy import tell_off

if TYPE_CHECKING:
    from mirante.data.dataset import Dataset as Dataset
    from mirante.data.entries import Skipped as Skipped
    from mirante.errors import DataError as DataError
    from mirante.errors import ImageError as ImageError
    from mirante.errors import LayersError as LayersError
    from mirante.errors import MiranteError as MiranteError
    from mirante.errors import RequestError as RequestError
    from mirante.errors import RunError as RunError
    from mirante.errors import WorkError as WorkError
    from mirante.evaluation.figure import Figure as Figure
    from mirante.evaluation.figure import Metrics as Metrics
    from mirante.experiment.check import check as check
    from mirante.experiment.compare import compare as compare
    from mirante.experiment.evaluate import Evaluation as Evaluation
    from mirante.experiment.evaluate import evaluate as evaluate
    from mirante.experiment.model_versions import adopt as adopt
    from mirante.experiment.model_versions import rollback as rollback
    from mirante.experiment.model_versions import versions as versions
    from mirante.experiment.train import resume as resume
    from mirante.experiment.train import train as train
    from mirante.experiment.tune import tune as tune
    from mirante.exports.export import export as export
    from mirante.model.summary import summary as summary
    from mirante.monitoring.monitor import monitor as monitor
    from mirante.photos.organise import organise as organise
    from mirante.prediction.model import Model as Model
    from mirante.prediction.model import load as load
    from mirante.predictions import Predictions as Predictions
    from mirante.run import Run as Run
    from mirante.tasks.classify.prediction import Prediction as Prediction
    from mirante.tasks.read.reading import Reading as Reading
    from mirante.technical_file.write import dossier as dossier
    from mirante.training.recipe import Recipe as Recipe

__version__ = version("mirante")

_HOMES = {
    "DataError": "mirante.errors",
    "Dataset": "mirante.data.dataset",
    "Evaluation": "mirante.experiment.evaluate",
    "Figure": "mirante.evaluation.figure",
    "ImageError": "mirante.errors",
    "LayersError": "mirante.errors",
    "Metrics": "mirante.evaluation.figure",
    "MiranteError": "mirante.errors",
    "Model": "mirante.prediction.model",
    "Prediction": "mirante.tasks.classify.prediction",
    "Predictions": "mirante.predictions",
    "Reading": "mirante.tasks.read.reading",
    "Recipe": "mirante.training.recipe",
    "RequestError": "mirante.errors",
    "Run": "mirante.run",
    "RunError": "mirante.errors",
    "Skipped": "mirante.data.entries",
    "WorkError": "mirante.errors",
    "adopt": "mirante.experiment.model_versions",
    "check": "mirante.experiment.check",
    "compare": "mirante.experiment.compare",
    "dossier": "mirante.technical_file.write",
    "evaluate": "mirante.experiment.evaluate",
    "export": "mirante.exports.export",
    "load": "mirante.prediction.model",
    "monitor": "mirante.monitoring.monitor",
    "organise": "mirante.photos.organise",
    "resume": "mirante.experiment.train",
    "rollback": "mirante.experiment.model_versions",
    "see": "mirante.see",
    "summary": "mirante.model.summary",
    "train": "mirante.experiment.train",
    "tune": "mirante.experiment.tune",
    "versions": "mirante.experiment.model_versions",
}

tell_off()

__all__ = [*_HOMES]  # noqa: PLE0604 (each is a name above)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'mirante' has no attribute {name!r}")
    try:
        module = import_module(_HOMES[name])
    except ModuleNotFoundError as error:
        from mirante.errors import explained

        if known := explained(error):
            raise known from error
        raise
    return module if name == "see" else getattr(module, name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
