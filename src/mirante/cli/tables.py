"""Results on stdout: as a table for people, as JSON or CSV for programs."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Sequence
from typing import Any

from mirante.files import to_json
from mirante.locale import Language, language


def print_rows(rows: Sequence[dict[str, Any]], form: str, lang: str | None) -> None:
    """Print dictionaries with the same keys as one JSON list or as CSV (nothing if there are no rows)."""
    if form == "json":
        print(to_json(list(rows)))
        return
    if not rows:
        return
    writer = Writer(form, language(lang))
    writer.row(list(rows[0]))
    for row in rows:
        writer.row(list(row.values()))


class Writer:
    """Writes CSV to stdout: as programs read it, or as Excel opens it, whose separator and decimal sign follow the language."""

    def __init__(self, form: str, say: Language) -> None:
        excel = form == "excel"
        self._decimal_comma = excel and say.code == "pt"
        self._writer = csv.writer(sys.stdout, delimiter=";" if self._decimal_comma else ",", lineterminator="\n")
        if excel:  # without the mark, Excel does not take a file for UTF-8
            sys.stdout.write("\ufeff")

    def row(self, cells: Sequence[Any]) -> None:
        """Write a row; numbers, also those that are text already, get the sign of the language."""
        self._writer.writerow([self._localised(cell) for cell in cells] if self._decimal_comma else cells)

    def _localised(self, cell: Any) -> Any:
        if isinstance(cell, float) or (isinstance(cell, str) and re.fullmatch(r"-?\d+\.\d+(e-?\d+)?", cell)):
            return str(cell).replace(".", ",")
        return cell


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], numbers_from: int = 1, title: str = "") -> None:
    """Print a table with columns as wide as they need; those from `numbers_from` on are right-aligned.

    Where the terminal is too narrow for the words, each row is printed as lines of its own.
    """
    from rich import box
    from rich.cells import cell_len
    from rich.markup import escape
    from rich.table import Table

    shown = console()
    widths = [
        max(cell_len(word) for cell in column for word in [*cell.split(), ""])
        for column in zip(header, *rows, strict=True)
    ]
    if sum(widths) + 3 * len(widths) >= shown.width:
        lines = (zip(header, row, strict=True) for row in rows)
        told = ["\n".join(f"{name}: {cell}" for name, cell in row if cell) for row in lines]
        print("\n\n".join([title, *told] if title else told))
        return
    table = Table(box=box.SIMPLE_HEAD, title=escape(title) or None, title_justify="left", title_style="bold")
    for place, name in enumerate(header):
        table.add_column(escape(name), justify="right" if place >= numbers_from else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    shown.print(table)


def console() -> Any:
    """Return a console on stdout; when stdout is not a terminal, lines may be up to 160 characters."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=160, highlight=False)
