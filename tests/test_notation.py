"""The line of layers means what docs/layers.md says, and what is wrong in it is pointed at."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import Command, model_info
from hypothesis import given, settings
from hypothesis import strategies as st

from mirante.errors import LayersError
from mirante.model.export import build_onnx, largest_difference, write_onnx
from mirante.model.network import build_network
from mirante.model.notation import parse_layers
from mirante.model.summary import summarise

TUTORIAL = "32C3-MP2-64C3-MP2-64N"
LISTING = "32C3-MP2-64C3-MP2-64C3-64N"


def test_the_tutorials_table_is_the_one_that_keras_prints() -> None:
    table = summarise(parse_layers(TUTORIAL, (32, 32, 3), 10), (32, 32, 3))
    assert [(row.name, row.kind, row.shape, row.parameters) for row in table.rows] == [
        ("conv2d", "Conv2D", (30, 30, 32), 896),
        ("maxpooling2d", "MaxPooling2D", (15, 15, 32), 0),
        ("conv2d_1", "Conv2D", (13, 13, 64), 18496),
        ("maxpooling2d_1", "MaxPooling2D", (6, 6, 64), 0),
        ("flatten", "Flatten", (2304,), 0),
        ("dense", "Dense", (64,), 147520),
        ("dense_1", "Dense", (10,), 650),
    ]
    assert table.total == table.trainable == 167_562


def test_the_listings_variant_has_122570_parameters() -> None:
    table = summarise(parse_layers(LISTING, (32, 32, 3), 10), (32, 32, 3))
    assert table.total == 122_570
    network = build_network(LISTING, (32, 32, 3), 10)
    assert sum(parameter.numel() for parameter in network.parameters()) == 122_570


def test_summary_on_the_command_line(mirante: Command) -> None:
    done = mirante("summary", TUTORIAL, "--lang", "en")
    assert done.returncode == 0 and "167,562" in done.stdout and "(None, 13, 13, 64)" in done.stdout
    assert "122.570" in mirante("summary", LISTING, "--input", "32x32x3", "--lang", "pt").stdout


@pytest.mark.parametrize(
    ("line", "word", "reason"),
    [
        ("32C3-MP2-MP2-MP2-MP2-MP2", "MP2", "MP2 after 1×1: nothing left to pool"),
        ("32C3-XX-10N", "XX", "'XX' is not a layer"),
        ("32C3--MP2", "", "An empty word"),
        ("64N-32C3", "32C3", "32C3 after a dense layer"),
        ("GAP-MP2", "MP2", "MP2 after a dense layer"),
        ("32C40", "32C40", "32C40 after 32×32: nothing left to convolve"),
        ("32C2same", "32C2same", "needs an odd kernel"),
        ("32C3/0", "32C3/0", "a size of 0"),
        ("0C3", "0C3", "no kernels"),
        ("D1.5", "D1.5", "'D1.5' is not a layer"),
        ("900000N-900000N", "900000N", "500,000,000 parameters"),
        ("99B-99B-99B-99B-99B-99B", "99B", "MP2 after 1×1"),
    ],
)
def test_the_wrong_word_is_pointed_at(line: str, word: str, reason: str) -> None:
    with pytest.raises(LayersError) as caught:
        parse_layers(line, (32, 32, 3), 10)
    said, shown, pointer = str(caught.value).split("\n")
    assert reason in said and shown.strip() == line
    place = pointer.index("^") - 2
    assert line[place:].startswith(word) and pointer.count("^") == max(1, len(word))


words = st.one_of(
    st.builds(
        "{}C{}{}{}{}".format,
        st.integers(1, 6),
        st.sampled_from([1, 3, 5]),
        st.sampled_from(["", "same"]),
        st.sampled_from(["", "/2"]),
        st.sampled_from(["", "lin"]),
    ),
    st.sampled_from(["MP2", "AP2", "MP3/2", "AP3/1", "BN", "D0.3", "ReLU", "GELU", "4B", "W2"]),
)
lines = st.builds(
    lambda white, first, last: "-".join([*white, *first, *last]),
    st.lists(st.sampled_from(["W2", "W3"]), max_size=1),
    st.lists(words, min_size=1, max_size=6),
    st.lists(st.sampled_from(["GAP", "GMP", "8N", "5Nlin", "BN", "D0.5", "GELU"]), max_size=3, unique=True),
)


@given(lines, st.integers(8, 30), st.integers(8, 30), st.sampled_from([1, 3]), st.booleans(), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_any_line_is_the_same_in_the_table_in_torch_and_in_onnx(
    tmp_path_factory: pytest.TempPathFactory, line: str, height: int, width: int, channels: int, mirror: bool, seed: int
) -> None:
    shape = (height, width, channels)
    try:
        layers = parse_layers(line, shape, 4)
    except LayersError:
        return
    torch.manual_seed(seed)
    network = build_network(line, shape, 4, mirror)
    images = np.random.default_rng(seed).integers(0, 256, (8, *shape), dtype=np.uint8)

    network.train()
    network(torch.from_numpy(images))  # moves the running statistics of batch normalisation off their start
    network.eval()
    value = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    for layer, module in zip(layers, network.body, strict=True):
        value = module(value)
        h, *rest = value.shape[1:]
        assert ((*rest, h) if rest else (h,)) == layer.output
    kept = sum(tensor.numel() for name, tensor in network.state_dict().items() if "num_batches" not in name)
    assert summarise(layers, shape).total == kept

    info = model_info("abcd", shape, line, flip_tta=mirror, temperature=1.7)
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    network.learn_whitening(torch.from_numpy(images))
    write_onnx(build_onnx(network, info), info, path)
    assert largest_difference(network, info, path, images) < 1e-4


def test_a_network_of_ones_own(tmp_path, mirante: Command, shapes) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "class Branches(nn.Module):\n"
        "    def __init__(self, channels, classes):\n"
        "        super().__init__()\n"
        "        self.one, self.two = nn.Conv2d(channels, 4, 3, padding=1), nn.Conv2d(channels, 4, 5, padding=2)\n"
        "        self.last = nn.Linear(4, classes)\n"
        "    def forward(self, x):\n"
        "        return self.last((self.one(x) + self.two(x)).relu().mean((2, 3)))\n"
        "def network(shape, classes):\n"
        "    return Branches(shape[2], classes)\n"
        "def broken(shape, classes):\n"
        "    return Branches(7, classes)\n"
    )
    out = tmp_path / "run"
    done = mirante("train", shapes, "--model", f"{tmp_path / 'mine.py'}:network", "--epochs", "1", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "agrees with torch on" in done.stderr
    assert mirante("predict", out, shapes / "bar").returncode == 0
    done = mirante("train", shapes, "--model", f"{tmp_path / 'mine.py'}:broken", "--out", tmp_path / "other")
    assert done.returncode == 2 and "mine.py:broken: failed with RuntimeError" in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "other").exists()
