"""Results on stdout: as a table for people, as JSON or CSV for programs."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from typing import Any

from mirante.files import to_json


def print_rows(rows: Sequence[dict[str, Any]], form: str) -> None:
    """Print dictionaries with the same keys as one JSON list or as CSV (nothing if there are no rows)."""
    if form == "json":
        print(to_json(list(rows)))
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if not rows:
        return
    writer.writerow(rows[0].keys())
    writer.writerows(row.values() for row in rows)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers_from: int = 1, title: str = "") -> None:
    """Print a table with columns as wide as they need; those from `numbers_from` on are right-aligned."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=escape(title) or None, title_justify="left", title_style="bold")
    for place, name in enumerate(header):
        table.add_column(escape(name), justify="right" if place >= numbers_from else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console().print(table)


def console() -> Any:
    """Return a console on stdout; when stdout is not a terminal, lines may be up to 160 characters."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=160, highlight=False)
