"""Teach a run with a person's answers: retrain its last layer, on its own training images and the confirmed photos.

Old and new are compared on images that neither saw: the run's test images, and the photos of questions drawn at random.
The new model takes the old one's place only if it is not worse, and the old one is kept in RUN/earlier.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.data.dataset import Dataset
from mirante.data.features import Features, known_or_new
from mirante.data.notes import Note
from mirante.errors import RequestError, RunError, WorkError
from mirante.evaluation.objectives import Objectives
from mirante.experiment.evaluate import judge_run, require_classes
from mirante.files import write_file
from mirante.images import Pixels
from mirante.locale import Language
from mirante.model.export import TOLERANCE, write_onnx
from mirante.model.last_layer import replace_head
from mirante.model_info import ModelInfo
from mirante.photos.features import FeatureExtractor, extractor_of_run
from mirante.photos.library import Library, contradictions, labels_of
from mirante.photos.versions import EARLIER, keep
from mirante.prediction.calibration import softmax
from mirante.prediction.onnx_model import Output
from mirante.prediction.out_of_distribution import fit_subspace, ood_score
from mirante.run import Run
from mirante.tasks.classify.decision import ClassifyLearned, decide

NEEDED = 5
"""Answers that a new class needs before a model learns it."""

_FAMILIAR = 5000
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
    unseen   images that neither model saw; before and after: how many of them each gets right
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


@dataclass(frozen=True)
class _Known:
    """Confirmed photos: digests, classes by name, and features (N, width)."""

    digests: tuple[str, ...]
    labels: tuple[str, ...]
    features: Features

    def only(self, wanted: Sequence[bool]) -> _Known:
        chosen = np.flatnonzero(np.array(wanted, dtype=bool))
        return _Known(
            tuple(self.digests[row] for row in chosen), tuple(self.labels[row] for row in chosen), self.features[chosen]
        )

    def numbers(self, classes: tuple[str, ...]) -> NDArray[np.int64]:
        return np.array([classes.index(label) for label in self.labels], dtype=np.int64)


def learned_sentence(done: LearnResult, say: Language) -> str:
    """Say in plain words what came of learning."""
    compared = say(
        "Learned from {taught} confirmed photos. Of {unseen} images that neither model saw, the old one gets {before} right and "
        "the new one {after}.",
        taught=say.number(done.taught),
        unseen=say.number(done.unseen),
        before=say.number(done.before),
        after=say.number(done.after),
    )
    if done.kept is None:
        return f"{compared} {say('The new one is worse, so the old one stays.')}"
    taken = say("The new one is now in use; the old one is kept in {kept}.", kept=done.kept)
    new = say("New classes: {names}.", names=", ".join(done.added)) if done.added else ""
    return " ".join(part for part in (compared, taken, new) if part)


def learn(path: Path, library: Library, say: Language) -> LearnResult:
    """Teach a run with the answers that a library holds. Raises RequestError when there is nothing to learn, RunError."""
    run = Run(path)
    info = run.info
    info.require_task("classify", "photos that are learned from", str(path))
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
    labels = {digest: label for digest, label in labels_of(answers).items() if label is not None and digest in photos}
    if not labels:
        raise RequestError(f"{library.folder}: no photo has an answer yet; mirante photos review asks about them.")
    known = _Known(
        tuple(labels), tuple(labels.values()), extractor.look(library.folder, [photos[digest] for digest in labels])[0]
    )
    counts = Counter(label for label in known.labels if label not in info.classes)
    added = tuple(label for label, count in counts.items() if count >= NEEDED)
    classes = (*info.classes, *added)
    dataset = dataset.known_as(classes)
    drawn = {one.digest for one in answers if one.kind == "random"}
    tested = {dataset.digests[row] for split in ("val", "test") for row in dataset.rows(split)}
    usable = [
        label in classes and digest not in tested for digest, label in zip(known.digests, known.labels, strict=True)
    ]
    jury = known.only([use and digest in drawn for use, digest in zip(usable, known.digests, strict=True)])
    taught = known.only([use and digest not in drawn for use, digest in zip(usable, known.digests, strict=True)])
    said_twice = {photos[one].path: said for one, said in contradictions(answers).items() if one in photos}
    waiting = {label: count for label, count in counts.items() if count < NEEDED}
    if not taught.digests:
        raise RequestError(
            f"{library.folder}: too few answers to learn from ({len(known.digests)}, of which {len(jury.digests)} are set aside "
            "for comparison); answer some more."
        )
    new_extractor, new_info, space = _fit(extractor, dataset, seen, taught, run.objectives)
    rows = dataset.rows("test")
    wanted = np.concatenate([dataset.targets[rows], jury.numbers(classes)])
    judged = np.concatenate([seen[rows], jury.features])
    before, after = (
        int((decide(_output(one.logits(judged), known_info).probabilities, known_info) == wanted).sum())
        for one, known_info in ((extractor, info), (new_extractor, new_info))
    )
    done = LearnResult(len(taught.digests), len(wanted), before, after, added, waiting, said_twice, after >= before)
    if not done.adopted:
        return done
    kept = _adopt(run, new_extractor, new_info, space, extractor, dataset, pixels, seen, len(taught.digests), say)
    return replace(done, kept=kept)


def _fit(
    extractor: FeatureExtractor, dataset: Dataset, seen: Features, taught: _Known, objectives: Objectives
) -> tuple[FeatureExtractor, ModelInfo, Features | None]:
    """Return the extractor with the new last layer, all that held-out images teach of it, and the familiar directions (width, d)."""
    from mirante.data.partition import spread
    from mirante.experiment.fit_network import CALIBRATED
    from mirante.training.head import fit_head

    classes = dataset.classes
    confirmed = set(taught.digests)
    own = np.array([row for row in dataset.rows("train") if dataset.digests[row] not in confirmed], dtype=np.int64)
    val = dataset.rows("val")
    numbers = taught.numbers(classes)

    def fitted(
        which: NDArray[np.int64], weight: int, strength: float | None
    ) -> tuple[Features, NDArray[np.float32], float]:
        often = np.repeat(which, weight)
        head = fit_head(
            np.concatenate([seen[own], taught.features[often]]),
            np.concatenate([dataset.targets[own], numbers[often]]),
            seen[val],
            dataset.targets[val],
            len(classes),
            strength,
            extractor.info.rooted,
            [dataset.digests[row] for row in own] + [taught.digests[row] for row in often],
        )
        return head.weight, head.bias, head.strength

    everything = np.arange(len(numbers))
    weight, strength = _UNCHOSEN_WEIGHT, None
    if len(numbers) >= _CHOOSABLE:
        held = everything % 3 == 0
        losses = []
        for tried in _WEIGHTS:
            matrix, bias, strength = fitted(everything[~held], tried, strength)
            shares = softmax(np.concatenate([taught.features[held], seen[val]]) @ matrix.T + bias)
            right = shares[np.arange(len(shares)), np.concatenate([numbers[held], dataset.targets[val]])]
            parts = np.split(-np.log(np.maximum(right, 1e-9)), [int(held.sum())])
            losses.append(sum(float(part.mean()) for part in parts if len(part)))
        weight = _WEIGHTS[int(np.argmin(losses))]
    matrix, bias, _ = fitted(everything, weight, strength)
    tells = any(output.name == "ood_score" for output in extractor.model.graph.output)
    space = fit_subspace(np.concatenate([taught.features, seen[own]])[:_FAMILIAR]) if tells else None
    plain = replace(extractor.info, classes=classes, output=(len(classes),), learned=ClassifyLearned())
    rows = spread(val, CALIBRATED)
    scores = np.zeros(len(rows), np.float32) if space is None else ood_score(seen[rows], space)
    head = replace_head(extractor.model, matrix, bias, space)
    changed = replace(extractor, weight=matrix, bias=bias, names=classes, model=head)
    output = _output(changed.logits(seen[rows]), plain, scores)
    info = plain.asks.calibrate(output, rows, dataset, plain, objectives.of(classes))
    return replace(changed, info=info), info, space


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
    kept = keep(run.path)
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
