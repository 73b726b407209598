"""Write what is generated: docs/command-line.md from the help, docs/python.md from the docstrings, the pictures of the READMEs.

python docs/generate.py            write both (the pictures need a browser)
python docs/generate.py --check    only say whether both pages are what the program says
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import functools
import inspect
import io
import os
import re
import subprocess
import sys
import tempfile
import typing
from pathlib import Path

ROOT = Path(__file__).parents[1]
REFERENCE, PYTHON = ROOT / "docs" / "command-line.md", ROOT / "docs" / "python.md"
PAGE_WIDTH = 1000


def command_line(lang: str = "en") -> str:
    """Return the reference: the help of every verb, as the program prints it on 100 columns."""
    os.environ["COLUMNS"] = "100"
    from mirante.cli import make_parser

    parser = make_parser(lang)
    (verbs,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    parts = [
        *COMMAND_LINE[lang],
        f"```text\n{parser.format_help()}```",
    ]
    for name, verb in verbs.choices.items():
        parts.append(f"## mirante {name}\n\n```text\n{verb.format_help()}```")
        for action in verb._actions:
            if isinstance(action, argparse._SubParsersAction):
                parts += [f"```text\n{kind.format_help()}```" for kind in action.choices.values()]
    return "\n\n".join(parts) + "\n"


COMMAND_LINE = {
    "en": (
        "# The command line",
        "Written by `make docs` from the program itself; a test fails when it is out of date.",
        "Exit status: 0 done, 1 the work failed, 2 the request was wrong, 130 stopped by Ctrl-C.",
    ),
    "pt": (
        "# A linha de comando",
        "Escrita pelo próprio programa, como `mirante VERBO --help --lang pt` a mostra.",
        "Estado de saída: 0 feito, 1 o trabalho falhou, 2 o pedido estava errado, 130 parado por Ctrl-C.",
    ),
}

SECTIONS = {
    "Train and judge": ("train", "resume", "evaluate", "compare", "tune", "check"),
    "Options by name": (
        "data.dataset.SourceOptions",
        "data.dataset.DataOptions",
        "experiment.options.RecipeOptions",
        "experiment.options.ObjectiveOptions",
    ),
    "Data and recipes": ("Dataset", "Recipe", "summary"),
    "A finished run": ("Run", "Evaluation", "Metrics", "Figure", "Predictions"),
    "Predict": ("load", "Model", "Prediction", "Reading", "Skipped"),
    "Hand over, and sort photos": ("export", "organise"),
    "scikit-learn": ("sklearn.ImageClassifier",),
    "Errors": ("MiranteError", "RequestError", "DataError", "ImageError", "LayersError", "RunError", "WorkError"),
}

PYTHON_START = """# Mirante in Python

Written by `make docs` from the docstrings; a test fails when it is out of date, and runs the examples.

```python
import mirante

# any field of the recipe and any option of the data, by name
run = mirante.train("photos", epochs=2, out="runs/by-hand", lang="en")
print(run.metrics.accuracy, run.metrics.ece.value)
print(run.predictions().right.mean(), run.report)

model = mirante.load("runs/by-hand")  # a run folder, or a model.onnx
print(model.predict("new-photo.jpg").label)
for answer in model.predict_many(["new-photo.jpg", "gone.jpg"], errors="skip"):
    print(answer)
print(model.predict_proba(["new-photo.jpg"]), model.classes_)
```

In a notebook, a `Dataset` shows images of every class, a `Run` its figures and curves, and an answer its bars, in a light page
or a dark one.

A `Dataset` can be looked at, changed and handed to `train`, which uses it as it is. It is what a torch `DataLoader` takes, too:

```python
from torch.utils.data import DataLoader

from mirante import Dataset

dataset = Dataset.open("photos", val_share=0.2)
print(len(dataset), dataset.counts())
image, target = dataset[0]  # uint8 (H, W, C), and the number of its class
images, targets = next(iter(DataLoader(dataset, batch_size=4)))
```

scikit-learn judges it like any other estimator:

```python
from pathlib import Path

from sklearn.model_selection import cross_val_score

from mirante.sklearn import ImageClassifier

paths = sorted(str(path) for path in Path("photos").rglob("*.png"))
labels = [Path(path).parent.name for path in paths]
print(cross_val_score(ImageClassifier(layers="8C3-MP2-16N", epochs=2), paths, labels, cv=2))
```

What goes on is logged, not printed: `logging.basicConfig(level="INFO")` shows it, and nothing is shown without.

Pictures that explain, `mirante.see`, have [a page of their own](see.md).
"""


def python_reference() -> str:
    """Return docs/python.md: every public name with its signature and docstring."""
    import importlib

    import mirante

    parts = [PYTHON_START.rstrip()]
    for title, names in SECTIONS.items():
        parts.append(f"## {title}")
        for name in names:
            owner, _, last = name.rpartition(".")
            found = getattr(importlib.import_module(f"mirante.{owner}") if owner else mirante, last)
            parts.append(_described(f"mirante.{name}", found))
    return "\n\n".join(parts) + "\n"


def _described(name: str, found: object) -> str:
    """Return a heading, the docstring, and those of the public methods and properties."""
    text = [f"### {name}", f"```text\n{_signed(name.rpartition('.')[2], found)}\n\n{inspect.getdoc(found)}\n```"]
    if inspect.isclass(found) and not issubclass(found, Exception):
        for member, value in vars(found).items():
            target = value.__func__ if isinstance(value, classmethod | staticmethod) else value
            if member.startswith("_") or not (inspect.isfunction(target) or isinstance(target, property)):
                continue
            if documented := inspect.getdoc(target):
                head = f".{member}" if isinstance(target, property) else _signed(f".{member}", target)
                text.append(f"```text\n{head}\n\n{documented}\n```")
    return "\n\n".join(text)


def _signed(name: str, found: object) -> str:
    """Return the name with its arguments, one per line where they are many."""
    if inspect.isclass(found) and (issubclass(found, Exception) or dataclasses.is_dataclass(found)):
        return name
    if inspect.isclass(found) and typing.is_typeddict(found):
        return name
    try:
        signature = inspect.signature(found)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return name
    values, star = [], False
    for key, one in signature.parameters.items():
        if key in ("self", "cls"):
            continue
        if one.kind is one.KEYWORD_ONLY and not star:
            values.append("*")
            star = True
        mark = {one.VAR_KEYWORD: "**", one.VAR_POSITIONAL: "*"}.get(one.kind, "")
        kind = "" if one.annotation is one.empty else f": {one.annotation}"
        values.append(f"{mark}{key}{kind}{'' if one.default is one.empty else f' = {one.default!r}'}")
    result = "" if signature.return_annotation is inspect.Signature.empty else f" -> {signature.return_annotation}"
    line = f"{name}({', '.join(values)}){result}"
    return line if len(line) <= 100 else f"{name}(\n    " + ",\n    ".join(values) + f",\n){result}"


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


def few_photos() -> None:
    """Draw docs/images/few-photos-*.png, in both languages, from what benchmarks/few_photos.py measured in a minute a training."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    from mirante.evaluation.plots.style import BLUE, GREY, RED, new_figure, tidy
    from mirante.locale import language

    found: dict[str, dict[int, list[float]]] = {}
    with (ROOT / "benchmarks" / "few-photos.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["set"] == "flowers-128" and row["seconds"] == "60":
                found.setdefault(row["side"], {}).setdefault(int(row["photos"]), []).append(1 - float(row["wrong"]))
    looks = {"Mirante": (BLUE, "o"), "fastai": (GREY, "^"), "AutoGluon": ("black", "D"), "Ultralytics": (RED, "s")}
    words = {
        "en": ("photos of each flower to learn from", "right answers about new photos", ", from nothing"),
        "pt": ("fotos de cada flor para aprender", "respostas certas sobre fotos novas", ", do zero"),
    }
    for code, (below, beside, alone) in words.items():
        say = language(code)
        figure = new_figure(7.5, 4.2)
        axes = figure.subplots()
        for side, points in found.items():
            colour, marker = looks[side]
            counts = sorted(points)
            means = [sum(points[count]) / len(points[count]) for count in counts]
            axes.plot(counts, means, color=colour, marker=marker, markersize=5)
            for count in counts:
                axes.vlines(count, min(points[count]), max(points[count]), color=colour, linewidth=1)
            name = side + alone * (side == "Ultralytics")
            axes.annotate(name, (counts[-1], means[-1]), (9, -3), textcoords="offset points", color=colour, fontsize=9)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator([5, 10, 20, 50, 100]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _, say=say: say.percent(value, 0)))
        axes.set_xlim(4, 400)
        axes.set_ylim(0.1, 0.8)
        axes.set_xlabel(below)
        axes.set_ylabel(beside)
        tidy(axes)
        figure.savefig(ROOT / "docs" / "images" / f"few-photos-{code}.png", dpi=110)


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
        for file, written in ((REFERENCE, command_line()), (PYTHON, python_reference())):
            if file.read_text(encoding="utf-8") != written:
                sys.exit(f"docs/{file.name} is not what the program says: run `make docs`.")
    elif "--print-command-line" in sys.argv:  # for the book
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        print(command_line(sys.argv[-1]), end="")
    else:
        REFERENCE.write_text(command_line(), encoding="utf-8")
        PYTHON.write_text(python_reference(), encoding="utf-8")
        accuracy_for_time()
        few_photos()
        questions()
        pictures()
