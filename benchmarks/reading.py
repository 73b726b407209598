"""How many whole codes are read rightly: 10,000 images of the `captcha` package, 5 of 36 characters, 1,000 of them never seen.

python benchmarks/reading.py [SECONDS]     as the package draws them by default, with dots and a curve, and without both
"""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from pathlib import Path

from record import record
from sides import MADE

LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
IMAGES, TESTED = 10_000, 1_000


def draw(folder: Path, noise: bool) -> Path:
    """Draw the images once, and write the table that says which ones are tested; return it."""
    from captcha.image import ImageCaptcha

    table = folder / "codes.csv"
    if table.exists():
        return table
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(0)
    texts: set[str] = set()
    while len(texts) < IMAGES:
        texts.add("".join(chance.choice(LETTERS) for _ in range(5)))
    order = sorted(texts)
    chance.shuffle(order)
    maker = ImageCaptcha(200, 60)
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "text", "split"])
        for number, text in enumerate(order):
            plain = maker.create_captcha_image  # without dots and curve
            image = maker.generate_image(text) if noise else plain(text, (40, 60, 120), (240, 245, 250))
            image.convert("L").save(folder / f"{text}.png")
            writer.writerow([f"{text}.png", text, "test" if number < TESTED else "train"])
    return table


def main(*words: str) -> None:
    time = ["--time", f"{words[0]}s"] if words else []
    lines = ["| images | training | whole codes right | letters | sure of | right, where sure | ECE |"]
    lines.append("|---|--:|--:|--:|--:|--:|--:|")
    for name, noise in (("with dots and curves", True), ("without", False)):
        table = draw(MADE / "images" / f"codes-{'noise' if noise else 'plain'}", noise)
        run = MADE / "run-codes"
        command = [sys.executable, "-m", "mirante", "train", str(table), "--task", "read", *time]
        subprocess.run([*command, "--out", str(run), "--overwrite", "--lang", "en"], check=True)
        seconds = float((run / "history.csv").read_text().splitlines()[-1].split(",")[2])
        found = json.loads((run / "metrics.json").read_text())
        shares = [
            f"{found['accuracy']['value']:.1%} ({found['accuracy']['low']:.1%} – {found['accuracy']['high']:.1%})"
        ]
        shares += [f"{found['letters']['accuracy']['value']:.2%}", f"{found['sure']['share']['value']:.1%}"]
        shares += [f"{found['sure']['accuracy']['value']:.1%}", f"{found['ece']['value']:.1%}"]
        lines.append(f"| {name} | {seconds:.0f} s | {' | '.join(shares)} |")
    length = f"{words[0]} s" if words else "30 epochs, the recipe's"
    record(f"Codes: {IMAGES:,} images of 5 out of 36 characters, {TESTED:,} of them tested ({length})", lines)


if __name__ == "__main__":
    main(*sys.argv[1:])
