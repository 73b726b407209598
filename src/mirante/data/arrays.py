"""Images stored as numbers: .npz, the embedded digits, and the official binary archives of CIFAR and MNIST.

CIFAR records are 1 or 2 label bytes and 3,072 bytes of channels × rows × columns; IDX is a big-endian header and bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirante.data.entries import Entry
from mirante.errors import DataError
from mirante.images import Pixels


@dataclass(frozen=True)
class Part:
    """uint8 images (N, H, W, C) of one split, with their class numbers (split None: still to be split)."""

    split: str | None
    images: Pixels
    labels: NDArray[np.int64]


class ArraySource:
    """Images stored as arrays in a file, with class names in the official order."""

    def __init__(self, name: str, classes: tuple[str, ...], parts: list[Part]) -> None:
        self.name = name
        self.classes: tuple[str, ...] | None = classes
        self._names = classes
        self._parts = parts

    def stamp(self) -> str:
        digest = hashlib.sha256(repr((self.name, self._names)).encode())
        for part in self._parts:
            digest.update(f"{part.split}{part.images.shape}".encode())
            digest.update(part.images.tobytes())
            digest.update(part.labels.tobytes())
        return digest.hexdigest()

    def entries(self) -> Iterator[Entry]:
        for part in self._parts:
            folder = part.split or self.name
            width = len(str(len(part.images)))
            for index, (image, label) in enumerate(zip(part.images, part.labels, strict=True)):
                yield Entry(f"{folder}/{index:0{width}d}", image, self._names[label], part.split)

    def named(self, path: str) -> str:
        return f"{self.name}:{path}"

    def find(self, name: str) -> tuple[str, bytes] | None:
        return None


def digits() -> ArraySource:
    """Return scikit-learn's 1,797 handwritten digits, 8×8 grey (UCI Optical Recognition of Handwritten Digits)."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (bunch.images * (255.0 / 16.0)).round().astype(np.uint8)[..., None]
    names = tuple(str(digit) for digit in range(10))
    return ArraySource("digits", names, [Part(None, images, bunch.target.astype(np.int64))])


def read_npz(path: Path) -> ArraySource:
    """Read a .npz with x and y (and x_test, y_test; or x_train, y_train, …); `classes` may name them in order.

    x is uint8 or float in 0..1, (N, H, W) or (N, H, W, 1 or 3); y is N whole numbers or strings. Never unpickles.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        reason = "it holds Python objects" if "allow_pickle" in str(error) else "it is not an .npz, or is damaged"
        raise DataError(f"{path}: {reason}; save it with numpy.savez(path, x=images, y=labels).") from error

    pairs: list[tuple[str | None, str, str]] = [(None, "x", "y") if "x" in arrays else ("train", "x_train", "y_train")]
    pairs += [(split, f"x_{split}", f"y_{split}") for split in ("val", "test") if f"x_{split}" in arrays]
    if len(pairs) > 1:
        pairs[0] = ("train", pairs[0][1], pairs[0][2])
    names = {key for _, x, y in pairs for key in (x, y)}
    if missing := sorted(names - set(arrays)):
        raise DataError(f"{path}: no array named {missing[0]!r}; it has {', '.join(sorted(arrays)) or 'none'}.")
    labels = [arrays[y].reshape(-1) for _, _, y in pairs]
    classes, numbers = _numbered(path, labels, arrays.get("classes"))
    parts = [
        Part(split, as_images(str(path), x, arrays[x], len(number)), number)
        for (split, x, _), number in zip(pairs, numbers, strict=True)
    ]
    return ArraySource(path.stem, classes, parts)


def _numbered(
    path: Path, labels: list[NDArray[np.generic]], named: NDArray[np.generic] | None
) -> tuple[tuple[str, ...], list[NDArray[np.int64]]]:
    if any(part.dtype.kind not in "iuUb" for part in labels):
        raise DataError(f"{path}: y holds {labels[0].dtype}; labels must be whole numbers or text.")
    values, inverse = np.unique(np.concatenate(labels), return_inverse=True)
    if named is None:
        names = tuple(str(value) for value in values)
    else:
        if values.dtype.kind not in "iu" or int(values.min()) < 0 or int(values.max()) >= len(named):
            raise DataError(f"{path}: `classes` has {len(named)} names, but y goes up to {values[-1]}.")
        names = tuple(str(name) for name in named)
        inverse = np.concatenate(labels)
    cuts = np.cumsum([len(part) for part in labels])[:-1]
    return names, [part.astype(np.int64) for part in np.split(inverse, cuts)]


def as_images(location: str, name: str, images: NDArray[np.generic], count: int) -> Pixels:
    """Return images in any of the usual shapes and types as uint8 (N, H, W, C). Raises DataError."""
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3) or len(images) != count:
        raise DataError(
            f"{location}: {name} has shape {images.shape} for {count} labels; it should be ({count}, H, W) or ({count}, H, "
            "W, 1 or 3)."
        )
    if images.dtype == np.uint8 or not images.size:
        return images.astype(np.uint8, copy=False)
    if images.dtype.kind == "f" and float(np.nanmin(images)) >= 0 and float(np.nanmax(images)) <= 1:
        scaled: Pixels = np.nan_to_num(images * 255).round().astype(np.uint8)
        return scaled
    raise DataError(f"{location}: {name} holds {images.dtype}; pixels must be uint8 (0 to 255) or floats from 0 to 1.")


def read_cifar(path: Path, name: str) -> ArraySource:
    """Read the official binary archive of `cifar10` or `cifar100` (a .tar.gz of .bin files and class names)."""
    label_bytes = {"cifar10": 1, "cifar100": 2}[name]
    names_file = {"cifar10": "batches.meta.txt", "cifar100": "fine_label_names.txt"}[name]
    classes: tuple[str, ...] = ()
    blocks: dict[str, list[NDArray[np.uint8]]] = {"train": [], "test": []}
    try:
        with tarfile.open(path, "r|*") as archive:
            for info in archive:
                member = Path(info.name).name
                file = archive.extractfile(info) if info.isreg() else None
                if file is None:
                    continue
                if member == names_file:
                    classes = tuple(file.read().decode("ascii").split())
                elif member.endswith(".bin"):
                    split = "test" if member.startswith("test") else "train"
                    records = np.frombuffer(file.read(), np.uint8)
                    blocks[split].append(records.reshape(-1, label_bytes + 3072))
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError) as error:
        raise DataError(f"{path}: not the binary version of {name}, or damaged; download it again.") from error
    if not classes or not all(blocks.values()):
        raise DataError(f"{path}: not the binary version of {name} ({name}-binary.tar.gz from its authors).")
    parts = []
    for split, found in blocks.items():
        records = np.concatenate(found)
        images = records[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        labels = records[:, label_bytes - 1].astype(np.int64)
        if int(labels.max()) >= len(classes):
            raise DataError(f"{path}: a label beyond the {len(classes)} classes of {name}; the archive is damaged.")
        parts.append(Part(split, np.ascontiguousarray(images), labels))
    return ArraySource(name, classes, parts)


def read_idx_folder(folder: Path, name: str, classes: tuple[str, ...]) -> ArraySource:
    """Read the four official IDX files (.gz, or unpacked) of `mnist` or `fashion-mnist` from a folder."""
    parts = []
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images = _read_idx(folder, f"{prefix}-images-idx3-ubyte", 3)
        labels = _read_idx(folder, f"{prefix}-labels-idx1-ubyte", 1)
        if len(images) != len(labels) or int(labels.max(initial=0)) >= len(classes):
            raise DataError(f"{folder}: the {split} images and labels of {name} do not belong together.")
        parts.append(Part(split, images[..., None], labels.astype(np.int64)))
    return ArraySource(name, classes, parts)


def _read_idx(folder: Path, stem: str, dimensions: int) -> NDArray[np.uint8]:
    path = next((folder / name for name in (f"{stem}.gz", stem) if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"{folder}: no {stem}.gz in this folder; all four official files are needed.")
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        # the header: two zero bytes, 8 (unsigned bytes), the number of dimensions, then each as a 32-bit integer
        header = np.frombuffer(raw, ">u4", dimensions + 1)
        if int(header[0]) != 0x0800 + dimensions:
            raise ValueError("magic number")
        return np.frombuffer(raw, np.uint8, offset=4 * (dimensions + 1)).reshape([int(size) for size in header[1:]])
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DataError(f"{path}: not an IDX file of bytes, or damaged; download it again.") from error
