"""A model in use, for its page: which logs there are, and what is found in one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mirante.errors import RequestError
from mirante.experiment.model_versions import earlier_model
from mirante.monitoring.log_reader import is_log
from mirante.monitoring.monitor import Watched, monitor
from mirante.quantities import read_age
from mirante.studio.workspace import Workspace, whole

_LOGS = "logs"


def logs(workspace: Workspace, name: str) -> list[str]:
    """Return the logs in the studio's folder, from it; that of a run's own name first."""
    folder = workspace.root / _LOGS
    found = [one for one in (folder, *folder.glob("*")) if is_log(one)]
    return [str(one.relative_to(workspace.root)) for one in sorted(found, key=lambda one: (one.name != name, one))]


def look(workspace: Workspace, name: str, asked: Mapping[str, str]) -> Watched:
    """Compare a log with the test images of a run; paths are as typed, from the studio's folder. Raises MiranteError."""

    def stretch(text: str) -> float | None:
        try:
            return read_age(text) if text else None
        except ValueError as error:
            raise RequestError(f"{error}.") from error

    def place(text: str) -> Path:
        try:
            found = workspace.root / Path(text.strip()).expanduser()
            found.exists()
        except (RuntimeError, ValueError, OSError) as error:
            raise RequestError(f"{text!r}: no such place.") from error
        return found

    labels = asked["labels"].strip()
    run = workspace.run(name)
    return monitor(
        earlier_model(run, whole(asked["version"])) if asked["version"] else run,
        place(asked["log"]),
        since=stretch(asked["since"]),
        every=stretch(asked["every"]),
        labels=place(labels) if labels else None,
    )
