"""How long does a person wait for help, and for the first answer? Against `import torch`, turn by turn.

python benchmarks/start.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import record

ROUNDS = 7


def seconds(command: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - began


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "MIRANTE_CACHE": str(Path(folder) / "cache")}
        run, image = Path(folder) / "run", Path(folder) / "image.png"
        mirante = [sys.executable, "-m", "mirante"]
        train = [*mirante, "train", "digits", "--recipe", "tutorial", "--epochs", "1", "--out", str(run)]
        subprocess.run(train, check=True, capture_output=True, env=environment)
        from PIL import Image

        Image.new("L", (8, 8), 128).save(image)
        commands = {
            "mirante --help": [*mirante, "--help"],
            "mirante predict, one image": [*mirante, "predict", str(run), str(image)],
            "python -c 'import torch'": [sys.executable, "-c", "import torch"],
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                taken[name].append(seconds(command, environment))
    middle = {name: statistics.median(values) for name, values in taken.items()}
    base = middle["python -c 'import torch'"]
    lines = ["| command | median s | share of importing torch |", "|---|---|---|"]
    lines += [f"| `{name}` | {value:.2f} | {value / base:.2f} |" for name, value in middle.items()]
    record(f"Start, {ROUNDS} rounds in turn", lines)


if __name__ == "__main__":
    main()
