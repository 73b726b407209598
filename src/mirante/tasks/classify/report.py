"""What the report of a classifier says: how far to trust it, with every sentence built from figures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mirante.evaluation.card_text import short_name, with_interval
from mirante.evaluation.judgement import Judgement
from mirante.evaluation.page import Story, honesty, mistakes_sentence, row_of_figure, shared_content
from mirante.locale import Language
from mirante.model_info import ModelInfo
from mirante.tasks.classify.card import questions
from mirante.tasks.classify.decision import learned_of
from mirante.tasks.classify.human_votes import human_votes_sentences
from mirante.tasks.classify.report_decisions import deciding, subgroups_of, unsure


def content(judgement: Judgement, story: Story, say: Language) -> dict[str, Any]:
    """Return what report.html.j2 takes."""
    found, data = judgement.metrics, story.data
    accuracy = found["accuracy"]
    folded = data["split_by"] == "folds"
    wrong = found["images"] - round(found["top_k"]["1"]["value"] * found["images"])
    return {
        **shared_content(judgement, story, questions(judgement, story, say), say),
        "lead": say(
            "A classifier of {classes} classes, trained on {count} images.",
            classes=len(story.model.classes),
            count=say.number(trained_images(data)),
        ),
        "accuracy": {
            "value": say.percent(accuracy["value"]),
            "name": say("accuracy, out of fold") if "folds" in found else say("accuracy on test images"),
        },
        "deciding": deciding(found, found["positive"], folded and not story.evaluated, say),
        "subgroups": subgroups_of(found, story.subgroup, say),
        "unsure": unsure(
            found, learned_of(story.model).ood_threshold is not None and "taken_for_none_of_these" in found, say
        ),
        "honesty": honesty(folded, say),
        "sentence": _headline(found, story, say),
        "figures": list(_figures(found, say)),
        "repeats_sentence": _repeats_sentence(found, say),
        "decided": _decided(found, say),
        "human_votes": human_votes_sentences(found, say),
        "samples": say("Sixteen training images, drawn at random, as the network sees them."),
        "data_sentence": _data_sentence(data, say),
        "per_class": [
            {
                "name": name,
                "images": say.number(row["images"]),
                "precision": with_interval(row["precision"], say),
                "recall": with_interval(row["recall"], say),
                "f1": say.percent(row["f1"]),
            }
            for name, row in found["per_class"].items()
        ],
        "mistakes_sentence": mistakes_sentence(wrong, found["images"], say),
        "calibration_sentence": _calibration_sentence(found, story.model, say),
        "dispersion_sentence": _dispersion_sentence(found["dispersion"], say),
    }


def trained_images(data: dict[str, Any]) -> int:
    """Return how many images a network was trained on, from the content of data.json."""
    counts = data["counts"].values()
    return sum(count for per in counts for split, count in per.items() if split not in ("val", "test"))


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

    def three_digits(value: float) -> str:
        return say.number(value, 3)

    yield row_of_figure(say("Accuracy"), found["accuracy"], say("Share of images given their true class."), say.percent)
    meaning = say("The mean over classes: each class counts the same, however few its images.")
    yield row_of_figure(say("Balanced accuracy"), found["balanced_accuracy"], meaning, say.percent)
    meaning = say("The mean over classes of F1, which balances precision and recall.")
    yield row_of_figure(say("Macro F1"), found["macro_f1"], meaning, say.percent)
    if found["positive"] in found["one_vs_rest"]:
        meaning = say("How often an image of the class gets a higher probability than another; 0.5 is chance.")
        area = found["one_vs_rest"][found["positive"]]["roc_area"]
        yield row_of_figure(
            say("Area under the ROC curve, {name}", name=found["positive"]), area, meaning, three_digits
        )
    for k, figure in found["top_k"].items():
        if k != "1":
            meaning = say("Share of images whose true class is among the {k} most probable.", k=k)
            yield row_of_figure(say("Top-{k} accuracy", k=k), figure, meaning, say.percent)
    meaning = say("How far confidence is from the share of right answers; 0% is ideal.")
    yield row_of_figure(say("Calibration error (ECE)"), found["ece"], meaning, say.percent)
    meaning = say("The price of being sure and wrong, in nats; 0 is ideal.")
    yield row_of_figure(say("Log loss"), found["log_loss"], meaning, three_digits)
    meaning = say("Squared distance of the probabilities from the truth; 0 is ideal, 2 is worst.")
    yield row_of_figure(say("Brier score"), found["brier"], meaning, three_digits)


def _decided(found: dict[str, Any], say: Language) -> str:
    if decision := found.get("decision"):
        return say(
            "mirante predict answers {name} from a probability of {threshold}, so its answers are right for {accuracy} of the "
            "images; the table above and the plots below are for the most probable class.",
            name=decision["positive"],
            threshold=say.percent(decision["threshold"]),
            accuracy=with_interval(decision["accuracy"], say),
        )
    if "evened_out" not in found:
        return ""
    evened = found["evened_out"]

    def least(figures: dict[str, Any]) -> str:
        name, one = min(
            figures["per_class"].items(), key=lambda item: item[1]["recall"]["value"] if item[1]["images"] else 2
        )
        return f"{say.percent(one['recall']['value'])} ({name})"

    return say(
        "The classes are very unequal, so Mirante answers with the rare ones more often than their probabilities alone would "
        "suggest; the table above and all plots are for the most probable class. Its answers reach an accuracy of {accuracy} and "
        "a balanced accuracy of {balanced} instead of {before}; of the class found least often, it finds {least} instead of "
        "{least_before}.",
        accuracy=with_interval(evened["accuracy"], say),
        balanced=with_interval(evened["balanced_accuracy"], say),
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


def _data_sentence(data: dict[str, Any], say: Language) -> str:
    by = {
        "source": say("The test images are those given by the source."),
        "content": say(
            "The test images, about 15% of each class, were drawn by a hash of their content: adding images never moves one "
            "out, and copies are never in both parts."
        ),
        "folds": say(
            "Each fold was answered by a network that was trained on the others; the finished network was trained on all of them. "
            "Copies and images of one group share a fold."
        ),
    }[data["split_by"]]
    return f"{say('Source: {word}.', word=short_name(data['location']))} {by}"


def _calibration_sentence(found: dict[str, Any], model: ModelInfo, say: Language) -> str:
    confident = float(sum(one["confidence"] * one["images"] for one in found["reliability"]) / found["images"])
    text = say(
        "On average the model gives its answer {confidence}, and {accuracy} of the answers are right.",
        confidence=say.percent(confident),
        accuracy=say.percent(found["accuracy"]["value"]),
    )
    learned = learned_of(model)
    if learned.temperature == 1.0:
        return f"{text} {say('Its probabilities are not calibrated: no validation images were kept for that.')}"
    fitted = (
        say("Its probabilities were calibrated with a scale and a shift for each class, fitted on held-out images.")
        if learned.scales
        else say(
            "Its probabilities were calibrated with a temperature of {temperature}, fitted on held-out images.",
            temperature=say.number(learned.temperature, 2),
        )
    )
    if "uncalibrated" not in found:
        return f"{text} {fitted}"
    gain = say(
        "Without that, the calibration error would be {before} instead of {after}.",
        before=say.percent(found["uncalibrated"]["ece"]),
        after=say.percent(found["ece"]["value"]),
    )
    return f"{text} {fitted} {gain}"


def _dispersion_sentence(found: dict[str, Any], say: Language) -> str:
    area = found["auc_wrong_is_more_dispersed"]
    if math.isnan(area["value"]):
        return say("All answers are right, or all are wrong, so the two cannot be compared.")
    return say(
        "Take one wrong answer and one right answer at random: the wrong one has the more dispersed probabilities in {share} "
        "of the cases ({low} – {high}); 50% would be chance.",
        share=say.percent(area["value"], 0),
        low=say.percent(area["low"], 0),
        high=say.percent(area["high"], 0),
    )
