"""An environment with the plain install alone: links to those of the installed packages that it requires."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement


def required(name: str) -> dict[str, Distribution]:
    """Return name → distribution, of a package and all that it requires without extras."""
    found: dict[str, Distribution] = {}
    waiting = [name]
    while waiting:
        one = distribution(waiting.pop())
        key = re.sub(r"[-_.]+", "-", one.name).lower()
        if key in found:
            continue
        found[key] = one
        for line in one.requires or ():
            needed = Requirement(line)
            if needed.marker is None or any(
                needed.marker.evaluate({"extra": extra}) for extra in asked_of(key, found) | {""}
            ):
                waiting.append(needed.name)
    return found


def asked_of(key: str, found: dict[str, Distribution]) -> set[str]:
    """Return the extras of a package that the others ask for, such as `name[extra]`."""
    asked: set[str] = set()
    for one in found.values():
        for line in one.requires or ():
            needed = Requirement(line)
            if re.sub(r"[-_.]+", "-", needed.name).lower() == key and (needed.marker is None or "extra" not in line):
                asked |= needed.extras
    return asked


def plain_environment(folder: Path, source: Path) -> int:
    """Fill a folder that, as PYTHONPATH of `python -S`, is the plain install; return the bytes of its packages."""
    size = 0
    for key, one in required("mirante").items():
        for file in one.files or ():
            path = Path(str(one.locate_file(file)))
            top = file.parts[0]
            if top == ".." or not path.exists() or path.suffix == ".pyc":
                continue
            size += 0 if key == "mirante" else path.stat().st_size
            link = folder / top
            if not link.exists() and not top.startswith("__editable__"):
                link.symlink_to(Path(str(one.locate_file(top))))
    for package in source.iterdir():
        if not (folder / package.name).exists():
            (folder / package.name).symlink_to(package)
    return size
