"""What several benchmarks share: environments of the other libraries, and the images as each library wants them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MADE = HERE / ".made"  # ignored by git: environments, unpacked images


def test_data() -> Path:
    """Return the folder with the archives of real images."""
    folder = os.environ.get("MIRANTE_TEST_DATA")
    if not folder:
        raise SystemExit("MIRANTE_TEST_DATA names the folder of the real image archives; it is not set.")
    return Path(folder)


def python_of(side: str) -> str:
    """Return the interpreter of a side's own environment, made from its requirements at the first call."""
    folder = MADE / side
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        venv.create(folder, with_pip=True)
        words = ["-m", "pip", "install", "--quiet", "-r", str(HERE / "others" / f"{side}.txt")]
        subprocess.run([str(python), *words], check=True)
        (folder / "installed").touch()
    return str(python)


def run_side(side: str, *words: str) -> list[dict[str, Any]]:
    """Run a side's program and return the JSON lines that it prints."""
    command = [python_of(side), str(HERE / "others" / f"{side}_side.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        print(done.stderr[-2000:], file=sys.stderr)
    return lines


def unpacked(name: str) -> Path:
    """Return the folder in which an archive of images lies unpacked."""
    folder = MADE / "images" / name
    if not folder.exists():
        with tarfile.open(test_data() / f"{name}.tar.xz") as archive:
            archive.extractall(folder, filter="data")
    inner = [path for path in folder.iterdir() if path.is_dir()]
    return inner[0] if len(inner) == 1 else folder


def cifar10_arrays() -> Path:
    """Return an .npz of CIFAR-10's pixels and labels, all training images together."""
    import numpy as np

    from mirante import Dataset

    path = MADE / "cifar10.npz"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        dataset, pixels = Dataset.open(test_data() / "cifar10-images.tar.xz", val_share=0.0).load((32, 32), 3, "crop")
        arrays = {}
        for split in ("train", "test"):
            rows = dataset.rows(split)
            arrays |= {f"x_{split}": pixels[rows], f"y_{split}": dataset.targets[rows]}
        np.savez(path, **arrays)
    return path


def train_mirante(data: Path | str, *words: str, out: Path | None = None) -> tuple[float, float, dict[str, Any], str]:
    """Train with the command line; return test accuracy, training seconds, all figures, and the line of layers."""
    run = out or MADE / "run"
    command = [sys.executable, "-m", "mirante", "train", str(data), *words, "--out", str(run), "--overwrite"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    history = (run / "history.csv").read_text().splitlines()
    metrics = json.loads((run / "metrics.json").read_text())
    layers = json.loads((run / "model.json").read_text())["layers"]
    return metrics["accuracy"]["value"], float(history[-1].split(",")[2]), metrics, layers
