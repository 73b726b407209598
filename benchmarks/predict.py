"""Prediction end to end on a folder, against decoding alone, Ultralytics, and its own memory; and the first answer.

    python benchmarks/predict.py [--ultralytics]

Small images: 10,000 test images of CIFAR-10, the tutorial's model and `fast`'s. Photos: 1,000 X-rays of 320 pixels, at 224,
EfficientNet-Lite0 (4.7 million parameters) against yolov8n-cls (2.7 million).
"""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from record import record
from sides import MADE, python_of, test_data, train_mirante, unpacked

ULTRALYTICS = """
import sys, time
from ultralytics import YOLO
model = YOLO("yolov8n-cls.yaml")
list(model.predict(sys.argv[2], imgsz=int(sys.argv[3]), stream=True, verbose=False, batch=1))
began = time.monotonic()
count = sum(1 for _ in model.predict(sys.argv[1], imgsz=int(sys.argv[3]), stream=True, verbose=False, batch=16))
print(count / (time.monotonic() - began))
"""
MIRANTE = """
import resource, sys, time
from pathlib import Path
import mirante
model = mirante.load(sys.argv[1])
files = sorted(path for path in Path(sys.argv[2]).rglob("*.jp*g") if path.is_file())
list(model.predict_many(files[:8]))
began = time.monotonic()
count = sum(1 for _ in model.predict_many(files))
print(count / (time.monotonic() - began), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def decode_alone(folder: Path, size: int) -> float:
    """Return images a second of Pillow in two threads, to RGB at a size, with JPEG's own scaling."""

    def decode(path: Path) -> None:
        with Image.open(path) as image:
            image.draft("RGB", (size, size))
            image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)

    files = sorted(path for path in folder.rglob("*.jp*g") if path.is_file())
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(decode, files))
    return len(files) / (time.monotonic() - began)


def of_mirante(run: Path, folder: Path) -> tuple[float, float]:
    """Return images a second and the peak memory in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", MIRANTE, str(run), str(folder)], capture_output=True, text=True, check=True
    )
    rate, memory = map(float, done.stdout.split())
    return rate, memory


def of_ultralytics(folder: Path, size: int) -> float:
    image = next(folder.rglob("*.jp*g"))
    words = [python_of("ultralytics"), "-c", ULTRALYTICS, str(folder / "**" / "*.*"), str(image), str(size)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return float(done.stdout.split()[-1])


def main() -> None:
    small, photos = unpacked("cifar10-images") / "test", unpacked("chest-xray-320")
    runs = {name: MADE / f"run-{name}" for name in ("tutorial", "fast", "transfer")}
    cifar10 = test_data() / "cifar10-images.tar.xz"
    train_mirante(cifar10, "--recipe", "tutorial", "--epochs", "1", out=runs["tutorial"])
    train_mirante(cifar10, "--recipe", "fast", "--epochs", "1", out=runs["fast"])
    train_mirante(photos, "--recipe", "transfer", "--labels", str(photos / "labels.csv"), out=runs["transfer"])
    lines = ["| folder | what | images/s | of decoding alone | peak memory |", "|---|---|---|---|---|"]
    for folder, size, names in ((small, 32, ("tutorial", "fast")), (photos, 224, ("transfer",))):
        alone = max(decode_alone(folder, size) for _ in range(2))
        lines.append(f"| {folder.name} | Pillow, two threads, decoding alone | {alone:,.0f} | 1 | |")
        for name in names:
            rate, memory = max(of_mirante(runs[name], folder) for _ in range(2))
            lines.append(
                f"| {folder.name} | Mirante, `{name}`'s model | {rate:,.0f} | {rate / alone:.2f} | {memory:.0f} MiB |"
            )
        if "--ultralytics" in sys.argv:
            rate = of_ultralytics(folder, size)
            lines.append(f"| {folder.name} | Ultralytics yolov8n-cls | {rate:,.0f} | {rate / alone:.2f} | |")
    few, many = small / sorted(path.name for path in small.iterdir())[0], small.parent
    memories = [of_mirante(runs["tutorial"], folder)[1] for folder in (few, many)]
    lines += ["", f"Memory with 1,000 files and with 60,000: {memories[0]:.0f} and {memories[1]:.0f} MiB."]
    took = []
    for _ in range(5):
        began = time.monotonic()
        image = next(small.rglob("*.jpg"))
        subprocess.run(
            [sys.executable, "-m", "mirante", "predict", str(runs["fast"]), str(image)], check=True, capture_output=True
        )
        took.append(time.monotonic() - began)
    lines.append(f"First answer for one image, from Enter on: {sorted(took)[2]:.2f} s.")
    record("Prediction on a folder", lines)


if __name__ == "__main__":
    main()
