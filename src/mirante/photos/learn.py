"""Teach a run with a person's answers: retrain its last layer, on its own training images and the confirmed photos.

Old and new are compared on images that neither saw: the run's test images, and the photos of questions drawn at random.
The new model takes the old one's place only if it is not worse (if it knows a class more, not clearly worse), and the old one is
kept in RUN/earlier.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.data.dataset import Dataset
from mirante.data.features import Features, known_or_new
from mirante.data.notes import Note
from mirante.errors import RequestError, RunError, WorkError
from mirante.evaluation.objectives import Objectives
from mirante.experiment.compare import mcnemar
from mirante.experiment.evaluate import judge_run, require_classes
from mirante.experiment.model_versions import EARLIER, keep
from mirante.files import write_file
from mirante.images import Pixels
from mirante.locale import Language
from mirante.model.export import TOLERANCE, write_onnx
from mirante.model.last_layer import replace_head
from mirante.model_info import ModelInfo
from mirante.photos.features import FeatureExtractor, extractor_of_run
from mirante.photos.library import Answer, Library, contradictions, is_kept_apart, labels_of, several_of
from mirante.prediction.onnx_model import Output
from mirante.prediction.out_of_distribution import fit_subspace, ood_score
from mirante.run import Run, hold_run

NEEDED = 5
"""Answers that a new class needs before a model learns it."""

_FAMILIAR = 5000
_MANY = 50  # photos of a new class that say by themselves how far its images lie apart
_FIRM = 0.1  # the least L2 strength where a class is known from a few photos (benchmarks/update.py)
_MAY_LOSE = 0.02
_CLEARLY = 0.05  # p-value below which a model that knows a class more is worse on the others
_WEIGHTS = (
    1,
    3,
    10,
)  # how many training images a confirmed photo may count as: chosen on held-out answers and validation images
_UNCHOSEN_WEIGHT, _CHOOSABLE = 3, 30


@dataclass(frozen=True)
class LearnResult:
    """What came of learning.

    taught   confirmed photos that were learned from
    unseen   images that neither model saw, or answers about their labels; before and after: how many of them each gets right
    losses     of several labels, the mean loss in nats of each model on those answers; None for classes
    added    new classes; waiting: class → answers, for those with too few
    said_twice  path → the classes that a person gave one photo, the last one last
    adopted  whether the new model took the old one's place; then `kept` is where the old one is
    """

    taught: int
    unseen: int
    before: int
    after: int
    added: tuple[str, ...]
    waiting: dict[str, int]
    said_twice: dict[str, list[str]]
    adopted: bool
    kept: Path | None = None
    losses: tuple[float, float] | None = None


@dataclass(frozen=True)
class _Known:
    """Confirmed photos: digests, targets (N,) or of several labels (N, labels), and features (N, width)."""

    digests: tuple[str, ...]
    targets: NDArray[np.int64]
    features: Features


@dataclass(frozen=True)
class _Said:
    """What a person said that can be used: digest → target, of the photos to learn from and of those that judge both models.

    A target is a class number, or for several labels (labels,) 1 yes, 0 no, -1 not known.
    """

    taught: dict[str, Any]
    jury: dict[str, Any]
    classes: tuple[str, ...]
    waiting: dict[str, int]


def learned_sentence(done: LearnResult, say: Language) -> str:
    """Say in plain words what came of learning."""
    counts = {
        "taught": say.number(done.taught),
        "unseen": say.number(done.unseen),
        "before": say.number(done.before),
        "after": say.number(done.after),
    }
    if done.losses is None:
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
    if done.kept is None:
        return f"{compared} {say('The new one is worse, so the old one stays.')}"
    taken = say("The new one is now in use; the old one is kept in {kept}.", kept=done.kept)
    new = say("New classes: {names}.", names=", ".join(done.added)) if done.added else ""
    fewer = say("Fewer are right, as is to be expected with one class more.") if done.after < done.before else ""
    return " ".join(part for part in (compared, fewer, taken, new) if part)


def learn(path: Path, library: Library, say: Language) -> LearnResult:
    """Teach a run with the answers that a library holds. Raises RequestError when there is nothing to learn, RunError."""
    with hold_run(path):
        run = Run(path)
    info = run.info
    if not info.asks.is_taught:
        raise RunError(
            f"{path}: a model for the task {info.task}; only one of classes or of several labels learns from photos."
        )
    extractor = extractor_of_run(path / runfolder.ONNX, info)
    dataset = run.dataset()
    require_classes(dataset, info.classes)
    if dataset.folds:
        raise RunError(
            f"{path}: trained with folds, so no images are set aside to compare on; train it without --folds first."
        )
    run.require_same(dataset, dataset.rows("test"))
    dataset, pixels = dataset.load(info.size, info.channels, info.fit, info.rendering)
    seen = known_or_new(extractor.key, dataset.digests, lambda rows: extractor.features(pixels, rows))

    answers = library.answers()
    photos = {one.digest: one for one in library.look()[0]}
    tested = {dataset.digests[row] for split in ("val", "test") for row in dataset.rows(split)}
    trained = {dataset.digests[row] for row in dataset.rows("train")}
    answers_here = [one for one in answers if one.digest in photos]
    said = (_said_labels if info.asks.several_labels else _said_classes)(answers_here, info.classes, tested, trained)
    answered = {one.digest for one in answers_here if one.label is not None}
    if not answered:
        raise RequestError(f"{library.folder}: no photo has an answer yet; mirante photos review asks about them.")
    if not said.taught:
        raise RequestError(
            f"{library.folder}: too few answers to learn from ({len(answered)} photos; some are set aside for comparison, or are "
            "images that the model is tested on); answer some more."
        )
    dataset = dataset.known_as(said.classes)

    def known(targets: dict[str, Any]) -> _Known:
        wanted = np.array(list(targets.values()), np.int64).reshape(-1, *dataset.targets.shape[1:])
        if not targets:
            return _Known((), wanted, seen[:0])
        features, damaged = extractor.look(library.folder, [photos[digest] for digest in targets])
        sound = np.setdiff1d(np.arange(len(targets)), damaged)
        digests = list(targets)
        return _Known(tuple(digests[row] for row in sound), wanted[sound], features[sound])

    taught, jury = known(said.taught), known(said.jury)
    new_extractor, new_info, space = _fit(extractor, dataset, seen, taught, run.objectives)
    rows = dataset.rows("test")
    wanted = np.concatenate([dataset.targets[rows], jury.targets])
    judged = np.concatenate([seen[rows], jury.features])
    right, losses = [], []
    for one, known_info in ((extractor, info), (new_extractor, new_info)):
        shares = _output(one.logits(judged), known_info).probabilities
        right.append(known_info.asks.answered(shares, known_info) == wanted)
        losses.append(_loss_of_labels(shares, wanted) if info.asks.several_labels else 0.0)
    added, of_old = said.classes[len(info.classes) :], wanted < len(info.classes)
    said_twice = {photos[one].path: names for one, names in contradictions(answers).items() if one in photos}
    done = LearnResult(
        len(taught.digests),
        int((wanted >= 0).sum()),
        int(right[0].sum()),
        int(right[1].sum()),
        added,
        said.waiting,
        said_twice,
        losses[1] <= losses[0]
        if info.asks.several_labels
        else _is_as_good(right[0][of_old], right[1][of_old], bool(added)),
        losses=(losses[0], losses[1]) if info.asks.several_labels else None,
    )
    if not done.adopted:
        return done
    with hold_run(path):
        kept = _adopt(run, new_extractor, new_info, space, extractor, dataset, pixels, seen, len(taught.digests), say)
    return replace(done, kept=kept)


def _is_as_good(before: NDArray[np.bool_], after: NDArray[np.bool_], knows_more: bool) -> bool:
    """Tell whether a new model may take the old one's place, given which images (N,) of the old classes each gets right.

    One that knows a class more may lose one in fifty, if that may be chance (McNemar, exact): it makes all others a little harder.
    """
    lost = int(before.sum()) - int(after.sum())
    return lost <= 0 or (knows_more and lost <= _MAY_LOSE * len(before) and mcnemar(before, after) >= _CLEARLY)


def _said_classes(answers: list[Answer], classes: tuple[str, ...], tested: set[str], trained: set[str]) -> _Said:
    """Return what was said about one class of several; photos of questions drawn at random judge, if no model has seen them."""
    labels = {digest: label for digest, label in labels_of(answers).items() if label is not None}
    counts = Counter(label for label in labels.values() if label not in classes)
    classes = (*classes, *(label for label, count in counts.items() if count >= NEEDED))
    usable = {
        digest: classes.index(label) for digest, label in labels.items() if label in classes and digest not in tested
    }
    drawn = {one.digest for one in answers if one.kind == "random"}
    return _Said(
        {digest: number for digest, number in usable.items() if digest not in drawn},
        {digest: number for digest, number in usable.items() if digest in drawn - trained},
        classes,
        {label: count for label, count in counts.items() if count < NEEDED},
    )


def _said_labels(answers: list[Answer], classes: tuple[str, ...], tested: set[str], trained: set[str]) -> _Said:
    """Return what was said about several labels.

    Of photos that are kept apart nothing is learned; answers to questions drawn at random about them judge, if no model has seen them.
    """
    said = _Said({}, {}, classes, {})
    for digest, labels in several_of(answers).items():
        apart = is_kept_apart(digest)
        if digest in tested or (apart and digest in trained):
            continue
        for label, one in labels.items():
            if label in classes and one.has in (0, 1) and (one.kind == "random" or not apart):
                part = said.jury if apart else said.taught
                part.setdefault(digest, np.full(len(classes), -1))[classes.index(label)] = one.has
    return said


def _loss_of_labels(shares: NDArray[np.floating], wanted: NDArray[np.int64]) -> float:
    """Return the mean loss in nats of the labels that are known; shares (N, labels) from 0 to 1."""
    right = np.where(wanted > 0, shares, 1 - shares)[wanted >= 0]
    return float(-np.log(np.maximum(right, 1e-7)).mean()) if len(right) else 0.0


def _fit(
    extractor: FeatureExtractor, dataset: Dataset, seen: Features, taught: _Known, objectives: Objectives
) -> tuple[FeatureExtractor, ModelInfo, Features | None]:
    """Return the extractor with the new last layer, all that held-out images teach of it, and the familiar directions (width, d)."""
    from mirante.data.partition import spread
    from mirante.experiment.fit_network import CALIBRATED
    from mirante.training.head import Head, fit_head, mean_loss

    classes = dataset.classes
    own, own_targets = _not_confirmed(dataset, taught)
    val = dataset.rows("val")

    def fitted(
        which: NDArray[np.int64], weight: int, strength: float | None
    ) -> tuple[Features, NDArray[np.float32], float]:
        often = np.repeat(which, weight)
        imagined, imagined_targets = _imagined(taught.features[which], taught.targets[which], seen[own], own_targets)
        features = np.concatenate([seen[own], taught.features[often], imagined])
        targets = np.concatenate([own_targets, taught.targets[often], imagined_targets])
        units = [
            *(dataset.digests[row] for row in own),
            *(taught.digests[row] for row in often),
            *(f"imagined {number}" for number in range(len(imagined))),
        ]

        def head_of(strength: float | None) -> Head:
            known = seen[val], dataset.targets[val]
            return fit_head(features, targets, *known, len(classes), strength, extractor.info.rooted, units)

        head = head_of(strength)
        if len(imagined) and head.strength < _FIRM:
            head = head_of(_FIRM)
        return head.weight, head.bias, head.strength

    everything = np.arange(len(taught.digests))
    weight, strength = _UNCHOSEN_WEIGHT, None
    if len(everything) >= _CHOOSABLE:
        held = everything % 3 == 0
        losses = []
        for tried in _WEIGHTS:
            matrix, bias, strength = fitted(everything[~held], tried, strength)
            parts = ((taught.features[held], taught.targets[held]), (seen[val], dataset.targets[val]))
            losses.append(sum(mean_loss(one @ matrix.T + bias, wanted) for one, wanted in parts if len(wanted)))
        weight = _WEIGHTS[int(np.argmin(losses))]
    matrix, bias, _ = fitted(everything, weight, strength)
    tells = any(output.name == "ood_score" for output in extractor.model.graph.output)
    space = fit_subspace(np.concatenate([taught.features, seen[own]])[:_FAMILIAR]) if tells else None
    asks = extractor.info.asks
    plain = replace(extractor.info, classes=classes, output=(len(classes),), learned=asks.read_learned({}))
    rows = spread(val, CALIBRATED)
    scores = np.zeros(len(rows), np.float32) if space is None else ood_score(seen[rows], space)
    head = replace_head(extractor.model, matrix, bias, space)
    changed = replace(extractor, weight=matrix, bias=bias, names=classes, model=head)
    output = _output(changed.logits(seen[rows]), plain, scores)
    info = asks.calibrate(output, rows, dataset, plain, asks.require_objectives(objectives, classes))
    return replace(changed, info=info), info, space


def _imagined(
    taught: Features, taught_targets: NDArray[np.int64], own: Features, own_targets: NDArray[np.int64]
) -> tuple[Features, NDArray[np.int64]]:
    """Return features and class numbers of images that classes without training images may look like; of several labels, none.

    A few photos say where a class lies, and not how far its images lie apart. That is taken from the other classes: the distances of
    their images from the means of their classes, around the mean of the new one, as many as a class has images (Yang, Liu, Xu, "Free
    lunch for few-shot learning: distribution calibration", ICLR 2021).
    """
    if taught_targets.ndim > 1 or not len(own):
        return own[:0], own_targets[:0]
    known = np.unique(own_targets)
    means = {number: own[own_targets == number].mean(axis=0) for number in known.tolist()}
    apart = own - np.stack([means[number] for number in own_targets.tolist()])
    each, chance = len(own) // len(known), np.random.default_rng(0)
    features, targets = [own[:0]], [own_targets[:0]]
    for number in sorted(set(taught_targets.tolist()) - set(means)):
        if (taught_targets == number).sum() >= _MANY:
            continue
        centre = taught[taught_targets == number].mean(axis=0)
        drawn = centre + apart[chance.integers(0, len(own), each)]
        features.append(np.maximum(drawn, own.min()).astype(own.dtype))
        targets.append(np.full(each, number))
    return np.concatenate(features), np.concatenate(targets)


def _not_confirmed(dataset: Dataset, taught: _Known) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows to train on and their targets, without what a person has confirmed otherwise."""
    own, targets = dataset.rows("train"), dataset.targets
    confirmed = dict(zip(taught.digests, taught.targets, strict=True))
    known = np.array([dataset.digests[row] in confirmed for row in own], dtype=bool)
    if targets.ndim == 1:
        return own[~known], targets[own[~known]]
    changed = targets[own].copy()
    for place in np.flatnonzero(known):
        changed[place, confirmed[dataset.digests[own[place]]] >= 0] = -1
    return own, changed


def _output(logits: NDArray[np.float32], info: ModelInfo, scores: NDArray[np.float32] | None = None) -> Output:
    return Output.of_logits(logits, np.zeros(len(logits), np.float32) if scores is None else scores, info)


def _adopt(
    run: Run,
    new: FeatureExtractor,
    info: ModelInfo,
    space: Features | None,
    old: FeatureExtractor,
    dataset: Dataset,
    pixels: Pixels,
    seen: Features,
    taught: int,
    say: Language,
) -> Path:
    """Keep the old model and its report, put the new one in its place, and judge it on the test images."""
    kept = keep(run.path, f"mirante photos learn, {taught} confirmed photos")
    write_file(run.path / runfolder.WEIGHTS, lambda part: _save_weights(kept / runfolder.WEIGHTS, part, old, new))
    run.publish_info(info)
    write_onnx(new.model, info, run.path / runfolder.ONNX)
    text = "Trained further on {count} photos that a person confirmed; the previous model is kept in {folder}."
    run.note(Note(text, {"count": taught, "folder": f"{EARLIER}/{kept.name}"}))
    rows = dataset.rows("test")
    scores = None if space is None else ood_score(seen[rows], space)
    output = _output(new.logits(seen[rows]), info, scores)
    some = rows[:16]
    answered = run.model().run(pixels[some]).probabilities
    difference = float(np.abs(answered - output.probabilities[: len(some)]).max(initial=0))
    if difference > TOLERANCE:
        raise WorkError(
            f"{run.path}: the new model.onnx does not answer as it was taught ({difference:.1e}); the old one is in {kept}."
        )
    judge_run(run, run.path, info.asks.predict(output, rows, dataset, info), dataset, pixels, say)
    if (compared := run.reference()) is not None:  # what the network sees is the same, what is unlike it is not
        places, sketches, _ = compared
        run.publish_reference(places, sketches, output.ood_scores[places])
    return kept


def _save_weights(before: Path, part: Path, old: FeatureExtractor, new: FeatureExtractor) -> None:
    """Write the weights with the last layer, found by its values, replaced."""
    from safetensors.numpy import load_file, save_file

    tensors = load_file(before)
    for name, tensor in tensors.items():
        for was, becomes in ((old.weight, new.weight), (old.bias, new.bias)):
            if tensor.shape == was.shape and np.allclose(tensor, was, atol=1e-6):
                tensors[name] = np.ascontiguousarray(becomes)
    save_file(tensors, part)
