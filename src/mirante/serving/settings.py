"""How a server was told to behave: passed to its worker processes as JSON in one environment variable."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

VARIABLE = "MIRANTE_SERVE"


@dataclass(frozen=True)
class Settings:
    """How the server behaves.

    runs      run folders or model.onnx files
    room      images that may wait for a model; more are refused with 503
    timeout  seconds within which a request is answered, or refused with 504; its body must have arrived by then
    max_bytes, max_images, max_pixels   per request, per request, per image
    tokens    of those who may ask; none lets everybody ask
    feedback  folder in which corrections are kept with their images, for each model; None takes none; feedback_megabytes for each
    log       folder in which each model's answers are logged, None for no log; log_megabytes for each, keep_images pictures of each;
              every monitor_every seconds it is compared with the test images
    """

    runs: tuple[str, ...]
    room: int = 256
    timeout: float = 10.0
    max_bytes: int = 32 << 20
    max_images: int = 64
    max_pixels: int = 50_000_000
    tokens: tuple[str, ...] = ()
    log: str | None = None
    log_megabytes: int = 1000
    keep_images: int = 0
    monitor_every: float = 3600.0
    feedback: str | None = None
    feedback_megabytes: int = 1000

    def keep(self) -> None:
        """Pass them on to the processes started from here."""
        os.environ[VARIABLE] = json.dumps(asdict(self))

    @classmethod
    def kept(cls) -> Settings:
        """Return what `keep` left."""
        values = json.loads(os.environ[VARIABLE])
        return cls(**{**values, "runs": tuple(values["runs"]), "tokens": tuple(values["tokens"])})
