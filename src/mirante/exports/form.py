"""What an export has to work with, and what comes of writing a form.

Each form is a module `to_NAME` with `write(job) -> Written`, and with `write_int8(job, written) -> Quantised` if it has one in 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from mirante import runfolder
from mirante.exports.any_size import with_resize
from mirante.exports.verify import TOLERANCE, Tried, largest_difference, whole_sizes
from mirante.images import Pixels
from mirante.locale import Language
from mirante.model.running import open_graph
from mirante.model_info import ModelInfo
from mirante.prediction.onnx_model import OnnxModel
from mirante.run import Run

ANY_SIZE = "model-any-size.onnx"
ANY_SIZE_TOLERANCE = 1e-3  # decoders differ; the resize does not

Answers = Callable[[Pixels], NDArray[np.floating]]
"""What answers pixels (N, H, W, C) with probabilities (N, …)."""


@dataclass(frozen=True)
class Written:
    """What writing a form brought.

    difference  the largest in any probability between it and model.onnx; the export is kept up to `tolerance`
    answers     what the written form answers, where its speed or its version in 8 bits is compared
    speed       how many times as fast as ONNX Runtime it is here; None where that says nothing
    remark      what else the user must know of it, in words
    """

    difference: float
    tolerance: float = TOLERANCE
    answers: Answers | None = None
    speed: float | None = None
    remark: str = ""


@dataclass(frozen=True)
class Job:
    """An export under way.

    folder   where the form is written
    tried    the images that it is tried on
    learned  reads the training images from which the ranges of 8 bits are learned
    runtime  of a page: a package of onnxruntime-web
    say      the language of a page
    """

    run: Run
    model: OnnxModel
    folder: Path
    tried: Tried
    learned: Callable[[], Tried]
    runtime: str | None
    say: Language

    @property
    def info(self) -> ModelInfo:
        return self.model.info

    @property
    def weights(self) -> Path:
        return self.run.file(runfolder.WEIGHTS)

    @cached_property
    def any_size(self) -> onnx.ModelProto:
        """The graph with the resize in it, so that it takes images of any size."""
        return with_resize(onnx.load(self.model.path), self.info)

    @cached_property
    def whole(self) -> list[Pixels]:
        """The images that it is tried on, at their own sizes."""
        return whole_sizes(self.tried, self.model)

    def difference(self, answers: Answers) -> float:
        """Return the largest difference in any probability between model.onnx and `answers`."""
        return largest_difference(self.model, self.tried, answers)

    def any_size_written(self) -> Written:
        """Return how far images resized in the graph are answered from those resized outside it."""
        session = open_graph(self.any_size)
        return self.of_whole(lambda image: session.run(["probabilities"], {"images": image})[0], ANY_SIZE_TOLERANCE)

    def of_whole(self, answers: Answers, tolerance: float) -> Written:
        """Return what comes of answering the images at their own sizes, one by one."""
        found = np.concatenate([answers(image[None]) for image in self.whole])
        difference = float(np.abs(found - self.model.run(self.tried.pixels).probabilities).max())
        return Written(difference, tolerance, answers)


def sizes(small: Path, large: Path) -> tuple[int, int]:
    """Return the sizes of two files in bytes."""
    return small.stat().st_size, large.stat().st_size
