"""How far a training has come, from 0 to 1: by its steps, or by the clock where the recipe gives it seconds."""

from __future__ import annotations

import math

from mirante.training.recipe import Recipe

_SMOOTHING = 0.1
_LEAST_STEPS, _LEAST_BATCH = 8, 32  # few images come in batches small enough for this many steps per epoch


class Schedule:
    """Says for each step its learning rate, whether it sees images at the smaller size, and after which step training is over.

    By steps the answers are the same in every run. By the clock they follow the time that steps really take, so that the
    learning rate reaches its end when the seconds do, even on a machine that slows down.
    """

    def __init__(self, recipe: Recipe, images: int, reserve: float = 0.0) -> None:
        """reserve: the seconds, out of the recipe's, that are reserved for measuring at the end."""
        self._recipe = recipe
        few = min(_LEAST_STEPS, math.ceil(images / _LEAST_BATCH))
        self.steps = max(few, math.ceil(images / recipe.batch_size))  # an epoch
        self.epochs = 0 if recipe.seconds else max(recipe.epochs, math.ceil(recipe.min_steps / self.steps))
        self._limit = max(recipe.seconds - reserve, recipe.seconds / 2)
        self._step_seconds = 0.0

    def took(self, seconds: float) -> None:
        """Take note of what one step took."""
        known = self._step_seconds or seconds
        self._step_seconds = known + _SMOOTHING * (seconds - known)

    def share(self, step: int, seconds: float) -> float:
        """Return the share at the middle of a step that begins after this many steps and seconds."""
        if self._recipe.seconds:
            return min(1.0, (seconds + self._step_seconds / 2) / self._limit)
        return (step + 0.5) / (self.epochs * self.steps)

    def over(self, step: int, seconds: float) -> bool:
        """Tell whether no step is left after this many steps and seconds."""
        if self._recipe.seconds:
            return step > 0 and seconds + self._step_seconds / 2 >= self._limit
        return step >= self.epochs * self.steps

    def left(self, step: int, seconds: float) -> float:
        """Return roughly how many seconds are left."""
        if self._recipe.seconds:
            return max(0.0, self._limit - seconds)
        return (self.epochs * self.steps - step) * self._step_seconds


def learning_rate(recipe: Recipe, share: float) -> float:
    """Return the learning rate at a share of the training, from 0 to 1."""
    if recipe.schedule == "constant":
        return recipe.learning_rate
    rising = share / recipe.warmup if recipe.warmup else 1.0
    falling = (1 - share) / (1 - recipe.warmup) if recipe.warmup < 1 else 1.0
    return recipe.learning_rate * min(rising, falling)
