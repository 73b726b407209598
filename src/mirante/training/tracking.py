"""Where teams follow training runs: TensorBoard, MLflow or Weights & Biases, through their own libraries, if installed.

Each gets the recipe, every epoch, and at the end the figures of the test images. Where their servers are is up to them
(MLFLOW_TRACKING_URI, WANDB_MODE and the like); a failing tracker is reported once, and training goes on without it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mirante.errors import RequestError
from mirante.training.history import Epoch
from mirante.training.recipe import Recipe

TRACKERS = ("tensorboard", "mlflow", "wandb")
_EPOCH = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr")
_FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "brier", "ece")


@dataclass(frozen=True)
class Tracker:
    """What a training reports: `log` takes the values of an epoch, by name, or those of the test images after the last one."""

    log: Callable[[dict[str, float], int | None], None]

    def epoch(self, epoch: Epoch) -> None:
        """Report an epoch."""
        values = {name: getattr(epoch, name) for name in _EPOCH}
        self.log({name: value for name, value in values.items() if value is not None}, epoch.epoch)

    def finish(self, metrics: Mapping[str, Any]) -> None:
        """Report the figures of the test images."""
        self.log({f"test_{name}": metrics[name]["value"] for name in _FIGURES if name in metrics}, None)


def require_trackers(names: Sequence[str]) -> None:
    """Raise RequestError for a tracker that is unknown or not installed."""
    for name in names:
        if name not in TRACKERS:
            raise RequestError(f"--track {name}: must be one of {', '.join(TRACKERS)}.")
        if find_spec(name) is None:
            raise RequestError(f"--track {name} needs one more package; pip install {name}.")


@contextmanager
def tracking(run: Path, names: Sequence[str], recipe: Recipe) -> Iterator[Tracker]:
    """Yield a tracker that reports to all of them, and close them at the end."""
    start = {"tensorboard": _tensorboard, "mlflow": _mlflow, "wandb": _wandb}
    with ExitStack() as stack:
        logs = {}
        for name in names:
            try:
                logs[name] = stack.enter_context(start[name](run, recipe))
            except Exception as error:  # its server, its account, its disk: none of that may stop a training
                _leave_out(name, error)

        def log(values: dict[str, float], step: int | None) -> None:
            for name in list(logs):
                try:
                    logs[name](values, step)
                except Exception as error:
                    del logs[name]
                    _leave_out(name, error)

        yield Tracker(log)


def _leave_out(name: str, error: Exception) -> None:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    logging.getLogger("mirante").warning(f"--track {name}: left out from now on ({reason}).")


Log = Callable[[dict[str, float], int | None], None]


@contextmanager
def _tensorboard(run: Path, recipe: Recipe) -> Iterator[Log]:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(run / "tensorboard")) as writer:
        writer.add_text("recipe", "\n".join(f"    {name} = {value}" for name, value in recipe.to_dict().items()))

        def log(values: dict[str, float], step: int | None) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, step)

        yield log


@contextmanager
def _mlflow(run: Path, recipe: Recipe) -> Iterator[Log]:
    import mlflow

    with mlflow.start_run(run_name=run.name):
        mlflow.log_params({name: value for name, value in recipe.to_dict().items() if name != "sizes"})
        yield lambda values, step: mlflow.log_metrics(values, step=step)


@contextmanager
def _wandb(run: Path, recipe: Recipe) -> Iterator[Log]:
    import wandb

    with wandb.init(project="mirante", name=run.name, dir=str(run), config=recipe.to_dict()) as opened:

        def log(values: dict[str, float], step: int | None) -> None:
            if step is None:
                opened.summary.update(values)
            else:
                opened.log(values, step=step)

        yield log
