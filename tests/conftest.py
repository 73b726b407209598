"""What the tests share: a cache of their own, the command line as a real process, a few small image folders."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browser import ARGUMENTS, find_browser
from command_line import CommandLine
from PIL import Image

# before anything of Mirante is imported: the tests neither use nor fill the person's own cache
if "MIRANTE_CACHE" not in os.environ:
    os.environ["MIRANTE_CACHE"] = tempfile.mkdtemp(prefix="mirante-test-cache-")
    atexit.register(shutil.rmtree, os.environ["MIRANTE_CACHE"], ignore_errors=True)
os.environ["LC_ALL"] = "C.UTF-8"
# tests that run side by side share the cores: trainings that each take all of them mostly wait for each other
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))

from mirante.model_info import ModelInfo
from mirante.task import task_named

if TYPE_CHECKING:
    from mirante.images import Fit

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def mirante() -> Iterator[Command]:
    """Run the command line in a process of its own; returns its status and output."""
    line = CommandLine() if hasattr(os, "fork") else None

    def run(
        *words: str | Path, cwd: Path | None = None, stdin: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        if line is not None and "OMP_NUM_THREADS" not in environment:  # which is read when the libraries are imported
            return line.run([*map(str, words)], cwd, stdin, environment)
        command = [sys.executable, "-m", "mirante", *map(str, words)]
        return subprocess.run(
            command,
            cwd=cwd,
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=300,
            env={**os.environ, **environment},
            check=False,
        )

    yield run
    if line is not None:
        line.close()


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Return the folder of real images that MIRANTE_TEST_DATA names."""
    folder = os.environ.get("MIRANTE_TEST_DATA")
    if not folder:
        pytest.skip("MIRANTE_TEST_DATA is not set: it names the folder of the real image archives")
    return Path(folder)


def draw_shape(kind: str, seed: int, size: int = 24) -> Image.Image:
    """Draw a disc, a bar or a cross in a random colour and place on a noisy ground."""
    random = np.random.default_rng([seed, len(kind), ord(kind[0])])
    pixels = random.integers(0, 60, (size, size, 3))
    y, x = np.mgrid[:size, :size] - random.integers(size // 3, 2 * size // 3, 2)[:, None, None]
    mask = {"disc": x**2 + y**2 < 30, "bar": abs(y) < 3, "cross": (abs(x) < 2) | (abs(y) < 2)}[kind]
    pixels[mask] = random.integers(140, 255, 3)
    return Image.fromarray(pixels.astype(np.uint8))


def write_shapes(folder: Path, count: int, kinds: tuple[str, ...] = ("bar", "cross", "disc"), first: int = 0) -> Path:
    """Write `count` images of each kind as class folders of PNG files."""
    for kind in kinds:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            draw_shape(kind, number).save(folder / kind / f"{number:03d}.png")
    return folder


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """A folder of three classes of 30 images of 24×24."""
    return write_shapes(tmp_path / "shapes", 30)


@pytest.fixture(scope="session")
def shapes_run(tmp_path_factory: pytest.TempPathFactory, mirante: Command) -> Iterator[tuple[Path, Path]]:
    """A finished run on 3 × 80 shapes, and its data; made once by the command line. Treat both as read-only."""
    folder = tmp_path_factory.mktemp("finished")
    data = write_shapes(folder / "shapes", 80)
    done = mirante(
        "train", data, "--model", "8C3-MP2-16C3-MP2-16N", "--epochs", "6", "--out", folder / "run", "--lang", "en"
    )
    assert done.returncode == 0, done.stderr
    yield folder / "run", data


@pytest.fixture(scope="session")
def photographed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """180 shapes of two kinds in 56 groups, as a table; a few groups hold both kinds, and some labels are wrong."""
    root = write_shapes(tmp_path_factory.mktemp("groups") / "shapes", 90, ("bar", "disc"))
    lines = ["path,label,person"]
    for kind in ("bar", "disc"):
        for number in range(90):
            person = f"both{number // 3}" if number < 12 else f"{kind}{number // 3}"
            label = kind if number % 7 else {"bar": "disc", "disc": "bar"}[kind]  # so that no model is always right
            lines.append(f"{kind}/{number:03d}.png,{label},{person}")
    (root / "labels.csv").write_text("\n".join(lines))
    return root


@pytest.fixture(scope="module")
def browser():  # type: ignore[no-untyped-def]
    """A Chromium, with a camera that shows a moving picture."""
    executable = find_browser()
    if executable is None:
        assert not os.environ.get("CI"), "CI must have a browser: python tests/browser.py installs one"
        pytest.skip("NO BROWSER here: python tests/browser.py installs one")
    from playwright.sync_api import sync_playwright

    camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, args=[*ARGUMENTS, *camera])
        yield running
        running.close()


def model_info(
    classes: Sequence[str],
    shape: tuple[int, ...],
    line: str,
    fit: Fit = "crop",
    answers: int = 0,
    flip_tta: bool = False,
    **learned: Any,
) -> ModelInfo:
    """Return what a network of classes takes and answers, or with `answers` characters one that reads texts of so many."""
    task = "read" if answers else "classify"
    output = (*([answers] if answers else []), len(classes))
    known = task_named(task).read_learned(learned)
    return ModelInfo(task, tuple(classes), *shape, fit, line, output, flip_tta, learned=known)  # type: ignore[arg-type, misc]
