"""Teach a run with a person's answers: retrain its last layer, on its own training images and the confirmed photos.

Old and new are compared on images that neither saw: the run's test images, and the photos of questions drawn at random.
The new model takes the old one's place only if it is not worse (if it knows a class more, not clearly worse), and the old one is
kept in RUN/earlier.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.data.dataset import Dataset
from mirante.data.entries import digest_of
from mirante.data.features import Features
from mirante.data.notes import TAUGHT, Note
from mirante.errors import RequestError, RunError, WorkError
from mirante.evaluation.metrics import log_losses
from mirante.experiment.compare import mcnemar
from mirante.experiment.evaluate import judge_run, require_classes
from mirante.experiment.model_versions import keep, warn_of_outdated
from mirante.files import write_file
from mirante.images import Pixels
from mirante.locale import Language
from mirante.model.export import TOLERANCE, write_onnx
from mirante.photos.features import FeatureExtractor, extractor_of_run
from mirante.photos.fit import Candidate, Known, fit, output_of
from mirante.photos.learned import Learned, learned_of
from mirante.photos.library import Answer, Library, contradictions, is_kept_apart, labels_of, several_of
from mirante.prediction.onnx_model import version_of
from mirante.predictions import Predictions
from mirante.replacement import commit, stage
from mirante.run import Run, hold_run

NEEDED = 5
"""Answers that a new class needs before a model learns it."""

# shares of the images of the old classes (of several labels, of their loss) that a class more may cost: surely, and by chance
_COSTS, _MAY_LOSE = 0.01, 0.02
_VAGUER, _LEAST_LOSS = 1.2, 0.05  # times, and nats, by which its loss may rise before that is told
_CLEARLY = 0.05  # p-value below which a model that knows a class more is worse on the others


@dataclass(frozen=True)
class LearnResult:
    """What came of learning.

    taught   confirmed photos that were learned from; from_before: how many of them in other folders, the last time or earlier
    unseen   images that neither model saw, or answers about their labels; before and after: how many of them each gets right
    losses     the mean loss in nats of each model on those images of classes that both know, or on those answers
    several    whether the model is one of several labels
    added    new classes; waiting: class → answers, for those with too few
    said_twice  path → the classes that a person gave one photo, the last one last
    adopted  whether the new model took the old one's place; then `kept` is where the old one is
    is_new   whether it is another model than the old one at all
    """

    taught: int
    unseen: int
    before: int
    after: int
    added: tuple[str, ...]
    waiting: dict[str, int]
    said_twice: dict[str, list[str]]
    adopted: bool
    is_new: bool = True
    from_before: int = 0
    kept: Path | None = None
    losses: tuple[float, float] = (0.0, 0.0)
    several: bool = False


@dataclass(frozen=True)
class _Said:
    """What a person said that can be used: digest → target, of the photos to learn from and of those that judge both models.

    A target is a class number, or for several labels (labels,) 1 yes, 0 no, -1 not known.
    """

    taught: dict[str, Any]
    jury: dict[str, Any]
    classes: tuple[str, ...]
    waiting: dict[str, int]


@dataclass(frozen=True)
class _Compared:
    """Two models, the old and the new, on images that neither saw.

    count   images, or labels of them that are known
    right   how many of them each gets right
    losses  the mean loss in nats of each
    may_replace  whether the new one may take the old one's place
    """

    count: int
    right: tuple[int, int]
    losses: tuple[float, float]
    may_replace: bool


def learned_sentence(done: LearnResult, say: Language) -> str:
    """Say in plain words what came of learning."""
    counts = {
        "taught": say.number(done.taught),
        "unseen": say.number(done.unseen),
        "before": say.number(done.before),
        "after": say.number(done.after),
    }
    if not done.several:
        compared = say(
            "Learned from {taught} confirmed photos. Of {unseen} images that neither model saw, the old one gets {before} right and "
            "the new one {after}.",
            **counts,
        )
    else:
        compared = say(
            "Learned from {taught} confirmed photos. Of {unseen} labels of images that neither model saw, the old one gets {before} "
            "right and the new one {after}; their mean loss is {old_loss} and {new_loss}.",
            **counts,
            old_loss=say.number(done.losses[0], 4),
            new_loss=say.number(done.losses[1], 4),
        )
    if done.from_before:
        compared += " " + say(
            "{count} of the photos it had learned before, from other folders.", count=say.number(done.from_before)
        )
    if not done.is_new:
        return say("The model has learned from these answers already, so it stays as it is.")
    if done.kept is None:
        if not done.added:
            return f"{compared} {say('The new one is worse, so the old one stays.')}"
        names = ", ".join(done.added)
        text = (
            "The new one, which also knows {names}, is worse on the other classes, so the old one stays; more photos of the new "
            "classes may help, or a new training."
        )
        worse = say(text, names=names)
        return f"{compared} {worse}"
    taken = say("The new one is now in use; the old one is kept in {kept}.", kept=done.kept)
    new = ""
    if done.added:
        text = "New classes: {names}. No test image shows how well they are recognised; a new training would set some aside."
        new = say(text, names=", ".join(done.added))
    fewer = (
        say("Fewer are right, as is to be expected with one class more.")
        if done.added and done.after < done.before
        else ""
    )
    vague = ""
    if not done.several and done.losses[1] > _VAGUER * done.losses[0] + _LEAST_LOSS:
        text = "The probabilities of the new one fit worse: on images of the old classes the mean loss rises from {before} to {after}."
        vague = say(text, before=say.number(done.losses[0], 2), after=say.number(done.losses[1], 2))
    return " ".join(part for part in (compared, fewer, vague, taken, new) if part)


def waiting_sentences(done: LearnResult, say: Language) -> list[str]:
    """Say of each new class that has too few photos how many it has."""
    text = "{label}: {count} of the 5 photos that a new class needs."
    if done.several:
        text = "{label}: {count} of the 5 photos with a new label, and of the 5 without, that it needs (none of them set aside)."
    return [say(text, label=label, count=count) for label, count in done.waiting.items()]


def learn_in_words(path: Path, library: Library, say: Language) -> str:
    """Teach a run, and say what came of it; raises as `learn` does."""
    done = learn(path, library, say)
    return " ".join([learned_sentence(done, say), *waiting_sentences(done, say)])


def learn(path: Path, library: Library, say: Language) -> LearnResult:
    """Teach a run with the answers that a library holds. Raises RequestError when there is nothing to learn, RunError."""
    with hold_run(path):
        run = Run(path)
        version, info = version_of(run.file(runfolder.ONNX)), run.info
        if not info.asks.is_taught:
            raise RunError(
                f"{path}: a model for the task {info.task}; only one of classes or of several labels learns from photos."
            )
        extractor = extractor_of_run(path / runfolder.ONNX, info)
    answers = library.answers()
    photos = {one.digest: one for one in library.look()[0]}
    answers_here = [one for one in answers if one.digest in photos]
    answered = {one.digest for one in answers_here if one.label is not None}
    if not answered:
        raise RequestError(f"{library.folder}: no photo has an answer yet; mirante photos review asks about them.")
    dataset = run.dataset()
    require_classes(dataset, info.classes)
    if dataset.folds and not info.seen_with:
        raise RunError(
            f"{path}: trained with folds, and its network has seen all of them, so no images are set aside to compare on; train it "
            "without --folds, or on a pretrained network without --epochs."
        )
    run.require_same(dataset, _tested(dataset))
    dataset, pixels = dataset.load(info.size, info.channels, info.fit, info.rendering)
    seen = extractor.each_look(pixels, dataset.digests)

    folded = [*dataset.folds, "train"]
    tested = {dataset.digests[row] for split in ("val", "test") for row in dataset.rows(split)}
    trained = {dataset.digests[row] for split in folded for row in dataset.rows(split)}
    here = digest_of(str(library.folder.resolve()).encode(errors="surrogateescape"))  # the run may be given away
    nothing = Known((), np.zeros((0, *dataset.targets.shape[1:]), np.int64), seen[:0, 0])
    earlier = learned_of(path, nothing, info.classes)
    trained |= {*earlier.known.digests}
    before = earlier.of_others(here, tested | answered)
    said = (_said_labels if info.asks.several_labels else _said_classes)(answers_here, info.classes, tested, trained)
    if not said.taught:
        raise RequestError(
            f"{library.folder}: too few answers to learn from ({len(answered)} photos; some are set aside for comparison, or are "
            "images that the model is tested on); answer some more."
        )
    dataset = dataset.known_as(said.classes)

    def known(targets: dict[str, Any]) -> Known:
        wanted = np.array(list(targets.values()), np.int64).reshape(-1, *dataset.targets.shape[1:])
        if not targets:
            return Known((), wanted, seen[:0, 0])
        features, damaged = extractor.look(library.folder, [photos[digest] for digest in targets])
        sound = np.setdiff1d(np.arange(len(targets)), damaged)
        digests = list(targets)
        return Known(tuple(digests[row] for row in sound), wanted[sound], features[sound])

    taught, jury = known(said.taught), known(said.jury)
    learned = before.numbered_as(said.classes).and_of(here, taught)
    _require_shown(path, dataset, learned)
    new = fit(extractor, dataset, seen, learned.known, run.objectives)
    predicted = run.predictions()
    places = _places_before(new.predictions, run, predicted, dataset)
    in_order = Predictions.join([replace(predicted, rows=np.arange(len(predicted)))], places)
    compared = _compare(extractor, in_order, new, jury)
    added = said.classes[len(info.classes) :]
    said_twice = {photos[one].path: names for one, names in contradictions(answers).items() if one in photos}
    done = LearnResult(
        len(learned.known.digests),
        compared.count,
        *compared.right,
        added,
        said.waiting,
        said_twice,
        compared.may_replace,
        from_before=len(before.known.digests),
        losses=compared.losses,
        several=info.asks.several_labels,
    )
    if not added and _same_layer(extractor, new.extractor):
        return replace(done, adopted=False, is_new=False)
    if not done.adopted:
        return done
    with hold_run(path):
        if version_of(path / runfolder.ONNX) != version:
            raise WorkError(f"{path}: its model was replaced while this one learned; learn again.")
        kept = _adopt(run, new, extractor, dataset, pixels, seen, learned, np.argsort(places), say)
    return replace(done, kept=kept)


def _require_shown(path: Path, dataset: Dataset, learned: Learned) -> None:
    """Raise RequestError when a class would be forgotten that the run once learned from photos: none of them is known any more."""
    shown = _classes_in(dataset.targets) | _classes_in(learned.known.targets)
    gone = [name for number, name in enumerate(learned.classes) if number not in shown]
    if gone:
        raise RequestError(
            f"{path}: no image and no photo shows {', '.join(gone)} any more, which it learned from another folder and would forget; "
            "teach it from that folder first."
        )


def _classes_in(targets: NDArray[np.int64]) -> set[int]:
    """Return the numbers of the classes, or labels, that targets (N,) or (N, labels) have."""
    return {*np.unique(targets if targets.ndim == 1 else np.nonzero(targets == 1)[1]).tolist()}


def _compare(old: FeatureExtractor, before: Predictions, new: Candidate, jury: Known) -> _Compared:
    """Compare two models on the images that the run is judged on, for which `before` is what the old one said, and on more photos."""
    said = []
    for one, predictions in ((old, before), (new.extractor, new.predictions)):
        shares = output_of(one.logits(jury.features), one.info).probabilities
        given = np.concatenate([predictions.given, one.info.asks.answered(shares, one.info)])
        said.append((given, np.concatenate([predictions.probabilities, shares])))
    wanted, classes = np.concatenate([new.predictions.targets, jury.targets]), len(old.info.classes)
    knows_more = len(new.info.classes) > classes
    if not old.info.asks.several_labels:
        right = [given == wanted for given, _ in said]
        of_old = wanted < classes
        as_good = _is_as_good(right[0][of_old], right[1][of_old], knows_more)
        losses = [
            float(log_losses(shares[of_old], wanted[of_old]).mean()) if of_old.any() else 0.0 for _, shares in said
        ]
        return _Compared(len(wanted), (int(right[0].sum()), int(right[1].sum())), (losses[0], losses[1]), as_good)
    wanted = wanted[:, :classes]  # the old model says nothing of new labels
    right = [given[:, :classes] == wanted for given, _ in said]
    losses = [_loss_of_labels(shares[:, :classes], wanted) for _, shares in said]
    as_good = losses[1] <= losses[0] * (1 + _COSTS * knows_more)
    known = int((wanted >= 0).sum())
    return _Compared(known, (int(right[0].sum()), int(right[1].sum())), (losses[0], losses[1]), as_good)


def _same_layer(one: FeatureExtractor, other: FeatureExtractor) -> bool:
    """Tell whether two models end in the same last layer, but for rounding."""
    return np.allclose(one.weight, other.weight, atol=1e-6) and np.allclose(one.bias, other.bias, atol=1e-6)


def _places_before(new: Predictions, run: Run, before: Predictions, dataset: Dataset) -> NDArray[np.int64]:
    """Return where the images of new predictions, which may have other names since, are in those of the run. Raises RunError."""
    digests = dict(zip(dataset.paths, dataset.digests, strict=True)) | run.digests
    places = defaultdict(list)
    for place, path in enumerate(before.paths):
        places[digests.get(path, "")].append(place)
    wanted = [places[dataset.digests[row]] for row in new.rows.tolist()]
    found = [one.pop(0) for one in wanted if one]
    if not len(found) == len(before) == len(new):
        raise RunError(f"{run.path / runfolder.PREDICTIONS}: damaged, or not for this data; restore it or train again.")
    return np.array(found, np.int64)


def _tested(dataset: Dataset) -> NDArray[np.int64]:
    """Return the rows that a run is judged on; with folds all but test images that the source sets aside."""
    return np.flatnonzero(dataset.splits != "test") if dataset.folds else dataset.rows("test")


def _is_as_good(before: NDArray[np.bool_], after: NDArray[np.bool_], knows_more: bool) -> bool:
    """Tell whether a new model may take the old one's place, given which images (N,) of the old classes each gets right.

    One that knows a class more may lose one in a hundred, or where that may be chance (McNemar, exact) one in fifty, and always one:
    a class more makes all others a little harder.
    """
    lost = int(before.sum()) - int(after.sum())
    if not knows_more:
        return lost <= 0
    may_be_chance = lost <= max(1, _MAY_LOSE * len(before)) and mcnemar(before, after) >= _CLEARLY
    return lost <= _COSTS * len(before) or may_be_chance


def _said_classes(answers: list[Answer], classes: tuple[str, ...], tested: set[str], trained: set[str]) -> _Said:
    """Return what was said about one class of several; photos of questions drawn at random judge, if no model has seen them."""
    labels = {digest: label for digest, label in labels_of(answers).items() if label is not None}
    counts = Counter(label for label in labels.values() if label not in classes)
    drawn = {one.digest for one in answers if one.kind == "random"}
    taught = {label for digest, label in labels.items() if digest not in tested | drawn}
    classes = (*classes, *(label for label, count in counts.items() if count >= NEEDED and label in taught))
    usable = {
        digest: classes.index(label) for digest, label in labels.items() if label in classes and digest not in tested
    }
    return _Said(
        {digest: number for digest, number in usable.items() if digest not in drawn},
        {digest: number for digest, number in usable.items() if digest in drawn - trained},
        classes,
        {label: count for label, count in counts.items() if count < NEEDED},
    )


def _said_labels(answers: list[Answer], classes: tuple[str, ...], tested: set[str], trained: set[str]) -> _Said:
    """Return what was said about several labels.

    Of photos that are kept apart nothing is learned; answers to questions drawn at random about them judge, if no model has seen them.
    A new label needs photos that have it and as many that do not.
    """
    usable = [
        (digest, label, one.has)
        for digest, labels in several_of(answers).items()
        for label, one in labels.items()
        if one.has in (0, 1)
        and digest not in tested
        and not (is_kept_apart(digest) and (digest in trained or one.kind != "random"))
    ]
    counts = Counter(
        (label, has) for digest, label, has in usable if label not in classes and not is_kept_apart(digest)
    )
    new = {label: min(counts[label, 0], counts[label, 1]) for label, _ in counts}
    classes = (*classes, *(label for label, count in new.items() if count >= NEEDED))
    said = _Said({}, {}, classes, {label: count for label, count in new.items() if count < NEEDED})
    for digest, label, has in usable:
        if label in classes:
            part = said.jury if is_kept_apart(digest) else said.taught
            part.setdefault(digest, np.full(len(classes), -1))[classes.index(label)] = has
    return said


def _loss_of_labels(shares: NDArray[np.floating], wanted: NDArray[np.int64]) -> float:
    """Return the mean loss in nats of the labels that are known; shares (N, labels) from 0 to 1."""
    right = np.where(wanted > 0, shares, 1 - shares)[wanted >= 0]
    return float(-np.log(np.maximum(right, 1e-7)).mean()) if len(right) else 0.0


def _adopt(
    run: Run,
    new: Candidate,
    old: FeatureExtractor,
    dataset: Dataset,
    pixels: Pixels,
    seen: Features,
    learned: Learned,
    places: NDArray[np.int64],
    say: Language,
) -> Path:
    """Make the new model beside the old one, judge it on the images that it was compared on, keep the old one and take its place.

    places  (N,) where an image of each row of predictions.csv will be in it
    """
    info, taught = new.info, len(learned.known.digests)
    kept = keep(run.path, f"mirante photos learn, {taught} confirmed photos")
    part = stage(run.path, run.path)
    learned.write(part)
    write_file(part / runfolder.WEIGHTS, lambda file: _save_weights(kept / runfolder.WEIGHTS, file, old, new.extractor))
    write_onnx(new.extractor.model, info, part / runfolder.ONNX)
    staged = Run(part)
    staged.publish_info(info)
    staged.note(Note(TAUGHT, {"count": taught, "folder": f"{runfolder.EARLIER}/{kept.name}"}))
    some = _tested(dataset)[:16]
    answered = staged.model().run(pixels[some])
    taught_to = new.answer(seen[some])
    difference = max(
        float(np.abs(one - other).max(initial=0))
        for one, other in (
            (answered.probabilities, taught_to.probabilities),
            (answered.ood_scores, taught_to.ood_scores),
        )
    )
    if difference > TOLERANCE:
        raise WorkError(
            f"{run.path}: the new model.onnx does not answer as it was taught ({difference:.1e}); the old one stays in use."
        )
    if (compared := staged.reference()) is not None:  # what the network sees is the same, what is unlike it is not
        rows, sketches, _ = compared
        staged.publish_reference(places[rows], sketches, new.ood_scores[places[rows]])
    judge_run(staged, part, new.predictions, dataset, pixels, say)
    commit(run.path, part)
    warn_of_outdated(run.path)
    return kept


def _save_weights(before: Path, part: Path, old: FeatureExtractor, new: FeatureExtractor) -> None:
    """Write the weights with the last layer, found by its values, replaced. Raises RunError when it is not among them."""
    from safetensors.numpy import load_file, save_file

    tensors = load_file(before)
    for was, becomes in ((old.weight, new.weight), (old.bias, new.bias)):
        found = [name for name, one in tensors.items() if one.shape == was.shape and np.allclose(one, was, atol=1e-6)]
        if not found:
            raise RunError(f"{before}: not the weights of {runfolder.ONNX}; restore the file or train again.")
        tensors |= dict.fromkeys(found, np.ascontiguousarray(becomes))
    save_file(tensors, part)
