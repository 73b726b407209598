"""What a person sees while it trains: a line that is rewritten in a terminal, one line an epoch everywhere."""

from __future__ import annotations

import sys
import time

from mirante.training.checkpoint import Progress
from mirante.training.history import Epoch


class LiveLine:
    """Prints to stderr. Speeds in images a second, times in seconds."""

    def __init__(self, epochs: int, images: int) -> None:
        """epochs: how many there will be, 0 where the clock decides."""
        self._epochs, self._images = epochs, images
        self._terminal = sys.stderr.isatty()
        self._started = self._shown = time.monotonic()
        self._seen = self._before = 0

    def step(self, progress: Progress, left: float) -> None:
        """Show where a training stands that has so many seconds left."""
        if progress.images < self._before:
            self._before = 0
        self._seen += progress.images - self._before
        self._before = progress.images
        now = time.monotonic()
        if not self._terminal or now - self._shown < 0.2:
            return
        self._shown = now
        self._write(
            f"epoch {self._of(progress.epoch + 1)}  {100 * progress.images // self._images:3d}%  "
            f"{self._seen / (now - self._started):,.0f} images/s  loss {progress.loss_sum / progress.images:.3f}  "
            f"accuracy {progress.correct / progress.images:.1%}  {_clock(left)} left"
        )

    def epoch(self, done: Epoch, seconds: float, watch: str) -> None:
        """Print the line of a finished epoch that took `seconds`; `watch` names the images of val_loss."""
        self._write("")
        line = f"epoch {self._of(done.epoch)}  {seconds:6.1f} s"
        line += f"  train loss {done.train_loss:.4f}  accuracy {done.train_accuracy:6.2%}"
        if done.val_loss is not None and done.val_accuracy is not None:
            line += f"  {watch} loss {done.val_loss:.4f}  accuracy {done.val_accuracy:6.2%}"
        print(line, file=sys.stderr, flush=True)

    def _of(self, epoch: int) -> str:
        return f"{epoch:>{len(str(self._epochs))}}/{self._epochs}" if self._epochs else f"{epoch:3d}"

    def _write(self, text: str) -> None:
        if self._terminal:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
