"""The prediction server as a process: right answers, limits, overload, hot reload, an orderly end, and killed workers."""

from __future__ import annotations

import asyncio
import base64
import csv
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
import uvicorn
from conftest import Command
from PIL import Image

from mirante.model_info import ModelInfo
from mirante.prediction.model import Model
from mirante.serving import connections

Answer = tuple[int, dict[str, str], Any]


class Server:
    """A running `mirante serve`."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "", token: str = "") -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = ({"content-type": kind} if kind else {}) | ({"authorization": f"Bearer {token}"} if token else {})
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        named = {name.lower(): value for name, value in response.getheaders()}
        is_json = named.get("content-type", "").startswith("application/json")
        return response.status, named, json.loads(content) if is_json else content.decode()

    def predict(self, body: bytes, kind: str = "image/png", query: str = "", token: str = "") -> Answer:
        return self.ask("POST", f"/v1/models/run/predict{query}", body, kind, token)


@contextmanager
def serving(run: Path, *words: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "mirante", "serve", str(run), "--port", "0", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r":(\d+)$", line.strip())
    assert found, process.stderr and process.stderr.read()
    server = Server(process, int(found[1]))
    try:
        wait(lambda: answers(server))
        yield server
    finally:
        for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
            child.kill()
        process.kill()
        process.wait()


def answers(server: Server) -> bool:
    try:
        return server.ask("GET", "/readyz")[0] == 200
    except OSError:
        return False


def wait(until: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def server(shapes_run: tuple[Path, Path]) -> Iterator[Server]:
    with serving(shapes_run[0], "--max-images", "64", "--max-megabytes", "2", "--max-megapixels", "1") as running:
        yield running


@pytest.fixture(scope="module")
def picture(shapes_run: tuple[Path, Path]) -> Path:
    return shapes_run[1] / "disc" / "005.png"


def multipart(files: list[tuple[str, bytes]]) -> tuple[bytes, str]:
    parts = [
        f'--limit\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in files
    ]
    return b"".join(parts) + b"--limit--\r\n", "multipart/form-data; boundary=limit"


def as_json(*images: bytes) -> bytes:
    return json.dumps({"images": [base64.b64encode(one).decode() for one in images]}).encode()


def test_three_kinds_of_body_get_the_answer_of_the_classifier(
    server: Server, shapes_run: tuple[Path, Path], picture: Path
) -> None:
    expected = Model(shapes_run[0]).predict(picture)
    content = picture.read_bytes()
    for body, kind in ((content, "image/png"), multipart([("a.png", content)]), (as_json(content), "application/json")):
        status, _, found = server.predict(body, kind)
        (one,) = found["predictions"]
        assert status == 200 and one["label"] == expected.label
        assert one["confidence"] == pytest.approx(expected.confidence, abs=1e-5)
        assert len(found["version"]) == 16 and found["model"] == "run"


def test_a_bad_image_fails_no_other_and_is_named(server: Server, picture: Path) -> None:
    body, kind = multipart([("good.png", picture.read_bytes()), ("bad.png", b"nonsense"), ("empty.png", b"")])
    status, _, found = server.predict(body, kind)
    first, second, third = found["predictions"]
    assert status == 200 and first["label"] == "disc" and first["name"] == "good.png"
    assert second == {"name": "bad.png", "error": "not an image that can be read"} and "empty" in third["error"]


def test_none_of_these_is_said_where_the_answer_is_read(
    shapes_run: tuple[Path, Path], picture: Path, tmp_path: Path, mirante: Command
) -> None:
    """A model whose limit every image exceeds: no label in any form, and the nearest class under its own name."""
    run = tmp_path / "run"
    shutil.copytree(shapes_run[0], run)
    model = onnx.load(run / "model.onnx")
    info = json.loads(model.metadata_props[0].value)
    info["learned"]["ood_threshold"] = -1.0
    model.metadata_props[0].value = json.dumps(info)
    onnx.save(model, run / "model.onnx")
    one = Model(run).predict(picture)
    assert (one.label, one.confidence, one.nearest) == (None, None, "disc") and one.nearest_confidence > 0.5
    told = json.loads(mirante("predict", run, picture, "--format", "json").stdout)
    (row,) = csv.DictReader(io.StringIO(mirante("predict", run, picture, "--format", "csv").stdout))
    with serving(run) as server:
        (served,) = server.predict(picture.read_bytes())[2]["predictions"]
    for found in (told, served):
        assert found["label"] is None and found["confidence"] is None and found["none_of_these"] is True
        assert found["nearest"] == "disc" and found["nearest_confidence"] == pytest.approx(
            one.nearest_confidence, abs=1e-5
        )
    assert (row["label"], row["confidence"], row["none_of_these"], row["nearest"]) == ("", "", "1", "disc")
    assert mirante("predict", run, picture).stdout.splitlines()[1].startswith("none of these")
    info = ModelInfo.from_json(json.dumps(info), "here")
    values = {"ood_score": np.array([0.0])}, np.array([0.1, 0.2, 0.7]), list(info.classes)
    names = dict(zip(("answers", "probabilities", "CLASSES"), values, strict=True))
    assert eval(info.asks.in_python(info), names)[0] is None  # what the card of a hub folder says


def bomb() -> bytes:
    """A PNG of some hundred bytes that says it has 400 megapixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def test_what_is_too_much_or_not_understood_is_refused(server: Server, picture: Path) -> None:
    content = picture.read_bytes()
    cases: list[tuple[bytes, str, str, int]] = [
        (b"x" * (3 << 20), "image/png", "", 413),
        (as_json(*[content] * 65), "application/json", "", 413),
        (content, "text/plain", "", 415),
        (b"{", "application/json", "", 400),
        (b'{"images": []}', "application/json", "", 400),
        (b"[" * 100_000, "application/json", "", 400),
        (b"junk", "multipart/form-data", "", 400),
        (content, "image/png", "?coverage=2", 400),
    ]
    for body, kind, query, status in cases:
        found = server.predict(body, kind, query)
        assert found[0] == status and found[2]["error"], (kind, query, found)
    assert server.ask("POST", "/v1/models/none/predict", content, "image/png")[0] == 404
    assert server.ask("GET", "/v1/models/run/predict")[0] == 405
    for image, reason in ((bomb(), "pixels"), (large_image(), "more than 1,000,000")):
        status, _, found = server.predict(image)
        assert status == 200 and reason in found["predictions"][0]["error"]


def large_image() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (1100, 1000)).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_rest_is_served_through_bad_images_and_connections_that_say_nothing(server: Server, picture: Path) -> None:
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    for number, one in enumerate(silent):
        one.sendall(b"POST /v1/models/run/predict HTTP/1.1\r\nhost: x\r\ncontent-le"[: number + 1])
    random = np.random.default_rng(0)
    for _ in range(16):
        bad = [random.bytes(200) for _ in range(63)]
        status, _, found = server.predict(as_json(*bad), "application/json")
        assert status == 200 and all("error" in one for one in found["predictions"])
    began = time.monotonic()
    assert server.predict(picture.read_bytes())[2]["predictions"][0]["label"] == "disc"
    assert time.monotonic() - began < 2
    for one in silent:
        one.close()


def test_health_metrics_and_the_page_are_there(server: Server, picture: Path) -> None:
    server.predict(picture.read_bytes())
    assert server.ask("GET", "/healthz")[2] == "ok"
    measures = server.ask("GET", "/metrics")[2]
    assert float(re.findall(r'requests_total{model="run",status="200"} (\S+)', measures)[0]) >= 1
    assert 'mirante_batch_images_bucket{le="64.0",model="run"}' in measures
    assert "/try.js" in server.ask("GET", "/")[2] and "fetch" in server.ask("GET", "/try.js")[2]
    described = server.ask("GET", "/openapi.json")[2]
    assert set(described["paths"]) >= {"/v1/models/{name}/predict", "/healthz", "/readyz", "/metrics"}


def test_schemathesis_finds_nothing(server: Server, tmp_path: Path) -> None:
    words = ["run", f"http://127.0.0.1:{server.port}/openapi.json", "--max-examples", "25", "--no-color", "--seed", "1"]
    words += [
        "--exclude-path-regex",
        "/infer$",
    ]  # a body that fits the schema may hold no image: tests/test_inference.py
    done = subprocess.run(
        [Path(sys.executable).parent / "schemathesis", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "generated" in done.stdout, done.stdout[-3000:]


def test_a_full_queue_says_so_at_once_and_a_slow_sender_is_left(shapes_run: tuple[Path, Path], picture: Path) -> None:
    content = picture.read_bytes()
    with serving(shapes_run[0], "--queue", "4", "--timeout", "2s") as running:
        began = time.monotonic()
        status, headers, found = running.predict(as_json(*[content] * 5), "application/json")
        assert status == 503 and headers["retry-after"] == "1" and "waiting" in found["error"]
        assert time.monotonic() - began < 1
        slow = socket.create_connection(("127.0.0.1", running.port))
        slow.sendall(
            b"POST /v1/models/run/predict HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\ncontent-length: 99\r\n\r\nx"
        )
        assert running.predict(content)[0] == 200
        slow.settimeout(10)
        assert slow.recv(400).startswith(b"HTTP/1.1 408")
        slow.close()


def test_a_connection_that_brings_no_request_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SECONDS", 1)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(1.5)  # an answer may take longer than that
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    listening = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(uvicorn.Config(app, http=connections.Connection, lifespan="off", log_level="error"))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
    thread.start()
    silent, slow, asking = (socket.create_connection(listening.getsockname(), timeout=10) for _ in range(3))
    slow.sendall(b"GET / HTTP/1.1\r\nhost: ")
    asking.sendall(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
    assert silent.recv(10) == b"" == slow.recv(10)
    assert asking.recv(100).startswith(b"HTTP/1.1 204")
    running.should_exit = True
    thread.join(20)
    assert not thread.is_alive()
    for one in (silent, slow, asking):
        one.close()


def test_a_model_whose_file_changes_is_opened_anew_without_a_lost_request(
    shapes_run: tuple[Path, Path], picture: Path, mirante: Command, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(shapes_run[0], tmp_path / "run"))
    other = tmp_path / "other"
    words = ["--model", "4C3-MP2-8N", "--epochs", "1", "--out", other]
    assert mirante("train", shapes_run[1], *words).returncode == 0
    content = picture.read_bytes()
    with serving(run) as running:
        seen: list[tuple[int, str]] = []
        ending = threading.Event()

        def keep_asking() -> None:
            while not ending.is_set():
                status, _, found = running.predict(content)
                seen.append((status, found.get("version", "")))

        asking = [threading.Thread(target=keep_asking) for _ in range(3)]
        for one in asking:
            one.start()
        wait(lambda: len(seen) > 20)
        (run / "model.onnx").write_bytes(b"half a file")
        time.sleep(1.5)  # the server looks once a second; it must go on with what it has
        shutil.copy(other / "model.onnx", run / "new.part")
        (run / "new.part").replace(run / "model.onnx")
        first = seen[0][1]
        wait(lambda: seen[-1][1] not in ("", first))
        ending.set()
        for one in asking:
            one.join()
        assert {status for status, _ in seen} == {200} and len({version for _, version in seen}) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM that a process can answer")
def test_sigterm_finishes_what_was_accepted(shapes_run: tuple[Path, Path], picture: Path) -> None:
    content = picture.read_bytes()
    with serving(shapes_run[0]) as running:
        waiting = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
        waiting.putrequest("POST", "/v1/models/run/predict")
        waiting.putheader("content-type", "image/png")
        waiting.putheader("content-length", str(len(content)))
        waiting.endheaders(content[:50])
        assert running.predict(content)[0] == 200  # so the first one has arrived
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        waiting.send(content[50:])
        response = waiting.getresponse()
        assert response.status == 200 and json.loads(response.read())["predictions"][0]["label"] == "disc"
        assert running.process.wait(15) in (0, -signal.SIGTERM)


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill with SIGKILL is of POSIX")
def test_a_killed_worker_is_replaced_and_the_rest_is_served(shapes_run: tuple[Path, Path], picture: Path) -> None:
    content = picture.read_bytes()

    def workers(running: Server) -> list[psutil.Process]:
        found = psutil.Process(running.process.pid).children()
        return [one for one in found if one.is_running() and "spawn_main" in " ".join(one.cmdline())]

    with serving(shapes_run[0], "--workers", "2") as running:
        wait(lambda: len(workers(running)) == 2)
        killed = workers(running)[0].pid
        os.kill(killed, signal.SIGKILL)
        lost, answered = 0, 0
        end = time.monotonic() + 6
        while time.monotonic() < end:
            try:
                answered += running.predict(content)[0] == 200
            except (OSError, http.client.HTTPException):
                lost += 1
        assert answered > 50 and lost <= 2
        told = running.ask("GET", "/metrics")[2]
        counted = re.search(r'^mirante_requests_total{model="run",status="200"} ([\d.]+)', told, re.MULTILINE)
        assert counted is not None and float(counted[1]) >= answered, "the sum over all processes, the killed one too"
        assert told.count("mirante_waiting_images{") == 1
        wait(lambda: len([one for one in workers(running) if one.pid != killed]) == 2)


def test_tokens_keep_others_out(shapes_run: tuple[Path, Path], picture: Path, tmp_path: Path, mirante: Command) -> None:
    (tmp_path / "tokens").write_text("# of the laboratory\nsesame\nabra\n")
    with serving(shapes_run[0], "--tokens", str(tmp_path / "tokens")) as running:
        content = picture.read_bytes()
        assert running.predict(content)[0] == 401 and running.predict(content, token="sesam")[0] == 401
        assert running.predict(content, token="sesame")[0] == 200 == running.predict(content, token="abra")[0]
        assert running.ask("GET", "/metrics")[0] == 401 and running.ask("GET", "/healthz")[0] == 200
        assert running.ask("GET", "/v1/models")[1]["www-authenticate"] == "Bearer"
    (tmp_path / "tokens").write_text("# none\n")
    assert mirante("serve", shapes_run[0], "--tokens", tmp_path / "tokens").returncode == 2
    for words in (["none"], [shapes_run[0], shapes_run[0]], [shapes_run[0], "--queue", "0"]):
        done = mirante("serve", *words)
        assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
