"""How this process was started: alone, or as one of several by torchrun. The environment says so, without importing torch."""

from __future__ import annotations

import os


def started_by_torchrun() -> bool:
    """Tell whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def leads() -> bool:
    """Tell whether this process reports to the user: the only one, or the first of those that torchrun started."""
    return not started_by_torchrun() or os.environ["RANK"] == "0"
