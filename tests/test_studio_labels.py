"""Several labels per image in the studio, in a real browser: labelling with keys, what a model answers, questions about photos."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from studio_process import Studio, start_studio
from test_studio_browser import until, visitor
from test_tag import MARKS, draw_marks

import mirante as package
from mirante import Dataset
from mirante.data.several import parse
from mirante.photos.library import Library, several_of
from mirante.studio import collections, listing
from mirante.studio.workspace import Workspace

MODEL = "W2-16B-24B-GMP"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio with a folder of images without labels, and a run of several labels."""
    folder = tmp_path_factory.mktemp("labels")
    marks = draw_marks(folder / "marks", 240)
    package.train(
        marks,
        "fast",
        layers=MODEL,
        task="tag",
        labels=marks / "labels.csv",
        epochs=6,
        sensitivity=0.9,
        out=folder / "runs" / "marks",
    )
    (draw_marks(folder / "flat", 30, 3) / "labels.csv").unlink()
    (draw_marks(folder / "photos", 60, 4) / "labels.csv").rename(folder / "photos.csv")
    running = start_studio(folder)
    yield running
    running.kill()


def test_images_are_labelled_with_keys_and_trained_on(browser, studio: Studio) -> None:  # type: ignore[no-untyped-def]
    studio.json("POST", "/api/data/open", {"location": "flat"})
    page = visitor(browser, studio)
    page.goto(f"{studio.origin}/data/flat")
    with page.expect_navigation():
        page.click("form[data-action$='/several'] button")
    until(page, "document.querySelectorAll('#items button').length === 30")
    under = "[...document.querySelectorAll('#items .under')].map((one) => one.textContent)"
    assert set(page.evaluate(under)) == {"not labelled yet"}
    buttons = page.locator("#items button")
    for place in (0, 1):
        buttons.nth(place).click()
    for name in ("red bar", "disc"):
        page.fill("#to", name)
        page.press("#to", "Enter")
        until(page, f"document.querySelectorAll('#items .under')[1].textContent.includes('{name}')")
    for place in (0, 1):
        buttons.nth(place).click()
    buttons.nth(0).focus()
    page.keyboard.press("2")  # the first one has no disc after all
    until(page, "document.querySelectorAll('#items .under')[0].textContent === 'red bar'")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("0")
    until(page, "document.querySelectorAll('#items .under')[2].textContent === 'no label'")
    page.reload()
    until(page, "document.querySelectorAll('#items button').length === 30")
    assert page.evaluate(under)[:4] == ["red bar", "red bar, disc", "no label", "not labelled yet"]
    counts = {"red bar": 2, "disc": 1, " ": 1, "\n": 27}
    for value, count in counts.items():
        page.select_option("#show", value)
        until(page, f"document.querySelectorAll('#items button').length === {count}")
    assert page.troubles == []
    page.context.close()
    workspace = Workspace(studio.folder)
    words = listing.training_words(workspace, collections.read_collection(workspace, "flat"))
    assert words[-2:] == ["--task", "tag"]
    options = dict(zip(words[1::2], words[2::2], strict=True))
    data = Dataset.open(words[0], labels=options["--labels"], root=options["--root"], task="tag")
    assert data.classes == ("disc", "red bar") and sorted(data.asks.label_names(data.targets, data.classes)) == [
        "",
        "disc|red bar",
        "red bar",
    ]


@pytest.mark.parametrize("lang", ["en", "pt"])
def test_the_answers_of_a_model_of_several_labels_can_be_looked_through(browser, studio: Studio, lang: str) -> None:  # type: ignore[no-untyped-def]
    run = package.Run(studio.folder / "runs" / "marks")
    page = visitor(browser, studio, lang=lang, size="phone" if lang == "pt" else "desktop")
    page.goto(f"{studio.origin}/results/marks")
    table = run.predictions()
    until(page, f"document.querySelectorAll('#items li').length === {len(table)}")
    assert page.locator("tbody tr").count() == len(MARKS)
    number = list(table.classes).index("disc")
    has, said = table.targets[:, number] > 0, table.predicted[:, number] > 0
    for label, predicted, wanted in (("disc", "", has), ("!disc", "disc", ~has & said), ("disc", "!disc", has & ~said)):
        page.select_option("[name=label]", label)
        page.select_option("[name=predicted]", predicted)
        until(page, f"document.getElementById('count').textContent.startsWith('{int(wanted.sum())} ')")
    page.select_option("#deciding [name=class]", "disc")
    page.evaluate("""() => { const one = document.querySelector('#deciding input[type=range]');
        one.value = 99.5; one.dispatchEvent(new Event('input')); }""")
    found = float((table.probabilities[has, number] >= 0.995).mean())
    share = f"{100 * found:.1f}%".replace(".", "." if lang == "en" else ",")
    until(page, "document.querySelector('.people').textContent.includes('disc')")
    until(page, "(text) => document.querySelector('.shares').textContent.includes(text)", share)
    page.goto(f"{studio.origin}/results/marks/images/0")
    assert page.locator(".bars .name").count() == len(MARKS)
    until(page, "document.querySelectorAll('#neighbours li').length === 8")
    page.select_option("#of-class", "line")
    until(page, "document.getElementById('heatmap').complete && document.getElementById('heatmap').naturalWidth > 100")
    page.goto(f"{studio.origin}/predict?run=marks")
    image = studio.folder / "photos" / "0001.png"
    page.set_input_files("#ask input[type=file]", str(image))
    until(page, "!document.querySelector('.answer').hidden")
    answer = package.load(run.path).predict(image)
    told = page.locator(".answer .label").inner_text()
    assert set(told.split(", ")) == (set(answer.labels) or {"no label" if lang == "en" else "nenhum rótulo"})
    assert page.troubles == []
    page.context.close()


def test_which_photos_show_a_label_is_answered_for_many_at_once(browser, studio: Studio) -> None:  # type: ignore[no-untyped-def]
    lines = (studio.folder / "photos.csv").read_text().splitlines()[1:]
    truth = {line.split(",")[0]: set(parse(line.split(",")[1])[0]) for line in lines}
    folder = studio.folder / "photos"
    studio.json("POST", "/api/photos/open", {"folder": str(folder), "run": "marks"})
    page = visitor(browser, studio)
    page.goto(f"{studio.origin}/photos/photos/review")
    asked = "document.getElementById('asked').textContent"
    turns = 0
    for _ in range(9):
        until(page, "!document.getElementById('question').hidden", timeout=60_000)
        label = page.evaluate(asked).split("“")[1].split("”")[0]
        paths = page.evaluate("[...document.querySelectorAll('#pictures button')].map((one) => one.title)")
        for place, path in enumerate(paths):
            if label in truth[path]:
                page.keyboard.press("1234567890-="[place])
        before = page.evaluate("[...document.querySelectorAll('#pictures img')].map((one) => one.src).join()") + label
        page.keyboard.press("d")
        turns += 1
        until(
            page,
            f"""(before) => document.getElementById('question').hidden || before !== [...document.querySelectorAll('#pictures img')]
                .map((one) => one.src).join() + {asked}.split('“')[1].split('”')[0]""",
            before,
        )
    until(page, "!(localStorage.getItem('answers photos') ?? '').includes('turn')")
    library = Library(folder)
    digest = {one.digest: one.path for one in library.look()[0]}
    answers = library.answers()
    assert len({one.turn for one in answers}) == turns and {one.kind for one in answers} == {"random", "together"}
    for name, labels in several_of(answers).items():
        assert all(one.has == int(label in truth[digest[name]]) for label, one in labels.items())
    page.keyboard.press("b")
    until(page, f"!document.getElementById('progress').textContent.startsWith('{len(answers)} ')")
    assert len({one.turn for one in library.answers()}) == turns - 1
    page.click("#learn button")
    until(page, "document.getElementById('learned').textContent.includes('neither model saw')", timeout=120_000)
    assert page.troubles == []
    page.context.close()
