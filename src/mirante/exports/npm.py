"""Packages of npm's registry that a page runs on: fetched once, when somebody asks for such a page, and kept in the cache."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mirante.errors import RequestError, WorkError


def fetch_packages(packages: Sequence[str], folder: Path, name: str, option: str, otherwise: str) -> list[Path]:
    """Have npm fetch packages (`name@^1.0.0`) into a folder, and return their files (.tgz), in order.

    name, option, otherwise  what they are, the option that needs them, and how to give them by hand, for messages

    Raises RequestError where there is no npm, WorkError where it fails.
    """
    npm = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
    if npm is None:
        raise RequestError(
            f"{option} needs {name}, and npm, which fetches it, is not installed: pip install 'mirante[web]'. Or fetch the "
            f"package elsewhere with `npm pack` and give it: {otherwise}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    fetched = []
    with tempfile.TemporaryDirectory(prefix="mirante-") as made:
        for package in packages:
            words = [npm, "pack", "--silent", package]
            done = subprocess.run(words, cwd=made, capture_output=True, text=True, check=False)
            found = set(Path(made).glob("*.tgz"))
            if done.returncode or len(found) != 1:
                reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
                raise WorkError(f"npm could not fetch {name} ({reason}); give one you already have: {otherwise}")
            (one,) = found
            fetched.append(Path(shutil.move(one, folder / one.name)))
    return fetched
