"""Where Mirante keeps files of its own: what can be made again in a cache, what must last in a data folder."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from mirante.errors import RequestError


def cache_folder() -> Path:
    """Return where files that can be made again are kept: MIRANTE_CACHE, else the system's cache folder.

    A user without a home, as in some containers and services, has none; a temporary folder takes its place.
    """
    chosen = os.environ.get("MIRANTE_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    return _usual_cache(os.environ.get("HOME"), os.environ.get("XDG_CACHE_HOME"), os.environ.get("LOCALAPPDATA"))


def data_folder() -> Path:
    """Return where what must last is kept. Raises RequestError when the user has no home, and says which variable to set."""
    from platformdirs import user_data_path

    try:
        folder = user_data_path("mirante", appauthor=False)
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise RequestError(
            "no folder of this user can be written, and something must be kept there; set HOME, or XDG_DATA_HOME, to one that can."
        ) from error
    return folder


def keep_matplotlib_at_home() -> None:
    """Have matplotlib keep its font list in the cache where the user has no home; it would say so on every start."""
    if "MPLCONFIGDIR" not in os.environ and not os.access(os.path.expanduser("~"), os.W_OK):  # noqa: PTH111 (it does not raise)
        folder = cache_folder() / "matplotlib"
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            os.environ["MPLCONFIGDIR"] = str(folder)


@lru_cache(maxsize=4)
def _usual_cache(*_environment: str | None) -> Path:
    from platformdirs import user_cache_path

    try:
        folder = user_cache_path("mirante", appauthor=False)
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except (OSError, RuntimeError):
        pass
    return _temporary()


def _temporary() -> Path:
    """Return a folder for temporary files that is this user's alone."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"mirante-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if not folder.is_symlink() and (not hasattr(os, "getuid") or folder.stat().st_uid == user):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="mirante-"))
