"""Serve models over HTTP: images in, JSON out, with batching, limits, health and metrics.

POST /v1/models/NAME/predict takes an image, several in multipart, or JSON of base64; / is a page to try it. A model whose file
changes is opened anew. SIGTERM finishes what was accepted.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from mirante.cli.arguments import require_positive, seconds
from mirante.errors import RequestError

PORT = 8080


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+", help="run folders or model.onnx files")
    parser.add_argument("--port", type=int, default=PORT, metavar="N", help=f"port to listen on (default: {PORT})")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="NAME",
        help="address to listen on (default: 127.0.0.1, this machine only)",
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes; one that dies is started anew")
    parser.add_argument("--tokens", metavar="FILE", help="let in only who sends one of these bearer tokens, one a line")
    parser.add_argument(
        "--timeout", type=seconds, default=10.0, metavar="T", help="answer within this, or refuse (default: 10s)"
    )
    parser.add_argument(
        "--queue", type=int, default=256, metavar="N", help="images that may wait; more get 503 (default: 256)"
    )
    parser.add_argument("--max-megabytes", type=int, default=32, metavar="N", help="of a request (default: 32)")
    parser.add_argument("--max-images", type=int, default=64, metavar="N", help="of a request (default: 64)")
    parser.add_argument("--max-megapixels", type=int, default=50, metavar="N", help="of an image (default: 50)")


def run(arguments: argparse.Namespace) -> None:
    require_positive(arguments, "workers", "queue", "max_megabytes", "max_images", "max_megapixels")
    try:
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
    except ImportError as error:
        raise RequestError("mirante serve needs two more packages; pip install 'mirante[serve]'.") from error
    import uvicorn

    from mirante.cli.studio import listen
    from mirante.serving.app import create_app
    from mirante.serving.connections import SECONDS, Connection
    from mirante.serving.measures import FOLDER
    from mirante.serving.settings import Settings

    settings = Settings(
        tuple(str(Path(run).expanduser().resolve()) for run in arguments.runs),
        arguments.queue,
        arguments.timeout,
        arguments.max_megabytes << 20,
        arguments.max_images,
        arguments.max_megapixels * 1_000_000,
        _tokens(arguments.tokens),
    )
    app = create_app(settings)  # says what is wrong with a model before anything listens
    listening = listen(arguments.host, arguments.port)
    port = listening.getsockname()[1]
    host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
    print(f"Serving {', '.join(Path(run).name for run in arguments.runs)} at http://{host}:{port}", flush=True)
    if arguments.host not in ("127.0.0.1", "localhost", "::1") and not settings.tokens:
        print("Other machines can reach it, and it asks nobody for a token (--tokens).", file=sys.stderr)
    shared: dict[str, Any] = {
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        "http": Connection,
        "timeout_keep_alive": SECONDS,
        "timeout_graceful_shutdown": int(arguments.timeout) + 5,
    }
    if arguments.workers == 1:
        uvicorn.Server(uvicorn.Config(app, **shared)).run(sockets=[listening])
        return
    settings.keep()
    listening.close()  # the processes share a socket of their own
    where = {"host": arguments.host, "port": port}
    with tempfile.TemporaryDirectory(prefix="mirante-metrics-") as folder:
        os.environ[FOLDER] = folder
        uvicorn.run("mirante.serving.app:create", factory=True, workers=arguments.workers, **where, **shared)


def _tokens(file: str | None) -> tuple[str, ...]:
    if file is None:
        return ()
    try:
        lines = Path(file).expanduser().read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"--tokens {file}: cannot be read; it is a text file with a token a line.") from error
    tokens = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not tokens:
        raise RequestError(f"--tokens {file}: no token in it; without one nobody would be let in.")
    return tokens
