"""model.json: what a trained network takes and answers. The same text is in the metadata of model.onnx."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mirante.errors import MiranteError, RunError
from mirante.files import to_json
from mirante.locale import Language
from mirante.rendering import ASKED, Rendering, Window
from mirante.resize import FITS, Fit
from mirante.runfolder import FORMAT, MODEL, parse, read_text
from mirante.task import Learned, Task, task_named


@dataclass(frozen=True)
class ModelInfo:
    """What a trained network takes and answers.

    task      what it is asked (mirante.task)
    classes   names, in the order of its outputs; for texts, the letters and last "" for no character
    height, width, channels   the images it takes, uint8 (N, height, width, channels)
    fit       how an image of another shape is brought to that size (mirante.images.Fit)
    layers    its line of layers, or the path.py:function that made it
    output    the shape of the logits of one image: (classes,), or (answers, classes) if an image has several answers
    flip_tta  whether it answers with the mean over each image and its mirror image
    licence   of the pretrained weights, if it started from any
    rooted    whether its last layer takes the square roots of its backbone's features
    seen_with  the name under which the features of its backbone are kept in the cache; empty if all of it was trained
    window    which number becomes black and which white in images whose numbers are not bytes (mirante.rendering.Window)
    window_because  why this window was chosen
    page      which of several pages or frames counts, from 1; 0 for the usual one
    learned   what was learned from held-out images: calibration, thresholds; the task defines it
    """

    task: str
    classes: tuple[str, ...]
    height: int
    width: int
    channels: Literal[1, 3]
    fit: Fit
    layers: str
    output: tuple[int, ...]
    flip_tta: bool = False
    licence: str | None = None
    rooted: bool = False
    seen_with: str = ""
    window: str = "full range"
    window_because: str = ""
    page: int = 0
    learned: Learned = field(default_factory=Learned)

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels

    def takes(self, say: Language) -> str:
        """Say what pixels must be before they go in, for programs that decode images themselves."""
        text = say(
            "Pixels must be upright (EXIF orientation applied), in sRGB (a colour profile applied) and over white where transparent; "
            "numbers that are not bytes become bytes through the window “{window}”.",
            window=say.known(self.window),
        )
        return f"{text} {say('Of several pages, page {page} counts.', page=self.page)}" if self.page else text

    @cached_property
    def rendering(self) -> Rendering:
        """How the numbers in a file become pixels."""
        return Rendering(replace(Window.parse(self.window), asked=self.window_because == ASKED), self.page)

    @property
    def asks(self) -> Task:
        return task_named(self.task)

    def require_one_class(self, what: str, where: str) -> None:
        """Raise RunError when the model's answer is not one of its classes, which `what` needs; `where` names the model."""
        if not self.asks.one_class:
            raise RunError(
                f"{where}: a model for the task {self.task}; {what} need one that answers one of its classes."
            )

    def require_task(self, name: str, what: str, where: str) -> None:
        """Raise RunError when the model's task is not the one that `what` needs; `where` names the model in the message."""
        if self.task != name:
            raise RunError(f"{where}: a model for the task {self.task}; {what} need one for the task {name}.")

    @property
    def calibration(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What logits are multiplied by, and what is then added, each (classes,)."""
        return self.learned.affine(len(self.classes))

    def to_json(self) -> str:
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "learned"}
        return to_json({"format": FORMAT, **values, "learned": self.learned.to_dict()})

    @classmethod
    def from_json(cls, text: str, where: str) -> ModelInfo:
        """Read it back; `where` names the file in messages. Raises RunError."""
        value = parse(text, where)
        try:
            given = {one.name: value[one.name] for one in fields(cls) if one.name in value}
            given["learned"] = task_named(value["task"]).read_learned(value["learned"])
            info = cls(**{**given, "classes": tuple(value["classes"]), "output": tuple(value["output"])})
            sound = info.height > 0 and info.width > 0 and info.channels in (1, 3) and info.fit in FITS
            sound = (
                sound
                and info.rendering.page >= 0
                and len(info.classes) > (0 if info.asks.several_labels else 1)
                and info.output[-1] == len(info.classes)
            )
            if not (sound and all(side > 0 for side in info.output) and info.learned.is_sound(info.classes)):
                raise ValueError
        except (TypeError, ValueError, KeyError, AttributeError, IndexError, MiranteError) as error:
            raise RunError(f"{where}: damaged: it does not describe a model; train again.") from error
        return info


def read_model_info(run: Path) -> ModelInfo:
    """Return the run's model.json; raises RunError."""
    return ModelInfo.from_json(read_text(run, MODEL), str(run / MODEL))
