"""The command line as real processes, forked from one that has imported the large libraries already.

A process of its own takes some four seconds of imports before it does anything; hundreds of them are most of the suite. A forked
one has its own memory, folder, streams and exit status all the same, and Mirante's own modules are imported by it alone.
"""

from __future__ import annotations

import io
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_LIBRARIES = (
    "jinja2 joblib matplotlib.backends.backend_agg matplotlib.figure numpy onnx onnxruntime PIL.Image rich.table "
    "safetensors.torch scipy.stats sklearn.datasets torch torch._dynamo"
)
_TIMEOUT = 300


class CommandLine:
    """Starts `mirante` in forked processes, one at a time."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )  # nothing is buffered here, so that select sees all there is to read

    def run(
        self, words: Sequence[str], cwd: Path | None, stdin: str, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. Raises subprocess.TimeoutExpired after five minutes."""
        assert self._server.stdin is not None and self._server.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            given, out, err = (Path(folder) / name for name in ("stdin", "stdout", "stderr"))
            given.write_text(stdin, encoding="utf-8")
            streams = [str(given), str(out), str(err)]
            asked = json.dumps([list(words), str(cwd or Path.cwd()), streams, dict(environment)])
            self._server.stdin.write(asked.encode() + b"\n")
            child = int(self._server.stdout.readline())
            if not select.select([self._server.stdout], [], [], _TIMEOUT)[0]:
                os.kill(child, signal.SIGKILL)
                self._server.stdout.readline()
                raise subprocess.TimeoutExpired(list(words), _TIMEOUT)
            status = int(self._server.stdout.readline())
            return subprocess.CompletedProcess(
                list(words), status, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")
            )

    def close(self) -> None:
        """End the process that the others are forked from."""
        self._server.communicate()


def _serve() -> None:
    for name in _LIBRARIES.split():
        __import__(name)
    for line in sys.stdin:
        words, cwd, streams, environment = json.loads(line)
        child = os.fork()
        if child == 0:
            os.environ.update(environment)
            _become(words, cwd, streams)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(words: list[str], cwd: str, streams: list[str]) -> None:
    """Do what `python -m mirante` does, in this process, and end it."""
    for number, (path, how) in enumerate(zip(streams, (os.O_RDONLY, *[os.O_WRONLY | os.O_CREAT] * 2), strict=True)):
        opened = os.open(path, how)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
    os.chdir(cwd)
    sys.argv = ["mirante", *words]
    status: object = 1
    try:
        import runpy

        runpy.run_module("mirante", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        status = ended.code
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else int(status is not None))


if __name__ == "__main__":
    _serve()
