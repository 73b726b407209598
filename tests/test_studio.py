"""The studio serves one person on one machine: it keeps others out, reads no file that was not opened, and loses nothing."""

from __future__ import annotations

import csv
import io
import json
import socket
import sys
import time
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from conftest import Command, draw_shape, write_shapes
from PIL import Image
from studio_process import Studio, start_studio

from mirante import adopt, train
from mirante.locale import language
from mirante.monitoring.monitor import monitor
from mirante.monitoring.page import figure
from mirante.studio.pages import CHAPTERS

QUICK = {"layers": "8C3-MP2-16C3-MP2-16N", "recipe": "tutorial", "time": ""}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio in a folder with 3 × 30 shapes, opened as the collection `shapes`."""
    folder = tmp_path_factory.mktemp("studio")
    write_shapes(folder / "shapes", 30)
    (folder / "secret.txt").write_text("secret")
    draw_shape("disc", 1).save(folder / "outside.png")
    (folder / "shapes" / "disc" / "link.png").symlink_to(folder / "outside.png")
    running = start_studio(folder)
    running.json("POST", "/api/data/open", {"location": str(folder / "shapes")})
    yield running
    running.kill()


@pytest.fixture(scope="module")
def trained(studio: Studio) -> Studio:
    """The same studio with a finished run `first`."""
    studio.json("POST", "/api/train/start", {**QUICK, "collection": "shapes", "name": "first"})
    studio.wait("first", "finished")
    return studio


def test_a_model_in_use_has_its_page(trained: Studio, mirante: Command, tmp_path: Path) -> None:
    empty = trained.ask("GET", "/results/first/use?lang=en")[2].decode()
    assert "Folder of the log" in empty and "probably right" not in empty
    assert "/results/first/use" in trained.ask("GET", "/results/first")[2].decode()
    new = write_shapes(tmp_path / "new", 30, first=500)
    log = trained.folder / "logs" / "first"
    assert (
        mirante("predict", trained.folder / "runs" / "first", new, "--log", log, "--keep-images", "8").returncode == 0
    )
    assert 'value="logs/first"' in trained.ask("GET", "/results/first/use")[2].decode()
    for lang, told in (("en", "90 images."), ("pt", "90 imagens.")):
        page = trained.ask("GET", f"/results/first/use?log=logs/first&every=day&since=30d&labels=&lang={lang}")[
            2
        ].decode()
        found = monitor(trained.folder / "runs" / "first", log)
        assert told in page and figure(found.accuracy, language(lang)) in page
        assert page.count("data:image/png;base64,") == len(list((log / "images").iterdir()))
    poor = train(trained.folder / "shapes", layers="8C3-MP2-16N", recipe="tutorial", epochs=1, out=tmp_path / "poor")
    adopt(trained.folder / "runs" / "first", poor, why="tried")
    page = trained.ask("GET", "/results/first/use?log=logs/first&lang=en")[2].decode()
    assert "none of these rows is of the model in use" in page and "earlier/1 answered last" in page
    page = trained.ask("GET", "/results/first/use?log=logs/first&version=1&lang=en")[2].decode()
    assert "90 images." in page and "<option selected>1</option>" in page
    assert "tried" in trained.ask("GET", "/results/first/versions?lang=en")[2].decode()
    assert trained.ask("POST", "/api/results/first/rollback", {"to": "7"})[0] == 400
    trained.json("POST", "/api/results/first/rollback", {"to": "1", "why": ""})
    assert "90 images." in trained.ask("GET", "/results/first/use?log=logs/first&lang=en")[2].decode()
    for query, sentence in (
        ("log=nowhere", "no such log"), ("log=logs/first&version=9", "no earlier model 9"),
        ("log=logs/first&since=soon", "is not a stretch of time"),
        ("log=logs/first&labels=gone.csv", "gone.csv"),
    ):  # fmt: skip
        status, _, body = trained.ask("GET", f"/results/first/use?{query}&lang=en")
        assert status == 200 and sentence in body.decode(), body


def png(kind: str = "disc", seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    draw_shape(kind, seed).save(buffer, "PNG")
    return buffer.getvalue()


def test_only_the_browser_that_was_let_in_gets_in(studio: Studio) -> None:
    assert studio.ask("GET", "/")[0] == 200
    assert studio.ask("GET", "/", cookie="")[0] == 403
    assert studio.ask("GET", "/", cookie=studio.cookie[:-1])[0] == 403
    assert studio.ask("GET", "/open?token=guess", cookie="")[0] == 403
    assert studio.ask("GET", "/static/page.js", cookie="")[0] == 403
    _, headers, _ = studio.ask("GET", studio.address.partition(str(studio.port))[2], cookie="")
    assert "HttpOnly" in headers["set-cookie"] and "SameSite=Strict" in headers["set-cookie"]
    assert headers["location"] == "/"  # the token does not stay in the address


def test_another_name_for_this_machine_is_refused(studio: Studio) -> None:
    """DNS rebinding: a foreign page whose name suddenly means 127.0.0.1."""
    for host in ("evil.example", f"evil.example:{studio.port}", "127.0.0.1", f"127.0.0.1:{studio.port + 1}", ""):
        assert studio.ask("GET", "/", host=host)[0] in (400, 421), host
    assert studio.ask("GET", "/", host=f"localhost:{studio.port}")[0] == 200


def test_other_sites_change_nothing(studio: Studio) -> None:
    body = {"name": "planted", "classes": ""}
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": f"https://127.0.0.1:{studio.port}"},
        {"origin": f"http://127.0.0.1:{studio.port + 1}"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ):
        assert studio.ask("POST", "/api/data/make", body, **headers)[0] == 403, headers
    assert studio.ask("PUT", "/api/data/make", body)[0] == 405
    assert not (studio.folder / "images" / "planted").exists()


def test_it_listens_on_this_machine_only(studio: Studio) -> None:
    listening = [one.laddr.ip for one in psutil.Process(studio.process.pid).net_connections() if one.status == "LISTEN"]
    assert listening == ["127.0.0.1"]


OUTSIDE = (
    "../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "disc/../../secret.txt", "/etc/passwd", "....//secret.txt",
    "..\\secret.txt", "disc/link.png", "file:///etc/passwd", "disc/000.png\x00", "", ".", "..", "disc",
)  # fmt: skip


def test_no_path_leads_out_of_what_was_opened(trained: Studio) -> None:
    for path in OUTSIDE:
        for address in ("/pictures/data/shapes/thumbnail?path={}", "/pictures/results/first/seen?path={}"):
            for written in (quote(path, safe=""), quote(path)):
                status, _, body = trained.ask("GET", address.format(written))
                assert status == 404 and b"secret" not in body.replace(path.encode(), b""), (path, status)
    for name in ("..", "%2e%2e", "..%2f..", "%2Fetc", ".mirante", "a%00b", "..%5c"):
        for address in (
            "/data/{}",
            "/results/{}",
            "/train/{}",
            "/results/{}/report",
            "/api/data/{}/items",
            "/learn/{}",
        ):
            status, _, body = trained.ask("GET", address.format(name))
            assert status in (400, 404) and b"secret" not in body, (address, name, status)
    for path in (
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static//etc/passwd",
        "/.mirante",
    ):
        assert trained.ask("GET", path)[0] == 404, path


def test_uploads_become_images_in_their_class_and_nothing_else(studio: Studio) -> None:
    studio.json("POST", "/api/data/make", {"name": "mine", "classes": "ball, bär"})
    place = studio.folder / "images" / "mine"

    def send(content: bytes, filename: str, label: str = "ball") -> tuple[int, bytes]:
        query = f"class={quote(label, safe='')}&filename={quote(filename, safe='')}"
        status, _, body = studio.ask("POST", f"/api/data/mine/images?{query}", content)
        return status, body

    names = (
        "../../evil.png",
        "..\\evil.png",
        "/etc/cron.d/x",
        "a\x00b.png",
        "x" * 400 + ".png",
        ".htaccess",
        "ok.html",
    )
    for seed, name in enumerate(names):
        assert send(png("disc", seed), name)[0] == 200, name
    assert send(png("bar"), "Ärger 1.png", "bär")[0] == 200
    assert send(png("bar"), "again.png", "bär")[0] == 200  # the same bytes: kept once
    files = [path for path in place.rglob("*") if path.is_file()]
    assert len(files) == 8 and all(path.suffix == ".png" and path.parent.parent == place for path in files)
    status, body = send(png("bar") + bytes(32 << 20), "large.png")
    assert status == 400 and "larger than 32 MiB" in json.loads(body)["error"]
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    for content in (svg, b"<html><script>1</script>", b"", b"\x89PNG\r\n\x1a\n" + b"0" * 50, b"GIF89a<script>"):
        status, body = send(content, "picture.png")
        assert status == 400 and b"not added" in body, body
    huge = Image.new("1", (40_000, 40_000))
    buffer = io.BytesIO()
    huge.save(buffer, "PNG")
    assert send(buffer.getvalue(), "bomb.png")[0] == 400
    for label in ("..", "a/b", "", ".hidden", "con", "x" * 200, "a\nb"):
        assert send(png(), "x.png", label)[0] == 400, label
    assert send(b"\0" * ((32 << 20) + 1), "large.png")[0] == 400
    assert len([path for path in place.rglob("*") if path.is_file()]) == 8
    assert {path.name for path in place.iterdir()} == {"ball", "bär"}


def test_images_are_never_served_as_they_are(trained: Studio) -> None:
    """Even a file that is an image and a page at once is decoded and encoded anew."""
    marked = png() + b"<script>alert(1)</script>"
    (trained.folder / "shapes" / "disc" / "marked.png").write_bytes(marked)
    status, headers, body = trained.ask("GET", "/pictures/data/shapes/thumbnail?path=disc/marked.png")
    assert status == 200 and headers["content-type"] == "image/jpeg" and b"<script>" not in body
    assert headers["x-content-type-options"] == "nosniff"
    (trained.folder / "shapes" / "disc" / "marked.png").unlink()


def test_an_image_is_shown_as_augmentation_changes_it(studio: Studio) -> None:
    def changed(words: str, image: bytes = png()) -> tuple[int, str, bytes]:
        status, headers, body = studio.ask("POST", f"/api/augment?augment={quote(words)}", image)
        return status, headers.get("x-alt", ""), body

    status, alt, body = changed("rotate 30, mirror")
    assert status == 200 and quote("rotate 30, mirror.") in alt
    with Image.open(io.BytesIO(body)) as picture:
        assert picture.width > picture.height > 100
    assert changed("rotate 30, mirror")[2] == body != changed("rotate 5, mirror")[2]
    for words, sentence in (("", "at least one"), ("spin", "unknown"), ("rotate 900", "from 0 to 180")):
        status, _, body = changed(words)
        assert status == 400 and sentence in json.loads(body)["error"], words
    assert changed("mirror", b"no image")[0] == 400


def test_the_chapter_on_augmentation_says_why_a_training_failed(studio: Studio) -> None:
    studio.json("POST", "/api/data/make", {"name": "lonely one", "classes": "ball"})
    for number in range(4):
        studio.ask("POST", "/api/data/lonely%20one/images?class=ball", png(seed=number))
    studio.json("POST", "/api/augment/train", {"collection": "lonely one", "augment": "mirror"})
    for one in studio.json("GET", "/api/augment/runs?collection=lonely%20one")["runs"]:
        studio.wait(one["name"], "failed")
    found = studio.json("GET", "/api/augment/runs?collection=lonely%20one")["runs"]
    assert [one["words"] for one in found] == ["none", "mirror"]
    assert all(one["state"] == "failed" and one["error"].startswith("mirante: ") for one in found)
    status, _, body = studio.ask("POST", "/api/augment/train", {"collection": "lonely one", "augment": "spin"})
    assert status == 400 and "unknown" in json.loads(body)["error"]


def pages(studio: Studio) -> list[str]:
    """Return the addresses of all pages, of a studio with the run `first` on `shapes`."""
    return [
        "/", "/learn", *(f"/learn/{name}" for name in CHAPTERS), "/teach", "/photos", "/data", "/data/shapes",
        "/data/shapes/check", "/train", "/train?collection=shapes",
        "/train/first", "/results", "/results/first", "/results/first/use", "/results/first/versions", "/results/first/images/0",
        "/predict", "/compare",
    ]  # fmt: skip


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))


def test_every_page_is_strict_and_fetches_nothing_from_elsewhere(trained: Studio) -> None:
    for address in pages(trained):
        for lang in ("en", "pt"):
            status, headers, body = trained.ask("GET", f"{address}{'&' if '?' in address else '?'}lang={lang}")
            assert status == 200, (address, status, body[-500:])
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
            page = _Page(body.decode())
            for tag, attributes in page.tags:
                assert "style" not in attributes and not any(name.startswith("on") for name in attributes), (
                    tag,
                    attributes,
                )
                for name in ("src", "href", "action"):
                    assert not (attributes.get(name) or "").startswith(("http", "//", "javascript:")), attributes
                if tag == "script":
                    assert attributes.get("src") or attributes.get("type") == "application/json"
            assert ("pt-BR" if lang == "pt" else "en") == page.tags[0][1]["lang"]


def test_names_that_are_markup_stay_names(studio: Studio, tmp_path: Path) -> None:
    write_shapes(tmp_path / "odd", 12, ("bar", "disc"))
    name = "<img src=x onerror=alert(1)>&'"
    if sys.platform != "win32":
        (tmp_path / "odd" / "bar").rename(tmp_path / "odd" / name)
        studio.json("POST", "/api/data/open", {"location": str(tmp_path / "odd")})
        _, _, body = studio.ask("GET", "/data/odd")
        assert b"<img src=x" not in body and b"&lt;img src=x" in body
        _, _, drawn = studio.ask("GET", "/api/drawing?layers=8C3-MP2&collection=odd")
        assert "<img" not in json.loads(drawn)["svg"]


def test_what_is_wrong_is_a_sentence(studio: Studio) -> None:
    for path, body, said in (
        ("/api/data/open", {"location": "/nowhere"}, "/nowhere: no such file or folder"),
        ("/api/data/open", {"location": ""}, "Which folder?"),
        ("/api/data/make", {"name": "a/b"}, "cannot be a name here"),
        ("/api/data/make", {"name": "shapes"}, "already exists"),
        ("/api/data/none/classes", {"label": "x"}, "no such collection"),
        ("/api/data/shapes/classes", {"label": "x"}, "images cannot be added there"),
        ("/api/data/shapes/edit", {"paths": ["gone.png"], "label": "x", "do": "label"}, "gone.png: not in shapes"),
        ("/api/data/shapes/edit", {"paths": "all"}, "Choose images first"),
        ("/api/train/start", {"collection": "none"}, "no such collection"),
        ("/api/train/start", {"collection": "shapes", "time": "soon"}, "'soon' is not a time"),
        ("/api/train/start", {"collection": "shapes", "layers": "evil.py:run"}, "not a line of layers"),
        ("/api/train/start", {"collection": "shapes", "name": "../x"}, "cannot be a name here"),
        ("/api/train/none/stop", {}, "no training of that name"),
        ("/api/results/none/predict", b"", "no such run"),
        ("/api/data/make", b"[1]", "did not understand"),
        ("/api/data/make", b"{", "did not understand"),
        ("/api/uploads?filename=notes.txt", b"text", "not an archive"),
    ):
        status, _, content = studio.ask("POST", path, body)  # type: ignore[arg-type]
        assert status == 400 and said in json.loads(content)["error"], (path, content)
    assert studio.ask("GET", "/no/such/page")[0] == 404
    status, _, content = studio.ask("GET", "/api/drawing?layers=32C3-MP99-64N")
    drawn = json.loads(content)
    assert status == 200 and "nothing left to pool" in drawn["error"] and (drawn["start"], drawn["length"]) == (5, 4)


def test_edits_reach_the_training_and_leave_the_files_alone(tmp_path: Path) -> None:
    write_shapes(tmp_path / "shapes", 20)
    before = {path: path.read_bytes() for path in (tmp_path / "shapes").rglob("*.png")}
    studio = start_studio(tmp_path)
    try:
        studio.json("POST", "/api/data/open", {"location": "shapes"})
        studio.json("POST", "/api/data/shapes/edit", {"paths": ["bar/000.png"], "do": "label", "label": "disc"})
        studio.json("POST", "/api/data/shapes/edit", {"paths": ["bar/001.png", "bar/002.png"], "do": "leave out"})
        studio.json("POST", "/api/data/shapes/edit", {"paths": ["bar/002.png"], "do": "take back"})
        found = studio.json("GET", "/api/data/shapes/items?label=disc")
        assert found["count"] == 21 and any(one["path"] == "bar/000.png" for one in found["items"])
        studio.json("POST", "/api/train/start", {**QUICK, "collection": "shapes", "name": "edited"})
        studio.wait("edited", "finished")
    finally:
        studio.kill()
    data = json.loads((tmp_path / "runs" / "edited" / "data.json").read_text())
    labels = {path: label for path, _, label, _ in data["files"]}
    assert labels["bar/000.png"] == "disc" and "bar/001.png" not in labels and labels["bar/002.png"] == "bar"
    assert {path: path.read_bytes() for path in (tmp_path / "shapes").rglob("*.png")} == before


def test_an_archive_is_opened_where_it_lies(studio: Studio, tmp_path: Path) -> None:
    write_shapes(tmp_path / "zipped", 12)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted((tmp_path / "zipped").rglob("*.png")):
            archive.write(path, path.relative_to(tmp_path))
    went = studio.json("POST", f"/api/uploads?filename={quote('../my zip.zip')}", buffer.getvalue())
    _, _, body = studio.ask("GET", went["go"])
    assert b"36 images in 3 classes" in body
    found = studio.json("GET", f"/api{went['go']}/items")
    status, headers, _ = studio.ask("GET", f"/pictures{went['go']}/thumbnail?path={quote(found['items'][0]['path'])}")
    assert status == 200 and headers["content-type"] == "image/jpeg"
    assert not list(studio.folder.rglob("000.png")) or all(
        "shapes" in str(path) for path in studio.folder.rglob("000.png")
    )


def test_a_training_survives_the_studio_and_is_found_again(tmp_path: Path) -> None:
    write_shapes(tmp_path / "shapes", 60)
    studio = start_studio(tmp_path)
    studio.json("POST", "/api/data/open", {"location": "shapes"})
    studio.json(
        "POST",
        "/api/train/start",
        {"collection": "shapes", "recipe": "fast", "time": "20s", "layers": "8C3-GAP", "name": "long"},
    )
    until = time.monotonic() + 60
    while not studio.json("GET", "/api/train/long")["steps"]:
        assert time.monotonic() < until
        time.sleep(0.1)
    studio.kill()
    again = start_studio(tmp_path)
    try:
        now = again.json("GET", "/api/train/long")
        assert now["state"] == "running" and now["steps"]
        again.json("POST", "/api/train/long/stop", {})
        stopped = again.wait("long", "stopped")
        assert any("nothing is lost" in line for line in stopped["lines"])
        again.json("POST", "/api/train/long/resume", {})
        again.json("POST", "/api/train/start", {**QUICK, "collection": "shapes", "name": "beside"})  # two at once
        assert again.ask("POST", "/api/train/long/resume", {})[0] == 400
        again.wait("beside", "finished")
        done = again.wait("long", "finished")
        assert done["share"] == 1 and done["epochs"]
        assert again.ask("GET", "/results/long")[0] == 200
    finally:
        again.kill()


def test_a_failed_training_says_why(tmp_path: Path) -> None:
    write_shapes(tmp_path / "few", 1)
    studio = start_studio(tmp_path)
    try:
        studio.json("POST", "/api/data/open", {"location": "few"})
        studio.json("POST", "/api/train/start", {**QUICK, "collection": "few", "name": "few"})
        until = time.monotonic() + 60
        while (now := studio.json("GET", "/api/train/few"))["state"] == "running":
            assert time.monotonic() < until
        assert now["state"] == "failed" and "needs" in now["error"], now
    finally:
        studio.kill()


def test_answers_are_those_of_the_command_line(trained: Studio, mirante: Command) -> None:
    image = trained.folder / "shapes" / "bar" / "003.png"
    mine = trained.json("POST", "/api/results/first/predict", image.read_bytes())
    done = mirante("predict", trained.folder / "runs" / "first", image, "--format", "json")
    theirs = json.loads(done.stdout)
    assert mine["label"] == theirs["label"]
    assert dict(mine["probabilities"]) == pytest.approx(theirs["probabilities"], abs=1e-5)
    for what in ("heatmap", "path"):
        status, headers, body = trained.ask("POST", f"/api/results/first/{what}", image.read_bytes())
        assert status == 200 and body[:4] == b"\x89PNG" and headers["x-alt"]
    assert trained.ask("POST", "/api/results/first/predict", b"no image")[0] == 400


def test_a_threshold_can_be_tried_and_the_card_be_read(trained: Studio) -> None:
    rows = list(csv.DictReader((trained.folder / "runs" / "first" / "predictions.csv").open(encoding="utf-8")))
    bars = [row for row in rows if row["label"] == "bar"]
    for at in (0.2, 0.9):
        found = trained.json("GET", f"/api/results/first/threshold?class=bar&at={at}&prevalence=0.1")
        share = sum(float(row["probability_bar"]) >= at for row in bars) / len(bars)
        assert found["sensitivity"] == pytest.approx(share)
        assert f"{round(100 * share)} found" in found["sentence"]
    for wrong in ("class=lion&at=0.2&prevalence=0.1", "class=bar&at=x&prevalence=0.1", "class=bar&at=0.2&prevalence=2"):
        assert trained.ask("GET", f"/api/results/first/threshold?{wrong}")[0] == 400
    page = trained.ask("GET", "/results/first")[2].decode()
    assert "Before you rely on it" in page and "It is not a medical device." in page


def test_answers_can_be_filtered(trained: Studio) -> None:
    rows = (trained.folder / "runs" / "first" / "predictions.csv").read_text().splitlines()[1:]
    everything = trained.json("GET", "/api/results/first/predictions")
    assert everything["count"] == len(rows)
    wrong = trained.json("GET", "/api/results/first/predictions?answer=wrong")
    right = trained.json("GET", "/api/results/first/predictions?answer=right")
    assert wrong["count"] + right["count"] == len(rows) and not any(one["right"] for one in wrong["items"])
    bars = trained.json("GET", "/api/results/first/predictions?label=bar&predicted=bar")
    assert all(one["label"] == one["predicted"] == "bar" for one in bars["items"])
    assert bars["count"] == sum(row.split(",")[1:3] == ["bar", "bar"] for row in rows)
    sure = trained.json("GET", "/api/results/first/predictions?least=90")
    assert sure["count"] == sum(float(row.split(",")[3]) >= 0.9 for row in rows)
    alike = trained.json("GET", "/api/results/first/images/0/neighbours")["items"]
    assert len(alike) == 8 and all(float(one["alike"]) > 0 for one in alike)


def test_a_port_that_is_taken_is_said(tmp_path: Path, mirante: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = mirante("studio", tmp_path, "--no-browser", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2 and "cannot listen on it" in done.stderr
    done = mirante("studio", tmp_path / "gone")
    assert done.returncode == 2 and "no such folder" in done.stderr
    assert list(tmp_path.iterdir()) == []
