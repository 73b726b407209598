"""Opening a data set: the source, its labels, the targets that the task makes from them, and the splits. Decodes only what a window is
chosen from, where one is needed."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante.data import keywords
from mirante.data.dataset import VAL_SHARE, DataOptions, Dataset
from mirante.data.entries import Skipped, Source
from mirante.data.film_tables import names_films, with_rows_of_frames
from mirante.data.films import INTERVAL, parted
from mirante.data.folders import FolderSource
from mirante.data.kept_splits import kept_or_drawn
from mirante.data.label_tables import find_table, hub_table
from mirante.data.labels import Labelled, label_by_table
from mirante.data.notes import find_notes
from mirante.data.partition import fold_rows, split_rows
from mirante.data.render import choose_rendering
from mirante.data.scan import Scanned, scan
from mirante.data.sources import open_source
from mirante.data.splits import assign_validation
from mirante.data.tables import Columns
from mirante.data.targets import LabelOptions, Targets
from mirante.errors import DataError
from mirante.rendering import Window
from mirante.task import Task, task_named

_KEPT = (
    "labels",
    "label_column",
    "path_column",
    "group",
    "subgroup",
    "root",
    "window",
    "page",
    "interval",
    "classes",
    "ordered",
    "folds",
    "task",
    "length",
    "val_share",
    "lenient",
)


def open_dataset(location: str, options: DataOptions) -> Dataset:
    """Read what is at a location and split it; see Dataset.open."""
    with _without_collection():
        return _open(location, options)


@contextmanager
def _without_collection() -> Iterator[None]:
    """Pause the search for objects that only refer to each other: all that is kept of a million images would be searched each time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _open(location: str, options: DataOptions) -> Dataset:
    if unknown := sorted(set(options) - set(DataOptions.__annotations__)):
        known = ", ".join(sorted(DataOptions.__annotations__))
        raise DataError(f"{location}: {unknown[0]!r} is not a data option; the options are {known}.")
    options = {name: value for name, value in options.items() if value is not None}  # type: ignore[assignment]
    if "ordered" in options and options.get("task", "grade") != "grade":
        raise DataError(
            f"{location}: an order of the classes (--ordered) is for --task grade, not for --task {options['task']}."
        )
    if "ordered" in options:
        options["task"] = "grade"
    task = task_named(options.get("task", "classify"))
    _require_types(location, options)
    if "window" in options:
        Window.parse(str(options["window"]))
    folds, model = options.get("folds", 0), options.get("as_test_of")
    task.require_options(folds, options.get("classes"), options.get("length"))
    source, rows, skipped = _labelled(location, task, options)
    present = {row.label for row in rows}
    lost = {one.label: one.reason for one in skipped if one.label is not None and one.label not in present}
    wanted = LabelOptions(
        options.get("classes"),
        options.get("ordered"),
        source.classes,
        model,
        options.get("length"),
        options.get("lenient", False),
        lost,
    )
    targets = task.make_targets(location, rows, wanted)
    rows = targets.rows
    digests = tuple(row.image.digest for row in rows)
    groups = targets.groups
    if any(row.group is not None for row in rows):
        # photos beside films keep the place that their content gives them
        films = any(parted(row.image.path) is not None for row in rows)
        groups = tuple(row.group or (row.image.digest if films else row.image.path) for row in rows)
    has_test = any(row.split == "test" for row in rows)
    if model is None:
        splits = _splits(location, targets, digests, groups, options)
    else:
        splits = np.array([row.split or "train" if has_test else "test" for row in rows])
    dataset = _dataset(location, source, task, targets, splits, groups, skipped)
    rendering, because, seen = choose_rendering(
        source, rows, splits, options.get("window"), options.get("page") or 0, model is not None
    )
    return replace(
        dataset,
        rendering=rendering,
        window_because=because,
        notes=(*dataset.notes, *seen),
        subgroups=tuple((row.subgroup or "").strip() or "–" for row in rows) if options.get("subgroup") else None,
        split_by="folds" if folds else "source" if has_test else "content",
        options=_kept(options),
    )


def _require_types(location: str, options: DataOptions) -> None:
    """Raise DataError for an option of a wrong type or out of range."""
    for name in ("folds", "length", "page"):
        if not isinstance(options.get(name, 0), Integral):
            raise DataError(f"{location}: {name}={options[name]!r} must be a whole number.")  # type: ignore[literal-required]
    if (options.get("page") or 0) < 0:
        raise DataError(f"{location}: page={options['page']}: pages are counted from 1.")
    if not isinstance(options.get("interval", INTERVAL), Real):
        raise DataError(f"{location}: interval={options['interval']!r} must be a number of seconds.")
    share = options.get("val_share", VAL_SHARE)
    if not isinstance(share, Real) or not 0 <= share < 1:
        raise DataError(f"{location}: val_share={share!r} must be a number from 0 to below 1.")
    for name in ("classes", "ordered"):
        if name in options and (isinstance(options[name], str) or not options[name]):  # type: ignore[literal-required]
            raise DataError(f"{location}: {name}={options[name]!r} must be a list of names.")  # type: ignore[literal-required]


def dataset_of(source: Source, labels: Mapping[str, str], classes: tuple[str, ...], val_share: float) -> Dataset:
    """Return the images of a source that is already open, labelled by path → class, none of them for testing.

    classes  all classes, in order

    Raises DataError when an image cannot be read or a class has none.
    """
    scanned = scan(source)
    if broken := [one for one in scanned if one.error is not None]:
        raise DataError(f"{broken[0].path}: {broken[0].error}.")
    rows = [Labelled(one, labels[one.path], None, None) for one in scanned]
    task = task_named("classify")
    targets = task.make_targets(source.name, rows, LabelOptions(official=classes))
    splits = assign_validation(targets.values, [row.image.digest for row in targets.rows], val_share)
    rendering, because, _ = choose_rendering(source, targets.rows, splits, None, 0)
    dataset = _dataset(source.name, source, task, targets, splits, None, [])
    return replace(dataset, rendering=rendering, window_because=because)


def _dataset(
    location: str,
    source: Source,
    task: Task,
    targets: Targets,
    splits: NDArray[np.str_],
    groups: tuple[str, ...] | None,
    skipped: Sequence[Skipped],
) -> Dataset:
    images = [row.image for row in targets.rows]
    digests = tuple(image.digest for image in images)
    return Dataset(
        location=location,
        name=source.name,
        classes=targets.classes,
        paths=tuple(image.path for image in images),
        targets=targets.values,
        splits=splits,
        groups=groups,
        subgroups=None,
        digests=digests,
        sizes=np.stack(
            [
                np.array([image.height for image in images], np.int64),
                np.array([image.width for image in images], np.int64),
            ],
            axis=1,
        ),
        channels=3 if any(image.channels == 3 for image in images) else 1,
        skipped=tuple(skipped),
        notes=find_notes(*targets.strata, targets.alike, splits, digests, groups),
        task=task.name,
        output=task.output_shape(targets.values, targets.classes),
        split_by="content",
        options={},
        merged=targets.merged,
        source=source,
    )


def _labelled(location: str, task: Task, options: DataOptions) -> tuple[Source, list[Labelled], list[Skipped]]:
    """Return the source, its images with their labels, and those left out."""
    columns = Columns(
        options.get("group"),
        options.get("subgroup"),
        options.get("label_column"),
        options.get("path_column"),
        task.several_labels,
    )
    given = options.get("root")
    root = None if given is None else Path(given).expanduser()
    source, table = open_source(location, root, columns, options.get("interval"))
    labels = options.get("labels")
    if labels is not None and labels != keywords.NAME:
        table = find_table(str(labels), source, location, columns, root)
        if names_films(table) and "interval" not in options:
            source, _ = open_source(location, root, columns, INTERVAL)
    elif table is None and (asked := _asked(columns)):
        option = f"{asked[0][0]} {asked[0][1]}"
        raise DataError(f"{location}: {option} needs a table with this column; name it with --labels FILE.csv.")
    scanned = scan(source, options.get("page") or 0)
    if not scanned:
        raise DataError(f"{location}: no image in it.")
    if labels == keywords.NAME:
        return source, *keywords.label_by_keywords(location, source, scanned, task.several_labels)
    if table is not None:
        table = with_rows_of_frames(table, (image.path for image in scanned), task.several_labels)
    table = table or hub_table(source, scanned, columns)
    if table is None:
        folders = source.empty_folders(one.path for one in scanned) if isinstance(source, FolderSource) else ()
        empty = [Scanned(f"{path}/", "", 0, 0, 0, None, None, "an empty folder") for path in folders]
        rows, skipped = task.label_images(location, [*scanned, *empty])
        present = {row.label for row in rows}
        return source, rows, [one for one in skipped if not one.path.endswith("/") or one.label not in (None, *present)]
    return source, *label_by_table(location, scanned, table)


def _asked(columns: Columns) -> list[tuple[str, str]]:
    """Return the options that name columns, with the names."""
    named = {
        "--group-column": columns.group,
        "--subgroup": columns.subgroup,
        "--label-column": columns.label,
        "--path-column": columns.path,
    }
    return [(option, column) for option, column in named.items() if column is not None]


def _splits(
    location: str, targets: Targets, digests: tuple[str, ...], groups: tuple[str, ...] | None, options: DataOptions
) -> NDArray[np.str_]:
    given = [row.split for row in targets.rows]
    folds, share = options.get("folds", 0), options.get("val_share", VAL_SHARE)

    def draw() -> NDArray[np.str_]:
        if folds:
            return fold_rows(location, *targets.strata, digests, groups, given, folds, 0)
        return split_rows(location, *targets.strata, digests, groups, given, share)

    try:
        return kept_or_drawn(draw, *targets.strata, digests, groups, given, f"{folds} {share}")
    except DataError:
        if folds or not options.get("lenient"):
            raise
        return np.array([split or "train" for split in given], dtype="<U5")


def _kept(options: DataOptions) -> dict[str, Any]:
    """Return the options that open the same data again, in JSON types."""
    kept: dict[str, Any] = {}
    for name in _KEPT:
        value: Any = options.get(name)
        if value is None or (name, value) in (("folds", 0), ("task", "classify")):
            continue
        kept[name] = list(value) if name in ("classes", "ordered") else str(value) if isinstance(value, Path) else value
    return kept
