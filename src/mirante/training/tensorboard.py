"""TensorBoard events of a training, for those who have it installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from mirante.errors import RequestError
from mirante.training.history import Epoch


def require_tensorboard() -> None:
    """Raise RequestError unless tensorboard is installed."""
    if find_spec("tensorboard") is None:
        raise RequestError("--tensorboard needs one more package; pip install 'mirante[tensorboard]'.")


@contextmanager
def tensorboard_events(run: Path, wanted: bool) -> Iterator[Callable[[Epoch], None] | None]:
    """Give what writes an epoch to the run's event file, or None when it is not wanted."""
    if not wanted:
        yield None
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(run / "tensorboard")) as writer:

        def report(epoch: Epoch) -> None:
            for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr"):
                if (value := getattr(epoch, name)) is not None:
                    writer.add_scalar(name, value, epoch.epoch)

        yield report
