"""What the pictures show is what the layers compute."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mirante.errors import RequestError
from mirante.see.arithmetic import KERNELS, convolve, output_side, pool, read_kernel

sides = st.integers(1, 14)


@given(
    sides, sides, st.sampled_from([1, 3]), st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.integers(0, 99)
)
@settings(deadline=None)
def test_convolution_is_pytorchs(
    height: int, width: int, channels: int, kernel: int, stride: int, padding: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width, channels), np.uint8)
    weights = random.normal(size=(kernel, kernel))
    if min(height, width) + 2 * padding < kernel:
        with pytest.raises(RequestError, match="does not fit"):
            convolve(image, weights, stride, padding)
        return
    mine = convolve(image, weights, stride, padding)
    stacked = torch.from_numpy(image).double().permute(2, 0, 1)[:, None]
    theirs = F.conv2d(stacked, torch.from_numpy(weights)[None, None], stride=stride, padding=padding)[:, 0].permute(
        1, 2, 0
    )
    assert np.allclose(mine, theirs.numpy()) and mine.shape[0] == output_side(height, kernel, stride, padding)[0]
    one = torch.from_numpy(image).double().permute(2, 0, 1)[None]
    layer = torch.from_numpy(weights).expand(1, channels, kernel, kernel)
    assert np.allclose(mine.sum(2), F.conv2d(one, layer, stride=stride, padding=padding)[0, 0].numpy())


@given(sides, sides, st.integers(1, 6), st.sampled_from(["max", "average"]), st.integers(0, 99))
@settings(deadline=None)
def test_pooling_is_pytorchs(height: int, width: int, size: int, kind: str, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    if min(height, width) < size:
        with pytest.raises(RequestError, match="does not fit"):
            pool(image, size, kind)  # type: ignore[arg-type]
        return
    theirs = {"max": F.max_pool2d, "average": F.avg_pool2d}[kind](
        torch.from_numpy(image).double().permute(2, 0, 1), size
    )
    assert np.allclose(pool(image, size, kind), theirs.permute(1, 2, 0).numpy())  # type: ignore[arg-type]


def test_the_tutorials_sizes() -> None:
    assert output_side(5, 3, 1, 0) == (3, 0)
    assert pool(np.zeros((384, 512, 3)), 2).shape == (192, 256, 3)
    square = np.array([[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]])[:, :, None]
    assert pool(square, 2)[:, :, 0].tolist() == [[6, 8], [3, 4]]


def test_kernels_are_named_or_written() -> None:
    assert all(read_kernel(name) is kernel for name, kernel in KERNELS.items())
    assert read_kernel("0 -1 0; -1 5 -1; 0 -1 0").tolist() == KERNELS["sharpen"].tolist()
    for wrong in ("sharpish", "1 2; 3", "", "nan", "1 2; ;", " ".join("1" * 40)):
        with pytest.raises(RequestError):
            read_kernel(wrong)
