"""A bar on stderr for anything that takes longer than a second; silent when stderr is not a terminal."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def shows_progress() -> bool:
    """Tell whether to show progress: stderr is a terminal, and the logger `mirante` shows INFO messages."""
    return sys.stderr.isatty() and logging.getLogger("mirante").isEnabledFor(logging.INFO)


def in_words(text: str) -> str:
    """Return a text as the log would show it, in its language."""
    for handler in logging.getLogger("mirante").handlers:
        if handler.formatter is not None and hasattr(handler.formatter, "code"):  # ours, which knows a language
            return handler.formatter.format(logging.makeLogRecord({"msg": text}))
    return text


def track(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items; after one second, show how many are done, how fast, and the time left if `total` is known."""
    if not shows_progress():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar: Progress | None = None
    started, count = time.monotonic(), 0
    try:
        for item in items:
            yield item
            count += 1
            if bar is None and time.monotonic() - started > 1:
                bar = Progress(
                    TextColumn("{task.description}"),
                    BarColumn(),
                    MofNCompleteColumn(),
                    TimeRemainingColumn(),
                    console=Console(stderr=True),
                    transient=True,
                )
                task = bar.add_task(in_words(description), total=total)
                bar.start()
            if bar is not None:
                bar.update(task, completed=count)
    finally:
        if bar is not None:
            bar.stop()
