"""What a person sees during training: a line that is rewritten in a terminal, and one line per epoch everywhere.

The same figures go to steps.csv in the checkpoint folder, at most four times a second, for those who watch from outside.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mirante.progress import in_words, shows_progress
from mirante.training.history import Epoch

if TYPE_CHECKING:  # a page that only reads steps does not load torch
    from mirante.training.checkpoint import Progress

STEPS = "steps.csv"
_SECONDS = 0.25


class ProgressLine:
    """Writes to stderr, and logs each epoch. Speeds in images per second, times in seconds."""

    def __init__(self, epochs: int, images: int, folder: Path) -> None:
        """epochs: how many there will be, 0 where the clock decides; folder: of the checkpoint."""
        self._steps = folder / STEPS
        self._epochs, self._images = epochs, images
        self._terminal = shows_progress()
        self._started = self._shown = time.monotonic()
        self._seen = self._before = 0

    def step(self, progress: Progress, left: float) -> None:
        """Show the progress of a training that has `left` seconds to go."""
        if progress.images < self._before:
            self._before = 0
        self._seen += progress.images - self._before
        self._before = progress.images
        now = time.monotonic()
        if now - self._shown < _SECONDS:
            return
        self._shown = now
        self._note(progress, left)
        if not self._terminal:
            return
        told = in_words(
            f"epoch {self._of(progress.epoch + 1)}  {100 * progress.images // self._images:3d}%  "
            f"{self._seen / (now - self._started):,.0f} images/s  loss {progress.loss_sum / progress.images:.3f}  "
            f"accuracy {progress.correct / progress.images:.1%}  {_clock(left)} left"
        )
        self._write(told)

    def epoch(self, done: Epoch, seconds: float, watch: str) -> None:
        """Print the line of a finished epoch that took `seconds`; `watch` names the images of val_loss."""
        self._write("")
        line = f"epoch {self._of(done.epoch)}  {seconds:6.1f} s"
        line += f"  train loss {done.train_loss:.4f}  accuracy {done.train_accuracy:6.2%}"
        if done.val_loss is not None and done.val_accuracy is not None:
            line += f"  {watch} loss {done.val_loss:.4f}  accuracy {done.val_accuracy:6.2%}"
        logging.getLogger("mirante").info(line)

    def _note(self, progress: Progress, left: float) -> None:
        share = progress.seconds / (progress.seconds + left) if progress.seconds + left > 0 else 0.0
        figures = (progress.seconds, share, progress.loss_sum / progress.images, progress.correct / progress.images)
        try:
            with self._steps.open("a", encoding="utf-8") as file:
                file.write(",".join(f"{one:.5g}" for one in figures) + "\n")
        except OSError:
            pass  # training does not stop because nobody can watch; a full disk is reported where it matters

    def _of(self, epoch: int) -> str:
        return f"{epoch:>{len(str(self._epochs))}}/{self._epochs}" if self._epochs else f"{epoch:3d}"

    def _write(self, text: str) -> None:
        if self._terminal:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def read_steps(folder: Path) -> list[tuple[float, float, float, float]]:
    """Return (seconds, share of the whole from 0 to 1, loss and accuracy of the epoch so far), oldest first."""
    try:
        lines = (folder / STEPS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    found = []
    for line in lines:
        parts = line.split(",")
        try:
            seconds, share, loss, accuracy = (float(part) for part in parts)
        except ValueError:
            continue  # a line still being written
        found.append((seconds, share, loss, accuracy))
    return found


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
