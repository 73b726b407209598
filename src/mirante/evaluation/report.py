"""report.html: one self-contained page, in the person's language, that says how far to trust a model."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import mirante
from mirante.evaluation.card import Question, questions
from mirante.evaluation.deciding import deciding, parts_of, unsure
from mirante.evaluation.judge import Judgement, Plot
from mirante.evaluation.people import people_sentences
from mirante.files import write_text
from mirante.locale import Language
from mirante.model.notation import has_layers, is_pretrained, parse_layers
from mirante.model.summary import summarise
from mirante.runfolder import ModelInfo


@dataclass(frozen=True)
class Story:
    """What the report tells beside the figures.

    name      of the run
    data      the content of data.json
    model     the content of model.json
    recipe    the fields of the recipe, and the versions and machine of the training
    seconds   that training took, or None
    evaluated what the images are, when they are not the run's own test images
    positive  the class that is held against the others, if there is one
    by        the name of what the figures are told apart by, or empty
    warnings  sentences for the top of the page, and whether each is grave
    """

    name: str
    data: dict[str, Any]
    model: ModelInfo
    recipe: dict[str, Any]
    versions: dict[str, str]
    seconds: float | None
    evaluated: str | None
    positive: str | None
    by: str
    warnings: Sequence[tuple[str, bool]]


def write_report(path: Path, judgement: Judgement, story: Story, say: Language) -> None:
    """Write the page at `path`; no script, nothing fetched, every picture inside it."""
    import jinja2

    room = resources.files("mirante.evaluation")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string((room / "report.html.j2").read_text(encoding="utf-8"))
    css = (room / "report.css").read_text(encoding="utf-8")
    write_text(path, template.render(css=_Raw(css), **_content(judgement, story, say)) + "\n")


def card_of(judgement: Judgement, story: Story, say: Language) -> list[Question]:
    """Return the model card of what was judged."""
    grave = [sentence for sentence, is_grave in story.warnings if is_grave]
    return questions(judgement.metrics, story.data, story.model, story.evaluated, grave, say)


class _Raw(str):
    """Text that the template takes as it is."""

    def __html__(self) -> str:
        return self


def _content(judgement: Judgement, story: Story, say: Language) -> dict[str, Any]:
    found, data = judgement.metrics, story.data
    accuracy = found["accuracy"]
    folded = data["split_by"] == "folds"
    splits = [
        split for split in next(iter(data["counts"].values())) if any(per[split] for per in data["counts"].values())
    ]
    trained = sum(per[split] for per in data["counts"].values() for split in splits if split not in ("val", "test"))
    summary, parameters = _summary(story.model, say)
    wrong = found["images"] - round(found["top_k"]["1"]["value"] * found["images"])
    return {
        "say": say,
        "title": story.name,
        "lead": say(
            "A classifier of {classes} classes, trained on {count} images.",
            classes=len(story.model.classes),
            count=say.number(trained),
        ),
        "accuracy": {
            "value": say.percent(accuracy["value"]),
            "name": say("accuracy, out of fold") if "folds" in found else say("accuracy on test images"),
        },
        "card": card_of(judgement, story, say),
        "deciding": deciding(found, story.positive, folded and not story.evaluated, say),
        "parts": parts_of(found, story.by, say),
        "unsure": unsure(found, story.model.strange_above is not None and "taken_for_none_of_these" in found, say),
        "honesty": say(
            "Every figure here can be computed again from predictions.csv. What was learned from answers (calibration, limits, "
            "threshold) was learned for each fold from the other folds."
        )
        if folded
        else say(
            "Every figure here can be computed again from predictions.csv. Test images chose nothing: not the weights, not the "
            "calibration, not a threshold, not when to stop."
        ),
        "sentence": _headline(found, story, say),
        "warnings": list(story.warnings),
        "figures": list(_figures(found, say)),
        "repeats_sentence": _repeats_sentence(found, say),
        "evened_out": _evened_out(found, say),
        "people": people_sentences(found, say),
        "plots": {plot.name: _embedded(plot) for plot in judgement.plots},
        "data_sentence": _data_sentence(data, story, say),
        "splits": [_split_name(split, say) for split in splits],
        "counts": [
            {"name": name, "counts": [say.number(per[split]) for split in splits]}
            for name, per in data["counts"].items()
        ],
        "totals": [say.number(sum(per[split] for per in data["counts"].values())) for split in splits],
        "skipped": data["skipped"],
        "skipped_sentence": say("{count} images were left out.", count=len(data["skipped"])),
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
        "curves_caption": say("The test images are shown each epoch, as in the tutorial; nothing was chosen by them.")
        if story.recipe.get("watch") == "test"
        else say("The validation images are kept apart from the training images; the test images play no part here."),
        "per_class": [
            {
                "name": name,
                "images": say.number(row["images"]),
                "precision": _with_interval(row["precision"], say),
                "recall": _with_interval(row["recall"], say),
                "f1": say.percent(row["f1"]),
            }
            for name, row in found["per_class"].items()
        ],
        "mistakes_sentence": say(
            "{wrong} of {count} answers are wrong.", wrong=say.number(wrong), count=say.number(found["images"])
        )
        if wrong
        else say("No answer is wrong."),
        "calibration_sentence": _calibration_sentence(found, story.model, say),
        "dispersion_sentence": _dispersion_sentence(found["dispersion"], say),
        "facts": list(_facts(story, say)),
        "footer": say("Made by Mirante {version} on this computer. No image left it.", version=mirante.__version__),
    }


def _headline(found: dict[str, Any], story: Story, say: Language) -> str:
    accuracy = found["accuracy"]
    text = say(
        "Shown {count} images that it was not trained on, it named the right class for {value} of them. With 95% confidence, the "
        "accuracy on images like these lies between {low} and {high}.",
        count=say.number(found["images"]),
        value=say.percent(accuracy["value"]),
        low=say.percent(accuracy["low"]),
        high=say.percent(accuracy["high"]),
    )
    return f"{text} {say('Evaluated on {where}.', where=story.evaluated)}" if story.evaluated else text


def _figures(found: dict[str, Any], say: Language) -> Iterator[dict[str, str]]:
    """Yield the rows of the table of key figures."""

    def row(name: str, figure: dict[str, float], meaning: str, write: Callable[[float], str]) -> dict[str, str]:
        interval = f"{write(figure['low'])} – {write(figure['high'])}"
        return {"name": name, "value": write(figure["value"]), "interval": interval, "meaning": meaning}

    def three_digits(value: float) -> str:
        return say.number(value, 3)

    yield row(say("Accuracy"), found["accuracy"], say("Share of images given their true class."), say.percent)
    meaning = say("The mean over classes: each class counts the same, however few its images.")
    yield row(say("Balanced accuracy"), found["balanced_accuracy"], meaning, say.percent)
    meaning = say("The mean over classes of F1, which weighs precision and recall.")
    yield row(say("Macro F1"), found["macro_f1"], meaning, say.percent)
    if found["positive"] in found["one_against_rest"]:
        meaning = say("How often an image of the class gets a higher probability than another; 0.5 is chance.")
        area = found["one_against_rest"][found["positive"]]["roc_area"]
        yield row(say("Area under the ROC curve, {name}", name=found["positive"]), area, meaning, three_digits)
    for k, figure in found["top_k"].items():
        if k != "1":
            meaning = say("Share of images whose true class is among the {k} most probable.", k=k)
            yield row(say("Top-{k} accuracy", k=k), figure, meaning, say.percent)
    meaning = say("How far confidence lies from the share of right answers; 0% is ideal.")
    yield row(say("Calibration error (ECE)"), found["ece"], meaning, say.percent)
    meaning = say("The price of being sure and wrong, in nats; 0 is ideal.")
    yield row(say("Log loss"), found["log_loss"], meaning, three_digits)
    meaning = say("Squared distance of the probabilities from the truth; 0 is ideal, 2 the worst.")
    yield row(say("Brier score"), found["brier"], meaning, three_digits)


def _evened_out(found: dict[str, Any], say: Language) -> str:
    if "evened_out" not in found:
        return ""
    evened = found["evened_out"]

    def least(figures: dict[str, Any]) -> str:
        name, one = min(
            figures["per_class"].items(), key=lambda item: item[1]["recall"]["value"] if item[1]["images"] else 2
        )
        return f"{say.percent(one['recall']['value'])} ({name})"

    return say(
        "The classes are very unequal, so Mirante answers with the rare ones more often than their probabilities alone would have "
        "it; the table above and all plots are of the most probable class. Its answers come to an accuracy of {accuracy} and a "
        "balanced accuracy of {balanced} instead of {before}; of the class that is found least it finds {least} instead of "
        "{least_before}.",
        accuracy=_with_interval(evened["accuracy"], say),
        balanced=_with_interval(evened["balanced_accuracy"], say),
        before=say.percent(found["balanced_accuracy"]["value"]),
        least=least(evened),
        least_before=least(found),
    )


def _repeats_sentence(found: dict[str, Any], say: Language) -> str:
    if "repeats" not in found:
        return ""
    accuracy, area = found["repeats"]["accuracy"], found["repeats"].get("roc_area")
    text = say(
        "Trained {count} times with other seeds, the accuracy was {mean} on average, with a standard deviation of {deviation}.",
        count=len(accuracy["values"]),
        mean=say.percent(accuracy["mean"]),
        deviation=say.percent(accuracy["deviation"]),
    )
    if area is None:
        return text
    more = say(
        "The area under the ROC curve was {mean}, with a standard deviation of {deviation}.",
        mean=say.number(area["mean"], 3),
        deviation=say.number(area["deviation"], 3),
    )
    return f"{text} {more}"


def _with_interval(figure: dict[str, float], say: Language) -> str:
    if math.isnan(figure["value"]):
        return "–"
    return f"{say.percent(figure['value'])} ({say.percent(figure['low'], 0)} – {say.percent(figure['high'], 0)})"


def _data_sentence(data: dict[str, Any], story: Story, say: Language) -> str:
    by = {
        "source": say("The test images are those that the source gives."),
        "content": say(
            "The test images, about 15% of each class, were drawn by a hash of their content: adding images never moves one "
            "out, and copies never stand on both sides."
        ),
        "folds": say(
            "Each fold was answered by a network that was trained on the others; the finished network was trained on all of them. "
            "Copies and images of one group share a fold."
        ),
    }[data["split_by"]]
    return f"{say('Source: {word}.', word=data['word'])} {by}"


def _split_name(split: str, say: Language) -> str:
    names = {"train": say("Training"), "val": say("Validation"), "test": say("Test")}
    return names.get(split) or say("Fold {number}", number=split.removeprefix("fold"))


def _summary(model: ModelInfo, say: Language) -> tuple[list[dict[str, str]], str]:
    shape = (model.height, model.width, model.channels)
    if not has_layers(model.layers):
        return [], ""
    table = summarise(parse_layers(model.layers, shape, len(model.classes)), shape)
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


def _calibration_sentence(found: dict[str, Any], model: ModelInfo, say: Language) -> str:
    confident = float(sum(one["confidence"] * one["images"] for one in found["reliability"]) / found["images"])
    text = say(
        "On average the model gives its answer {confidence}, and {accuracy} of the answers are right.",
        confidence=say.percent(confident),
        accuracy=say.percent(found["accuracy"]["value"]),
    )
    if model.temperature == 1.0:
        return f"{text} {say('Its probabilities are not calibrated: no validation images were kept for that.')}"
    fitted = (
        say("Its probabilities were calibrated with a scale and a shift for each class, fitted on images kept apart.")
        if model.scales
        else say(
            "Its probabilities were calibrated with a temperature of {temperature}, fitted on images kept apart.",
            temperature=say.number(model.temperature, 2),
        )
    )
    if "uncalibrated" not in found:
        return f"{text} {fitted}"
    gain = say(
        "Without that the calibration error would be {before} instead of {after}.",
        before=say.percent(found["uncalibrated"]["ece"]),
        after=say.percent(found["ece"]["value"]),
    )
    return f"{text} {fitted} {gain}"


def _dispersion_sentence(found: dict[str, Any], say: Language) -> str:
    area = found["auc_wrong_is_more_dispersed"]
    if math.isnan(area["value"]):
        return say("All answers are of one kind, so right and wrong ones cannot be compared.")
    return say(
        "Take one wrong answer and one right answer at random: the wrong one has the more dispersed probabilities in {share} "
        "of the cases ({low} – {high}); 50% would be chance.",
        share=say.percent(area["value"], 0),
        low=say.percent(area["low"], 0),
        high=say.percent(area["high"], 0),
    )


def _other_network(model: ModelInfo, say: Language) -> str:
    if is_pretrained(model.layers):
        return say(
            "A pretrained network whose weights are under {licence}, taught these classes:", licence=model.licence
        )
    return say("A network of the person's own:")


def _facts(story: Story, say: Language) -> Iterator[dict[str, Any]]:
    recipe, data = story.recipe, story.data
    names = {
        "name": say("Recipe"),
        "epochs": say("Epochs"),
        "batch_size": say("Images a step"),
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
