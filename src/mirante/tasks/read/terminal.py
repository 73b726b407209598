"""How readings look on a terminal and in CSV, and which figures are shown there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from mirante.files import to_json
from mirante.locale import Language
from mirante.tasks.read.reading import Reading

_LETTERS = 8  # in a line beside a picture


def csv_row(reading: Reading) -> dict[str, Any]:
    """Return a reading as the columns of CSV."""
    row = reading.to_dict()
    return {**row, "unsure": int(reading.unsure), "letters": to_json(row["letters"], None)}


def table_row(reading: Reading, say: Language) -> list[tuple[str, str]]:
    """Return (heading, cell) of each column."""
    letter, share = min(reading.letters, key=lambda one: one[1], default=("–", 0.0))
    least = f"{letter} ({say.confidence(share)})"
    return [
        (f"{say('Text'):<16}", f"{reading.text or '–':<16}"),
        (f"{say('Probability'):>13} ", f"{say.confidence(reading.confidence):>13} "),
        (f"{'':<8}", f"{say('unsure') if reading.unsure else '':<8}"),
        (f"{say('Least sure letter'):<20}", f"{least:<20}"),
    ]


def beside_picture(reading: Reading, say: Language) -> Text:
    """Return the text, and each letter with its probability."""
    lines = Text()
    lines.append(f"\n{reading.text or '–'}  {say.confidence(reading.confidence)}", style="bold blue")
    if reading.unsure:
        lines.append(f"  {say('unsure')}", style="bold red")
    for start in range(0, len(reading.letters), _LETTERS):
        told = (f"{letter} {say.confidence(share, 0)}" for letter, share in reading.letters[start : start + _LETTERS])
        lines.append("\n" + "   ".join(told), style="bright_black")
    return lines


def key_figures(metrics: Mapping[str, Any], say: Language) -> tuple[str, list[list[str]]]:
    """Return the title of the table, and name, value and interval of each figure."""
    figures = {
        say("Whole texts"): metrics["accuracy"],
        say("Letters"): metrics["letters"]["accuracy"],
        say("Calibration error (ECE)"): metrics["ece"],
        say("Answered without “unsure”"): metrics["sure"]["share"],
        say("Right when it was sure"): metrics["sure"]["accuracy"],
    }
    rows = [
        [name, say.percent(one["value"]), f"{say.percent(one['low'])} – {say.percent(one['high'])}"]
        for name, one in figures.items()
    ]
    return say("{count} test images", count=say.number(metrics["images"])), rows
