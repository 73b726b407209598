"""What is shown of a model's inside is what torch computes there; heat maps add up, and belong to the weights."""

from __future__ import annotations

import base64
import io
import itertools
import json
import shutil
from dataclasses import replace
from html import escape
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from conftest import Command, draw_shape, model_info
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file, save_file

from mirante import runfolder, see
from mirante.errors import RequestError, RunError
from mirante.evaluation.attribution import grad_cam, shapley
from mirante.locale import language
from mirante.model.export import build_onnx, write_onnx
from mirante.model.network import Network, build_network, load_network
from mirante.model.notation import parse_layers
from mirante.model_info import read_model_info
from mirante.prediction.model import Model
from mirante.run import Run
from mirante.see.drawing import Polygon, Text, draw_model, to_svg
from mirante.see.inside import Inside
from mirante.training.snapshots import read_snapshots

LINES = (
    "8C3-MP2-16C3-MP2-16N",
    "W2-8B-12B-GMP",
    "6C3samelin-BN-GELU-AP2-8C3/2-D0.3-GAP",
    "5C3-MP2-9N-BN-7N",
    "BN-4C3-GMP-3N",
    "10N",
)


def written(line: str, folder: Path, mirror: bool = False) -> tuple[Network, Path]:
    """Return a network with random weights, and its run's model.onnx."""
    torch.manual_seed(1)
    info = model_info("abc", (20, 24, 3), line, flip_tta=mirror)
    network = build_network(line, (20, 24, 3), 3, mirror).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    folder.mkdir(exist_ok=True)
    write_onnx(build_onnx(network, info), info, folder / "model.onnx")
    return network, folder / "model.onnx"


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("line", LINES)
def test_the_values_of_every_layer_are_torchs(line: str, mirror: bool, tmp_path: Path) -> None:
    network, path = written(line, tmp_path, mirror)
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)
    inside = Inside(path)
    values = inside.look(pixels)
    expected = []
    value = torch.from_numpy(pixels[None]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        for module in network.body:
            value = module(value)
            expected.append(value[0].numpy())
    for stage, mine in zip(inside.stages, values, strict=True):
        assert any(mine.shape == one.shape and np.allclose(mine, one, atol=1e-5) for one in expected), stage
        assert (*mine.shape[1:], mine.shape[0]) == stage.shape if mine.ndim == 3 else mine.shape == stage.shape
    words = [stage.word.partition(" ")[0] for stage in inside.stages]
    assert [word for word in words if word in line] == words or "B" in line
    with torch.no_grad():
        answer = torch.softmax(network(torch.from_numpy(pixels[None])), 1)[0].numpy()
    assert np.allclose(inside.probabilities(pixels), answer, atol=1e-5)


def test_kernels_are_the_weights(tmp_path: Path) -> None:
    network, path = written("W2-8B-GMP", tmp_path)
    convolutions = [module for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    found = Inside(path).kernels()
    assert [one.word.partition(" ")[0] for one in found] == ["W2", "8C3samelin", "8C3samelin"]
    for mine, theirs in zip(found, convolutions, strict=True):
        assert np.array_equal(mine.weights, theirs.weight.detach().numpy())


@given(st.integers(0, 1000), st.integers(1, 6), st.integers(5, 20), st.integers(5, 20))
@settings(max_examples=25, deadline=None)
def test_shapley_values_add_up_to_the_answer(seed: int, cells: int, height: int, width: int) -> None:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (height, width, 3), np.uint8)
    weights = random.normal(size=(height * width * 3, 2)) / 300

    def answer(images: np.ndarray) -> np.ndarray:
        logits = images.reshape(len(images), -1) @ weights
        shares = np.exp(logits - logits.max(1, keepdims=True))
        return shares / shares.sum(1, keepdims=True)

    parts = shapley(answer, pixels, 1, cells, orders=2, seed=seed)
    plain = np.broadcast_to(pixels.mean((0, 1)).round().astype(np.uint8), pixels.shape)
    assert parts.sum() == pytest.approx(answer(pixels[None])[0, 1] - answer(plain[None])[0, 1], abs=1e-9)


def test_shapley_values_of_a_sum_are_its_parts() -> None:
    """An answer that is the brightness of one cell owes everything to that cell."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[2:4, 4:6] = 255

    def answer(images: np.ndarray) -> np.ndarray:
        share = images[:, 2:4, 4:6].mean((1, 2, 3)) / 255
        return np.stack([1 - share, share], axis=1)

    parts = shapley(answer, pixels, 1, cells=4)
    assert parts[1, 2] == pytest.approx(parts.sum()) and np.count_nonzero(np.round(parts, 9)) == 1


def test_grad_cam_is_its_equation(tmp_path: Path) -> None:
    network, _ = written("4C3-MP2-5C3-GAP", tmp_path)
    pixels = np.random.default_rng(3).integers(0, 256, (20, 24, 3), np.uint8)
    heat = grad_cam(network, pixels, 2)
    with torch.no_grad():
        maps = network.body[:5](torch.from_numpy(pixels[None]).permute(0, 3, 1, 2).float() / 255)
    # with global average pooling the gradient of a class is its weights: Grad-CAM is CAM (Zhou et al. 2016)
    cam = torch.relu((network.body[-1].weight[2].view(1, -1, 1, 1) * maps).sum(1))[0].detach().numpy()
    assert np.allclose(heat, cam / cam.max(), atol=1e-5)


def test_heat_maps_change_with_the_weights(shapes_run: tuple[Path, Path]) -> None:
    """The sanity check of Adebayo et al. (2018): a map that random weights leave as it is says nothing of the model."""
    run, _ = shapes_run
    classifier = Model(run)
    network = load_network(classifier.info, run / runfolder.WEIGHTS)
    random = build_network(classifier.info.layers, (*classifier.info.size, 3), 3).eval()

    def answer(network: Network):  # type: ignore[no-untyped-def]
        def probabilities(images: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return torch.softmax(network(torch.from_numpy(np.ascontiguousarray(images))), 1).numpy()

        return probabilities

    alike = {"grad-cam": [], "shapley": []}  # type: ignore[var-annotated]
    for number in range(8):
        pixels = classifier.pixels(np.asarray(draw_shape(("bar", "cross", "disc")[number % 3], 500 + number)))
        label = int(classifier.run(pixels[None]).probabilities.argmax())
        for kind, maps in (
            ("grad-cam", [grad_cam(one, pixels, label) for one in (network, random)]),
            ("shapley", [shapley(answer(one), pixels, label) for one in (network, random)]),
        ):
            ranks = [np.argsort(np.argsort(one.ravel())) for one in maps]
            alike[kind].append(np.corrcoef(*ranks)[0, 1])
    assert np.mean(alike["grad-cam"]) < 0.6 and np.mean(alike["shapley"]) < 0.6, alike


def test_shapley_finds_what_decides(shapes_run: tuple[Path, Path]) -> None:
    """The shape, not the noisy ground, brings the answer."""
    classifier = Model(shapes_run[0])
    ratios = []
    for seed in range(300, 312):
        pixels = np.asarray(draw_shape("disc", seed))
        parts = np.abs(shapley(lambda images: classifier.run(images).probabilities, classifier.pixels(pixels), 2))
        bright = Image.fromarray((255 * (pixels.max(2) > 100)).astype(np.uint8)).resize((7, 7), Image.Resampling.BOX)
        cells = np.asarray(bright) > 0
        ratios.append(parts[cells].mean() / parts[~cells].mean())
    assert np.median(ratios) > 2, ratios


@pytest.mark.parametrize("line", [LINES[0], "W2-48B-96B-192B-GMP", "-".join(["4C1"] * 50)])
def test_the_drawing_shows_every_layer_and_nothing_overlaps(line: str) -> None:
    layers = parse_layers(line, (32, 32, 3), 10)
    drawing = draw_model(layers, (32, 32, 3), 10, language("en"))
    ElementTree.fromstring(to_svg(drawing))
    words = [mark for mark in drawing.marks if isinstance(mark, Text) and mark.words]
    for layer in layers:
        if layer.word and layer.kind not in ("batchnorm", "relu", "gelu", "dropout"):
            assert any(mark.words == layer.word for mark in words), layer.word
    fronts = [mark for mark in drawing.marks if isinstance(mark, Polygon) and mark.shade == 0 and len(mark.points) == 4]
    corners = np.array([point for mark in fronts for point in mark.points])
    assert corners.min() >= 0 and corners[:, 0].max() <= drawing.width and corners[:, 1].max() <= drawing.height
    below = sorted((mark.at[1], mark.at[0], mark) for mark in words if mark.anchor == "middle")
    for (y, x, one), (other_y, other_x, other) in itertools.pairwise(below):
        if y == other_y:
            assert other_x - x >= 3 * (len(one.words) + len(other.words)) * 0.9, (one, other)


def test_a_run_keeps_snapshots_of_its_epochs(shapes_run: tuple[Path, Path]) -> None:
    run, _ = shapes_run
    snapshots = read_snapshots(run)
    assert [one.epoch for one in snapshots] == [1, 2, 3, 4, 5, 6]
    counts = json.loads((run / "data.json").read_text())["counts"]
    for one in snapshots:
        assert one.confusion.sum(1).tolist() == [counts[name]["val"] for name in ("bar", "cross", "disc")]
        assert len(one.mistakes) == min(12, one.confusion.sum() - np.trace(one.confusion))
    kernels = load_file(run / "model.safetensors")["body.0.weight"].numpy()
    assert np.array_equal(snapshots[-1].kernels, kernels) and not np.array_equal(snapshots[0].kernels, kernels)


@pytest.mark.parametrize("lang", ["en", "pt"])
def test_every_picture_is_made_in_both_languages(
    lang: str, shapes_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run, data = shapes_run
    image = data / "disc" / "001.png"
    asked = {
        "pixels.png": ["pixels", image, "--at", "3,4"],
        "walk.gif": ["pixels", image, "--animate", "--size", "2"],
        "channels.svg": ["channels", image, "--without", "blue"],
        "convolve.png": ["convolve", image, "--kernel", "0 -1 0; -1 5 -1; 0 -1 0", "--stride", "2"],
        "sweep.apng": ["convolve", "--animate", "--kernel", "sharpen"],
        "pool.png": ["pool", image, "--size", "2,6", "--kind", "average"],
        "model.svg": ["model", run],
        "model.png": ["model", "32C3-MP2-64C3-MP2-64N"],
        "features.png": ["features", run, image, "--layer", "16C3"],
        "kernels.png": ["kernels", run],
        "path.png": ["path", run, image],
        "heatmap.png": ["heatmap", run, image, "--class", "bar"],
        "training.gif": ["training", run],
    }
    for name, words in asked.items():
        done = mirante("see", *words, "--out", tmp_path / name, "--lang", lang)
        assert done.returncode == 0, (words, done.stderr)
        path, alt = done.stdout.splitlines()[0], done.stdout.splitlines()[1]
        assert path == str(tmp_path / name) and len(alt) > 30
        if name.endswith(".svg"):
            ElementTree.parse(tmp_path / name)
        else:
            with Image.open(tmp_path / name) as picture:
                picture.load()
                frames = getattr(picture, "n_frames", 1)
            assert frames == {"walk.gif": 4, "sweep.apng": 9, "training.gif": 6}.get(name, 1), name


def test_a_notebook_shows_them(shapes_run: tuple[Path, Path]) -> None:
    run, data = shapes_run
    path, sweep = see.path(run, data / "bar" / "000.png"), see.sweep("blur")
    for shown, kind in ((path, "png"), (sweep, "gif")):
        bundle = shown._repr_mimebundle_()
        page = str(bundle["text/html"])
        assert f'alt="{escape(shown.alt)}"' in page and bundle["text/plain"] == shown.alt
        encoded = page.partition(f"data:image/{kind};base64,")[2].partition('"')[0]
        assert Image.open(io.BytesIO(base64.b64decode(encoded))).width > 400


def test_a_plot_of_a_report_shows_itself_with_its_words(shapes_run: tuple[Path, Path]) -> None:
    run = Run(shapes_run[0])
    confusion = run.plot("confusion")
    assert confusion.content == (run.path / "plots" / "confusion.png").read_bytes() and len(confusion.alt) > 20
    with pytest.raises(RequestError, match=r"no plot 'nothing'; there are .*confusion, curves"):
        run.plot("nothing")


def test_what_cannot_be_seen_is_said(shapes_run: tuple[Path, Path], tmp_path: Path, mirante: Command) -> None:
    run, data = shapes_run
    image = data / "bar" / "000.png"
    for words, said in (
        (["features", run, image, "--layer", "99"], "--layer 99: choose one of 1 8C3"),
        (["kernels", run, "--layer", "MP2"], "its convolutions are 1 8C3"),
        (["heatmap", run, image, "--class", "cat"], "the model's classes are bar, cross, disc"),
        (["pixels", image, "--at", "99,0"], "columns 0 to 23"),
        (["pixels", tmp_path / "gone.png"], "gone.png: no such file"),
        (["convolve", image, "--kernel", "sharpish"], "is not a kernel"),
        (["model", "timm:resnet18"], "not a line of layers"),
        (["model", "32C3-MP99"], "nothing left to pool"),
        (["training", tmp_path], "not a Mirante run"),
        (["path", run, image, "--out", image], "exists; choose another"),
        (["path", run, image, "--out", "x.bmp"], "must end in .png or .svg"),
    ):
        done = mirante("see", *words, cwd=tmp_path)
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, (words, done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_weights_that_do_not_fit_are_said(shapes_run: tuple[Path, Path], tmp_path: Path) -> None:
    run = Path(shutil.copytree(shapes_run[0], tmp_path / "run"))
    info = read_model_info(run)
    save_file({"body.0.weight": torch.zeros(1)}, run / runfolder.WEIGHTS)
    with pytest.raises(RunError, match="damaged"):
        load_network(info, run / runfolder.WEIGHTS)
    with pytest.raises(RequestError, match="not run again"):
        load_network(replace(info, layers="net.py:make"), run / runfolder.WEIGHTS)
