"""Evidently's and alibi-detect's tests on sketches of images, day by day. Prints a table.

python drift_side.py FILE.npz [MONTHS]     (FILE.npz as benchmarks/monitor.py --keep writes it)

Each is used as its documentation shows it, once a day with 100 images: alibi-detect's MMDDrift with p < 0.05; Evidently's drift of
embeddings with its default, a classifier (its ROC AUC above that of chance), and with its MMD. An alarm is the first day that says so.
"""

import sys
import warnings

import numpy as np

warnings.filterwarnings("ignore")
import pandas as pd  # noqa: E402
from alibi_detect.cd import KSDrift, MMDDrift  # noqa: E402
from evidently.legacy.metrics.data_drift.embedding_drift_methods import mmd, model  # noqa: E402

A_DAY, DAYS = 100, 30
kept = np.load(sys.argv[1])
count = int(sys.argv[2]) if len(sys.argv) > 2 else 8
own = kept[""].astype(np.float32)


def alibi_mmd(reference):
    test = MMDDrift(reference, backend="pytorch", p_val=0.05, n_permutations=100)
    return lambda now: bool(test.predict(now)["data"]["is_drift"])


def alibi_ks(reference):
    test = KSDrift(reference, p_val=0.05)
    return lambda now: bool(test.predict(now)["data"]["is_drift"])


def evidently(method):
    def made(reference):
        before = pd.DataFrame(reference)
        return lambda now: bool(method(before, pd.DataFrame(now))[1])

    return made


SIDES = {
    "alibi-detect, MMD": alibi_mmd,
    "alibi-detect, KS of each number": alibi_ks,
    "Evidently, classifier": evidently(model()),
    "Evidently, MMD": evidently(mmd()),
}

for name, side in SIDES.items():
    rng = np.random.default_rng(0)
    false, found = [], {}
    for _ in range(count):
        order = rng.permutation(len(own))
        reference, used = own[order[: len(own) // 2]][:1000], order[len(own) // 2 :]
        ask = side(reference)
        false.append(any(ask(own[rng.choice(used, A_DAY, replace=False)]) for _ in range(DAYS)))
        for kind in kept.files[1:]:
            changed = kept[kind].astype(np.float32)
            pool = used if len(changed) == len(own) else np.arange(len(changed))
            day = next((day for day in range(1, DAYS + 1) if ask(changed[rng.choice(pool, A_DAY)])), DAYS)
            found.setdefault(kind, []).append(day)
    told = ", ".join(f"{kind}: {A_DAY * np.median(days):.0f}" for kind, days in found.items())
    print(
        f"{name}: an alarm in {np.mean(false):.0%} of {count} months without a change; images until found: {told}",
        flush=True,
    )
