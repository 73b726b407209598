"""Convolution and pooling as done by hand, in numpy: the same numbers that the layers of a network give.

As in every CNN, "convolution" does not flip the kernel; in signal processing this is called cross-correlation.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mirante.errors import RequestError

Values = NDArray[np.float64]
PoolKind = Literal["max", "average"]

MAX_KERNEL = 31

KERNELS: dict[str, Values] = {
    name: np.array(rows, np.float64)
    for name, rows in {
        "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
        "edge": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
        "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
        "blur": [[1 / 9] * 3] * 3,
        "gauss": [[1 / 16, 2 / 16, 1 / 16], [2 / 16, 4 / 16, 2 / 16], [1 / 16, 2 / 16, 1 / 16]],
        "emboss": [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]],
        "sobel-x": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
        "sobel-y": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    }.items()
}


def read_kernel(text: str) -> Values:
    """Return the kernel of that name, or of numbers in rows: "0 -1 0; -1 5 -1; 0 -1 0".

    Raises RequestError when it is neither, or its rows differ in length.

    >>> read_kernel("1 2; 3 4").tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """
    if text in KERNELS:
        return KERNELS[text]
    try:
        rows = [[float(number) for number in row.replace(",", " ").split()] for row in text.split(";")]
    except ValueError as error:
        raise RequestError(
            f"{text!r} is not a kernel: write rows of numbers, such as '0 -1 0; -1 5 -1; 0 -1 0', or one of {', '.join(KERNELS)}."
        ) from error
    lengths = {len(row) for row in rows}
    if len(lengths) != 1 or 0 in lengths:
        raise RequestError(
            f"kernel {text!r}: its rows have {' and '.join(map(str, sorted(lengths)))} numbers; make them equal."
        )
    kernel = np.array(rows)
    if max(kernel.shape) > MAX_KERNEL or not np.isfinite(kernel).all():
        raise RequestError(f"kernel {text!r}: it may have up to {MAX_KERNEL} finite numbers per side.")
    return kernel


def output_side(side: int, kernel: int, stride: int, padding: int) -> tuple[int, int]:
    """Return (W − K + 2P) / S + 1 rounded down, and the pixels that are left over at the end.

    Raises RequestError when the kernel does not fit once.

    >>> output_side(5, 3, 1, 0), output_side(8, 3, 2, 0)
    ((3, 0), (3, 1))
    """
    if kernel < 1 or stride < 1 or padding < 0:
        raise RequestError(
            f"kernel {kernel}, stride {stride}, padding {padding}: sizes must be 1 or more, padding 0 or more."
        )
    room = side + 2 * padding - kernel
    if room < 0:
        raise RequestError(f"a kernel of {kernel} does not fit in {side} pixels with a padding of {padding}.")
    return room // stride + 1, room % stride


def convolve(image: NDArray[np.generic], kernel: Values, stride: int = 1, padding: int = 0) -> Values:
    """Return each channel of an image (H, W, C) convolved with the kernel (K, L), as (H', W', C); padding is zeros.

    The sum over the channels is what one kernel of a layer gives when it has the same weights for all of them.
    """
    for side, length in zip(image.shape, kernel.shape, strict=False):
        output_side(side, length, stride, padding)
    padded = np.pad(image.astype(np.float64), ((padding, padding), (padding, padding), (0, 0)))
    windows = sliding_window_view(padded, kernel.shape, axis=(0, 1))[::stride, ::stride]
    result: Values = np.einsum("hwckl,kl->hwc", windows, kernel)
    return result


def pool(image: NDArray[np.generic], size: int, kind: PoolKind = "max") -> Values:
    """Return an image (H, W, C) whose squares of size × size pixels become one each; what is left over is dropped."""
    height, _ = output_side(image.shape[0], size, size, 0)
    width, _ = output_side(image.shape[1], size, size, 0)
    squares = image[: height * size, : width * size].reshape(height, size, width, size, -1)
    result: Values = squares.max((1, 3)) if kind == "max" else squares.mean((1, 3))
    return result.astype(np.float64)
