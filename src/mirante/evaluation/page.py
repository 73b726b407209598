"""The page that all reports share: one self-contained file in the user's language, and what it says about any model."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mirante
from mirante.evaluation.card_text import Question
from mirante.evaluation.judgement import Judgement
from mirante.evaluation.plots.drawing import Plot
from mirante.files import write_text
from mirante.locale import Language
from mirante.model.notation import has_layers, is_pretrained, parse_layers
from mirante.model.summary import summarise
from mirante.model_info import ModelInfo
from mirante.templates import environment, raw_css


@dataclass(frozen=True)
class Story:
    """What the report says besides the figures.

    name      name of the run
    data      the content of data.json
    model     the content of model.json
    recipe    the fields of the recipe, and the versions and machine of the training
    seconds   training time, or None
    evaluated where the images are, if they are not the run's own test images
    positive  the class compared with all others, if there is one
    subgroup  the name of the column by which figures are broken down, or empty
    warnings  sentences for the top of the page, and whether each is grave; None if it only says how things are
    """

    name: str
    data: dict[str, Any]
    model: ModelInfo
    recipe: dict[str, Any]
    versions: dict[str, str]
    seconds: float | None
    evaluated: str | None
    positive: str | None
    subgroup: str
    warnings: Sequence[tuple[str, bool | None]]


def write_report(path: Path, judgement: Judgement, story: Story, say: Language) -> None:
    """Write the page at `path`; no script, nothing fetched, every picture inside it.

    What it says about any model is in this package, what it says about the answers in the task's folder.
    """
    task = story.model.asks
    template = environment(task.package, "mirante.tasks", "mirante.evaluation").get_template("report.html.j2")
    write_text(path, template.render(css=raw_css(), **task.report(judgement, story, say)) + "\n")


def mistakes_sentence(wrong: int, count: int, say: Language) -> str:
    """Say how many of the answers are wrong."""
    if not wrong:
        return say("No answer is wrong.")
    return say("{wrong} of {count} answers are wrong.", wrong=say.number(wrong), count=say.number(count))


def honesty(folded: bool, say: Language) -> str:
    """Say what the figures rest on; folded, whether each fold was answered by what the other folds taught."""
    if folded:
        return say(
            "Every figure here can be recomputed from predictions.csv. What was learned from answers (calibration, limits, "
            "threshold) was learned for each fold from the other folds."
        )
    return say(
        "Every figure here can be recomputed from predictions.csv. Test images chose nothing: not the weights, not the "
        "calibration, not a threshold, not when to stop."
    )


def shared_content(judgement: Judgement, story: Story, card: Sequence[Question], say: Language) -> dict[str, Any]:
    """Return what page.html.j2 takes, but for `lead`, `accuracy`, `sentence`, `figures`, `data_sentence`, `samples` and `honesty`."""
    data = story.data
    splits = [
        split for split in next(iter(data["counts"].values())) if any(per[split] for per in data["counts"].values())
    ]
    summary, parameters = _summary(story.model, say)
    return {
        "say": say,
        "counted": say(story.model.asks.counted),
        "title": story.name,
        "card": card,
        "warnings": list(story.warnings),
        "plots": {plot.name: _embedded(plot) for plot in judgement.plots},
        "splits": [_split_name(split, say) for split in splits],
        "counts": [
            {"name": name, "counts": [say.number(per[split]) for split in splits]}
            for name, per in data["counts"].items()
        ],
        "totals": [say.number(sum(per[split] for per in data["counts"].values())) for split in splits],
        "skipped": data["skipped"],
        "skipped_sentence": say("Images left out: {count}.", count=len(data["skipped"])),
        "model_sentence": say(
            "It takes images of {height}×{width} pixels and {channels} channels, and has {parameters} parameters:",
            height=story.model.height,
            width=story.model.width,
            channels=story.model.channels,
            parameters=parameters,
        )
        if parameters
        else _other_network(story.model, say),
        "layers": story.model.layers,
        "summary": summary,
        "total_parameters": parameters,
        "curves_caption": say(
            "The test images are measured after each epoch, as in the tutorial; nothing was chosen with them."
        )
        if story.recipe.get("watch") == "test"
        else say("The validation images are separate from the training images; the test images play no part here."),
        "facts": list(_facts(story, say)),
        "footer": say("Made by Mirante {version} on this computer. No image left it.", version=mirante.__version__),
    }


def row_of_figure(name: str, figure: dict[str, float], meaning: str, write: Callable[[float], str]) -> dict[str, str]:
    """Return a row of the table of key figures."""
    undefined = math.isnan(figure["value"])
    interval = "–" if undefined else f"{write(figure['low'])} – {write(figure['high'])}"
    return {"name": name, "value": write(figure["value"]), "interval": interval, "meaning": meaning}


def _split_name(split: str, say: Language) -> str:
    names = {"train": say("Training"), "val": say("Validation"), "test": say("Test")}
    return names.get(split) or say("Fold {number}", number=split.removeprefix("fold"))


def _summary(model: ModelInfo, say: Language) -> tuple[list[dict[str, str]], str]:
    if not has_layers(model.layers):
        return [], ""
    table = summarise(parse_layers(model.layers, model.shape, model.output), model.shape)
    rows = [
        {
            "kind": row.kind,
            "word": row.word,
            "shape": " × ".join(say.number(side) for side in row.shape),
            "parameters": say.number(row.parameters),
        }
        for row in table.rows
    ]
    return rows, say.number(table.total)


def _other_network(model: ModelInfo, say: Language) -> str:
    if is_pretrained(model.layers):
        return say(
            "A pretrained network, with weights under {licence}, trained on these classes:", licence=model.licence
        )
    return say("The user's own network:")


def _facts(story: Story, say: Language) -> Iterator[dict[str, Any]]:
    recipe, data = story.recipe, story.data
    names = {
        "name": say("Recipe"),
        "epochs": say("Epochs"),
        "batch_size": say("Images per step"),
        "optimiser": say("Optimiser"),
        "learning_rate": say("Learning rate"),
        "schedule": say("Schedule"),
        "seed": say("Seed"),
    }
    for key, name in names.items():
        if key == "epochs" and recipe.get("seconds"):
            allowed = say("{seconds} s", seconds=say.number(recipe["seconds"], 0))
            yield {"name": say("Time allowed"), "value": allowed}
        elif key in recipe:
            value = recipe[key]
            yield {"name": name, "value": _three_digits(value, say) if isinstance(value, float) else value}
    if story.seconds is not None:
        yield {"name": say("Training time"), "value": say("{seconds} s", seconds=say.number(story.seconds, 1))}
    yield {"name": say("Fingerprint of the data"), "value": data["fingerprint"][:16]}
    for name, version in story.versions.items():
        yield {"name": name, "value": version}


def _three_digits(value: float, say: Language) -> str:
    text = f"{value:.3g}"
    return text if "e" in text else say.number(value, len(text.partition(".")[2]))


def _embedded(plot: Plot) -> dict[str, Any]:
    # a PNG holds its width and height as two big-endian integers at byte 16
    width, height = struct.unpack(">II", plot.content[16:24])
    return {"data": base64.b64encode(plot.content).decode("ascii"), "alt": plot.alt, "width": width, "height": height}
