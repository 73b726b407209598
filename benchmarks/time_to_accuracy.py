"""How much sooner `fast` gets where the tutorial's Keras code gets: both sides in one run, on CIFAR-10.

    python benchmarks/time_to_accuracy.py [SEEDS]

Keras trains its ten epochs once; then `mirante train --time` gets a tenth of the time to Keras's best epoch, the time of its
first epoch, and the time of all ten, with several seeds. Mirante keeps a tenth of the training images for validation.
"""

from __future__ import annotations

import statistics
import sys

from record import record
from sides import cifar10_arrays, run_side, test_data, train_mirante

TUTORIAL = 0.689


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    epochs = run_side("keras", str(cifar10_arrays()), "10", "0")
    best = max(epochs, key=lambda epoch: epoch["accuracy"])
    budgets = {
        "a tenth of the time to Keras's best epoch": best["seconds"] / 10,
        "the time of Keras's first epoch": epochs[0]["seconds"],
        "the time of Keras's ten epochs": epochs[-1]["seconds"],
    }
    data = test_data() / "cifar10-images.tar.xz"
    train_mirante(data, "--recipe", "fast", "--time", "2s")  # decodes the images, once
    lines = [
        f"Keras: {epochs[0]['accuracy']:.1%} after {epochs[0]['seconds']:.0f} s, at best {best['accuracy']:.1%} after epoch "
        f"{best['epoch']} ({best['seconds']:.0f} s), {epochs[-1]['accuracy']:.1%} after ten ({epochs[-1]['seconds']:.0f} s).",
        "",
        "| Mirante in | `--time` | took | test accuracy, mean | lowest | highest | seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    for number, (name, seconds) in enumerate(budgets.items()):
        count = max(1, seeds if number < 2 else seeds // 2)
        words = ("--recipe", "fast", "--time", f"{seconds:.1f}s")
        found = [train_mirante(data, *words, "--seed", str(seed))[:2] for seed in range(count)]
        accuracies, took = zip(*found, strict=True)
        lines.append(
            f"| {name} | {seconds:.1f} s | {min(took):.1f} to {max(took):.1f} s | {statistics.mean(accuracies):.1%} | "
            f"{min(accuracies):.1%} | {max(accuracies):.1%} | {count} |"
        )
    record(f"Where Keras gets, sooner (the tutorial says {TUTORIAL:.1%})", lines)


if __name__ == "__main__":
    main()
