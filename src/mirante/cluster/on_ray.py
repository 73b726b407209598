"""The parts of a plan on a Ray cluster, through Ray Data: if a worker dies, its parts are given to another."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mirante.cluster.part import Order, answer_part
from mirante.cluster.plan import ROWS, make_plan
from mirante.errors import MiranteError, WorkError
from mirante.prediction.model import Model
from mirante.progress import track

_CONNECT_SECONDS = 10
_TASKS = 20_000  # more of them would cost the driver more than they spread the work


@dataclass(frozen=True)
class Counts:
    """What became of the inputs: how many there are, how many failed, and how many of them were answered before this run."""

    inputs: int
    failed: int
    before: int
    workers: int


def predict_on_ray(
    run: str | Path,
    locations: Sequence[str],
    listed: Iterable[str],
    out: str,
    coverage: float | None = None,
    threshold: float | None = None,
    address: str | None = None,
    workers: int = 0,
    rows: int = ROWS,
) -> Counts:
    """Answer for all images that the locations name, in Parquet files in the folder or URL `out`; what is there is not done again.

    listed   the locations, with those from stdin in place of -
    address  of a Ray cluster; None takes RAY_ADDRESS, a cluster that runs on this machine, or starts one here
    workers  that answer at the same time, one core each; 0 takes all cores of the cluster
    rows     images per part, which is one file

    Raises RequestError when something asked for cannot be done, WorkError when the work fails.
    """
    model = Model(run)
    model.require_coverage(coverage)
    if threshold is not None:
        model.set_threshold(threshold)
    content = model.path.read_bytes()
    out = out if "://" in out else str(Path(out).expanduser().absolute())
    plan = make_plan(out, tuple(locations), listed, hashlib.sha256(content).hexdigest(), coverage, threshold, rows)
    ray = _connect(address)
    try:
        order = ray.put(Order(out, plan, content))
        # from_items and not range, whose tasks would be given cores of their own
        numbers = [{"part": number} for number in range(plan.parts)]
        # Tasks, not actors: any other machine can then do what a lost one was doing, and none has to come back. Ray Data repeats
        # them without limit when a machine or process dies; an error of their own ends the work.
        parts = ray.data.from_items(numbers, override_num_blocks=min(plan.parts, _TASKS)).map_batches(
            partial(_answer, order=order),
            batch_size=1,
            compute=ray.data.TaskPoolStrategy(size=workers) if workers else None,
            num_cpus=1,
        )
        sums = {"rows": 0, "failed": 0, "before": 0}
        for row in track(parts.iter_rows(), "Answering, in parts", plan.parts):
            for name in sums:
                sums[name] += int(row[name])
        if sums["rows"] != plan.inputs:
            raise WorkError(f"{out}: {sums['rows']:,} rows for {plan.inputs:,} inputs; please report this.")
        cores = int(ray.cluster_resources().get("CPU", 1))
        return Counts(plan.inputs, sums["failed"], sums["before"], min(workers or cores, cores))
    except ray.exceptions.RayError as error:
        raise _plainly(error) from error
    finally:
        ray.shutdown()


def _connect(address: str | None) -> Any:
    import ray
    import ray.data

    address = address or os.environ.get("RAY_ADDRESS")
    try:
        if address and re.fullmatch(r"[^/]+:\d+", address):  # Ray itself would keep trying for ten minutes
            host, _, port = address.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
        ray.init(
            address, include_dashboard=None if address else False, log_to_driver=False, logging_level=logging.ERROR
        )
    except Exception as error:  # Ray raises what it likes here
        where = address or "this machine"
        raise WorkError(f"no Ray cluster responds at {where}: {str(error).splitlines()[0]}") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


def _answer(batch: dict[str, Any], order: Any) -> dict[str, Any]:
    done = answer_part(_told(order), int(batch["part"][0]))
    return {
        "rows": np.array([done.rows]),
        "failed": np.array([done.failed]),
        "before": np.array([done.rows * done.before]),
    }


@functools.lru_cache(1)
def _told(order: Any) -> Order:
    import ray

    found: Order = ray.get(order)
    return found


def _plainly(error: BaseException) -> MiranteError:
    """Return the Mirante error beneath one of Ray's, or one that names it."""
    beneath: BaseException | None = error
    while beneath is not None:
        if isinstance(beneath, MiranteError):
            return WorkError(str(beneath))
        beneath = getattr(beneath, "cause", None) or beneath.__cause__
    last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return WorkError(f"the cluster failed: {last} Finished answers are kept; run the same command to continue.")
