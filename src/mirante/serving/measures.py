"""What /metrics reports, in Prometheus' format: requests by outcome, their seconds, images, batches, the queue.

For several processes it reports the sums: each keeps its counters in files in a folder named by the variable below, which
prometheus_client reads when it is imported.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from mirante.task import Answer

FOLDER = "PROMETHEUS_MULTIPROC_DIR"

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SHARES = (0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)
_BOUNDS = ("value", "low", "high")
_IMAGES = (1, 2, 4, 8, 16, 32, 64)


class Measures:
    """The counters of this process, or of all that share the folder."""

    def __init__(self) -> None:
        self._registry = here = CollectorRegistry()
        seconds: dict[str, Any] = {"buckets": _SECONDS, "registry": here}
        self.requests = Counter(
            "mirante_requests", "Requests answered, by model and status", ["model", "status"], registry=here
        )
        self.seconds = Histogram(
            "mirante_request_seconds", "Seconds from a request to its answer", ["model"], **seconds
        )
        self.images = Counter("mirante_images", "Images answered or unreadable", ["model", "outcome"], registry=here)
        self.batches = Histogram("mirante_batch_images", "Images in a batch", ["model"], buckets=_IMAGES, registry=here)
        self.running = Histogram("mirante_batch_seconds", "Seconds the network took for a batch", ["model"], **seconds)
        self.answers = Counter(
            "mirante_answers",
            "Answers by what they said; (none) for none of the classes",
            ["model", "answer"],
            registry=here,
        )
        self.confidence = Histogram(
            "mirante_confidence", "Probability of the answers", ["model"], buckets=_SHARES, registry=here
        )
        self.waiting = Gauge(
            "mirante_waiting_images", "Images in the queue", ["model"], registry=here, multiprocess_mode="livesum"
        )

        use: dict[str, Any] = {"registry": here, "multiprocess_mode": "mostrecent"}
        self._images_in_use = Gauge("mirante_monitor_images", "Images of the last 30 days in the log", ["model"], **use)
        self._evidence = Gauge(
            "mirante_monitor_evidence", "Evidence that images look different from the test's", ["model"], **use
        )
        self._alarm = Gauge(
            "mirante_monitor_alarm", "1 if the evidence reached its limit in the last 30 days", ["model"], **use
        )
        self._accuracy = Gauge(
            "mirante_monitor_accuracy", "Estimated share of right answers, and its interval", ["model", "bound"], **use
        )
        self._trusted = Gauge("mirante_monitor_trusted", "1 if that estimate can be trusted", ["model"], **use)
        self._looked = Gauge(
            "mirante_monitor_time_seconds", "When that was found, seconds since 1970", ["model"], **use
        )
        self._kinds = Gauge("mirante_monitor_share", "Share of a kind of answer", ["model", "kind"], **use)
        self._kinds_of: dict[str, list[str]] = {}

    def note_use(self, model: str, found: Mapping[str, Any] | None) -> None:
        """Set what was found in the log of a model (Watched.to_dict); None where it cannot be compared any more."""
        if found is None:
            for one in (self._images_in_use, self._evidence, self._alarm, self._trusted, self._looked):
                one.labels(model).set(float("nan"))
            for kind in self._kinds_of.get(model, ()):
                self._kinds.labels(model, kind).set(float("nan"))
            for bound in _BOUNDS:
                self._accuracy.labels(model, bound).set(float("nan"))
            return
        self._looked.labels(model).set(time.time())
        self._images_in_use.labels(model).set(found["images"])
        self._evidence.labels(model).set(found["periods"][-1]["evidence"])
        self._alarm.labels(model).set(found["alarm"])
        self._trusted.labels(model).set(found["estimate_trusted"])
        for bound in _BOUNDS:
            estimate = found["estimated_accuracy"][bound]
            self._accuracy.labels(model, bound).set(float("nan") if estimate is None else estimate)
        self._kinds_of[model] = list(found["kinds"])
        for kind, share in found["kinds"].items():
            self._kinds.labels(model, kind).set(share["now"]["value"])

    def note_answer(self, model: str, answer: Answer, by_name: bool = True) -> None:
        """Count an answer, how probable it was and, with `by_name`, what it was."""
        several = getattr(answer, "labels", None)
        names = ([answer.label] if answer.label is not None else []) if several is None else list(several)
        if not by_name:
            names = ["(text)"]
        for name in names or ["(none)"]:
            self.answers.labels(model, name[:100]).inc()
        if answer.confidence is not None:
            self.confidence.labels(model).observe(answer.confidence)

    def note_batch(self, model: str, images: int, seconds: float) -> None:
        """Count a batch."""
        self.batches.labels(model).observe(images)
        self.running.labels(model).observe(seconds)

    def text(self, waiting: dict[str, int]) -> bytes:
        """Return everything as Prometheus reads it; `waiting` images by model."""
        for name, count in waiting.items():
            self.waiting.labels(name).set(count)
        if FOLDER not in os.environ:
            return generate_latest(self._registry)
        _forget_the_dead(os.environ[FOLDER])
        all_processes = CollectorRegistry()
        MultiProcessCollector(all_processes)  # type: ignore[no-untyped-call]
        return generate_latest(all_processes)


def _forget_the_dead(folder: str) -> None:
    """Drop the queues of processes that have ended; what they had counted stays counted."""
    import psutil

    for file in Path(folder).glob("gauge_live*_*.db"):
        process = int(file.stem.rpartition("_")[2])
        if not psutil.pid_exists(process):
            mark_process_dead(process, folder)  # type: ignore[no-untyped-call]
