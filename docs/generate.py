"""Write what is generated: docs/command-line.md from the program's own help, and the pictures of the READMEs.

python docs/generate.py            write both (the pictures need a browser)
python docs/generate.py --check    only say whether docs/command-line.md is what the program says
"""

from __future__ import annotations

import argparse
import csv
import functools
import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "command-line.md"
PAGE_WIDTH = 1000


def command_line() -> str:
    """Return the reference: the help of every verb, as the program prints it on 100 columns."""
    os.environ["COLUMNS"] = "100"
    from mirante.cli import make_parser

    parser = make_parser()
    (verbs,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    parts = [
        "# The command line",
        "Written by `make docs` from the program itself; a test fails when it is out of date.",
        "Exit status: 0 done, 1 the work failed, 2 the request was wrong, 130 stopped by Ctrl-C.",
        f"```text\n{parser.format_help()}```",
    ]
    for name, verb in verbs.choices.items():
        parts.append(f"## mirante {name}\n\n```text\n{verb.format_help()}```")
        for action in verb._actions:
            if isinstance(action, argparse._SubParsersAction):
                parts += [f"```text\n{kind.format_help()}```" for kind in action.choices.values()]
    return "\n\n".join(parts) + "\n"


def accuracy_for_time() -> None:
    """Draw docs/images/accuracy-for-time-*.png, in both languages, from what benchmarks/budgets.py measured."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    from mirante.evaluation.plots.style import BLUE, GREY, RED, new_figure, tidy
    from mirante.locale import language

    points: dict[str, list[tuple[float, float]]] = {}
    with (ROOT / "benchmarks" / "accuracy-for-time.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            points.setdefault(row["side"], []).append((float(row["seconds"]), float(row["accuracy"])))
    # of each side: its colour and marker, and where its name stands beside which of its points
    looks: dict[str, tuple[str, str, int, str, tuple[int, int]]] = {
        "Mirante": (BLUE, "o", -1, "right", (0, 9)),
        "Keras": ("black", "D", 0, "left", (0, -16)),
        "fastai": (GREY, "^", -1, "left", (14, -3)),
        "Ultralytics": (RED, "s", -1, "left", (10, -4)),
    }
    words = {
        "en": ("seconds of training, on two CPU cores", "test accuracy, CIFAR-10 (JPEG copy)", {}),
        "pt": (
            "segundos de treino, em dois núcleos de CPU",
            "acurácia no teste, CIFAR-10 (cópia em JPEG)",
            {", from nothing": ", do zero", "Keras, the tutorial's CNN": "Keras, a CNN do tutorial"},
        ),
    }
    for code, (below, beside, translated) in words.items():
        say = language(code)
        figure = new_figure(7.5, 4.2)
        axes = figure.subplots()
        for side, found in points.items():
            colour, marker, at, anchor, offset = looks[re.split(r"[ ,]", side)[0]]
            found = sorted(found)
            axes.plot(*zip(*found, strict=True), color=colour, marker=marker, markersize=5)
            name = functools.reduce(lambda text, pair: text.replace(*pair), translated.items(), side)
            axes.annotate(name, found[at], offset, textcoords="offset points", ha=anchor, color=colour, fontsize=9)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator([15, 30, 60, 120, 300, 600]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _, say=say: say.percent(value, 0)))
        axes.set_xlim(12, 1000)
        axes.set_xlabel(below)
        axes.set_ylabel(beside)
        tidy(axes)
        figure.savefig(ROOT / "docs" / "images" / f"accuracy-for-time-{code}.png", dpi=110)


def questions() -> None:
    """Draw docs/images/questions-en.png from what benchmarks/photos.py measured."""
    from matplotlib.ticker import MultipleLocator

    from mirante.evaluation.plots.style import BLUE, GREY, RED, new_figure, tidy
    from mirante.locale import language

    say = language("en")
    curves: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    with (ROOT / "benchmarks" / "questions.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            values = tuple(float(row[name]) for name in ("answers", "accuracy", "least", "most"))
            curves.setdefault((row["way"], row["wrong_answers"]), []).append(values)
    colours = {"random": GREY, "chosen": BLUE, "chosen, every click counted": RED}
    figure = new_figure(9, 3.8)
    panels = figure.subplots(1, 2, sharey=True)
    titles = {"0.0": "every answer right", "0.05": "5% of the answers wrong"}
    for axes, (wrong, title) in zip(panels, titles.items(), strict=True):
        for way, colour in colours.items():
            answers, mean, least, most = zip(*curves[way, wrong], strict=True)
            axes.plot(answers, mean, color=colour, label=way)
            axes.fill_between(answers, least, most, color=colour, alpha=0.12, linewidth=0)
        axes.set_title(title)
        axes.set_xlabel("answers")
        axes.yaxis.set_major_locator(MultipleLocator(0.05))
        axes.yaxis.set_major_formatter(lambda value, _: say.percent(value, 0))
        tidy(axes)
    panels[0].set_ylabel("accuracy on photos kept out")
    panels[0].legend(frameon=False, fontsize=8)
    figure.savefig(ROOT / "docs" / "images" / "questions-en.png", dpi=110)


def pictures() -> None:
    """Take docs/images/report-*.png of the report that `mirante demo` writes, in both languages."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    sys.path.insert(0, str(ROOT / "tests"))
    from browser import ARGUMENTS, find_browser

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=list(ARGUMENTS))
        for language in ("en", "pt"):
            run = Path(folder) / language / "digits-tutorial"
            words = ["demo", "--out", str(run), "--lang", language]
            subprocess.run([sys.executable, "-m", "mirante", *words], check=True, capture_output=True)
            page = browser.new_page(viewport={"width": PAGE_WIDTH, "height": 800}, color_scheme="light")
            page.goto((run / "report.html").as_uri())
            tops = [page.locator(where).bounding_box() for where in ("header", "figure:has(img) >> nth=2")]
            whole = Image.open(io.BytesIO(page.screenshot(full_page=True)))
            first, answers = (int(box["y"]) for box in tops if box)
            sheet = Image.new("RGB", (2 * PAGE_WIDTH, 1100), "white")
            sheet.paste(whole.crop((0, first - 20, PAGE_WIDTH, first + 1080)), (0, 0))
            sheet.paste(whole.crop((0, answers - 20, PAGE_WIDTH, answers + 1080)), (PAGE_WIDTH, 0))
            small = sheet.resize((1400, 770), Image.Resampling.LANCZOS).quantize(128)
            target = ROOT / "docs" / "images" / f"report-{language}.png"
            target.parent.mkdir(exist_ok=True)
            small.save(target, optimize=True)
        browser.close()


if __name__ == "__main__":
    if "--check" in sys.argv:
        if REFERENCE.read_text(encoding="utf-8") != command_line():
            sys.exit("docs/command-line.md is not what the program says: run `make docs`.")
    else:
        REFERENCE.write_text(command_line(), encoding="utf-8")
        accuracy_for_time()
        questions()
        pictures()
