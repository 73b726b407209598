"""Teach a run with a person's answers: retrain its last layer, on its own training images and the confirmed photos.

Old and new are compared on images that neither saw: the run's test images, and the photos of questions drawn at random.
The new model takes the old one's place only if it is not worse (if it knows a class more, not clearly worse), and the old one is
kept in RUN/earlier.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.data.dataset import Dataset
from mirante.data.entries import digest_of
from mirante.data.notes import TAUGHT, Note
from mirante.errors import RequestError, RunError, WorkError
from mirante.experiment.evaluate import judge_run, require_classes
from mirante.experiment.model_versions import keep, warn_of_outdated
from mirante.files import write_file
from mirante.images import Pixels
from mirante.locale import Language
from mirante.model.export import TOLERANCE, write_onnx
from mirante.photos.comparing import compare, places_before
from mirante.photos.features import FeatureExtractor, extractor_of_run
from mirante.photos.fit import Candidate, Known, View, fit
from mirante.photos.learned import Learned, learned_of
from mirante.photos.library import Library, contradictions
from mirante.photos.said import said_classes, said_labels
from mirante.prediction.onnx_model import version_of
from mirante.predictions import Predictions
from mirante.replacement import commit, stage
from mirante.run import Run, hold_run


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


def learn(path: Path, library: Library, say: Language) -> LearnResult:
    """Teach a run with the answers that a library holds. Raises RequestError when there is nothing to learn, RunError."""
    with hold_run(path):
        run = Run(path)
        version, info = version_of(run.file(runfolder.ONNX)), run.info
        if not info.asks.is_taught:
            raise RunError(
                f"{path}: a model for the task {info.task}; only one of classes or of several labels learns from photos."
            )
        extractors = [extractor_of_run(path / runfolder.ONNX, info), *_of_folds(run)]
    library.classes = info.classes
    answers = library.answers()
    photos = {one.digest: one for one in library.look()[0]}
    answers_here = [one for one in answers if one.digest in photos]
    answered = {one.digest for one in answers_here if one.label is not None}
    if not answered:
        raise RequestError(f"{library.folder}: no photo has an answer yet; mirante photos review asks about them.")
    dataset = run.dataset()
    require_classes(dataset, info.classes)
    run.require_same(dataset, _tested(dataset))
    dataset, pixels = dataset.load(info.size, info.channels, info.fit, info.rendering)
    views = [View(number, one, one.each_look(pixels, dataset.digests)) for number, one in enumerate(extractors)]

    folded = [*dataset.folds, "train"]
    tested = {dataset.digests[row] for split in ("val", "test") for row in dataset.rows(split)}
    trained = {dataset.digests[row] for split in folded for row in dataset.rows(split)}
    here = digest_of(str(library.folder.resolve()).encode(errors="surrogateescape"))  # the run may be given away
    unseen = np.zeros((0, len(views), views[0].seen.shape[-1]), np.float32)
    nothing = Known((), np.zeros((0, *dataset.targets.shape[1:]), np.int64), unseen)
    earlier = learned_of(path, nothing, info.classes)
    trained |= {*earlier.known.digests}
    before = earlier.of_others(here, tested | answered)
    said = (said_labels if info.asks.several_labels else said_classes)(answers_here, info.classes, tested, trained)
    if not said.taught:
        raise RequestError(
            f"{library.folder}: too few answers to learn from ({len(answered)} photos; some are set aside for comparison, or are "
            "images that the model is tested on); answer some more."
        )
    dataset = dataset.known_as(said.classes)

    def known(targets: dict[str, Any]) -> Known:
        wanted = np.array(list(targets.values()), np.int64).reshape(-1, *dataset.targets.shape[1:])
        if not targets:
            return Known((), wanted, unseen)
        asked = [photos[digest] for digest in targets]
        looked = [one.look(library.folder, asked) for one in extractors]
        features = np.stack([found for found, _ in looked], axis=1)
        sound = np.setdiff1d(np.arange(len(targets)), [row for _, damaged in looked for row in damaged])
        digests = list(targets)
        return Known(tuple(digests[row] for row in sound), wanted[sound], features[sound])

    taught, jury = known(said.taught), known(said.jury)
    learned = before.numbered_as(said.classes).and_of(here, taught)
    _require_shown(path, dataset, learned)
    new = fit(views, dataset, learned.known, run.objectives)
    predicted = run.predictions()
    places = places_before(new.predictions, run, predicted, dataset)
    in_order = Predictions.join([replace(predicted, rows=np.arange(len(predicted)))], places)
    compared = compare(extractors[0], in_order, new, jury)
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
    if not added and _same_layer(extractors[0], new.extractor):
        return replace(done, adopted=False, is_new=False)
    if not done.adopted:
        return done
    with hold_run(path):
        if version_of(path / runfolder.ONNX) != version:
            raise WorkError(f"{path}: its model was replaced while this one learned; learn again.")
        kept = _adopt(run, new, views[0], dataset, pixels, learned, np.argsort(places), say)
    return replace(done, kept=kept)


def _of_folds(run: Run) -> list[FeatureExtractor]:
    """Return how the network of each fold sees, where each has one of its own. Raises RunError when one is missing."""
    folds = run.data["options"].get("folds", 0)
    if not folds or run.info.seen_with:
        return []
    return [extractor_of_run(run.file(f"{runfolder.FOLD_MODELS}/fold{number}.onnx")) for number in range(1, folds + 1)]


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


def _same_layer(one: FeatureExtractor, other: FeatureExtractor) -> bool:
    """Tell whether two models end in the same last layer, but for rounding."""
    return np.allclose(one.weight, other.weight, atol=1e-6) and np.allclose(one.bias, other.bias, atol=1e-6)


def _tested(dataset: Dataset) -> NDArray[np.int64]:
    """Return the rows that a run is judged on; with folds all but test images that the source sets aside."""
    return np.flatnonzero(dataset.splits != "test") if dataset.folds else dataset.rows("test")


def _adopt(
    run: Run,
    new: Candidate,
    old: View,
    dataset: Dataset,
    pixels: Pixels,
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
    write_file(
        part / runfolder.WEIGHTS,
        lambda file: _save_weights(kept / runfolder.WEIGHTS, file, old.extractor, new.extractor),
    )
    write_onnx(new.extractor.model, info, part / runfolder.ONNX)
    staged = Run(part)
    staged.publish_info(info)
    staged.note(Note(TAUGHT, {"count": taught, "folder": f"{runfolder.EARLIER}/{kept.name}"}))
    some = _tested(dataset)[:16]
    answered = staged.model().run(pixels[some])
    taught_to = new.answer(old.seen[some])
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
