"""Nothing leaves the computer, and what is handed on tells nothing of who made it: seen from below, where libraries cannot hide."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import Command, draw_shape, write_shapes
from PIL import Image

from mirante import evaluate, export, see, train
from mirante.privacy import TOLD_OFF

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
COMPILER = shutil.which("cc") or shutil.which("gcc")
traced = pytest.mark.skipif(
    sys.platform != "linux" or COMPILER is None,
    reason="processes are traced with a preloaded library: Linux, with a C compiler",
)


class Traced:
    """A user with a fresh home, all of whose processes are traced."""

    def __init__(self, folder: Path) -> None:
        self.home, self.trace = folder / "home", folder / "trace.txt"
        self.work, self.temporary = self.home / "work", folder / "temporary"
        for made in (self.work, self.temporary):
            made.mkdir(parents=True)
        library = folder / "tracer.so"
        subprocess.run([str(COMPILER), "-shared", "-fPIC", "-o", library, ROOT / "tests/tracer.c", "-ldl"], check=True)
        kept = {"PATH", "PYTHONPATH", "OMP_NUM_THREADS"}  # no CI, which turns telemetry off by itself
        self.environment = {name: value for name, value in os.environ.items() if name in kept} | {
            "HOME": str(self.home), "TMPDIR": str(self.temporary), "TRACE": str(self.trace), "LD_PRELOAD": str(library),
            "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip

    def run(self, *words: str | Path, **environment: str) -> str:
        done = subprocess.run(
            [sys.executable, *map(str, words)], cwd=self.work, env=self.environment | environment, capture_output=True, text=True,
            check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "mirante", *map(str, words)]
        return subprocess.Popen(
            command, cwd=self.work, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def leaks(self) -> Iterator[str]:
        """Yield each connection and look-up beyond this computer, and each file that docs/privacy.md does not name."""
        folders = [self.work, self.temporary, Path("/dev"), Path("/proc"), Path("/sys")]
        folders += [self.home / name for name in re.findall(r"`~/([\w./]+)`", DOCUMENT)]
        parents = {parent for folder in folders for parent in folder.parents}  # which may have to be made
        for line in self.trace.read_text(errors="replace").splitlines() if self.trace.exists() else ():
            kind, _, what = line.partition(" ")
            if kind == "connect":
                allowed = ipaddress.ip_address(what).is_loopback or ipaddress.ip_address(what).is_unspecified
            elif kind == "name":
                allowed = what in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "::")
            else:
                path = Path(os.path.normpath(what))
                allowed = path in parents or any(path.is_relative_to(folder) for folder in folders)
            if not allowed:
                yield line


@pytest.fixture
def user(tmp_path: Path) -> Traced:
    return Traced(tmp_path)


@traced
def test_the_tracer_sees_a_connection_a_look_up_a_file_and_telemetry(
    user: Traced, shapes_run: tuple[Path, Path]
) -> None:
    code = (
        "import socket, pathlib, contextlib\n"
        "with contextlib.suppress(OSError): socket.getaddrinfo('example.invalid', 80)\n"
        "sent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); sent.connect(('192.0.2.1', 9)); sent.close()\n"
        "pathlib.Path.home().joinpath('.identifier').write_text('me')"
    )
    user.run("-c", code)
    assert set(user.leaks()) == {"name example.invalid", "connect 192.0.2.1", f"file {user.home}/.identifier"}
    import onnxruntime

    if tuple(map(int, onnxruntime.__version__.split(".")[:2])) >= (1, 32):  # earlier ones are quieter, or silent
        user.run("-m", "mirante", "predict", shapes_run[0], shapes_run[1] / "bar", ORT_DISABLE_TELEMETRY="0")
        assert any("onnxruntime" in line for line in user.leaks()), "what the user has set is not left as it is"


VERBS = """
from mirante.cli import main
for line in '''
train photos --model 8C3-MP2-16N --epochs 2 --out run
predict run photos --format json
evaluate run --lang pt
data check photos --fix cleaned
see path run photos/bar/000.png --out path.png
export run --to hub-folder
photos group photos
photos organise run photos --into sorted
'''.strip().splitlines():
    try:
        main(line.split())
    except SystemExit as ended:
        assert ended.code == 0, line
"""


@traced
def test_nothing_leaves_the_computer(user: Traced) -> None:
    write_shapes(user.work / "photos", 20)
    user.run("-c", VERBS)
    for words, page in (
        (("serve", "run", "--port", "0"), "/v1/models"),
        (("studio", ".", "--no-browser", "--port", "0"), ""),
    ):
        process = user.start(*words)
        try:
            assert process.stdout is not None
            address = re.search(r"http://\S+", line := process.stdout.readline())
            port = re.search(r":(\d+)", line)
            assert address or port, line
            url = address[0] if address else f"http://127.0.0.1:{port[1]}"  # type: ignore[index]
            opener = urllib.request.build_opener(
                urllib.request.HTTPCookieProcessor()
            )  # by which the studio knows its user
            with opener.open(f"{url.rstrip('/')}{page}", timeout=60) as response:
                assert response.status == 200
            time.sleep(4)  # longer than libraries wait before they report
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
    assert list(user.leaks()) == []


def test_every_library_that_reports_is_turned_off_and_in_the_document() -> None:
    named = dict(re.findall(r"`([A-Z_]+)=(\w+)`", DOCUMENT))
    assert named == TOLD_OFF
    code = "import os, mirante; print({name: os.environ.get(name) for name in %r})" % (list(TOLD_OFF),)  # noqa: UP031
    clean = {name: value for name, value in os.environ.items() if name not in TOLD_OFF}
    for given, wanted in (({}, TOLD_OFF), ({"ORT_DISABLE_TELEMETRY": "0"}, TOLD_OFF | {"ORT_DISABLE_TELEMETRY": "0"})):
        done = subprocess.run(
            [sys.executable, "-c", code], env=clean | given, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == str(wanted)


def test_what_is_handed_on_does_not_tell_who_made_it(tmp_path: Path, mirante: Command) -> None:
    """Plant a position, a serial number and a user's name, and look for them in every byte that is meant for others."""
    data = tmp_path / "home-of-secretuser" / "clinic-of-secretuser" / "lungs"
    exif = Image.Exif()
    exif[0x010E], exif[0xA431], exif[0x013B] = "planted-description", "planted-serial-4711", "planted-artist"
    exif.get_ifd(0x8769)[0xA431] = "planted-serial-4711"
    exif.get_ifd(0x8825).update({1: "S", 2: (22.0, 57.0, 7.0), 3: "W", 4: (43.0, 12.0, 38.0), 29: "planted-date"})
    rows = ["path,label"]
    for kind in ("bar", "disc"):
        (data / kind).mkdir(parents=True)
        for number in range(16):
            draw_shape(kind, number).save(
                data / kind / f"{number:03d}.jpg", exif=exif, quality=95, comment="planted-comment"
            )
            rows.append(f"{kind}/{number:03d}.jpg,{kind}")
    (data / "labels.csv").write_text("\n".join(rows))
    assert b"planted-serial-4711" in (data / "bar" / "000.jpg").read_bytes()
    run = train(data, labels=data / "labels.csv", root=data, layers="8C3-MP2-16N", epochs=2, out=tmp_path / "run")
    other = shutil.copytree(data, data.with_name("others"))
    for number, path in enumerate(sorted(other.rglob("*.jpg"))):
        draw_shape(path.parent.name, 500 + number).save(path, exif=exif)
    evaluation = evaluate(run, other, labels=other / "labels.csv", root=other)
    words = ("data", "check", data, "--labels", data / "labels.csv", "--root", data, "--out", tmp_path / "checked")
    assert mirante(*words).returncode == 0
    for form in ("onnx", "torch", "hub-folder"):
        export(run, form)
    handed_on = [run.report, run.path / "model-card.md", run.path / "model.onnx", run.path / "model.safetensors"]
    handed_on += [run.path / "model.json", run.path / "metrics.json", run.path / "predictions.csv"]
    for folder in (run.path / "plots", run.path / "exports", evaluation.path, tmp_path / "checked"):
        handed_on += [path for path in folder.rglob("*") if path.is_file()]
    assert len(handed_on) > 40
    for path in handed_on:
        content = path.read_bytes()
        for told in (b"planted-", b"secretuser", b"Exif\0", b"eXIf", str(tmp_path).encode()):
            assert told not in content, (path, told)
    recipe = (run.path / "exports" / "hub-folder" / "recipe.toml").read_text(encoding="utf-8")
    assert 'location = "lungs"' in recipe and json.loads((run.path / "data.json").read_text())["location"] == str(data)


def test_a_picture_that_is_shown_is_only_pixels(tmp_path: Path, shapes_run: tuple[Path, Path]) -> None:
    exif = Image.Exif()
    exif[0x010E] = "planted-description"
    Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(tmp_path / "photo.png", exif=exif)
    drawn = see.path(shapes_run[0], tmp_path / "photo.png")
    drawn.save(tmp_path / "path.png")
    assert b"planted" not in (tmp_path / "path.png").read_bytes()
