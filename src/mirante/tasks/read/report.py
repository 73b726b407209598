"""The text of the report and card of a model that reads texts."""

from __future__ import annotations

from typing import Any

from mirante.evaluation.card_text import Question, as_markdown, short_name, with_interval
from mirante.evaluation.judgement import Judgement
from mirante.evaluation.page import Story, honesty, mistakes_sentence, row_of_figure, shared_content
from mirante.locale import Language
from mirante.tasks.read.calibrate import SURE_WITHOUT_PROOF, learned_of

_SHOWN = 15


def content(judgement: Judgement, story: Story, say: Language) -> dict[str, Any]:
    """Return what report.html.j2 takes."""
    found, data = judgement.metrics, story.data
    accuracy, letters, sure = found["accuracy"], found["letters"], found["sure"]
    wrong = found["images"] - round(accuracy["value"] * found["images"])
    evaluated = f" {say('Evaluated on {where}.', where=story.evaluated)}" if story.evaluated else ""
    return {
        **shared_content(judgement, story, text_questions(judgement, story, say), say),
        "lead": say(
            "A reader of texts of up to {characters} characters, out of {letters}.",
            characters=story.model.output[0],
            letters=len(story.model.classes) - 1,
        ),
        "accuracy": {"value": say.percent(accuracy["value"]), "name": say("whole texts right, on test images")},
        "sentence": say(
            "Shown {count} images that it was not trained on, it read {value} of them without a mistake. With 95% confidence, "
            "that share lies between {low} and {high} on images like these. Of single letters, it read {letters} correctly.",
            count=say.number(found["images"]),
            value=say.percent(accuracy["value"]),
            low=say.percent(accuracy["low"]),
            high=say.percent(accuracy["high"]),
            letters=say.percent(letters["accuracy"]["value"], 2),
        )
        + evaluated,
        "figures": [
            row_of_figure(
                say("Whole texts"), accuracy, say("Share of images read without a single mistake."), say.percent
            ),
            row_of_figure(
                say("Letters"),
                letters["accuracy"],
                say("Share of letters in all images that were read correctly."),
                lambda value: say.percent(value, 2),
            ),
            row_of_figure(
                say("Calibration error (ECE)"),
                found["ece"],
                say("How far the probability of whole texts is from the share of right ones; 0% is ideal."),
                say.percent,
            ),
            row_of_figure(
                say("Answered without “unsure”"),
                sure["share"],
                say("Share of images that it is sure about."),
                say.percent,
            ),
            row_of_figure(
                say("Right when it was sure"),
                sure["accuracy"],
                say("Share of those texts that are right."),
                say.percent,
            ),
        ],
        "data_sentence": _data_sentence(data, say),
        "samples": say("Twelve training images, drawn at random, as the network sees them."),
        "mistakes_sentence": mistakes_sentence(wrong, found["images"], say),
        "confused": [
            {
                "letter": one["letter"] or say("nothing"),
                "read": one["read"] or say("nothing"),
                "count": say.number(one["count"]),
                "share": say.percent(one["count"] / one["of"]),
            }
            for one in found["confused"][:_SHOWN]
        ],
        "lengths": [
            {"length": length, "images": say.number(one["images"]), "accuracy": with_interval(one, say)}
            for length, one in found["lengths"].items()
        ]
        if len(found["lengths"]) > 1
        else [],
        "per_class": [
            {
                "name": name or say("nothing"),
                "images": say.number(one["images"]),
                "precision": with_interval(one["precision"], say),
                "recall": with_interval(one["recall"], say),
            }
            for name, one in found["per_class"].items()
            if one["images"]
        ],
        "calibration_sentence": _calibration_sentence(found, story, say),
        "unsure_sentence": _unsure_sentence(found, say),
        "answered": [
            {
                "share": say.percent(float(share), 0),
                "least": say.confidence(one["min_confidence"]),
                "accuracy": with_interval(one, say),
            }
            for share, one in found["selective_accuracy"].items()
        ],
        "honesty": honesty(False, say),
    }


def text_questions(judgement: Judgement, story: Story, say: Language) -> list[Question]:
    """Return the model card, as a careful reader's questions with their answers."""
    found, data = judgement.metrics, story.data
    trained = sum(split in ("train", "val") for *_, split in data["files"])
    where = story.evaluated or short_name(data["location"])
    tested = say("{count} images from {word}.", count=say.number(found["images"]), word=short_name(where))
    if not story.evaluated:
        tested = say("{count} images from the same source, not used for training.", count=say.number(found["images"]))
    tested += " " + say("Images from another source may behave differently: test it on them first.")
    confused = found["confused"][:3]
    nothing = say("nothing")
    pairs = ", ".join(
        say("{letter} read as {read}", letter=one["letter"] or nothing, read=one["read"] or nothing) for one in confused
    )
    answers = [
        (
            say("What was it trained on?"),
            say("{count} images from {word}.", count=say.number(trained), word=short_name(data["location"])),
        ),
        (say("What was it tested on?"), tested),
        (
            say("Where does it fail?"),
            say("Its most frequent mistakes: {pairs}.", pairs=pairs) if pairs else say("Nowhere in these images."),
        ),
        (say("What can it read?"), _letters(story, say)),
        (
            say("What must it not be used for?"),
            say(
                "For getting past other people's CAPTCHAs; testing your own is fine. For deciding alone where a misread text "
                "could harm someone: have a person check what it is unsure of."
            ),
        ),
    ]
    return [Question(*answer) for answer in answers]


def markdown(judgement: Judgement, story: Story, say: Language) -> str:
    """Return the model card as Markdown with the metadata of the Hub."""
    found = judgement.metrics
    results = [
        {"type": "exact_match", "value": round(found["accuracy"]["value"], 4)},
        {"type": "ece", "value": round(found["ece"]["value"], 4)},
        {"type": "accuracy", "name": "letters", "value": round(found["letters"]["accuracy"]["value"], 4)},
    ]
    questions = text_questions(judgement, story, say)
    return as_markdown(story, results, questions, [], say)


def _letters(story: Story, say: Language) -> str:
    return say(
        "Texts of up to {characters} characters of these: {letters}. It reads any other as one of these.",
        characters=story.model.output[0],
        letters="".join(story.model.classes),
    )


def _data_sentence(data: dict[str, Any], say: Language) -> str:
    by = {
        "source": say("The test images are those given by the source."),
        "content": say(
            "The test images, about 15%, were drawn by a hash of their content, and images with the same text are never in both "
            "parts. The table counts letters."
        ),
    }[data["split_by"]]
    return f"{say('Source: {word}.', word=short_name(data['location']))} {by}"


def _calibration_sentence(found: dict[str, Any], story: Story, say: Language) -> str:
    learned = learned_of(story.model)
    if learned.confidence_threshold is None or "uncalibrated" not in found:
        return say("Its probabilities are not calibrated: no validation images were kept for that.")
    return say(
        "The probability of each letter was calibrated with a temperature of {temperature}, that of a whole text, the product of its "
        "letters', with a power of {power}, on held-out images. Without that, the calibration error would be {before} instead of "
        "{after}.",
        temperature=say.number(learned.temperature, 2),
        power=say.number(learned.power, 2),
        before=say.percent(found["uncalibrated"]["ece"]),
        after=say.percent(found["ece"]["value"]),
    )


def _unsure_sentence(found: dict[str, Any], say: Language) -> str:
    sure = found["sure"]
    if sure["from"] is None:
        return say("It never says so: no validation images were kept to learn when it can be sure.")
    if sure["from"] == SURE_WITHOUT_PROOF:
        return say(
            "There were too few validation images, or too many mistakes, to learn when it can be sure; so it says “unsure” below "
            "a probability of {limit}. Here it is sure of {share} of the images.",
            limit=say.percent(sure["from"]),
            share=say.percent(sure["share"]["value"]),
        )
    return say(
        "It says “unsure” below a probability of {limit}: on validation images, at most one in a hundred of the texts above it was "
        "wrong. Here it is sure of {share} of the images, and {accuracy} of those are right.",
        limit=say.percent(sure["from"]),
        share=say.percent(sure["share"]["value"]),
        accuracy=with_interval(sure["accuracy"], say),
    )
