"""What the server costs: images a second at saturation and times under overload, beside a bare ONNX Runtime loop and LitServe.

python benchmarks/serve.py        real photos; the senders are a process of their own on the same cores, which the bare loop has alone
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from record import record
from sides import HERE, MADE, python_of, test_data, unpacked

from mirante.prediction.model import Model

SECONDS, DEADLINE = 12.0, 2.0
BOUNDARY = "many"


def bodies(pictures: list[Path], each: int, plain: bool = True) -> list[tuple[bytes, str]]:
    """Return request bodies of so many images each, with their types; one image is sent as it is, or as multipart too."""
    if each == 1 and plain:
        return [(path.read_bytes(), "image/jpeg") for path in pictures]
    made = []
    for start in range(0, len(pictures), each):
        parts = b""
        for path in pictures[start : start + each]:
            parts += (
                f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="{path.name}"\r\n\r\n'.encode()
            )
            parts += path.read_bytes() + b"\r\n"
        made.append((parts + f"--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}"))
    return made


def send(port: int, path: str, sent: list[tuple[bytes, str]], senders: int, rate: float, out: Any) -> None:
    """Ask for SECONDS: as fast as answers come, or so many requests a second; put (status, seconds) of each request."""
    found: list[tuple[int, float]] = []
    begin = time.monotonic() + 0.5

    def ask(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        turn = number
        while True:
            now = time.monotonic()
            due = begin + turn / rate if rate else max(now, begin)
            if due > begin + SECONDS:
                return
            time.sleep(max(0.0, due - now))
            body, kind = sent[turn % len(sent)]
            began = time.monotonic()
            try:
                connection.request("POST", path, body, {"content-type": kind})
                response = connection.getresponse()
                response.read()
                found.append((response.status, time.monotonic() - began))
            except (OSError, http.client.HTTPException):
                found.append((0, time.monotonic() - began))
                connection.close()
            turn += senders

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(senders)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    out.put(found)


def load(
    port: int, path: str, sent: list[tuple[bytes, str]], senders: int, rate: float = 0.0
) -> list[tuple[int, float]]:
    out: Any = multiprocessing.Queue()
    process = multiprocessing.Process(target=send, args=(port, path, sent, senders, rate, out))
    process.start()
    found: list[tuple[int, float]] = out.get()
    process.join()
    return found


def bare(model: Any, pictures: list[Path]) -> float:
    """Return the images a second of a loop: decode a batch on every core, run it, take the next."""
    from concurrent.futures import ThreadPoolExecutor

    count, began = 0, time.monotonic()
    with ThreadPoolExecutor() as pool:
        while time.monotonic() - began < SECONDS / 2:
            some = [pictures[(count + number) % len(pictures)] for number in range(64)]
            model.run(np.stack(list(pool.map(lambda path: model.pixels(path.read_bytes()), some))))
            count += 64
    return count / (time.monotonic() - began)


def start(words: list[str], port: int, ready: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", ready)
            if connection.getresponse().status == 200:
                return process
        except OSError:
            time.sleep(0.3)
    raise SystemExit(f"{words[:3]}: does not answer")


def main() -> None:
    pictures = sorted(unpacked("flowers-128").rglob("*.jpg"))[::10][:400]
    lines = [
        "| model | bare loop | `mirante serve`, 16 images a request | one image a request | LitServe, one image a request |",
        "|---|--:|--:|--:|--:|",
    ]
    notes = []
    for name, words in (
        ("fast, 64 px", ["--recipe", "fast", "--epochs", "1"]),
        ("transfer, 224 px", ["--recipe", "transfer", "--size", "224"]),
    ):
        run = MADE / f"run-serve-{name.partition(',')[0]}"
        if not (run / "model.onnx").exists():
            command = [sys.executable, "-m", "mirante", "train", str(test_data() / "flowers-128.tar.xz"), *words]
            subprocess.run([*command, "--out", str(run), "--overwrite"], check=True, capture_output=True)
        model = Model(run)
        path = f"/v1/models/{run.name}/predict"
        command = [
            sys.executable,
            "-m",
            "mirante",
            "serve",
            str(run),
            "--port",
            "8191",
            "--timeout",
            f"{DEADLINE:g}s",
            "--queue",
            "128",
        ]
        loops, shares = [], {}
        for each, senders in ((16, 6), (1, 32)):
            loops.append(bare(model, pictures))
            process = start(command, 8191, "/readyz")
            found = load(8191, path, bodies(pictures, each), senders)
            shares[each] = sum(status == 200 for status, _ in found) * each / SECONDS
            if each == 1:
                capacity = shares[1]
                over = load(8191, path, bodies(pictures, 1), 400, 2 * capacity)
                late = np.array([seconds for status, seconds in over if status == 200])
                refused = sum(status == 503 for status, _ in over)
                others = sum(status not in (200, 503) for status, _ in over)
                first, last = np.quantile(late, [0.5, 0.99])
                notes.append(
                    f"{name}, {2 * capacity:.0f} requests a second, twice what it can: {len(late) / SECONDS:.0f} a second "
                    f"answered, the median after {first:.2f} s, p99 after {last:.2f} s (timeout {DEADLINE:g} s); {refused} refused "
                    f"with 503, {others} otherwise, of {len(over)}."
                )
            process.terminate()
            process.wait()
        side = [python_of("litserve"), str(HERE / "others" / "litserve_side.py"), str(run / "model.onnx"), "8192"]
        process = start(side, 8192, "/health")
        found = load(8192, "/predict", bodies(pictures, 1, plain=False), 32)
        peer = sum(status == 200 for status, _ in found) / SECONDS
        for child in psutil.Process(process.pid).children(
            recursive=True
        ):  # it leaves its workers behind, and they the port
            child.kill()
        process.kill()
        process.wait()
        loop = float(np.mean(loops))
        cells = [f"{shares[each]:.0f} ({shares[each] / loop:.0%})" for each in (16, 1)]
        lines.append(f"| {name} | {loop:.0f} images/s | {cells[0]} | {cells[1]} | {peer:.0f} ({peer / loop:.0%}) |")
        print(json.dumps(lines[-1]), notes[-1], flush=True)
    record("Serving: images a second at saturation, and overload", [*lines, "", *notes])


if __name__ == "__main__":
    main()
