"""Build the book: the guides, the reference and the course, in English and Portuguese, as pages that need no server.

python docs/book/build.py                       everything into build/book; open build/book/index.html
python docs/book/build.py --chapters 03-convolution --lang pt
python docs/book/build.py --repository OWNER/NAME    with links to Colab and Kaggle, which fetch from its branch gh-pages

A chapter of the course is one file, docs/course/NN-name.md, in MyST's format for notebooks. Its text cells say their language;
its code stands once. Notebooks are executed from a clean kernel, all of a language in one folder, where a later chapter
finds the runs of an earlier one. Images that are at hand are taken from the archives in MIRANTE_TEST_DATA; otherwise digits serve.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[2]
DOCS, COURSE = ROOT / "docs", ROOT / "docs" / "course"
LANGUAGES = ("en", "pt")
ARCHIVES = {"cifar10": "cifar10-images.tar.xz", "x-rays": "chest-xray-320.tar.xz", "photos": "flowers-128.tar.xz"}
GUIDES = {
    "use": "data recipes layers see studio photos reading tags grades-and-trees films serve monitor export machines",
    "trust": "trust limits reliability privacy dossier",
    "reference": "command-line python run-folder glossary design",
}
BEYOND = (
    "CHANGELOG.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CODE_OF_CONDUCT.md",
    "benchmarks/RESULTS.md",
)  # linked from the guides
SENTENCES: dict[str, dict[str, str]] = json.loads(
    (Path(__file__).parent / "sentences.json").read_text(encoding="utf-8")
)
CELL_SECONDS = 1800
_AMENDED = {
    'class="caption" role="heading"': 'class="caption" role="heading" aria-level="2"',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="{chapters}">',
    '<aside class="toc-drawer': '<aside aria-label="{sections}" class="toc-drawer',
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
    '<th class="head"><p></p></th>': "<td></td>",
    '<div id="search-results">': '<h1>{search}</h1>\n<div id="search-results">',
}
"""What screen readers and keyboards miss in the theme's pages: levels of headings, names of landmarks, code that scrolls."""


def chapters() -> list[Path]:
    """Return the course's chapters, in their order."""
    return sorted(COURSE.glob("[0-9][0-9]-*.md"))


def notebook(chapter: Path, lang: str, repository: str | None = None) -> nbformat.NotebookNode:
    """Return a chapter as a notebook in one language, without outputs: the texts of that language, the setup, the answers."""
    say = SENTENCES[lang]
    source = jupytext.reads(chapter.read_text(encoding="utf-8"), fmt="md:myst")
    cells: list[nbformat.NotebookNode] = []
    for cell in source.cells:
        told = cell.metadata.pop("lang", None)
        if told not in (None, lang):
            continue
        if cell.cell_type == "markdown" and told is None:
            raise ValueError(f'{chapter}: a text cell without +++ {{"lang": "…"}}: {cell.source[:60]!r}')
        solution = cell.metadata.pop("solution", None)
        cells.append(cell)
        if len(cells) == 1:
            cell.source += f"\n\n{_ways_to_open(chapter, lang, repository)}"
            cells.append(nbformat.v4.new_code_cell(_setup(say, lang)))
        if solution is not None:
            text = f"<details>\n<summary>{say['answer']}</summary>\n\n```python\n{solution.strip()}\n```\n\n</details>"
            cells.append(nbformat.v4.new_markdown_cell(text))
            cell.metadata["mirante"] = {"solution": solution.strip()}
    made = nbformat.v4.new_notebook(cells=cells)
    made.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made.metadata["language_info"] = {"name": "python"}
    for number, cell in enumerate(made.cells):
        cell.id = f"cell-{number:02}"  # the same file each time
    return made


def _setup(say: dict[str, str], lang: str) -> str:
    return "\n".join(
        (
            f"# {say['setup']}",
            "import importlib.util, os",
            "",
            'if importlib.util.find_spec("mirante") is None:',
            '    %pip install --quiet "mirante[train]"',
            f'os.environ["MIRANTE_LANG"] = "{lang}"',
            "",
            "import mirante",
            "from mirante import course, see",
        )
    )


def _ways_to_open(chapter: Path, lang: str, repository: str | None) -> str:
    say, file = SENTENCES[lang], f"{chapter.stem}.ipynb"
    if repository is None:
        return say["download"].format(link=_file(file))
    path = f"{repository}/blob/gh-pages/{lang}/course/notebooks/{file}"
    raw = f"https://raw.githubusercontent.com/{repository}/gh-pages/{lang}/course/notebooks/{file}"
    return (
        f"[{say['open']} Colab](https://colab.research.google.com/github/{path}) · "
        f"[{say['open']} Kaggle](https://kaggle.com/kernels/welcome?src={raw}) · JupyterLab: {_file(file)}"
    )


def _file(name: str) -> str:
    return f'<a href="notebooks/{name}" download>{name}</a>'


def execute(made: nbformat.NotebookNode, folder: Path, images: Path) -> None:
    """Run every cell in a new kernel in this folder; raises CellExecutionError."""
    folder.mkdir(parents=True, exist_ok=True)
    # the program that stands beside this Python is the one that a cell's `!mirante` means
    paths = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    at_hand = os.path.relpath(images, folder)  # what is shown names no folder of this machine
    plain = {"PATH": paths, "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    environment = {**os.environ, **plain, "MIRANTE_COURSE_IMAGES": at_hand}
    client = NotebookClient(
        made, timeout=CELL_SECONDS, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=environment)


def unpack(images: Path) -> None:
    """Put what is at hand of the course's images into a folder, once."""
    images.mkdir(parents=True, exist_ok=True)
    at_hand = os.environ.get("MIRANTE_TEST_DATA")
    for name, archive in ARCHIVES.items():
        place = images / name
        if not at_hand or place.exists() or not (Path(at_hand) / archive).exists():
            continue
        part = images / f"{name}.part"
        shutil.rmtree(part, ignore_errors=True)
        with tarfile.open(Path(at_hand) / archive) as opened:
            opened.extractall(part, filter="data")
        (top,) = part.iterdir() if len(list(part.iterdir())) == 1 else (part,)
        top.rename(place)
        shutil.rmtree(part, ignore_errors=True)


def write_sources(lang: str, folder: Path) -> None:
    """Write the guides and the reference of one language, and the page that leads to all."""
    say = SENTENCES[lang]
    docs = folder / "docs"
    docs.mkdir(parents=True)
    for guide in " ".join(GUIDES.values()).split():
        (docs / f"{guide}.md").write_text(_guide(guide, lang), encoding="utf-8")
    shutil.copytree(DOCS / "images", docs / "images")
    for name in BEYOND:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    parts = [f"# Mirante\n\n{say['about']}"]
    parts.append(_contents(say["course"], [*(f"course/{chapter.stem}" for chapter in chapters()), "course/figures"]))
    parts += [_contents(say[kind], [f"docs/{name}" for name in names.split()]) for kind, names in GUIDES.items()]
    parts.append(_contents(say["project"], [name.removesuffix(".md") for name in BEYOND]))
    (folder / "index.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    (folder / "course").mkdir()
    figures = (COURSE / f"figures.{lang}.md").read_text(encoding="utf-8")
    (folder / "course" / "figures.md").write_text(figures, encoding="utf-8")


def _contents(title: str, pages: list[str]) -> str:
    listed = "\n".join(pages)
    return f"```{{toctree}}\n:maxdepth: 1\n:caption: {title}\n\n{listed}\n```"


def _guide(name: str, lang: str) -> str:
    """Return a guide as the book has it; links to code, which the book does not hold, become its name."""
    return re.sub(r"\[([^]]*)\]\((?:\.\./)+src/[^)]*\)", r"`\1`", _text(name, lang))


def _text(name: str, lang: str) -> str:
    if lang == "en" or name == "python":
        return (DOCS / f"{name}.md").read_text(encoding="utf-8")
    if name == "command-line":
        command = [sys.executable, str(DOCS / "generate.py"), "--print-command-line", lang]
        return subprocess.run(command, check=True, capture_output=True, text=True, encoding="utf-8").stdout
    text = (DOCS / "pt_BR" / f"{name}.md").read_text(encoding="utf-8")
    return re.sub(r"\]\(\.\./", "](", text)  # one folder up: there they stand beside the English ones


def pages(lang: str, source: Path, out: Path) -> None:
    """Let Sphinx write the pages of one language; a warning is an error."""
    code = {"en": "en", "pt": "pt_BR"}[lang]
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        "-c",
        str(Path(__file__).parent),
    ]
    subprocess.run([*command, "-D", f"language={code}", str(source), str(out)], check=True)
    for page in out.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        for written, better in _AMENDED.items():
            text = text.replace(written, better.format(**SENTENCES[lang]))
        page.write_text(text, encoding="utf-8")


def build(out: Path, languages: tuple[str, ...], only: list[str], repository: str | None, run_cells: bool) -> None:
    """Write the book into a folder."""
    images, work = out / "images", out / "work"
    unpack(images)
    for lang in languages:
        source = out / "source" / lang
        shutil.rmtree(source, ignore_errors=True)
        write_sources(lang, source)
        clean = source / "course" / "notebooks"
        clean.mkdir(parents=True)
        for chapter in chapters():
            made = notebook(chapter, lang, repository)
            nbformat.write(made, clean / f"{chapter.stem}.ipynb")
            if run_cells and (not only or chapter.stem in only):
                begun = time.monotonic()
                try:
                    execute(made, work / lang, images)
                except CellExecutionError as error:
                    raise SystemExit(f"{chapter}: {error}") from error
                print(f"{lang} {chapter.stem}: {time.monotonic() - begun:.0f} s", flush=True)
            nbformat.write(made, source / "course" / f"{chapter.stem}.ipynb")
        held = out / f"notebooks-{lang}"
        shutil.rmtree(held, ignore_errors=True)
        clean.rename(held)  # Sphinx would take them for pages
        pages(lang, source, out / lang)
        shutil.copytree(held, out / lang / "course" / "notebooks", dirs_exist_ok=True)
        shutil.rmtree(held)
    shutil.copy(Path(__file__).parent / "index.html", out / "index.html")
    shutil.rmtree(out / "jupyter_execute", ignore_errors=True)


def solutions(made: nbformat.NotebookNode) -> Iterator[tuple[Any, str]]:
    """Yield the cells of a notebook that are exercises, each with its solution."""
    for cell in made.cells:
        if held := cell.metadata.get("mirante"):
            yield cell, held["solution"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "book", help="the folder (default: build/book)")
    parser.add_argument("--lang", choices=LANGUAGES, help="one language only")
    parser.add_argument("--chapters", nargs="*", default=[], metavar="NAME", help="execute these only")
    parser.add_argument(
        "--repository", metavar="OWNER/NAME", help="where the book is published, on its branch gh-pages"
    )
    parser.add_argument("--no-execute", action="store_true", help="leave the notebooks without outputs")
    given = parser.parse_args()
    languages = (given.lang,) if given.lang else LANGUAGES
    build(given.out, languages, given.chapters, given.repository, not given.no_execute)
    print(given.out / "index.html")


if __name__ == "__main__":
    main()
