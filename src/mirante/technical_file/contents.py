"""What the technical file says, section by section, in the order of Annex IV. It collects what the run knows; it claims nothing.

Whatever only a person can say is a Blank; their words are kept apart from it (mirante.technical_file.write).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mirante import runfolder
from mirante.data.entries import printable
from mirante.evaluation.card_text import short_name
from mirante.evaluation.figure import Figure
from mirante.experiment.model_versions import versions
from mirante.locale import Language
from mirante.monitoring.monitor import Watched
from mirante.monitoring.page import figure, headline, trust
from mirante.prediction.onnx_model import version_of
from mirante.replacement import FILES
from mirante.run import Run

_MOST_NUMBERS = 40  # of a table of numbers, such as the thresholds of prediction sets, that a person may read here


@dataclass(frozen=True)
class Table:
    """Rows of text under a header."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Blank:
    """What only a person can say: a key for their words, and what is asked."""

    key: str
    question: str


@dataclass(frozen=True)
class Section:
    """A numbered section: sentences, tables and blanks in order, and the files of the run that it was taken from."""

    title: str
    parts: list[str | Table | Blank] = field(default_factory=list)
    files: tuple[str, ...] = ()


def sections(run: Run, watched: Watched | None, log: str, say: Language, silent: str | None = None) -> list[Section]:
    """Return the sections.

    watched  what a log of the model's use says, if there is one that says something
    silent   why it says nothing

    Raises RunError.
    """
    risks = Blank("risks", say("Which risks to whom were found, how large they are, and what was done about each."))
    standards = Blank("standards", say("The standards that were applied, and what stands in for those that were not."))
    declaration = Blank("declaration", say("Where the signed declaration is kept, if the law asks for one."))
    return [
        _general(run, say),
        _development(run, say),
        _data(run, say),
        _functioning(run, say),
        _performance(run, say),
        Section(say("Risk management"), [risks]),
        _changes(run, say),
        Section(say("Standards"), [standards]),
        Section(say("Declaration of conformity"), [declaration]),
        _in_use(watched, log, say, silent),
        _every_figure(run, say),
        _files(run, say),
    ]


def _exports(run: Run, say: Language) -> Iterator[str]:
    """Yield the names of the exports in the run, and of which it is not known that they are of the model in use."""
    version = version_of(run.file(runfolder.ONNX))
    for folder in sorted((run.path / runfolder.EXPORTS).glob("[!.]*")):
        mark = folder / runfolder.EXPORT
        if mark.is_file():
            same = version in mark.read_text(encoding="utf-8", errors="replace").split()
            yield folder.name if same else say("{name} (of an earlier model)", name=folder.name)


def _general(run: Run, say: Language) -> Section:
    info = run.info
    rows = [
        [say("Name"), printable(run.path.resolve().name)],
        [say("Version"), version_of(run.file(runfolder.ONNX))],
        [say("Task"), info.task],
        [say("Classes"), ", ".join(info.classes)],
        [
            say("Input"),
            say(
                "images of {height}×{width} pixels, channels: {channels}",
                height=info.height,
                width=info.width,
                channels=info.channels,
            ),
        ],
        [say("Forms in which it is handed on"), ", ".join([runfolder.ONNX, *_exports(run, say)])],
        [
            say("Software and machine of the training"),
            ", ".join(f"{k} {v}" for k, v in run.settings["versions"].items()),
        ],
    ]
    return Section(
        say("General description"),
        [
            Blank("purpose", say("What the model is for, for whom, and what it must not be used for.")),
            Blank("provider", say("Who provides it, and how to reach them.")),
            Table([say("What"), say("Value")], rows),
            Blank("interaction", say("With which devices and programs it works, and how its answer reaches a person.")),
            Blank(
                "instructions", say("Where the instructions for those who use it are (the model card is a beginning).")
            ),
        ],
        (runfolder.MODEL, runfolder.ONNX, runfolder.RECIPE, runfolder.CARD),
    )


def _development(run: Run, say: Language) -> Section:
    recipe = run.settings["recipe"]
    timed = bool(recipe.get("seconds"))  # then the time says how many epochs, and the recipe none
    left_out = ("weights", "sizes", *(["epochs"] if timed else []))
    rows = _rows({name: value for name, value in recipe.items() if name not in left_out}, run.classes, say)
    if recipe.get("weights"):
        rows.append(["weights", short_name(str(recipe["weights"]))])
    parts: list[str | Table | Blank] = [
        say("The network was trained by the recipe below; its settings have the names that they have in recipe.toml."),
        say(
            "How many epochs its time is enough for depends on the machine, so the recipe does not give the same weights each time."
        )
        if timed
        else say("The same recipe and seed give the same weights on the same processor with the same versions."),
        Table([say("Setting"), say("Value")], rows),
    ]
    if run.info.licence:
        parts.append(say("It begins with pretrained weights under the licence {name}.", name=run.info.licence))
    parts += [
        Blank("choices", say("Why this kind of model, and which others were considered.")),
        Blank("security", say("How the model and the machine it runs on are kept from being changed by others.")),
    ]
    return Section(say("How it was made"), parts, (runfolder.RECIPE, runfolder.HISTORY))


def _data(run: Run, say: Language) -> Section:
    data = run.data
    splits = list(next(iter(data["counts"].values())))
    names = {"train": say("training"), "val": say("validation"), "test": say("test")}
    rows = [[name, *(say.number(per[split]) for split in splits)] for name, per in data["counts"].items()]
    parts: list[str | Table | Blank] = [
        say(
            "The images come from {name}. The digest of all images with their labels and splits is {digest}.",
            name=short_name(data["location"]),
            digest=data["fingerprint"],
        ),
        Table([say("Class"), *(names.get(split, split) for split in splits)], rows),
    ]
    if data.get("groups"):
        parts.append(say("Groups whose images are never in two splits: {count}.", count=say.number(data["groups"])))
    parts += [note.said(say) for note in run.notes]
    if data["skipped"]:
        parts.append(say("Images left out: {count}.", count=say.number(len(data["skipped"]))))
    parts += [
        Blank(
            "origin", say("Where the images come from, when and with what they were taken, and whom or what they show.")
        ),
        Blank("labelling", say("Who gave the labels, by which rules, and how well two people agree.")),
        Blank("rights", say("By which right the images are used, and what the people on them were told.")),
        Blank("representative", say("For whom or what these images do not stand, and what was done about it.")),
    ]
    return Section(say("The data"), parts, (runfolder.DATA,))


def _functioning(run: Run, say: Language) -> Section:
    rows = _rows(run.info.learned.to_dict(), run.classes, say)
    parts: list[str | Table | Blank] = [
        say(
            "Where it fails most, and what it says to images that show something else, stands in the model card; the report "
            "shows its surest mistakes."
        )
    ]
    if rows:
        parts += [
            say("Learned from the validation images, which are not the test images:"),
            Table([say("What"), say("Value")], rows),
        ]
    parts += [
        Blank(
            "oversight",
            say("Who looks at the answers, what they can do when they doubt one, and how they were taught."),
        ),
        Blank("misuse", say("Which wrong use is to be expected, and what keeps people from it.")),
        Blank(
            "unintended", say("What could go wrong for whom, with which consequences for health, safety and rights.")
        ),
    ]
    return Section(
        say("How it works, and who watches over it"), parts, (runfolder.MODEL, runfolder.CARD, runfolder.REPORT)
    )


def _performance(run: Run, say: Language) -> Section:
    title, rows = run.info.asks.key_figures(run.metrics, say)
    objectives = _rows(run.settings.get("objectives", {}), run.classes, say)
    parts: list[str | Table | Blank] = [
        say("Measured on {images}.", images=title),
        Table([say("Figure"), say("Value"), say("95% interval")], rows),
    ]
    if objectives:
        parts += [
            say("What was asked of the answers when it was trained, with the names of recipe.toml:"),
            Table([say("Setting"), say("Value")], objectives),
        ]
    parts += [
        Blank(
            "metrics", say("Why these figures, and not others, say whether the model is good enough for its purpose.")
        ),
        Blank("thresholds", say("Who decided from which probability on something is done, and why there.")),
        Blank("tester", say("Who tested it, when, and where the signed record is.")),
    ]
    return Section(say("How good it is"), parts, (runfolder.METRICS, runfolder.PREDICTIONS, runfolder.REPORT))


def _changes(run: Run, say: Language) -> Section:
    rows = [
        [
            say("in use") if one.number is None else str(one.number),
            one.version,
            f"{say.percent(one.accuracy)} ({say.percent(one.low)} – {say.percent(one.high)})",
            say.number(one.images),
            one.when,
            one.who,
            say.told(one.why),
        ]
        for one in versions(run)
    ]
    header = [
        say("Version"),
        say("Model"),
        say("Accuracy"),
        say("Test images"),
        say("Replaced (UTC)"),
        say("By"),
        say("Why"),
    ]
    asked = Blank("planned", say("Which further changes are planned, and who decides about them."))
    return Section(
        say("Changes"), [Table(header, rows), asked], ("earlier",) if (run.path / "earlier").exists() else ()
    )


def _in_use(watched: Watched | None, log: str, say: Language, silent: str | None) -> Section:
    parts: list[str | Table | Blank] = []
    if silent is not None:
        parts.append(silent)
    elif watched is None:
        parts.append(say("No log of its use was given (mirante dossier RUN --log LOG)."))
    else:
        parts += [headline(watched, say), trust(watched, say)]
        if watched.others:
            parts.append(
                say("{count} answers of other versions of the model are left out.", count=say.number(watched.others))
            )
        rows = [[name, figure(one.now, say), figure(one.then, say)] for name, one in watched.mix.items()]
        parts.append(Table([say("Share of the images"), say("Now"), say("In the test")], rows))
    parts.append(Blank("plan", say("How its use is watched, who is told of an alarm, and who may stop it.")))
    return Section(say("In use"), parts, (log,) if watched is not None else ())


def _every_figure(run: Run, say: Language) -> Section:
    values = json.loads(runfolder.read_text(run.path, runfolder.METRICS))
    rows = [
        [name, say.number(one.value, 4), f"{say.number(one.low, 4)} – {say.number(one.high, 4)}"]
        for name, one in _figures(values, "")
    ]
    return Section(
        say("Every figure with an interval"),
        [
            say("The figures have the names that they have in metrics.json."),
            Table([say("Figure"), say("Value"), say("95% interval")], rows),
        ],
        (runfolder.METRICS,),
    )


def _figures(value: Any, name: str) -> Iterator[tuple[str, Figure]]:
    if not isinstance(value, Mapping):
        return
    shares = [value.get(one) for one in ("value", "low", "high")]
    if len(value.keys() & {"value", "low", "high"}) == 3 and all(isinstance(one, int | float | None) for one in shares):
        numbers = [float("nan") if value[one] is None else float(value[one]) for one in ("value", "low", "high")]
        yield name, Figure(*numbers)
        return
    for key, inner in value.items():
        yield from _figures(inner, f"{name} · {key}" if name else str(key))


def _files(run: Run, say: Language) -> Section:
    found = [
        path for name in FILES for path in sorted([run.path / name, *(run.path / name).rglob("*")]) if path.is_file()
    ]
    rows = [[path.relative_to(run.path).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()] for path in found]
    return Section(say("Files"), [Table([say("File"), "SHA-256"], rows)])


def _rows(values: Mapping[str, Any], classes: Sequence[str], say: Language, before: str = "") -> list[list[str]]:
    """Return names and values as rows, what is inside others too; a list with one value for each class names them."""
    rows: list[list[str]] = []
    for key, value in values.items():
        name = f"{before} · {key}" if before else str(key)
        if isinstance(value, Mapping):
            rows += _rows(value, classes, say, name)
        elif (
            isinstance(value, list | tuple)
            and len(value) == len(classes)
            and all(isinstance(one, float) for one in value)
        ):
            rows += _rows(dict(zip(classes, value, strict=True)), classes, say, name)
        elif isinstance(value, list | tuple) and (count := _numbers(value)) > _MOST_NUMBERS:
            rows.append([name, say("{count} numbers, in the file", count=say.number(count))])
        elif value not in ("", None, [], ()):
            rows.append([name, _cell(value, say)])
    return rows


def _numbers(value: Any) -> int:
    return sum(map(_numbers, value)) if isinstance(value, list | tuple) else 1


def _cell(value: Any, say: Language) -> str:
    if isinstance(value, bool):
        return say("yes") if value else say("no")
    if isinstance(value, float):
        return say.number(value, 4).rstrip("0").rstrip(".,") or "0"
    return ", ".join(_cell(one, say) for one in value) if isinstance(value, list | tuple) else str(value)
