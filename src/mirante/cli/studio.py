"""Open the studio: images, training and answers in your browser, on this machine.

It works in FOLDER (default: the current folder), next to the runs there. Only this machine can reach it, and it fetches nothing
from elsewhere; --as-site has npm fetch TensorFlow.js, once. Ctrl-C stops it; trainings continue.
"""

from __future__ import annotations

import argparse
import os
import secrets
import socket
from pathlib import Path
from urllib.parse import quote

from mirante.cli.streams import tell
from mirante.errors import RequestError

PORT = 8765


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", metavar="FOLDER", nargs="?", default=".", help="folder to work in (default: the current one)"
    )
    parser.add_argument(
        "--port", type=int, metavar="N", help=f"port to listen on (default: {PORT}, or the next free one)"
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="NAME",
                        help="address to listen on (default: 127.0.0.1; others may let other machines in)")  # fmt: skip
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.add_argument("--as-site", metavar="DIR", help="write the learning pages there as static files instead")
    parser.add_argument(
        "--run",
        dest="run_folder",
        metavar="RUN",
        help="with --as-site: also a page where its model answers",
    )
    parser.add_argument(
        "--library", metavar="DIR", help="with --as-site: TensorFlow.js, as `npm pack` makes its packages"
    )


def run(arguments: argparse.Namespace) -> None:
    if arguments.as_site is not None:
        _write_site(arguments)
        return
    for option, given in (("run", arguments.run_folder), ("library", arguments.library)):
        if given is not None:
            raise RequestError(f"--{option} needs --as-site DIR.")
    folder = Path(arguments.folder).expanduser()
    if not folder.is_dir():
        raise RequestError(f"{folder}: no such folder.")
    serve(folder, arguments.host, arguments.port, arguments.lang, not arguments.no_browser)


def _write_site(arguments: argparse.Namespace) -> None:
    from mirante.studio.site import write_site

    run, library = (
        None if one is None else Path(one).expanduser() for one in (arguments.run_folder, arguments.library)
    )
    print(write_site(Path(arguments.as_site).expanduser(), run, library))


def serve(folder: Path, host: str, port: int | None, lang: str | None, browser: bool, page: str = "/") -> None:
    """Serve the studio for a folder until Ctrl-C; `page` is the page that the printed address opens."""
    listening = listen(host, port)
    port = listening.getsockname()[1]
    import uvicorn

    from mirante.locale import language
    from mirante.studio.app import create_app
    from mirante.studio.workspace import Workspace

    os.chdir(folder)  # runs name their data relative to the folder they were made in
    token = secrets.token_urlsafe(24)
    names = {"127.0.0.1", "localhost", host}
    hosts = frozenset(f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name in names)
    app = create_app(Workspace(Path.cwd()), hosts, token, lang)
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    address = f"http://{shown}:{port}/open?token={token}{'' if page == '/' else f'&page={quote(page)}'}"
    say = language(lang)
    print(say("Studio of {folder}: {address}", folder=Path.cwd(), address=address), flush=True)
    if host not in ("127.0.0.1", "localhost", "::1"):
        tell("Other machines can reach it. Anyone with this address can read and change what is here.", lang)
    if browser:
        import webbrowser

        webbrowser.open(address)
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", server_header=False)
    uvicorn.Server(config).run(sockets=[listening])


def listen(host: str, port: int | None) -> socket.socket:
    """Return a socket listening on the port, or on the first free one from 8765 up. Raises RequestError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in [port] if port is not None else [*range(PORT, PORT + 20), 0]:
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            if os.name == "posix":
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, number))
            listening.listen()  # a browser faster than the server waits instead of being refused
            return listening
        except (OSError, OverflowError) as error:
            listening.close()
            reason = error
    raise RequestError(f"--port {port}: cannot listen on it at {host} ({reason}); choose another.") from reason
