"""Appends what a benchmark measured to RESULTS.md, with date, commit and machine."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"


def record(title: str, lines: list[str]) -> None:
    """Print the lines and append them under a heading."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=RESULTS.parent, capture_output=True, text=True, check=False
    ).stdout.strip()
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(": ")[2] if names else processor
    date = datetime.date.today().isoformat()
    head = (
        f"## {title}\n\n{date}, commit {commit or 'none'}, {os.cpu_count()} cores of {processor}, {platform.system()}\n"
    )
    text = "\n".join([head, *lines, ""])
    print(text)
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write("\n" + text)
