"""Objects in a notebook: what they show of themselves, in a light and in a dark page."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import write_shapes

import mirante as package
from mirante import Prediction
from mirante.tasks.read.reading import Reading
from mirante.tasks.tag.answer import Tags

ODD = "<script>alert(1)</script>"


class PageReader(HTMLParser):
    """Counts the tags, and gathers the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def shown(one: object) -> tuple[str, PageReader]:
    page = one._repr_html_()  # type: ignore[attr-defined]
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    return page, PageReader(page)


@pytest.mark.parametrize("lang", ["en_US.UTF-8", "pt_BR.UTF-8"])
def test_a_data_set_shows_images_of_every_class_and_a_run_its_figures_and_curves(
    shapes_run: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lang: str
) -> None:
    monkeypatch.setenv("LC_ALL", lang)
    data = write_shapes(tmp_path / "shapes", 20)
    (data / "bar" / "000.png").write_bytes(b"broken")
    page, read = shown(package.Dataset.open(data))
    assert read.found.count("img") == 24 and {"bar", "cross", "disc"} <= set(read.words)
    assert any("59" in word for word in read.words)
    run = package.Run(shapes_run[0])
    page, read = shown(run)
    assert read.found.count("svg") == 2 and read.found.count("tr") >= 3
    assert ("Acurácia" if lang.startswith("pt") else "Accuracy") in page
    accuracy = run.metrics["accuracy"]["value"]
    assert f"{100 * accuracy:.1f}%".replace(".", "," if lang.startswith("pt") else ".") in page


def test_an_answer_shows_its_bars_and_names_are_text(browser) -> None:  # type: ignore[no-untyped-def]
    names = ("cat", ODD, "dog")
    shares = np.array([0.7, 0.2, 0.1], np.float32)
    one = Prediction(names, shares)
    tags = Tags(names, shares, np.array([1, 1, 0]), 0.5)
    reading = Reading("A7", 0.9, (("A", 0.95), ("7", 0.94)), False)
    for answer, marked in ((one, 1), (tags, 2), (reading, 2)):
        page, _ = shown(answer)
        assert page.count("font-weight: bold") == marked
    assert ODD in shown(one)[1].words
    unlike, _ = shown(Prediction(names, shares, none_of_these=True))
    assert "font-weight: bold" not in unlike
    for ink, paper in (("rgb(0, 0, 0)", "rgb(255, 255, 255)"), ("rgb(230, 230, 230)", "rgb(17, 17, 17)")):
        seen = browser.new_page()
        seen.set_content(
            f'<body style="color: {ink}; background: {paper}">{one._repr_html_()}{tags._repr_html_()}</body>'
        )
        assert seen.evaluate(
            "[...new Set([...document.querySelectorAll('span')].map((one) => getComputedStyle(one).color))]"
        ) == [ink]
        assert seen.evaluate("document.querySelectorAll('div > div > div').length") >= 6
        seen.close()
