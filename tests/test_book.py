"""The book: each chapter in two languages from one source, every cell runs, every exercise knows its answer, pages need no server."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from conftest import Command

from mirante import course
from mirante.data.dataset import Dataset

sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "book"))
import build as book

CHAPTERS = book.chapters()
GUIDES = [name for name in " ".join(book.GUIDES.values()).split() if name not in ("command-line", "python")]


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.stem)
def test_a_chapter_says_the_same_in_both_languages(chapter: Path) -> None:
    english, portuguese = (book.notebook(chapter, lang) for lang in book.LANGUAGES)
    assert [cell.cell_type for cell in english.cells] == [cell.cell_type for cell in portuguese.cells]
    code = [[cell.source for cell in made.cells if cell.cell_type == "code"][1:] for made in (english, portuguese)]
    assert code[0] == code[1]  # but for the first, which sets the language
    texts = [[cell.source for cell in made.cells if cell.cell_type == "markdown"] for made in (english, portuguese)]
    for one, other in zip(*texts, strict=True):
        assert one != other or "```python" in one or one.startswith("$$")
        assert len(re.findall(r"(?m)^#", one)) == len(re.findall(r"(?m)^#", other))  # the same headings
        assert re.findall(r"\$\$.*\$\$", one) == re.findall(r"\$\$.*\$\$", other)  # the same formulas
    assert not any(cell.get("outputs") for made in (english, portuguese) for cell in made.cells)
    assert 'find_spec("mirante") is None' in english.cells[1].source and "%pip install" in english.cells[1].source


TOGETHER = ("01 02 03 04 05", "06 07 13", "08", "09", "10", "11", "12")
"""Chapters that need each other's runs, or that take moments."""


SHORTER = {r"\bepochs=\d+": "epochs=3", r"\btrain=\d+": "train=30"}
"""Every cell is run, and learns less: what it learns is in the book, which is built from the cells as they are."""


def test_no_chapter_is_forgotten() -> None:
    assert sorted(" ".join(TOGETHER).split()) == [chapter.stem[:2] for chapter in CHAPTERS]


@pytest.mark.parametrize("numbers", TOGETHER)
def test_every_cell_of_the_course_runs_and_every_exercise_knows_its_answer(tmp_path: Path, numbers: str) -> None:
    wrong = []
    for chapter in (chapter for chapter in CHAPTERS if chapter.stem[:2] in numbers.split()):
        made = book.notebook(chapter, "pt")
        exercises = list(book.solutions(made))
        assert exercises, chapter
        for cell, solution in exercises:
            solved = re.sub(r"(?m)^\w+ = \.\.\.$", lambda _, text=solution: text, cell.source, count=1)
            assert solved != cell.source, cell.source
            cell.source = solved
        for cell in made.cells:
            for long, short in SHORTER.items():
                cell.source = re.sub(long, short, cell.source)
        book.execute(made, tmp_path / "work", tmp_path / "no-images")  # raises where a cell fails
        for cell, _ in exercises:
            told = "".join(str(output.get("data", {}).get("text/plain", "")) for output in cell.outputs)
            if told != "Certo.":
                wrong.append(f"{chapter.stem}: {cell.source}\n{told}")
    assert not wrong, "\n\n".join(wrong)


def test_an_answer_is_right_wrong_or_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRANTE_LANG", "en")
    assert course.check(..., 3).right is None and "three dots" in repr(course.check(..., 3))
    for answer, right in ((900, 900), (0.333, 1 / 3), (" Red", "red"), ([1, 2], (1, 2)), (4, lambda told: told > 3)):
        assert course.check(answer, right).right, (answer, right)
    for answer, right in ((901.0 * 1.1, 900), ("red", 3), (None, 3), ([1], (1, 2)), ("blue", "red"), (True, "red")):
        assert course.check(answer, right).right is False, (answer, right)
    assert str(course.check(1, 2, hint="count again <b>")) == "Not yet. count again <b>"
    assert "&lt;b&gt;" in course.check(1, 2, hint="count again <b>")._repr_html_()


def test_images_of_the_course_are_those_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(course.IMAGES, raising=False)
    assert course.images("cifar10") == "cifar10"  # downloaded when it is opened
    assert len(Dataset.open(course.images("x-rays")).classes) == 2
    (tmp_path / "at-hand" / "cifar10").mkdir(parents=True)
    monkeypatch.setenv(course.IMAGES, str(tmp_path / "at-hand"))
    assert course.images("cifar10") == str(tmp_path / "at-hand" / "cifar10")
    few = course.some(Dataset.open("digits"), train=3, val=1, test=2)
    assert [len(few.rows(split)) for split in ("train", "val", "test")] == [30, 10, 20]
    written = course.codes(tmp_path / "codes", count=3, length=4)
    assert [len(file.stem.partition("_")[0]) for file in sorted(written.iterdir())] == [4, 4, 4]


def blocks(text: str) -> list[str]:
    """Return what is run or read by programs in a guide: its code, but not what stands for output or comments."""
    found = re.findall(r"```(?:sh|python|toml|ini|dockerfile)\n(.*?)```", text, re.DOTALL)
    return [re.sub(r"\s+#.*", "", block) for block in found]


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_in_portuguese_has_the_same_commands_and_sections(guide: str) -> None:
    english = (book.DOCS / f"{guide}.md").read_text(encoding="utf-8")
    portuguese = (book.DOCS / "pt_BR" / f"{guide}.md").read_text(encoding="utf-8")
    assert blocks(english) == blocks(portuguese)
    assert len(re.findall(r"(?m)^#+ ", english)) == len(re.findall(r"(?m)^#+ ", portuguese))
    options = [set(re.findall(r"`[^`\n]*?(--[a-z][a-z-]+)", text)) for text in (english, portuguese)]
    assert options[0] == options[1]
    if guide != "glossary":  # whose table has other columns
        assert english.count("\n| ") - portuguese.count("\n| ") in (0, 9)  # the figures of reliability stand once
    lines = [line for line in portuguese.split("\n") if not line.startswith("    ")]
    sentences = " ".join(re.sub(r"```.*?```|`[^`]*`", "", "\n".join(lines), flags=re.DOTALL).split())
    if guide != "glossary":  # which names the English terms
        assert not re.search(r"\b(the|which|with|from|that|and the|is not)\b", sentences)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the book without the outputs of its notebooks, which another test makes."""
    out = tmp_path_factory.mktemp("book")
    book.build(
        out, book.LANGUAGES, [], "someone/something", False
    )  # a warning of Sphinx, such as a broken link, is an error
    return out


def test_the_book_has_every_chapter_and_guide_in_both_languages_and_notebooks_to_open(pages: Path) -> None:
    for lang in book.LANGUAGES:
        index = (pages / lang / "index.html").read_text(encoding="utf-8")
        for chapter in CHAPTERS:
            assert f"course/{chapter.stem}.html" in index
            page = (pages / lang / "course" / f"{chapter.stem}.html").read_text(encoding="utf-8")
            assert f"colab.research.google.com/github/someone/something/blob/gh-pages/{lang}/course/notebooks" in page
            assert "kaggle.com/kernels/welcome" in page
            assert (pages / lang / "course" / "notebooks" / f"{chapter.stem}.ipynb").exists()
        for guide in (*GUIDES, "command-line", "python"):
            assert (pages / lang / "docs" / f"{guide}.html").exists()
    assert "uso: mirante train" in (pages / "pt" / "docs" / "command-line.html").read_text(encoding="utf-8")
    formula = (pages / "pt" / "course" / "03-convolution.html").read_text(encoding="utf-8")
    assert "<math" in formula and "MathJax" not in formula


def test_the_book_is_read_and_searched_from_disk_with_the_network_cut(pages: Path, browser) -> None:  # type: ignore[no-untyped-def]
    from axe_playwright_python.sync_playwright import Axe

    axe, asked, findings = Axe(), [], []
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.on("request", lambda request: asked.append(request.url))
        for name in ("pt/index", "pt/course/03-convolution", "en/docs/data", "pt/docs/command-line"):
            page.goto((pages / f"{name}.html").as_uri())
            found = axe.run(page).response["violations"]
            findings += [f"{name} {scheme}: {one['id']} {one['nodes'][0]['html'][:120]}" for one in found]
        page.goto((pages / "pt" / "search.html").as_uri() + "?q=convolução")
        page.wait_for_selector("#search-results li")
        assert "Convolução" in page.locator("#search-results").inner_text()
        page.close()
    assert all(address.startswith(("file:", "data:")) for address in asked)
    assert findings == []


def test_a_document_can_be_told_in_another_language_by_an_environment_variable(mirante: Command) -> None:
    assert "uso: mirante" in mirante("--help", MIRANTE_LANG="pt", LC_ALL="en_US.UTF-8").stdout
