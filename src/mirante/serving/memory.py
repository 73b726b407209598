"""How many pixels the server decodes at once, so that many large images do not take the memory of all of them together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class DecodedAtOnce:
    """A number of pixels that may be decoded at the same time; an image waits until there is room for it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._changed = threading.Condition()

    @contextmanager
    def of(self, pixels: int) -> Iterator[None]:
        """Wait for the room of an image of so many pixels, and keep it. A larger one than the most waits until it is alone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + pixels <= self._most)
            self._held += pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()
