"""The two installs: the plain one answers and says in one sentence which one trains; the full one does all that README shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import write_shapes
from plain import plain_environment, required

from mirante.errors import RequestError, explained

SOURCE = Path(__file__).parents[1] / "src"


class Plain:
    """The command line where only the plain install is."""

    def __init__(self, folder: Path) -> None:
        self.packages = folder / "packages"
        self.packages.mkdir()
        self.size = plain_environment(self.packages, SOURCE)
        self.words = [sys.executable, "-S", "-m", "mirante"]
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(self.packages),
            "LC_ALL": "C.UTF-8",
        }

    def __call__(self, *words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [*self.words, *map(str, words)]
        return subprocess.run(
            command, env=self.environment, cwd=cwd, capture_output=True, text=True, timeout=120, check=False
        )


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Plain:
    return Plain(tmp_path_factory.mktemp("plain"))


def test_the_plain_install_has_no_torch_and_stays_under_450_megabytes(plain: Plain) -> None:
    assert not {"torch", "scipy", "scikit-learn", "timm"} & set(required("mirante"))
    assert 50e6 < plain.size < 450e6
    code = "import importlib.util as u, sys; sys.exit(any(u.find_spec(name) for name in ('torch', 'scipy', 'sklearn')))"
    assert subprocess.run([sys.executable, "-S", "-c", code], env=plain.environment, check=False).returncode == 0


def test_the_plain_install_predicts_shows_and_organises(
    plain: Plain, shapes_run: tuple[Path, Path], tmp_path: Path
) -> None:
    run, data = shapes_run
    image = next((data / "disc").iterdir())
    done = plain("predict", run, data / "disc", "--format", "json")
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert sum(answer["nearest"] == "disc" for answer in answers) > len(answers) / 2
    for what in ("pixels", "channels", "convolve"):
        done = plain("see", what, image, "--out", tmp_path / f"{what}.png")
        assert done.returncode == 0 and (tmp_path / f"{what}.png").stat().st_size > 5000, done.stderr
    photos = write_shapes(tmp_path / "photos", 3, first=500)
    done = plain("photos", "organise", run, photos, "--into", tmp_path / "sorted", "--copy")
    assert done.returncode == 0, done.stderr
    assert len([*(tmp_path / "sorted").rglob("*.png")]) == 9


@pytest.fixture
def served(plain: Plain, shapes_run: tuple[Path, Path]) -> Iterator[str]:
    words = [*plain.words, "serve", str(shapes_run[0]), "--port", "0"]
    process = subprocess.Popen(
        words, env=plain.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    try:
        told = next((line for line in process.stdout if "http://" in line), "")
        found = re.search(r"http://\S+", told)
        assert found is not None, "the server did not start"
        yield found[0]
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def test_the_plain_install_serves(served: str, shapes_run: tuple[Path, Path]) -> None:
    content = next((shapes_run[1] / "bar").iterdir()).read_bytes()
    request = urllib.request.Request(f"{served}/v1/models/run/predict", content, {"content-type": "image/png"})
    for wait in range(50):
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                answer = json.load(response)
            break
        except urllib.error.URLError:
            time.sleep(0.1 * wait)
    assert answer["predictions"][0]["nearest"] in ("bar", "cross", "disc")


@pytest.mark.parametrize(
    "words",
    [
        ("train", "{data}"),
        ("demo",),
        ("tune", "{data}"),
        ("data", "check", "{data}"),
        ("export", "{run}", "--to", "torch"),
        ("see", "heatmap", "{run}", "{image}"),
        ("see", "pixels"),
        ("photos", "group", "{data}"),
    ],
)
def test_what_the_plain_install_cannot_do_says_in_one_sentence_which_one_can(
    plain: Plain, shapes_run: tuple[Path, Path], words: tuple[str, ...], tmp_path: Path
) -> None:
    run, data = shapes_run
    names = {"data": data, "run": run, "image": next((data / "bar").iterdir())}
    done = plain(*(word.format(**names) for word in words), cwd=tmp_path)
    assert done.returncode == 2
    assert re.fullmatch(
        r"mirante: this needs the full install, which can train \(\w+ is missing here\): pip install 'mirante\[train\]'\.\n",
        done.stderr,
    )
    assert not [*tmp_path.iterdir()]


def test_the_plain_install_says_so_in_python_too(plain: Plain) -> None:
    code = "import mirante\ntry: mirante.train('x')\nexcept mirante.RequestError as error: print(error)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env=plain.environment, capture_output=True, text=True, check=False
    )
    assert "pip install 'mirante[train]'" in done.stdout, done.stderr


def test_every_package_of_the_full_install_is_known_as_such() -> None:
    text = (SOURCE.parent / "pyproject.toml").read_text(encoding="utf-8")
    packages = [re.match(r"[\w-]+", one)[0] for one in tomllib.loads(text)["project"]["optional-dependencies"]["train"]]
    modules = {{"scikit-learn": "sklearn"}.get(one, one.replace("-", "_")) for one in packages}
    for module in modules:
        assert isinstance(explained(ModuleNotFoundError(name=f"{module}.part")), RequestError), module
    assert explained(ModuleNotFoundError(name="numpy")) is None
