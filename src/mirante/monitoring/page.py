"""What was found about a model in use, in words, and as a page that stands by itself."""

from __future__ import annotations

import base64
import datetime as dt
from typing import Any

import mirante
from mirante.evaluation.figure import Figure
from mirante.locale import Language
from mirante.monitoring.monitor import Watched
from mirante.templates import environment, raw_css

_NAMED = 8  # labels that the model does not know, at most, that are named
_LEAST_TOLD, _MOST_TOLD = 1e-4, 1_000_000  # p-values and evidence beyond these are told as such


def headline(found: Watched, say: Language) -> str:
    """Say in a sentence whether the images still look like those of the test."""
    values = {"count": say.number(found.count), "log": found.log}
    if found.p_value is None and all(one.p_value is None for one in found.periods):
        text = (
            "{log}: {count} images. They cannot be compared with the test images: there are too few of either, or the run keeps "
            "nothing of them."
        )
        return say(text, **values)
    if found.alarm:
        return say("{log}: {count} images. They look different from those that the model was tested on.", **values)
    if found.p_value is not None and found.p_value < 0.01:
        if len(found.periods) == 1:
            text = "{log}: {count} images. They look somewhat different from those of the test; that is not yet enough for an alarm."
            return say(text, **values)
        text = (
            "{log}: {count} images. All together they look somewhat different from those of the test; period by period that is not "
            "yet enough for an alarm."
        )
        return say(text, **values)
    return say("{log}: {count} images. Nothing says that they look different from those of the test.", **values)


def trust(found: Watched, say: Language) -> str:
    """Say in a sentence how many answers are probably right, and whether that can be trusted."""
    values = {"now": figure(found.accuracy, say), "then": figure(found.tested, say)}
    if found.is_trusted:
        return say("Probably right now, estimated without labels: {now}; in the test: {then}.", **values)
    if found.is_contradicted:
        text = (
            "Probably right now, estimated without labels: {now}; in the test: {then}. Do not trust the estimate: the labels that "
            "came later contradict it."
        )
        return say(text, **values)
    if found.untested:
        text = (
            "Probably right now, estimated without labels: {now}; in the test: {then}. Do not trust the estimate: no test image shows "
            "{names}, which it answers too. Labels of some of these images would tell more."
        )
        return say(text, names=", ".join(found.untested), **values)
    text = (
        "Probably right now, estimated without labels: {now}; in the test: {then}. Do not trust the estimate: it counts on images "
        "that look as they did in the test. Labels of some of these images would tell more."
    )
    return say(text, **values)


def figure(one: Figure, say: Language) -> str:
    """Return a share with its interval in words."""
    return f"{say.percent(one.value)} ({say.percent(one.low)} – {say.percent(one.high)})"


def rows_of(found: Watched, say: Language) -> list[list[str]]:
    """Return a row for each period: when, images, p-value, evidence, probably right."""
    return [
        [
            moment(one.begin),
            say.number(one.count),
            _p_value(one.p_value, say),
            f"{_evidence(one.evidence, say)}{' !' if one.evidence >= found.limit else ''}",
            "–" if one.accuracy is None else figure(one.accuracy, say),
        ]
        for one in found.periods
    ]


def _p_value(value: float | None, say: Language) -> str:
    if value is None:
        return "–"
    return say.number(value, 4) if value >= _LEAST_TOLD else f"< {say.number(_LEAST_TOLD, 4)}"


def _evidence(value: float, say: Language) -> str:
    return say.number(value, 1) if value <= _MOST_TOLD else f"> {say.number(_MOST_TOLD)}"


def moment(seconds: float) -> str:
    """Return a time as 2026-11-27 14:00 (UTC)."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M")


def truth(found: Watched, say: Language) -> list[str]:
    """Return what is known from labels that came later, a sentence each."""
    told = found.truth
    if told is None:
        return []
    real, estimate = figure(told.accuracy, say), figure(told.estimate, say)
    text = "{count} images have a label now: {real} are right; estimated without labels: {estimate}."
    lines = [say(text, count=say.number(told.count), real=real, estimate=estimate)]
    if told.refused:
        text = (
            "To {count} of them, of classes that it knows, the model said none of these; they are judged by what it would have said "
            "otherwise, as in the test."
        )
        lines.append(say(text, count=say.number(told.refused)))
    if told.unknown:
        named = [f"{name} ({say.number(count)})" for name, count in list(told.unknown.items())[:_NAMED]]
        values = ", ".join(named) + ("…" if len(told.unknown) > _NAMED else "")
        if found.several:
            lines.append(say("Labels that the model does not know are not judged: {named}.", named=values))
        else:
            text = "Labels that the model does not know count as wrong, unless the answer was none of these: {named}."
            lines.append(say(text, named=values))
    return lines


def page(found: Watched, say: Language) -> str:
    """Return a self-contained HTML page of what was found."""
    footer = say("Made by Mirante {version} on this computer. No image left it.", version=mirante.__version__)
    template = environment("mirante.monitoring").get_template("page.html.j2")
    return template.render(css=raw_css(), say=say, footer=footer, **content(found, say)) + "\n"


def content(found: Watched, say: Language) -> dict[str, Any]:
    """Return what found.html.j2 shows, the part of the page that the studio shows too."""
    pictures = [
        "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii") for path in found.pictures()
    ]
    return {
        "found": found,
        "headline": headline(found, say),
        "trust": trust(found, say),
        "rows": rows_of(found, say),
        "truth": truth(found, say),
        "figure": lambda one: figure(one, say),
        "begin": moment(found.since),
        "end": moment(found.until),
        "pictures": pictures,
        "bars": _bars(found),
    }


def _bars(found: Watched) -> list[tuple[float, float, bool]]:
    """Return for each period the left edge and the height of its bar, 0 to 1 (a logarithm), and whether it is an alarm."""
    import math

    top = max(math.log10(1 + found.limit), *(math.log10(1 + one.evidence) for one in found.periods))
    count = len(found.periods)
    return [
        (number / count, math.log10(1 + one.evidence) / top, one.evidence >= found.limit)
        for number, one in enumerate(found.periods)
    ]
