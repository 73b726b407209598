"""What the libraries beneath Mirante would tell their makers, and how each is kept from it (docs/privacy.md).

Each reads its variable when it is loaded, so they are set before anything else is imported, and every process that Mirante starts
inherits them. A variable that the user has set is left as it is.
"""

from __future__ import annotations

import os

TOLD_OFF = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime from 1.29: events and an identifier, on by default
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray: usage statistics, on by default
    "MLFLOW_DISABLE_TELEMETRY": "true",  # MLflow: usage, on by default
    "HF_HUB_DISABLE_TELEMETRY": "1",  # the Hub's client: which library asks, in every request
    "WANDB_ERROR_REPORTING": "false",  # Weights & Biases: its own crashes
}


def tell_off() -> None:
    """Have every library keep quiet, unless the user has said otherwise."""
    for name, value in TOLD_OFF.items():
        os.environ.setdefault(name, value)
