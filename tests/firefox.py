"""Firefox, driven through WebDriver BiDi, which it speaks itself: Playwright's own Firefox is a build that Debian does not have."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

_NAMES = ("firefox-esr", "firefox")
_SECONDS = 60


def find_firefox() -> str | None:
    """Return the path of a Firefox, or None."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


def install() -> None:
    """Install Debian's Firefox if there is none and this user may."""
    if find_firefox() is None and shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        subprocess.run(["apt-get", "install", "-y", "-qq", "firefox-esr"], check=False, stdout=subprocess.DEVNULL)


class Firefox:
    """A headless Firefox with one page, its network cut: `visit` opens an address, `run` evaluates JavaScript there."""

    def __init__(self) -> None:
        from websockets.sync.client import connect

        path = find_firefox()
        assert path is not None
        self.profile = tempfile.mkdtemp(prefix="mirante-firefox-")
        # a proxy where nothing listens: whatever the page asked of a network would fail
        cut: dict[str, object] = {"network.proxy.type": 1}
        for name in ("http", "ssl"):
            cut |= {f"network.proxy.{name}": "127.0.0.1", f"network.proxy.{name}_port": 9}
        lines = [f'user_pref("{name}", {json.dumps(value)});' for name, value in cut.items()]
        (Path(self.profile) / "user.js").write_text("\n".join(lines), encoding="utf-8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        words = [path, "--headless", "--no-remote", "--profile", self.profile, f"--remote-debugging-port={port}"]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        ending = time.monotonic() + _SECONDS
        while True:
            try:
                self.socket = connect(f"ws://127.0.0.1:{port}/session", max_size=None, open_timeout=5)
                break
            except OSError:
                if time.monotonic() > ending:
                    self.close()
                    raise
                time.sleep(0.2)
        self.sent = 0
        self.errors: list[str] = []
        self._ask("session.new", capabilities={})
        self._ask("session.subscribe", events=["log.entryAdded"])
        self.page = self._ask("browsingContext.getTree")["contexts"][0]["context"]

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        self.sent += 1
        self.socket.send(json.dumps({"id": self.sent, "method": method, "params": params}))
        while True:
            told = json.loads(self.socket.recv(timeout=_SECONDS * 2))
            if told.get("method") == "log.entryAdded" and told["params"]["level"] == "error":
                self.errors.append(told["params"]["text"])
            if told.get("id") == self.sent:
                if told["type"] == "error":
                    raise AssertionError(f"{method}: {told['message']}")
                return told["result"]  # type: ignore[no-any-return]

    def visit(self, address: str) -> None:
        """Open an address and wait until it is there."""
        self._ask("browsingContext.navigate", context=self.page, url=address, wait="complete")

    def run(self, script: str) -> Any:
        """Return the value of an expression, a string or a number; a promise is waited for."""
        told = self._ask("script.evaluate", expression=script, target={"context": self.page}, awaitPromise=True)
        if told["type"] != "success":
            raise AssertionError(told["exceptionDetails"]["text"])
        return told["result"].get("value")

    def close(self) -> None:
        """End it and remove what it wrote."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(self.profile, ignore_errors=True)


if __name__ == "__main__":
    install()
