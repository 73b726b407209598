"""A pretrained backbone looks once, its last layer learns in seconds; the choice of recipe is said with its reason."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Command, draw_shape
from safetensors.torch import load_file, save_file

from mirante.data.dataset import Dataset
from mirante.data.features import known_or_new
from mirante.errors import RequestError
from mirante.experiment.defaults import choose_recipe
from mirante.model import backbone
from mirante.model.export import build_onnx, features_graph
from mirante.model.network import Network
from mirante.model.packages import OFFLINE, PACKAGES, at_hand
from mirante.model.running import open_graph
from mirante.model_info import ModelInfo
from mirante.prediction.calibration import softmax
from mirante.prediction.model import Model
from mirante.training.head import _STRENGTHS, fit_head

offline = pytest.mark.skipif(not at_hand(), reason="the package with pretrained weights is not installed")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 pictures of photo size, of two kinds."""
    root = tmp_path_factory.mktemp("photos") / "photos"
    for kind in ("disc", "cross"):
        (root / kind).mkdir(parents=True)
        for number in range(30):
            draw_shape(kind, number).resize((240, 240)).save(root / kind / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def run(photos: Path, cache: Path, mirante: Command) -> Path:
    out = photos.parent / "run"
    done = mirante("train", photos, "--out", out, MIRANTE_CACHE=str(cache))
    assert done.returncode == 0, done.stderr
    assert "recipe transfer: the images are photos (240 pixels) and pretrained weights are installed" in done.stderr
    return out


@offline
def test_photos_get_a_pretrained_network_and_a_run_like_any_other(run: Path, photos: Path, mirante: Command) -> None:
    assert json.loads((run / "metrics.json").read_text())["accuracy"]["value"] > 0.8
    model = json.loads((run / "model.json").read_text())
    assert (model["height"], model["layers"], model["licence"]) == (240, "timm:tf_efficientnet_lite0", "Apache-2.0")
    done = mirante("predict", run, photos / "disc", "--format", "json")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 30
    assert mirante("compare", run, run).returncode in (0, 2) and mirante("evaluate", run).returncode == 0


@offline
def test_what_the_backbone_saw_is_kept_by_content(
    run: Path, photos: Path, cache: Path, tmp_path: Path, mirante: Command
) -> None:
    (folder,) = (cache / "features").iterdir()
    before = set(folder.iterdir())
    one = photos / "disc" / "new.png"
    draw_shape("disc", 99).resize((240, 240)).save(one)
    try:
        done = mirante("train", photos, "--recipe", "transfer", "--out", tmp_path / "run", MIRANTE_CACHE=str(cache))
    finally:
        one.unlink()
    assert done.returncode == 0, done.stderr
    for file in set(folder.iterdir()) - before:
        assert len(np.load(file)["digests"]) <= 2  # the new one, and what it may have moved to another split


@offline
def test_tuning_is_kept_unless_the_validation_images_lose(
    photos: Path, cache: Path, tmp_path: Path, mirante: Command
) -> None:
    words = ("train", photos, "--recipe", "transfer", "--size", "64", "--epochs", "1", "--out")
    done = mirante(*words, tmp_path / "good", MIRANTE_CACHE=str(cache))
    assert done.returncode == 0, done.stderr
    history = (tmp_path / "good" / "history.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in history] == ["epoch", "0", "1"]
    done = mirante(*words, tmp_path / "bad", "--learning-rate", "10", MIRANTE_CACHE=str(cache))
    assert "kept as it was before" in done.stderr or "no longer a number" in done.stderr
    if done.returncode == 0:
        done = mirante("train", photos, "--recipe", "transfer", "--size", "64", "--out", tmp_path / "untuned")
        kept, untuned = (load_file(tmp_path / name / "model.safetensors") for name in ("bad", "untuned"))
        assert all(torch.equal(one, untuned[name]) for name, one in kept.items())


@offline
def test_weights_come_from_a_file_and_only_fitting_ones(
    photos: Path, cache: Path, tmp_path: Path, mirante: Command
) -> None:
    import timm

    torch.manual_seed(0)
    save_file(timm.create_model("mobilenetv3_small_050").state_dict(), tmp_path / "w.safetensors")
    words = ("train", photos, "--model", "timm:mobilenetv3_small_050", "--size", "32", "--weights")
    done = mirante(*words, tmp_path / "w.safetensors", "--out", tmp_path / "run", MIRANTE_CACHE=str(cache))
    assert done.returncode == 0, done.stderr
    assert Model(tmp_path / "run").predict(photos / "disc" / "0.png").probabilities.shape == (2,)
    (tmp_path / "w.pth").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    for file, reason in (
        ("w.pth", "not a .safetensors file"),
        ("other.safetensors", "these are not the weights of mobilenetv3_small_050"),
        ("nothing.safetensors", "no such file of weights"),
    ):
        done = mirante(*words, tmp_path / file, "--out", tmp_path / "no")
        assert done.returncode == 2 and reason in done.stderr and done.stderr.count("\n") == 1, done.stderr
    done = mirante("train", photos, "--model", "timm:mobilenetv3_small_05", "--out", tmp_path / "no")
    assert done.returncode == 2 and "timm has no network of that name; similar names:" in done.stderr
    done = mirante("train", photos, "--weights", tmp_path / "w.safetensors", "--recipe", "fast")
    assert done.returncode == 2 and "only a timm network takes weights" in done.stderr


@offline
def test_a_packaged_file_that_is_another_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(PACKAGES[OFFLINE], sha256="0" * 64)
    monkeypatch.setitem(PACKAGES, OFFLINE, other)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(RequestError, match="its weights are not the published ones"):
        backbone.find_weights(OFFLINE)


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_written_network_and_its_graph_are_those_of_timm(number: int, channels: int) -> None:
    import timm

    name = f"tf_efficientnet_lite{number}"
    torch.manual_seed(0)
    theirs = timm.create_model(name, num_classes=0).eval()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    half = (0.5, 0.5, 0.5)
    weights = backbone.Pretrained("timm", "", "", theirs.state_dict(), half, half)
    info = ModelInfo("classify", ("a", "b"), 70, 97, channels, "crop", f"timm:{name}", (2,))
    network = Network(backbone.Backbone(name, weights, info.size, 2)).eval()
    torch.nn.init.normal_(network.body.head.weight)
    images = np.random.default_rng(0).integers(0, 256, (3, 70, 97, channels), np.uint8)
    with torch.no_grad():
        pixels = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
        expected = np.sqrt(theirs(pixels.expand(-1, 3, -1, -1)).numpy() + 0.01)
    (found,) = open_graph(features_graph(network, info)).run(None, {"images": images})
    assert np.abs(found - expected).max() < 1e-4 and np.abs(expected).max() > 1
    for flip_tta in (False, True):
        network.flip_tta = flip_tta
        with torch.no_grad():
            expected = network(torch.from_numpy(images)).numpy()
        found = open_graph(build_onnx(network, info)).run(["logits"], {"images": images})[0]
        assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()


class _Hub(BaseHTTPRequestHandler):
    """The part of the Hub's API that fetching a file needs: HEAD and GET of /REPOSITORY/resolve/REVISION/FILE."""

    content: bytes
    asked: list[str]

    def do_HEAD(self) -> None:
        type(self).asked.append(f"{self.command} {self.path}")
        there = self.path.startswith("/timm/test_resnet.r160_in1k/resolve/main/model.safetensors")
        self.send_response(200 if there else 404)
        self.send_header("Content-Length", str(len(self.content)) if there else "0")
        self.send_header("ETag", '"' + hashlib.sha256(self.content).hexdigest() + '"')
        self.send_header("X-Repo-Commit", "a" * 40)
        if not there:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        pass


def test_weights_of_the_hub_are_fetched_once_and_named_in_the_model(
    photos: Path, tmp_path: Path, mirante: Command
) -> None:
    import timm

    torch.manual_seed(0)
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "w.safetensors")
    _Hub.content, _Hub.asked = (tmp_path / "w.safetensors").read_bytes(), []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub = {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "hub"),
    }
    words = ("train", photos, "--size", "64", "--model")
    done = mirante(*words, "timm:test_resnet", "--out", tmp_path / "run", **hub)
    assert done.returncode == 0, done.stderr
    assert sum(one.startswith("GET") for one in _Hub.asked) == 1
    assert json.loads((tmp_path / "run" / "model.json").read_text())["licence"] == "apache-2.0"
    done = mirante(*words, "timm:test_resnet", "--out", tmp_path / "again", **hub)
    assert done.returncode == 0 and sum(one.startswith("GET") for one in _Hub.asked) == 1
    done = mirante(*words, "timm:test_vit", "--out", tmp_path / "no", **hub)
    assert (
        done.returncode == 2 and "could not be downloaded from the hub" in done.stderr and done.stderr.count("\n") == 1
    )
    server.shutdown()
    server.server_close()


@offline
def test_without_a_network_the_hub_is_said_to_be_out_of_reach(photos: Path, tmp_path: Path, mirante: Command) -> None:
    words = ("train", photos, "--model", "timm:mobilenetv3_small_050", "--out", tmp_path / "no")
    done = mirante(*words, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hub"))
    assert done.returncode == 2 and "its weights could not be downloaded from the hub" in done.stderr
    assert "Traceback" not in done.stderr and "mirante[train]" in done.stderr


@offline
def test_small_images_get_the_recipe_that_is_best_for_so_many(shapes: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "mirante")
    few = Dataset.open(shapes)
    grey = replace(few, channels=1)
    many = replace(few, paths=few.paths * 112)
    assert choose_recipe(few, {}) == "transfer" and "small and few (24 pixels) and pretrained weights" in caplog.text
    assert choose_recipe(few, {"seconds": 60.0}) == "transfer"
    assert choose_recipe(few, {"seconds": 2.0}) == "fast" and "small (24 pixels) and the time is short" in caplog.text
    assert choose_recipe(grey, {}) == "fast" and "small (24 pixels) and grey" in caplog.text
    assert choose_recipe(many, {}) == "fast" and "small (24 pixels) and many" in caplog.text


def test_features_are_computed_once_and_a_damaged_file_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "MIRANTE_CACHE", str(tmp_path))
    asked = []

    def compute(rows: list[int]) -> np.ndarray:
        asked.append(rows)
        return np.array([[row, 1.0] for row in rows], np.float32)

    first = known_or_new("key", ["a", "b", "a"], compute)
    assert sorted(asked[0]) in ([0, 1], [1, 2]) and np.array_equal(first[0], first[2])
    assert np.array_equal(known_or_new("key", ["b", "a"], compute), first[[1, 0]]) and len(asked) == 1
    known_or_new("key", ["a", "c"], compute)
    assert asked[1] == [1]
    known_or_new("another key", ["a"], compute)
    assert len(asked) == 3
    for file in tmp_path.rglob("*.npz"):
        file.write_bytes(file.read_bytes()[:40])
    known_or_new("key", ["a"], compute)
    assert len(asked) == 4


def test_the_head_is_the_best_logistic_regression_on_the_validation_images() -> None:
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    centres = random.normal(size=(3, 20)).astype(np.float32)
    labels = random.integers(0, 3, 600)
    features = (centres[labels] + random.normal(size=(600, 20)) * 1.5).astype(np.float32)
    features = 5 * features + 7
    head = fit_head(features[:400], labels[:400], features[400:], labels[400:], 3)
    scaled = (features - features[:400].mean(0)) / (features[:400] - features[:400].mean(0)).std()  # one scale for all
    theirs = LogisticRegression(C=1 / (head.strength * 400), max_iter=2000).fit(scaled[:400], labels[:400])
    logits = features[400:] @ head.weight.T + head.bias
    assert np.allclose(softmax(logits), theirs.predict_proba(scaled[400:]), atol=0.02)
    assert head.val is not None and head.val[1] == np.mean(logits.argmax(1) == labels[400:])
    few = features[:12]  # fewer images than features
    head = fit_head(few, labels[:12], features[400:], labels[400:], 3, strength=0.1)
    scaled = (features - few.mean(0)) / (few - few.mean(0)).std()
    theirs = LogisticRegression(C=1 / (0.1 * 12), max_iter=2000).fit(scaled[:12], labels[:12])
    shares = softmax(features[400:] @ head.weight.T + head.bias)
    assert np.allclose(shares, theirs.predict_proba(scaled[400:]), atol=0.02)


def test_folds_of_the_training_images_choose_the_penalty_where_few_are_held_out() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = random.normal(size=(3, 20))[labels] + 2 * random.normal(size=(60, 20))
    features = features.astype(np.float32)
    alone = fit_head(features, labels, features[:0], labels[:0], 3)
    misled = fit_head(features, labels, features[:9], labels[:9], 3)  # held-out images that look like the known ones
    assert alone.val is None and alone.strength == misled.strength >= 0.1
    many = np.repeat(
        np.arange(60), 2
    )  # copies of one image, known and asked about at once, would choose the least penalty
    assert fit_head(features[many], labels[many], features[:0], labels[:0], 3).strength == 0.003
    names = [str(row) for row in many]
    assert fit_head(features[many], labels[many], features[:0], labels[:0], 3, units=names).strength > 0.01
    assert fit_head(features[:3], labels[:3], features[:0], labels[:0], 3).strength in _STRENGTHS
    assert fit_head(features[:1], labels[:1], features[:0], labels[:0], 3).strength == 0.3


def test_augmentation_of_a_last_layer_alone_is_refused(photos: Path, tmp_path: Path, mirante: Command) -> None:
    words = ("train", photos, "--recipe", "transfer", "--out", tmp_path / "no")
    done = mirante(*words, "--augment", "rotate 20")
    assert done.returncode == 2 and "--augment: only the last layer" in done.stderr and not (tmp_path / "no").exists()
    done = mirante(*words, "--learning-rate", "0.01")
    assert (
        done.returncode == 2 and "--learning-rate: only the last layer" in done.stderr and "add --time" in done.stderr
    )
    assert mirante(*words, "--augment", "none").returncode == 0
