"""What became of a model in use: its log compared with the test images of its run."""

from __future__ import annotations

import datetime as dt
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.data.several import fully_known
from mirante.errors import RequestError
from mirante.evaluation.figure import Figure
from mirante.evaluation.metrics import wilson
from mirante.experiment.model_versions import earlier_models
from mirante.model_info import ModelInfo
from mirante.monitoring.drift import LEAST, LEAST_TESTED, LIMIT, ONE_PERIOD, Images, Look, Reference, evidence
from mirante.monitoring.estimates import accuracy, class_mix
from mirante.monitoring.log_reader import NoRowsError, Rows, read_log
from mirante.monitoring.pictures import FOLDER, NAME
from mirante.monitoring.truth import compare, encoded
from mirante.prediction.onnx_model import version_of
from mirante.predictions import Predictions
from mirante.run import Run
from mirante.task import Counted

_STRANGEST = 24
_LOOKS = 24  # at a period under way: its evidence counts so much less, since any of so many looks may see chance
_UNTRUSTED = 0.01  # p-value of all images together, below which the estimated accuracy is not to be trusted


@dataclass(frozen=True)
class Period:
    """A stretch of time: how many images, whether they look like the test images, how many answers are probably right.

    begin, end  seconds since 1970
    p_value     how probable it is that test images look as different; None for too few images
    evidence    that something has changed by the end of it, all periods considered; an alarm at `Watched.limit`
    """

    begin: float
    end: float
    count: int
    p_value: float | None
    evidence: float
    accuracy: Figure | None


@dataclass(frozen=True)
class Share:
    """A share of the answers in use, and what it was among the test images."""

    name: str
    now: Figure
    then: Figure

    @property
    def differs(self) -> bool:
        """Whether the intervals do not meet."""
        return self.now.low > self.then.high or self.now.high < self.then.low

    def to_dict(self) -> dict[str, Any]:
        return {"now": self.now.to_dict(), "then": self.then.to_dict()}


@dataclass(frozen=True)
class Truth:
    """What labels that came later say of `count` answers.

    accuracy  the share that is right; to an image of a class that the model does not know, "none of these" is
    estimate  what would have been estimated for the same images without labels
    unknown   label → images, of labels that the model cannot answer
    refused   images of labels that it knows to which it said "none of these": what it would have said else is judged, as in the test
    """

    count: int
    accuracy: Figure
    estimate: Figure
    unknown: dict[str, int]
    refused: int = 0

    def to_dict(self) -> dict[str, Any]:
        return {
            "images": self.count,
            "accuracy": self.accuracy.to_dict(),
            "estimate": self.estimate.to_dict(),
            "unknown_labels": self.unknown,
            "taken_for_none_of_these": self.refused,
        }


@dataclass(frozen=True)
class Watched:
    """What `monitor` found.

    several     whether an image may have several labels, or none
    count       images that were looked at, each once, however often it was sent
    others      rows of other versions of the model, left out
    limit       of the evidence at which it is an alarm
    periods     in order
    p_value     of all images together; None where the network has no features, or there are too few
    mix         class that the test images show → its share in use, and its share of the test images
    untested    classes that are answers in use, and that no test image shows: how well they are recognised is not known
    accuracy    the share of answers that are probably right, or None without calibrated probabilities
    tested      the share that was right among the test images
    kinds       of answers: none of these, empty prediction sets, sets of several classes
    answers     each class: the share of the images for which it was the answer
    subgroups   name → count, shares of none of these, estimated accuracy
    truth       where labels came later; else None
    strangest   digests of images of a kind that the test had fewer of, the strangest first; of those whose pictures were kept, if any
    """

    run: str
    log: str
    several: bool
    count: int
    others: int
    since: float
    until: float
    limit: float
    periods: tuple[Period, ...]
    p_value: float | None
    mix: dict[str, Share]
    untested: tuple[str, ...]
    accuracy: Figure
    tested: Figure
    kinds: tuple[Share, ...]
    answers: dict[str, Share]
    subgroups: dict[str, tuple[int, Figure, Figure]]
    truth: Truth | None
    strangest: tuple[str, ...]

    @property
    def alarm(self) -> bool:
        """Whether the images look different from those that the model was tested on."""
        return any(one.evidence >= self.limit for one in self.periods)

    @property
    def is_trusted(self) -> bool:
        """Whether the estimated accuracy can be trusted: it is worked out as if images of a kind were answered as well as before."""
        alike = self.p_value is not None and self.p_value >= _UNTRUSTED and not self.alarm
        return alike and not self.untested and not self.is_contradicted and not np.isnan(self.accuracy.value)

    @property
    def is_contradicted(self) -> bool:
        """Whether labels that came later say something else than the estimate for the same images."""
        told = self.truth
        if told is None or self.several:  # of several labels it may be about some only
            return False
        return bool(told.accuracy.high < told.estimate.low or told.accuracy.low > told.estimate.high)

    def pictures(self) -> list[Path]:
        """Return the pictures that were kept of the strangest images."""
        found = [Path(self.log).expanduser() / FOLDER / f"{digest}.png" for digest in self.strangest]
        return [one for one in found if one.is_file()]

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON takes."""
        return {
            "run": self.run,
            "log": self.log,
            "images": self.count,
            "other_versions": self.others,
            "since": _iso(self.since),
            "until": _iso(self.until),
            "alarm": self.alarm,
            "limit": self.limit,
            "p_value": self.p_value,
            "periods": [
                {
                    "begin": _iso(one.begin),
                    "end": _iso(one.end),
                    "images": one.count,
                    "p_value": one.p_value,
                    "evidence": one.evidence,
                    "accuracy": None if one.accuracy is None else one.accuracy.to_dict(),
                }
                for one in self.periods
            ],
            "estimated_accuracy": self.accuracy.to_dict(),
            "estimate_trusted": self.is_trusted,
            "test_accuracy": self.tested.to_dict(),
            "classes": {name: one.to_dict() for name, one in self.mix.items()},
            "untested_classes": list(self.untested),
            "kinds": {one.name: one.to_dict() for one in self.kinds},
            "answers": {name: one.to_dict() for name, one in self.answers.items()},
            "subgroups": {
                name: {"images": count, "none_of_these": none.to_dict(), "estimated_accuracy": right.to_dict()}
                for name, (count, none, right) in self.subgroups.items()
            },
            "truth": None if self.truth is None else self.truth.to_dict(),
            "strangest": list(self.strangest),
        }


def monitor(
    run: str | Path,
    log: str | Path,
    *,
    since: float | None = None,
    every: float | None = None,
    labels: str | Path | None = None,
) -> Watched:
    """Compare what a model answered in use with its test images.

    since   seconds back from now; None for the whole log
    every   seconds of a period; None looks at the whole log as one period
    labels  a table with the truth: label, and path (of the image, from the table's folder) or digest in a column named path

    Raises RunError, DataError or RequestError when that cannot be done.
    """
    opened = Run(run)
    after = None if since is None else time.time() - since
    if after is not None and every is not None:
        after -= after % every  # whole periods
    try:
        mine, others = read_log(log, version_of(opened.file(runfolder.ONNX)), after)
    except NoRowsError as error:
        raise _naming_whose(error, opened.path, log) from error
    mine = _with_known_answers(mine, opened.info, log)
    unique = _first_of_each(mine)
    tests = _Tests(opened)
    reference = tests.reference()
    parts = _periods(unique, every)

    def look(part: Rows, seed: int | None = None) -> Look | None:
        if reference is None or len(part) < LEAST or not part.sketches.shape[1]:
            return None
        images = Images(part.sketches, part.ood_scores, part.confidences)
        return reference.look_once(images) if seed is None else reference.look(images, np.random.default_rng(seed))

    # images of one group are alike, and more of them would look like a change
    whole = look(unique, 0 if opened.data.get("groups") else None)
    # a period is looked at in the same way each time
    looks = [whole] if every is None else [look(part, int(begin // every)) for begin, _, part in parts]
    under_way = [every is not None and end > time.time() for _, end, _ in parts]
    told = [
        None if one is None else one.e_value / (_LOOKS if soon else 1)
        for one, soon in zip(looks, under_way, strict=True)
    ]
    grown = evidence(told)
    if under_way[-1] and len(grown) > 1:  # what is not over takes nothing back
        grown[-1] = max(grown[-2:])
    estimate, now = tests.accuracy_of, tests.count(unique)
    periods = tuple(
        Period(
            begin,
            end,
            len(part),
            None if one is None else one.p_value,
            sum_,
            estimate(part) if len(part) >= LEAST else None,
        )
        for (begin, end, part), one, sum_ in zip(parts, looks, grown, strict=True)
    )
    strange = unique.ood_scores if whole is None else whole.witness
    ranked = unique.digests[np.argsort(-strange, kind="stable")]
    kept = {path.stem for path in (Path(log).expanduser() / FOLDER).glob("*.png") if NAME.fullmatch(path.stem)}
    strangest = [one for one in ranked.tolist() if not kept or one in kept][:_STRANGEST]
    return Watched(
        str(opened.path),
        str(log),
        opened.info.asks.several_labels,
        len(unique),
        others,
        float(mine.times[0]),
        float(mine.times[-1]),
        ONE_PERIOD if every is None else LIMIT,
        periods,
        None if whole is None else whole.p_value,
        tests.mix_of(now, len(unique)),
        tests.untested_of(now),
        estimate(unique),
        wilson(int(tests.right.sum()), len(tests.right)),
        tests.kinds_of(now),
        tests.answers_of(now),
        tests.subgroups_of(unique),
        None if labels is None else tests.truth_of(unique, Path(labels)),
        tuple(strangest),
    )


def _naming_whose(error: NoRowsError, run: Path, log: str | Path) -> NoRowsError:
    """Return the error, with the earlier model of the run that answered last, where the log is of one."""
    for kept in reversed(earlier_models(run).values()):
        if error.last and version_of(kept / runfolder.ONNX) == error.last:
            return NoRowsError(
                f"{log}: none of these rows is of the model in use; {kept} answered last, look at that one."
            )
    return error


def _with_known_answers(rows: Rows, info: ModelInfo, log: str | Path) -> Rows:
    """Return the rows without those whose answer the model cannot have given. Raises NoRowsError when none is left."""
    odd = [one for one in set(rows.answers.tolist()) if encoded(one, info) is None] if info.asks.few_answers else []
    if not odd:
        return rows
    sound = ~np.isin(rows.answers, odd)
    logging.getLogger("mirante").warning(
        f"{log}: rows passed over, whose answer is no class of the model: {int((~sound).sum()):,}."
    )
    if not sound.any():
        raise NoRowsError(f"{log}: none of its answers is a class of the model.")
    return rows.only(sound)


def _among(shares: NDArray[np.floating], shown: NDArray[np.bool_]) -> NDArray[np.floating]:
    """Return the probabilities of some of the alternatives, as if one of these were true."""
    some = shares[:, shown]
    found: NDArray[np.floating] = some / np.maximum(some.sum(axis=1, keepdims=True), 1e-9)
    return found


class _Tests:
    """The test images of a run and its answers to them."""

    def __init__(self, run: Run) -> None:
        self.run, self.info = run, run.info
        found = run.predictions()
        self.confidences = found.given_confidences
        # where it is not known whether an image has a label, nothing says whether the answer is right
        self.known = fully_known(found.targets)
        right = (found.given == found.targets) | (found.targets < 0)
        self.right = right.reshape(len(found), -1).all(axis=1)[self.known]
        self.counted = self.info.asks.count(found, self.info)

    def reference(self) -> Reference | None:
        """Return what the test images look like to the network; None where it has no features, or was trained on them all."""
        kept = self.run.reference()
        if kept is None or len(kept[0]) < LEAST_TESTED:
            return None
        rows, sketches, scores = kept
        if self.run.data["options"].get("folds"):  # answered by other networks, one for each fold
            return Reference(Images(sketches.astype(np.float32)))
        return Reference(Images(sketches.astype(np.float32), scores, self.confidences[rows]))

    def accuracy_of(self, rows: Rows) -> Figure:
        return accuracy(rows.confidences, self.confidences[self.known], self.right)

    def count(self, rows: Rows) -> Counted:
        """Return what is counted of the answers in use."""
        info = self.info
        answers = info.asks.encode_labels(rows.answers.tolist(), info.classes, info.output)
        found = Predictions(
            info.task,
            info.classes,
            tuple(rows.digests.tolist()),
            np.full_like(answers, -1),
            answers,
            rows.confidences,
            rows.probabilities,
            out_of_distribution=rows.none_of_these if info.asks.judges_ood else None,
        )
        return info.asks.count(found, info)

    def mix_of(self, now: Counted, images: int) -> dict[str, Share]:
        found: dict[str, Share] = {}
        if images < LEAST:  # too few to draw from
            return found
        for (names, shares, _), (_, tested, targets) in zip(now.mixes, self.counted.mixes, strict=True):
            known = targets >= 0
            if not known.any():
                continue
            counts = np.bincount(targets[known], minlength=shares.shape[1])
            shown = (
                counts > 0
            )  # of others nothing says how often their probability is right: the shares are those among these
            if shown.sum() < 2:
                continue
            before = (counts[shown] + 0.5) / (counts[shown] + 0.5).sum()
            numbers = np.cumsum(shown) - 1
            figures = class_mix(_among(shares, shown), before, _among(tested[known], shown), numbers[targets[known]])
            own = [name for name, is_shown in zip(names, shown, strict=False) if is_shown]
            for name, one, count in zip(own, figures, counts[shown], strict=False):
                found[name] = Share(name, one, wilson(int(count), int(known.sum())))
        return found

    def untested_of(self, now: Counted) -> tuple[str, ...]:
        """Return the classes that are answers in use, and that no test image shows."""
        untested = {
            name
            for names, _, targets in self.counted.mixes
            for number, name in enumerate(names)
            if not (targets == number).any()
        }
        return tuple(name for name, which in now.answers.items() if name in untested and which.any())

    def kinds_of(self, now: Counted) -> tuple[Share, ...]:
        return tuple(
            Share(name, _share(which), _share(self.counted.kinds.get(name))) for name, which in now.kinds.items()
        )

    def answers_of(self, now: Counted) -> dict[str, Share]:
        return {
            name: Share(name, _share(which), _share(self.counted.answers[name])) for name, which in now.answers.items()
        }

    def subgroups_of(self, rows: Rows) -> dict[str, tuple[int, Figure, Figure]]:
        found = {}
        for name in sorted(set(rows.subgroups.tolist()) - {""}):
            own = rows.only(rows.subgroups == name)
            found[name] = (len(own), _share(own.none_of_these), self.accuracy_of(own))
        return found

    def truth_of(self, rows: Rows, table: Path) -> Truth:
        """Compare the answers with a table of labels that came later."""
        own, right, is_known, unknown = compare(rows, table, self.info, str(self.run.path))
        refused = int((own.none_of_these & is_known).sum())
        return Truth(len(own), _share(right), self.accuracy_of(own), unknown, refused)


def _first_of_each(rows: Rows) -> Rows:
    """Return the rows without those of images that came before: sending one again says nothing new."""
    return rows.only(np.sort(np.unique(rows.digests, return_index=True)[1]))


def _periods(rows: Rows, every: float | None) -> list[tuple[float, float, Rows]]:
    """Return begin, end and rows of each period; those without images too. Periods of days begin at midnight, UTC."""
    if every is None:
        return [(float(rows.times[0]), float(rows.times[-1]), rows)]
    numbers = np.floor(rows.times / every).astype(np.int64)
    if int(numbers[-1] - numbers[0]) > 10_000:
        raise RequestError(
            "the periods are too short for such a long log; choose longer ones (--every), or look at less of it (--since 365d)."
        )
    return [
        (number * every, (number + 1) * every, rows.only(numbers == number))
        for number in range(int(numbers[0]), int(numbers[-1]) + 1)
    ]


def _share(which: NDArray[np.bool_] | None) -> Figure:
    return wilson(0, 0) if which is None else wilson(int(which.sum()), len(which))


def _iso(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="seconds")
