"""A training as a film: kernels, curves and the confusion matrix as they were after each epoch that was kept."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import FuncFormatter

from mirante.errors import RequestError
from mirante.evaluation.plots.style import BLUE, RED, new_figure, shorten, tidy
from mirante.locale import Language
from mirante.run import Run
from mirante.see.network import draw_kernels
from mirante.see.picture import Picture

_SIDE = 6  # kernels per side
_NAMED = 12


def frames(run: Run, say: Language) -> list[Picture]:
    """Return a picture for each snapshot of a run. Raises RunError, and RequestError when it has none."""
    history = {epoch.epoch: epoch for epoch in run.history}
    snapshots = run.snapshots
    if not snapshots:
        raise RequestError(
            f"{run.path}: it has no snapshots to show: it was trained without epochs, or by an earlier version."
        )
    classes = run.data["classes"]
    reach = max(float(np.abs(one.kernels).max(initial=0)) for one in snapshots) or 1.0
    pictures = []
    for snapshot in snapshots:
        figure = new_figure(13, 4.6)
        left, middle, right = np.asarray(figure.subfigures(1, 3, width_ratios=(1, 1.15, 1.2)))
        kernels = snapshot.kernels
        if kernels.shape[1] not in (1, 3):  # of a layer that sees no pixels: each kernel's first channel
            kernels = kernels[:, :1]
        draw_kernels(left.subplots(_SIDE, _SIDE).ravel(), np.clip(kernels[: _SIDE**2] / reach, -1, 1))
        left.suptitle(say("Kernels of {word}", word=snapshot.word), fontsize=11)
        upto = [history[epoch] for epoch in sorted(history) if epoch <= snapshot.epoch]
        axes = middle.subplots()
        numbers = [one.epoch for one in upto]
        axes.plot(
            numbers,
            [one.train_accuracy for one in upto],
            color=BLUE,
            marker="o",
            markersize=4,
            label=say("Training accuracy"),
        )
        watched = [one.val_accuracy for one in upto if one.val_accuracy is not None]
        if len(watched) == len(upto) and watched:
            axes.plot(
                numbers, watched, color=RED, marker="s", markersize=4, linestyle="--", label=say("Validation accuracy")
            )
        axes.set_xlim(0, max(history, default=1) + 0.5)
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: say.percent(value, 0)))
        axes.set_xlabel(say("Epoch"))
        axes.legend(frameon=False, fontsize=9, loc="lower right")
        tidy(axes)
        axes = right.subplots()
        counts = snapshot.confusion
        if counts.size:
            axes.imshow(counts / np.maximum(counts.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
            if len(classes) <= _NAMED:
                names = [shorten(name, 12) for name in classes]
                axes.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
                axes.set_yticks(range(len(names)), names, fontsize=8)
            axes.set_xlabel(say("Predicted class"))
            axes.set_ylabel(say("True class"))
        else:
            axes.set_axis_off()
        figure.suptitle(say("After epoch {epoch}", epoch=snapshot.epoch), fontsize=13)
        accuracy = say.percent(upto[-1].train_accuracy) if upto else "–"
        alt = say("Kernels, accuracy and confusion matrix after epoch {epoch}; training accuracy {accuracy}.",
                  epoch=snapshot.epoch, accuracy=accuracy)  # fmt: skip
        pictures.append(Picture(figure, alt))
    return pictures
