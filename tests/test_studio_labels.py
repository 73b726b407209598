"""Several labels per image in the studio, in a real browser: labelling with keys, what a model answers, questions about photos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from studio_process import Studio, start_studio
from test_studio_browser import shut_out, until, visitor
from test_tag import MARKS, draw_marks

import mirante as package
from mirante import DataError, Dataset, xmp
from mirante.data.several import parse
from mirante.errors import RequestError
from mirante.photos.library import Library, several_of
from mirante.studio import collections, edits, listing
from mirante.studio.workspace import Workspace

MODEL = "W2-16B-24B-GMP"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio with a folder of images without labels, and a run of several labels."""
    folder = tmp_path_factory.mktemp("labels")
    marks = draw_marks(folder / "marks", 440)
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
    buttons.nth(0).click()
    buttons.nth(1).click(modifiers=["Control"])
    for name in ("red bar", "disc"):
        page.fill("#to", name)
        page.press("#to", "Enter")
        until(page, f"document.querySelectorAll('#items .under')[1].textContent.includes('{name}')")
    buttons.nth(0).click()
    page.keyboard.press("2")  # the first one has no disc after all
    until(page, "document.querySelectorAll('#items .under')[0].textContent === 'red bar'")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("0")
    until(page, "document.querySelectorAll('#items .under')[2].textContent === 'no label'")
    page.keyboard.press("ArrowRight")
    for told in ("disc", "not labelled yet"):  # a key pressed by mistake, and taken back
        page.keyboard.press("2")
        until(page, f"document.querySelectorAll('#items .under')[3].textContent === '{told}'")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("1")
    until(page, "document.querySelectorAll('#items .under')[4].textContent === 'red bar'")
    page.keyboard.press("1")
    until(page, "document.querySelectorAll('#items .under')[4].textContent === 'not labelled yet'")
    page.reload()
    until(page, "document.querySelectorAll('#items button').length === 30")
    assert page.evaluate(under)[:4] == ["red bar", "red bar, disc", "no label", "not labelled yet"]
    assert page.evaluate("[...document.querySelectorAll('#keys button')].map((one) => one.innerText)") == [
        "red bar 2 1",
        "disc 1 2",
    ]
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
    until(page, f"document.querySelectorAll('#items li').length === {min(60, len(table))}")
    assert page.locator("tbody tr").count() == len(MARKS)
    number = list(table.classes).index("disc")
    has, said = table.targets[:, number] > 0, table.predicted[:, number] > 0
    for label, predicted, wanted in (("disc", "", has), ("!disc", "disc", ~has & said), ("disc", "!disc", has & ~said)):
        page.select_option("[name=label]", label)
        page.select_option("[name=predicted]", predicted)
        until(page, f"document.getElementById('count').textContent.endsWith(' {int(wanted.sum())}')")
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


@pytest.mark.parametrize(("size", "scheme", "lang"), [("phone", "dark", "pt"), ("desktop", "light", "en")])
def test_no_page_of_labels_shuts_anybody_out(browser, studio: Studio, size: str, scheme: str, lang: str) -> None:  # type: ignore[no-untyped-def]
    studio.json("POST", "/api/data/open", {"location": "marks"})
    studio.json("POST", "/api/data/marks/several", {"several": "yes"})
    studio.json("POST", "/api/photos/open", {"folder": str(studio.folder / "photos"), "run": "marks"})
    page = visitor(browser, studio, size, lang, scheme)
    ready = {
        "/data/marks": "document.querySelectorAll('#items button').length > 0",
        "/results/marks": "document.querySelectorAll('#items li').length > 0",
        "/results/marks/images/0": "document.querySelectorAll('#neighbours li').length > 0",
        "/photos/photos/review": "!document.getElementById('question').hidden",
    }
    found = {address: broken for address, one in ready.items() if (broken := shut_out(page, studio, address, one))}
    assert found == {}


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
    last = {digest[one.digest]: one.has for one in answers if one.turn == answers[-1].turn}
    shown = "Object.fromEntries([...document.querySelectorAll('#pictures button')].map((one) => [one.title, one.dataset.has]))"
    until(page, f"(paths) => paths.every((path) => path in {shown})", list(last))
    assert page.evaluate(shown) == {path: "yes" if has else "no" for path, has in last.items()}  # as they were marked
    assert len({one.turn for one in library.answers()}) == turns - 1
    page.click("#learn button")
    until(page, "document.getElementById('learned').textContent.includes('neither model saw')", timeout=120_000)
    assert page.troubles == []
    page.context.close()


def test_labels_given_in_the_studio_are_those_that_are_trained_and_survive_undoing(tmp_path: Path) -> None:
    draw_marks(tmp_path / "flat", 12, 5)
    workspace = Workspace(tmp_path)
    name = collections.open_collection(workspace, str(tmp_path / "flat")).name
    collections.allow_several(workspace, name, True)
    paths = [f"{number:04d}.png" for number in range(12)]
    edits.give_label(workspace, name, paths[:4], "car, red", True)
    edits.give_label(workspace, name, paths[4:8], "a;b", True)
    edits.give_label(workspace, name, paths[8:10], "", False)

    def told() -> dict[str, str | None]:
        return {one.path: one.label for one in listing.listing(collections.read_collection(workspace, name)).items}

    before = told()
    words = listing.training_words(workspace, collections.read_collection(workspace, name))
    options = dict(zip(words[1::2], words[2::2], strict=True))
    data = Dataset.open(words[0], labels=options["--labels"], root=options["--root"], task="tag")
    assert data.classes == ("a;b", "car, red") and len(data) == 10
    edits.edit(workspace, name, paths[:2], None)
    edits.edit(workspace, name, paths[:2], "")  # what was left out comes back as it was
    assert told() == before
    collections.allow_several(workspace, name, False)
    collections.allow_several(workspace, name, True)
    assert told() == before
    edits.give_label(workspace, name, paths[10:], "b", True)
    edits.give_label(workspace, name, paths[10:], "a", True)
    for wrong in ("x|y", "?x", "half \ud800"):
        with pytest.raises(RequestError):
            edits.give_label(workspace, name, paths, wrong, True)


def test_labels_begin_as_keywords_or_as_class_folders_and_a_bad_one_is_said(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for folder, names in (("words", ("", "")), ("folders", ("a/", "b/")), ("bad", ("a|b/", "c/"))):
        for number, under in enumerate(names * 3):
            place = tmp_path / folder / under / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (16, 16), (40 * number, 9, 9)).save(place)
    for number in range(3):
        (tmp_path / "words" / f"{number}.xmp").write_bytes(xmp.with_labels(None, [("dog", 0.9)]))
    told = {}
    for folder in ("words", "folders", "bad"):
        one = collections.open_collection(workspace, str(tmp_path / folder))
        one = collections.allow_several(workspace, one.name, True)
        if folder == "bad":
            with pytest.raises(DataError, match=r"a\|b"):
                listing.listing(one)
        else:
            told[folder] = {item.path: item.label for item in listing.listing(one).items}
    assert set(told["words"].values()) == {None}  # what Mirante guessed is no label
    assert {path.split("/")[0]: label for path, label in told["folders"].items()} == {"a": "a", "b": "b"}
