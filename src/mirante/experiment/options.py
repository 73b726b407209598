"""The named options of a training: for the data, the recipe and the objectives, in one flat list for the user."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict

import numpy as np

from mirante.data.cells import read_cells
from mirante.data.dataset import DataOptions
from mirante.errors import RequestError
from mirante.evaluation.objectives import Aim, Objectives
from mirante.quantities import read_seconds, read_share
from mirante.training.recipe import Optimiser, Recipe, ScheduleKind, Watch, read_toml


class RecipeFields(TypedDict, total=False):
    """Fields of the recipe to change; mirante.Recipe says what each means."""

    layers: str
    weights: str
    epochs: int
    batch_size: int
    optimiser: Optimiser
    learning_rate: float
    schedule: ScheduleKind
    warmup: float
    momentum: float
    weight_decay: float
    frozen: float
    label_smoothing: float
    augment: Sequence[str]
    flip_tta: bool
    progressive_resize_until: float
    progressive_resize_scale: float
    precision: Literal["auto", "float32"]
    watch: Watch
    max_size: int
    min_size: int
    seed: int


class RecipeOptions(RecipeFields, total=False):
    """Fields of the recipe to change (mirante.Recipe says what each means), and `time`, such as "5m" or in seconds."""

    time: str | float


class ObjectiveOptions(TypedDict, total=False):
    """What the model should achieve, and how well that is tested.

    positive     the class compared with all others (default: the second of two)
    sensitivity, specificity   choose the threshold that reaches this share
    miss, false_alarm          choose the threshold with the lowest cost; both are needed
    aims         of several labels, the aim of each: a table with the columns label and sensitivity, specificity, or miss and
                 false_alarm; or label → {"sensitivity": 0.9}. Labels that it does not name have the aim of all, if there is one
    prevalence   share of positive images where the model will be used
    even         answer rare classes more often when classes are very unequal (default: True)
    repeats      train this many times with different seeds, to see how much chance matters
    """

    positive: str
    sensitivity: float
    specificity: float
    miss: float
    false_alarm: float
    aims: str | Path | Mapping[str, Mapping[str, float]]
    prevalence: float
    even: bool
    repeats: int


class TrainOptions(DataOptions, RecipeOptions, ObjectiveOptions, total=False):
    """All named options of a training."""


class TuneOptions(DataOptions, RecipeFields, total=False):
    """All named options of a search."""


def require_known(options: Mapping[str, Any], known: Iterable[str], verb: str) -> None:
    """Raise RequestError for a named option that a verb does not have."""
    if unknown := sorted(set(options) - set(known)):
        raise RequestError(f"{unknown[0]}: not an option of {verb}; the options are {', '.join(known)}.")


class Asked(NamedTuple):
    """The options, sorted."""

    data: DataOptions
    recipe: dict[str, Any]
    objectives: Objectives


_AIMS = ("sensitivity", "specificity", "miss", "false_alarm")


_ALSO_CALLED = {
    "model": "layers", "lr": "learning_rate", "group_column": "group", "max_epochs": "epochs", "weight_init": "weights",
}  # fmt: skip
"""Names that people try, from the command line or other programs, and what they are called here."""


def _options_of_run(recipe: object) -> dict[str, Any]:
    """Return what a run's recipe.toml asks of a training besides the recipe: size and fit, options of the data, objectives.

    Empty for any other recipe. Raises RequestError when the file cannot be read.
    """
    if not isinstance(recipe, (str, Path)) or not str(recipe).endswith(".toml"):
        return {}
    values = read_toml(str(recipe))
    try:
        shown, found = values.get("input", {}), dict(values.get("objectives", {}))
        given = {name: value for name, value in values.get("data", {}).items() if name != "location"}
        size = {"size": (shown["height"], shown["width"]), "fit": shown["fit"]} if shown else {}
        return {**size, **given, **found.pop("aim", {}), **found}
    except (AttributeError, KeyError, TypeError) as error:
        raise RequestError(f"{recipe}: damaged; restore the file.") from error


def with_options_of_run(recipe: object, given: Mapping[str, Any], opens_data: bool) -> dict[str, Any]:
    """Return the options given, and where they say nothing those of the run whose recipe.toml this is."""
    stored = _options_of_run(recipe)
    asked = {name: value for name, value in given.items() if value is not None}
    if not opens_data:
        stored = {name: value for name, value in stored.items() if name not in DataOptions.__annotations__}
    if asked.keys() & set(_AIMS):
        stored = {name: value for name, value in stored.items() if name not in (*_AIMS, "aims")}
    return stored | asked


def sort_options(options: dict[str, Any], verb: type[TrainOptions] | type[TuneOptions] = TrainOptions) -> Asked:
    """Return the options sorted by what they apply to; None counts as left out. Raises RequestError for unknown options."""
    given = {
        name: value.item() if isinstance(value, np.generic) else value  # NumPy's numbers, as searches draw them
        for name, value in options.items()
        if value is not None
    }
    known = {*verb.__annotations__, *(one.name for one in fields(Recipe))} - {"name"}
    for name in given:
        if name not in known:
            close = [_ALSO_CALLED[name]] if name in _ALSO_CALLED else get_close_matches(name, known, 1)
            raise RequestError(
                f"{name}: there is no such option{f'; did you mean {close[0]}?' if close else '.'} Options: "
                f"{', '.join(sorted(known))}."
            )
    for name in ("sensitivity", "specificity", "prevalence"):
        if isinstance(given.get(name), str):
            try:
                given[name] = read_share(given[name])
            except ValueError as error:
                raise RequestError(f"{name}: {error}.") from error
    recipe = {one.name: given[one.name] for one in fields(Recipe) if one.name in given}
    if "time" in given:
        if "epochs" in given:
            raise RequestError("time and epochs exclude each other: give only one.")
        recipe["seconds"] = read_time(given["time"])
    if "augment" in recipe and not isinstance(recipe["augment"], str):
        recipe["augment"] = tuple(recipe["augment"])
    if "layers" in recipe:
        recipe.setdefault("sizes", ())
    data: DataOptions = {name: given[name] for name in DataOptions.__annotations__ if name in given}  # type: ignore[assignment]
    aims = {name: given[name] for name in _AIMS if name in given}
    rest = {name: given[name] for name in ("positive", "prevalence", "even", "repeats") if name in given}
    own = read_aims(given["aims"]) if "aims" in given else ()
    return Asked(data, recipe, Objectives(aim=Aim(**aims) if aims else None, aims=own, **rest))


def read_aims(aims: str | Path | Mapping[str, Mapping[str, float]]) -> tuple[tuple[str, Aim], ...]:
    """Return the aim of each label that a table, or a dictionary, gives. Raises RequestError."""
    if isinstance(aims, Mapping):
        return tuple((label, _aim_of(label, one)) for label, one in aims.items())
    path = Path(aims).expanduser()
    try:
        header, *lines = read_cells(str(path), path.read_bytes())
    except OSError as error:
        raise RequestError(f"--aims {path}: cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise RequestError(f"--aims {path}: it is empty.") from error
    names = [name.strip().lower().replace("-", "_") for name in header]
    if "label" not in names or not set(names) & set(_AIMS):
        raise RequestError(
            f"--aims {path}: needs the columns label and sensitivity, specificity, or miss and false_alarm."
        )
    found: dict[str, Aim] = {}
    for number, line in enumerate(lines, 2):
        row = {name: cell.strip() for name, cell in zip(names, line, strict=False)}
        if not any(row.values()):
            continue
        label = row.get("label", "")
        if not label or label in found:
            raise RequestError(
                f"--aims {path}, row {number}: {'no label' if not label else f'{label!r} has an aim already'}."
            )
        try:
            values = {
                name: (read_share if name in ("sensitivity", "specificity") else float)(row[name])
                for name in _AIMS
                if row.get(name)
            }
        except ValueError as error:
            raise RequestError(f"--aims {path}, row {number}: {error}.") from error
        found[label] = _aim_of(f"--aims {path}, row {number}", values)
    return tuple(found.items())


def _aim_of(where: str, values: Mapping[str, float]) -> Aim:
    try:
        return Aim(**values)
    except (TypeError, RequestError) as error:
        raise RequestError(f"{where}: {error}") from error


def read_time(time: str | float) -> float:
    """Return "5m", or a number of seconds, as seconds. Raises RequestError."""
    try:
        return read_seconds(time) if isinstance(time, str) else float(time)
    except ValueError as error:
        raise RequestError(f"time {error}.") from error
