"""The parts of the fast engine do what their papers and their names say."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Command, write_shapes
from hypothesis import given, settings
from hypothesis import strategies as st

from mirante.model.network import Whitening, build_network
from mirante.model.notation import multiply_adds, parse_layers
from mirante.training.muon import Muon, orthogonalise
from mirante.training.recipe import Recipe, Size
from mirante.training.schedule import Schedule, learning_rate


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
@settings(deadline=None)
def test_muon_gives_every_direction_the_same_weight(rows: int, columns: int, seed: int) -> None:
    torch.manual_seed(seed)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(rows, columns)))
    assert values.max() < 1.25 and (min(rows, columns) > 1 or values.min() > 0.6)
    u, _, v = torch.linalg.svd(torch.randn(rows, columns), full_matrices=False)
    values = torch.linalg.svdvals(orthogonalise(u @ torch.diag(torch.linspace(1, 0.1, len(v))) @ v))
    assert values.min() > 0.6 and values.max() < 1.25


def test_muon_moves_what_is_no_kernel_as_adam_does() -> None:
    start = torch.randn(7, 3)
    mine, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    muon = Muon([mine], rate=0.5, adam_rate=0.02, momentum=0.6)
    adam = torch.optim.Adam([theirs], lr=0.01, betas=(0.9, 0.99))
    for step in range(20):
        for parameter, optimiser in ((mine, muon), (theirs, adam)):
            parameter.grad = torch.sin(parameter.detach() * (step + 1))
            optimiser.step()
    assert torch.allclose(mine, theirs, atol=1e-6) and not torch.allclose(mine, start, atol=0.05)


def test_a_training_does_not_wait_for_a_compiler_that_it_does_not_use() -> None:
    words = (
        "import sys, torch; from mirante.training.muon import Muon; one = torch.ones(2, 2, requires_grad=True)",
        "muon = Muon([one], 0.1, 0.1, 0.6); one.sum().backward(); muon.step(); muon.zero_grad()",
        "muon.load_state_dict(muon.state_dict()); sys.exit(int('torch._dynamo' in sys.modules))",
    )
    assert subprocess.run([sys.executable, "-c", "\n".join(words)], check=False).returncode == 0


def test_whitening_takes_the_correlation_out_of_patches() -> None:
    random = np.random.default_rng(0)
    smooth = np.cumsum(random.normal(size=(60, 12, 12, 3)), axis=1).cumsum(axis=2) @ random.normal(size=(3, 3))
    scaled = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    layer = Whitening(3, 2)
    images = torch.from_numpy(scaled.astype(np.float32)).permute(0, 3, 1, 2)
    layer.learn(images, least_variance=0.0)
    answers = layer(images).permute(0, 2, 3, 1).reshape(-1, 24)
    assert torch.allclose(answers[:, :12], -answers[:, 12:], atol=1e-2)
    assert torch.allclose(torch.cov(answers[:, :12].T), torch.eye(12), atol=0.05)
    assert answers.mean(0).abs().max() < 0.05
    assert not any(parameter.requires_grad for parameter in layer.parameters())


def test_a_run_keeps_the_whitening_that_its_first_step_saw(shapes: Path, tmp_path: Path, mirante: Command) -> None:
    from safetensors.torch import load_file

    done = mirante("train", shapes, "--model", "W2-8B-GMP", "--epochs", "1", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    kept = load_file(tmp_path / "run" / "model.safetensors")["body.0.weight"]
    fresh = build_network("W2-8B-GMP", (24, 24, 3), 3).body[0].weight
    assert torch.equal(kept[:12], -kept[12:]) and kept.norm() > 3 * fresh.norm()


@given(st.integers(1, 5000), st.integers(1, 300), st.integers(1, 9), st.integers(0, 500))
def test_by_steps_a_training_takes_its_epochs_and_at_least_its_steps(
    images: int, batch: int, epochs: int, least: int
) -> None:
    schedule = Schedule(Recipe.load("fast", epochs=epochs, batch_size=batch, min_steps=least), images)
    steps = schedule.epochs * schedule.steps
    assert (
        steps >= least and schedule.epochs >= epochs and (schedule.epochs == epochs or steps - schedule.steps < least)
    )
    shares = [schedule.share(step, 0.0) for step in range(steps)]
    assert all(0 < share < 1 for share in shares) and shares == sorted(shares)
    assert not schedule.over(steps - 1, 1e9) and schedule.over(steps, 0.0)


@given(st.floats(2, 500), st.floats(0.001, 0.2), st.integers(0, 99))
@settings(deadline=None)
def test_by_the_clock_a_training_ends_with_its_seconds_however_fast_its_steps(
    seconds: float, step_seconds: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    recipe = Recipe.load("fast", seconds=seconds, learning_rate=1.0)
    schedule, now, step = Schedule(recipe, 1000, reserve=0.1 * seconds), 0.0, 0
    rates = []
    while not schedule.over(step, now):
        rates.append(learning_rate(recipe, schedule.share(step, now)))
        # a machine that becomes three times slower on the way
        took = step_seconds * (3 if now > seconds / 3 else 1) * random.uniform(0.8, 1.3)
        now, step = now + took, step + 1
        schedule.took(took)
    assert abs(now - 0.9 * seconds) < 4 * step_seconds
    assert rates[-1] <= min(1.0, 8 * step_seconds / seconds + 0.01) or step == 1
    assert rates == sorted(rates, reverse=True)


def test_one_cycle_rises_to_the_peak_and_falls_to_nothing() -> None:
    recipe = Recipe.load("fast", learning_rate=1.0, warmup=0.2)
    rates = [learning_rate(recipe, (step + 0.5) / 1000) for step in range(1000)]
    assert max(rates) == pytest.approx(1, abs=0.01) and 190 < int(np.argmax(rates)) < 210
    assert 0 < rates[0] < 0.01 and 0 < rates[-1] < 0.01


def test_multiply_adds_are_counted_as_the_papers_count() -> None:
    layers = parse_layers("8C3same-MP2-4N", (6, 4, 3), 2)
    assert multiply_adds(layers, (6, 4, 3)) == 24 * 8 * (27 + 1) + 4 * (8 * 6 + 1) + 2 * 5


def test_more_time_buys_a_larger_network(monkeypatch: pytest.MonkeyPatch) -> None:
    from mirante.training import budget

    recipe = Recipe.load("fast", sizes=(Size("4C3-GAP", 32, 0), Size("8C3-GAP", 64, 5000), Size("16C3-GAP", 64, 90000)))
    chosen = {}
    for seconds in (1.0, 60.0, 1e6):
        monkeypatch.setattr(
            budget, "images_a_second", lambda *_: 2000.0
        )  # what is measured, for a machine of any speed
        fitted, _ = budget.fit_to_seconds(
            Recipe.load(recipe.name, sizes=recipe.sizes, seconds=seconds),
            lambda side: (side, side, 3),
            1000,
            4,
            (),
            0,
            torch.device("cpu"),
        )
        chosen[seconds] = (fitted.layers, fitted.max_size)
    assert chosen == {1.0: ("4C3-GAP", 32), 60.0: ("8C3-GAP", 64), 1e6: ("16C3-GAP", 64)}


def test_a_training_by_the_clock_takes_its_time_and_can_be_resumed(tmp_path: Path, mirante: Command) -> None:
    data = write_shapes(tmp_path / "shapes", 60)
    out = tmp_path / "run"
    done = mirante("train", data, "--time", "4s", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "images per second here" in done.stderr
    history = list(csv.DictReader((out / "history.csv").open()))
    assert float(history[-1]["seconds"]) > 3 and float(history[-1]["lr"]) < 0.05
    assert [int(row["epoch"]) for row in history] == list(range(1, len(history) + 1))
    done = mirante("train", data, "--time", "4s", "--epochs", "3", "--out", tmp_path / "other")
    assert done.returncode == 2 and "exclude each other" in done.stderr
    done = mirante("train", data, "--time", "soon", "--out", tmp_path / "other")
    assert done.returncode == 2 and "'soon' is not a time" in done.stderr


def test_images_that_are_seen_small_at_first_end_at_their_size(tmp_path: Path) -> None:
    from mirante.training.criterion import cross_entropy
    from mirante.training.engine import Images
    from mirante.training.loop import fit

    random = np.random.default_rng(0)
    pixels, labels = random.integers(0, 256, (40, 16, 16, 3), np.uint8), random.integers(0, 2, 40)
    seen = []
    network = build_network("4C3same-GAP", (16, 16, 3), 2)
    network.body[0].register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape[2:])))
    recipe = Recipe.load(
        "fast", epochs=4, batch_size=10, min_steps=0, progressive_resize_until=0.5, progressive_resize_scale=0.5
    )
    fit(network, Images(pixels, labels, np.arange(40)), None, recipe, cross_entropy, tmp_path, torch.device("cpu"))
    assert seen[1:] == [(8, 8)] * 8 + [(16, 16)] * 8  # the first is the trial whether it can be seen small at all
    flat = build_network("4C3same-8N", (16, 16, 3), 2)  # its dense layer takes one size only
    flat.body[0].register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape[2:])))
    seen.clear()
    (tmp_path / "flat").mkdir()
    fit(
        flat, Images(pixels, labels, np.arange(40)), None, recipe, cross_entropy, tmp_path / "flat", torch.device("cpu")
    )
    assert set(seen[1:]) == {(16, 16)}


def test_the_recipe_for_no_hurry_learns(tmp_path: Path, mirante: Command) -> None:
    done = mirante(
        "train", "digits", "--classes", "0,1,2,3,4", "--recipe", "best", "--epochs", "2", "--out", tmp_path / "run"
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["accuracy"]["value"] > 0.9  # one in five by chance
