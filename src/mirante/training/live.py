"""What a person sees while it trains: a line that is rewritten in a terminal, one line an epoch everywhere."""

from __future__ import annotations

import sys
import time

from mirante.training.history import Epoch


class LiveLine:
    """Prints to stderr. Speeds in images a second, times in seconds."""

    def __init__(self, epochs: int, images: int) -> None:
        self._epochs, self._images = epochs, images
        self._terminal = sys.stderr.isatty()
        self._started = self._shown = time.monotonic()
        self._seen = 0

    def step(self, epoch: int, seen: int, batch: int, loss: float, accuracy: float) -> None:
        """Show the state after a step: `seen` images of this epoch, the epoch's mean loss and accuracy so far."""
        self._seen += batch
        now = time.monotonic()
        if not self._terminal or now - self._shown < 0.2:
            return
        self._shown = now
        speed = self._seen / (now - self._started)
        left = (self._epochs - epoch) * self._images + self._images - seen
        self._write(
            f"epoch {epoch}/{self._epochs}  {100 * seen // self._images:3d}%  {speed:,.0f} images/s  loss {loss:.3f}  "
            f"accuracy {accuracy:.1%}  {_clock(left / speed)} left"
        )

    def epoch(self, done: Epoch, seconds: float, watch: str) -> None:
        """Print the line of a finished epoch that took `seconds`; `watch` names the images of val_loss."""
        self._write("")
        line = f"epoch {done.epoch:>{len(str(self._epochs))}}/{self._epochs}  {seconds:6.1f} s"
        line += f"  train loss {done.train_loss:.4f}  accuracy {done.train_accuracy:6.2%}"
        if done.val_loss is not None and done.val_accuracy is not None:
            line += f"  {watch} loss {done.val_loss:.4f}  accuracy {done.val_accuracy:6.2%}"
        print(line, file=sys.stderr, flush=True)

    def _write(self, text: str) -> None:
        if self._terminal:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
