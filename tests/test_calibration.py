"""Calibration, prediction sets and out-of-distribution scores: promises that are kept on images not seen before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import Command, model_info, write_shapes

from mirante.evaluation.metrics import log_losses
from mirante.prediction.calibration import fit_calibration, fit_temperature, softmax
from mirante.prediction.conformal import fit_thresholds, prediction_sets
from mirante.prediction.model import Model
from mirante.prediction.out_of_distribution import fit_ood_threshold, fit_subspace, ood_score


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_the_promised_coverage_is_kept_also_within_each_class(coverage: float) -> None:
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.array([3.0, 0.4, 0.6]), 60_000)
    labels = (shares.cumsum(1) < random.random((60_000, 1))).sum(1)
    limits = fit_thresholds(shares[:20_000], labels[:20_000])
    inside = prediction_sets(shares[20_000:], limits, coverage)[np.arange(40_000), labels[20_000:]]
    assert inside.mean() == pytest.approx(coverage, abs=0.01)
    for one in range(3):
        assert inside[labels[20_000:] == one].mean() == pytest.approx(coverage, abs=0.02)


def test_a_coverage_that_few_images_cannot_prove_lets_every_class_in() -> None:
    shares = np.full((10, 2), [0.9, 0.1])
    limits = fit_thresholds(shares, np.zeros(10, dtype=np.int64))
    assert (
        prediction_sets(shares[:1], limits, 0.8).tolist() == [[True, False]]
        and prediction_sets(shares[:1], limits, 0.99).all()
    )


def test_coverage_holds_for_new_people_when_some_have_many_images() -> None:
    random = np.random.default_rng(1)
    # people of whom there are many images are easy; counting images alone would promise too much for the others
    people = np.concatenate([np.repeat(np.arange(40), 50), np.arange(40, 440)])
    given_share = np.where(people < 40, 0.95, random.uniform(0.2, 1, len(people)))
    shares = np.stack([given_share, 1 - given_share], axis=1)
    limits = fit_thresholds(shares, np.zeros(len(people), np.int64), [str(one) for one in people])
    new = random.uniform(0.2, 1, 20_000)
    kept = prediction_sets(np.stack([new, 1 - new], axis=1), limits, 0.9)[:, 0].mean()
    without = prediction_sets(
        np.stack([new, 1 - new], axis=1), fit_thresholds(shares, np.zeros(len(people), np.int64)), 0.9
    )
    assert kept > 0.86 and without[:, 0].mean() < 0.6


def test_a_shift_of_each_class_is_learned_where_one_temperature_is_not_enough() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(6000, 3))
    labels = (softmax(2 * logits + np.array([0.0, 1.5, -1.0])).cumsum(1) < random.random((6000, 1))).sum(1)
    temperature, vectors = fit_calibration(logits[:3000], labels[:3000])
    assert vectors is not None
    scales, shifts = vectors
    assert scales == pytest.approx([2, 2, 2], abs=0.25) and shifts - shifts[0] == pytest.approx(
        [0, 1.5, -1.0], abs=0.25
    )
    asked, right = logits[3000:], labels[3000:]

    def loss(shares: np.ndarray) -> float:
        return float(log_losses(shares, right).mean())

    assert loss(softmax(asked * scales + shifts)) < loss(softmax(asked / temperature)) - 0.1
    assert fit_calibration(logits, labels, of_one=False)[1] is None  # scales that another network does not share
    only = fit_calibration(logits[:40], labels[:40])
    assert only == (fit_temperature(logits[:40], labels[:40]), None)  # too few to learn six numbers from


def test_what_lies_outside_the_familiar_directions_is_strange() -> None:
    random = np.random.default_rng(0)
    basis = random.normal(size=(8, 200))
    known, other = random.normal(size=(900, 8)) @ basis, random.normal(size=(300, 200)) * 3
    known += 0.05 * random.normal(size=known.shape)
    space = fit_subspace(known[:600].astype(np.float32))
    assert space is not None
    usual, strange = ood_score(known[600:], space), ood_score(other, space)
    limit = fit_ood_threshold(usual)
    assert (usual <= limit).mean() >= 0.95 and (strange > limit).all() and strange.max() <= 1
    assert fit_subspace(known[:3].astype(np.float32)) is None and fit_ood_threshold(usual[:5]) == 1.0


@pytest.mark.parametrize("mirror", [False, True])
def test_the_exported_model_tells_the_strangeness_that_was_measured(mirror: bool, tmp_path: Path) -> None:
    from mirante.model.export import build_onnx, write_onnx
    from mirante.model.last_layer import add_ood_score, seen_as
    from mirante.model.network import build_network

    info = model_info("ab", (12, 12, 3), "8C3-MP2-12N", flip_tta=mirror, conformal_thresholds=[[0.5] * 53] * 2)
    network = build_network(info.layers, (12, 12, 3), 2, mirror)
    model = build_onnx(network, info)
    name = seen_as(model)
    assert name is not None
    space = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 3)))[0].astype(np.float32)
    add_ood_score(model, name, space, mirror)
    write_onnx(model, info, tmp_path / "model.onnx")
    images = np.random.default_rng(1).integers(0, 256, (70, 12, 12, 3), dtype=np.uint8)
    found = Model(tmp_path / "model.onnx").run(images).ood_scores

    import torch

    def features(pixels: np.ndarray) -> np.ndarray:
        values = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
        with torch.no_grad():
            return network.body[:-1](values).numpy()

    looks = [images, images[:, :, ::-1].copy()] if mirror else [images]
    assert found == pytest.approx(np.mean([ood_score(features(one), space) for one in looks], axis=0), abs=1e-5)


def test_a_model_without_held_out_images_promises_nothing(tmp_path: Path, mirante: Command) -> None:
    data = write_shapes(tmp_path / "shapes", 12, ("bar", "disc"))
    run = tmp_path / "run"
    assert mirante("train", data, "--recipe", "tutorial", "--epochs", "1", "--out", run).returncode == 0
    done = mirante("predict", run, data, "--coverage", "0.9")
    assert done.returncode == 2 and "no coverage can be guaranteed" in done.stderr
    done = mirante("predict", run, data, "--threshold", "0.9")
    assert done.returncode == 2 and "none of its classes has a threshold" in done.stderr
    done = mirante("train", data, "--recipe", "tutorial", "--sensitivity", "0.9", "--out", tmp_path / "other")
    assert done.returncode == 2 and "use --folds" in done.stderr
