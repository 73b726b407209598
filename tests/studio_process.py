"""A studio as a person starts it: a process of its own, reached over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Studio:
    """A running studio: its folder, process and address; `ask` speaks HTTP with its cookie."""

    folder: Path
    process: subprocess.Popen[str]
    address: str
    cookie: str = ""
    port: int = field(init=False)

    def __post_init__(self) -> None:
        self.port = urlsplit(self.address).port or 0
        status, headers, _ = self.ask("GET", self.address.partition(str(self.port))[2], cookie="")
        assert status == 303, status
        self.cookie = headers["set-cookie"].partition(";")[0]

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: bytes | dict[str, Any] | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request; returns status, headers and body. Headers that are given replace those of the studio's own pages."""
        sent = {"Host": f"127.0.0.1:{self.port}", "Cookie": self.cookie}
        if method == "POST":
            sent["Origin"] = self.origin
        sent |= {name.replace("_", "-").title(): value for name, value in headers.items()}
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.putrequest(method, path, skip_host=True)
        for name, value in sent.items():
            if value:
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(content or b"")))
        connection.endheaders(content)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, found, answer.read()

    def json(self, method: str, path: str, body: bytes | dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request that must succeed, and return its JSON."""
        status, _, content = self.ask(method, path, body)
        assert status == 200, (path, status, content)
        value: dict[str, Any] = json.loads(content)
        return value

    def wait(self, name: str, wanted: str, seconds: float = 120) -> dict[str, Any]:
        """Wait until a training is in a state; returns how it stands."""
        until = time.monotonic() + seconds
        while True:
            now = self.json("GET", f"/api/train/{name}")
            if now["state"] == wanted:
                return now
            assert time.monotonic() < until and now["state"] in ("running", "stopped"), now
            time.sleep(0.1)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def start_studio(folder: Path, *words: str) -> Studio:
    """Start `mirante studio` in a folder, on a free port, without opening a browser."""
    command = [
        sys.executable,
        "-m",
        "mirante",
        "studio",
        str(folder),
        "--no-browser",
        "--port",
        "0",
        "--lang",
        "en",
        *words,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    assert process.stdout is not None
    found = re.search(r"http://\S+", process.stdout.readline())
    assert found, process.poll()
    return Studio(folder, process, found[0])
