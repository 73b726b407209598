"""Serve models over HTTP: images in, JSON out, with batching, limits, health and metrics.

POST /v1/models/NAME/predict takes an image, several in multipart, or base64 in JSON; / is a page to try it. A model whose file
changes is reloaded. On SIGTERM, accepted requests are finished first.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from mirante.cli.arguments import add_log, require_log, require_positive, seconds
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
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="worker processes; one that dies is restarted"
    )
    parser.add_argument(
        "--tokens", metavar="FILE", help="accept only requests with one of these bearer tokens, one per line"
    )
    parser.add_argument(
        "--timeout", type=seconds, default=10.0, metavar="T", help="answer within this time, or refuse (default: 10s)"
    )
    parser.add_argument(
        "--queue",
        type=int,
        default=256,
        metavar="N",
        help="images that may wait; beyond that, requests get 503 (default: 256)",
    )
    parser.add_argument("--max-megabytes", type=int, default=32, metavar="N", help="largest request (default: 32)")
    parser.add_argument("--max-images", type=int, default=64, metavar="N", help="images per request (default: 64)")
    parser.add_argument("--max-megapixels", type=int, default=50, metavar="N", help="largest image (default: 50)")
    group = parser.add_argument_group("corrections, for mirante photos learn")
    group.add_argument(
        "--feedback",
        metavar="DIR",
        help="keep images that are sent to /v1/models/NAME/feedback with what they show, in DIR/NAME",
    )
    group.add_argument(
        "--feedback-megabytes",
        type=int,
        default=1000,
        metavar="N",
        help="how many of them are kept; then they are refused (default: 1000)",
    )
    add_log(parser).add_argument(
        "--monitor-every",
        type=seconds,
        metavar="T",
        help="how often the log is compared with the test images, for /metrics (default: 1h)",
    )


def run(arguments: argparse.Namespace) -> None:
    require_positive(
        arguments, "workers", "queue", "max_megabytes", "max_images", "max_megapixels", "feedback_megabytes"
    )
    require_log(arguments)
    if arguments.monitor_every is not None and arguments.log is None:
        raise RequestError("--monitor-every needs --log: the log is what is compared.")
    import uvicorn

    from mirante.cli.streams import tell
    from mirante.cli.studio import listen
    from mirante.serving.app import create_app
    from mirante.serving.connections import SECONDS, Connection
    from mirante.serving.measures import FOLDER
    from mirante.serving.models import require_models
    from mirante.serving.settings import Settings

    settings = Settings(
        tuple(str(Path(run).expanduser().resolve()) for run in arguments.runs),
        arguments.queue,
        arguments.timeout,
        arguments.max_megabytes << 20,
        arguments.max_images,
        arguments.max_megapixels * 1_000_000,
        _tokens(arguments.tokens),
        None if arguments.log is None else str(Path(arguments.log).expanduser().resolve()),
        arguments.log_megabytes,
        arguments.keep_images or 0,
        arguments.monitor_every or Settings.monitor_every,
        None if arguments.feedback is None else str(Path(arguments.feedback).expanduser().resolve()),
        arguments.feedback_megabytes,
    )
    app = None  # what is wrong with a model is said before it listens
    if arguments.workers == 1:
        app = create_app(settings)
    else:  # each of the processes opens the models by itself
        require_models(settings)
    listening = listen(arguments.host, arguments.port)
    port = listening.getsockname()[1]
    host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
    served = ", ".join(Path(run).name for run in arguments.runs)
    tell(f"Serving {served} at http://{host}:{port}", arguments.lang, sys.stdout)
    if arguments.host not in ("127.0.0.1", "localhost", "::1") and not settings.tokens:
        tell("Other machines can reach it, and it asks for no token (see --tokens).", arguments.lang)
    shared: dict[str, Any] = {
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        "http": Connection,
        "timeout_keep_alive": SECONDS,
        "timeout_graceful_shutdown": int(arguments.timeout) + 5,
    }
    if app is not None:
        uvicorn.Server(uvicorn.Config(app, **shared)).run(sockets=[listening])
        return
    settings.keep()
    listening.close()  # the worker processes share a socket of their own
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
        raise RequestError(
            f"--tokens {file}: cannot be read; it must be a text file with one token per line."
        ) from error
    tokens = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not tokens:
        raise RequestError(f"--tokens {file}: it has no tokens, so nobody would be let in.")
    return tokens
