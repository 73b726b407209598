"""The models that are served: each under its run's name, reopened when its file changes, without a request being dropped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mirante import runfolder
from mirante.errors import RequestError
from mirante.prediction.model import Model
from mirante.serving.batching import Batcher
from mirante.serving.settings import Settings

if TYPE_CHECKING:
    from mirante.monitoring.recorder import Recorder
    from mirante.photos.feedback import Feedback

_log = logging.getLogger("mirante")
_SECONDS = 1.0


@dataclass(frozen=True)
class Served:
    """A model that answers: its file as it was opened, and the version, a digest of that file."""

    name: str
    path: Path
    stamp: tuple[int, int]
    version: str
    batcher: Batcher
    recorder: Recorder | None = None
    feedback: Feedback | None = None

    def close(self) -> None:
        """Finish what is waiting, and the log."""
        self.batcher.close()
        if self.feedback is not None:
            self.feedback.close()
        if self.recorder is not None:
            self.recorder.close()


class Models:
    """All models by name. `note_batch` is told the name, the images and the seconds of each batch."""

    def __init__(self, settings: Settings, note_batch: Callable[[str, int, float], None]) -> None:
        """Open them; raises RequestError when two have the same name, RunError for one that cannot be opened."""
        self._settings, self._note = settings, note_batch
        self.by_name: dict[str, Served] = {}
        self._retiring: list[Served] = []
        for run in settings.runs:
            stamp, model = self._open(run)
            name = model.path.parent.resolve().name if model.path.name == runfolder.ONNX else model.path.stem
            if name in self.by_name:
                raise RequestError(
                    f"{run}: another model is already called {name!r}; copy one to a folder with another name."
                )
            self.by_name[name] = self._serve(name, stamp, model)

    def _serve(self, name: str, stamp: tuple[int, int], model: Model) -> Served:
        recorder, one = None, self._settings
        if one.log is not None:
            from mirante.monitoring.recorder import Recorder

            recorder = Recorder(model, Path(one.log) / name, one.log_megabytes, one.keep_images)
        feedback = None
        if one.feedback is not None:
            from mirante.photos.feedback import Feedback

            feedback = Feedback(Path(one.feedback) / name, one.feedback_megabytes, model.info)
        batcher = Batcher(model, one.room, lambda count, took: self._note(name, count, took))
        return Served(name, model.path, stamp, model.version, batcher, recorder, feedback)

    def _open(self, run: str | Path) -> tuple[tuple[int, int], Model]:
        """Return a model, and the stamp that its file had before: if it is replaced meanwhile, it is opened again soon."""
        place = Path(run).expanduser()
        stamp = _stamp(place / runfolder.ONNX if place.is_dir() else place)
        return stamp, Model(run, features=self._settings.log is not None)

    def _serve_anew(self, name: str, path: Path) -> Served:
        return self._serve(name, *self._open(path))

    async def watch(self) -> None:
        """Reopen models whose files change, for ever. The old one answers until the new one can, and finishes its requests."""
        refused: dict[str, tuple[int, int]] = {}
        while True:
            await asyncio.sleep(_SECONDS)
            for name, served in list(self.by_name.items()):
                stamp = _stamp(served.path)
                if stamp in (served.stamp, (0, 0), refused.get(name)):
                    continue
                try:
                    fresh = await asyncio.to_thread(self._serve_anew, name, served.path)
                except Exception as error:  # whatever it is, the models that there are go on, and are looked at again
                    refused[name] = stamp
                    _log.warning(
                        f"{served.path}: has changed and cannot be opened ({error}); the previous model stays in use."
                    )
                    continue
                self.by_name[name] = fresh
                self._retire(served)
                _log.info(f"{served.path}: changed; {name} is now version {fresh.version}.")

    def _retire(self, served: Served) -> None:
        """Close a model once the requests accepted before, which still reach it, have had their time."""
        self._retiring.append(served)
        loop = asyncio.get_running_loop()

        def end() -> None:
            self._retiring.remove(served)
            served.close()

        loop.call_later(self._settings.timeout, lambda: loop.run_in_executor(None, end))

    def close(self) -> None:
        """Finish what is waiting, and the logs, of all models."""
        for served in [*self.by_name.values(), *self._retiring]:
            served.close()


def require_models(settings: Settings) -> None:
    """Open all models once, and close them again; raises as Models does."""
    Models(settings, lambda _name, _count, _seconds: None).close()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size
