"""Where the studio keeps things: in the folder that it was opened in, beside what the command line makes there.

runs/NAME               trained models, as `mirante train` writes them
images/NAME/CLASS/      images that a person gathered in the studio
corrections/NAME/       images that a model was asked about, with what a person said they show
.mirante/               the studio's own memory: what was opened, edited and started
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mirante import runfolder
from mirante.errors import RequestError
from mirante.run import Run

_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_LONGEST = 80  # bytes, so that a name with an ending fits everywhere


@dataclass(frozen=True)
class Workspace:
    """The folder of one studio."""

    root: Path

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def corrections(self) -> Path:
        return self.root / "corrections"

    def memory(self, *parts: str) -> Path:
        """Return a folder of the studio's memory, created if it is not there."""
        folder = self.root.joinpath(".mirante", *parts)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def run_names(self) -> list[str]:
        """Return the names of the runs, the newest first."""
        if not self.runs.is_dir():
            return []
        found = [path for path in self.runs.iterdir() if runfolder.is_run(path)]
        return [path.name for path in sorted(found, key=lambda path: -path.stat().st_mtime)]

    def finished_names(self) -> list[str]:
        """Return the names of the runs that can answer, the newest first."""
        return [name for name in self.run_names() if Run(self.runs / name).is_finished]

    def run(self, name: str) -> Path:
        """Return the folder of a run; raises RunError when there is none of that name."""
        path = self.runs / require_name(name)
        runfolder.require_run(path)
        return path


def name_from(text: str, otherwise: str) -> str:
    """Return a name like the text that `require_name` accepts, or `otherwise` where nothing is left of it."""
    return require_name(re.sub(r'[/\\:*?"<>|\x00-\x1f]', "-", text)[:60].strip(". ") or otherwise)


UNCLEAR = "The studio did not understand this request; load the page again."
"""What is said to a request that no page of the studio makes."""


def require_text(text: str) -> str:
    """Return a text unchanged if it can be written to a file; raises RequestError for half of a pair of surrogates."""
    if any(0xD800 <= ord(sign) < 0xE000 for sign in text):
        raise RequestError(f"{text!r}: not a text that can be written.")
    return text


def text_of(values: Mapping[str, object], name: str) -> str:
    """Return a text that a request brings, "" for none. Raises RequestError for anything else."""
    value = values.get(name, "")
    if not isinstance(value, str) or len(value) > 4000:
        raise RequestError(UNCLEAR)
    return require_text(value.strip())


def whole(text: str) -> int:
    """Return a whole number from an address; anything else is 0."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def require_name(name: str) -> str:
    """Return a name unchanged if it can name a folder on every system; raises RequestError otherwise."""
    name = name.strip()
    if (
        not name
        or len(name.encode("utf-8", "surrogatepass")) > _LONGEST
        or name.startswith(".")
        or name.endswith(".")
        or any(sign in '/\\:*?"<>|' or ord(sign) < 32 or 0xD800 <= ord(sign) < 0xE000 for sign in name)
        or _RESERVED.fullmatch(name)
    ):
        raise RequestError(
            f"{name!r} cannot be a name here: use up to {_LONGEST} letters, digits, spaces and hyphens; no slash or leading dot."
        )
    return name
