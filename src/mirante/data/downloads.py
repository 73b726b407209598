"""Named data sets: downloaded once from their official sites (resuming if interrupted), verified, and kept.

MIRANTE_DOWNLOADS, when set, is the address of a mirror that has the files under their own names.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from mirante.data import arrays
from mirante.errors import DataError, WorkError
from mirante.files import system_reason
from mirante.places import cache_folder
from mirante.progress import track

_BLOCK = 1 << 18


@dataclass(frozen=True)
class File:
    """One file to fetch: its address and the MD5 digest that its publisher gives (none gives a stronger one)."""

    url: str
    md5: str

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[1]


# MNIST's original site (yann.lecun.com) no longer responds; this is the copy whose digests are published.
_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_IDX = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)

_MNIST_MD5 = (
    "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "d53e105ee54ea40749a09fcbcd1e9432",
    "9fb629c4189551a2d022fa330f9573f3",
    "ec29112dd5afa0611ce80d1b7f02629c",
)
_FASHION_MD5 = (
    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "25c81989df183df01b3e8a0aad5dffbe",
    "bef4ecab320f06d8554ea6380940ec79",
    "bb300cfdad3c16e7a12a480ee83cd310",
)
_FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

FILES: dict[str, tuple[File, ...]] = {
    "cifar10": (File("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),),
    "cifar100": (File("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),),
    "mnist": tuple(File(_MNIST + name, md5) for name, md5 in zip(_IDX, _MNIST_MD5, strict=True)),
    "fashion-mnist": tuple(File(_FASHION + name, md5) for name, md5 in zip(_IDX, _FASHION_MD5, strict=True)),
}

NAMES = ("digits", *FILES)


def open_named(name: str, local: Path | None = None) -> arrays.ArraySource:
    """Return the data set of that name, from `local` (its official archive, or folder of IDX files) or from its official site.

    Raises DataError when the local copy is not what it should be, WorkError when it cannot be downloaded.
    """
    if name == "digits":
        return arrays.digits()
    if local is not None and not local.exists():
        raise DataError(f"{name}:{local}: no such file or folder.")
    place = local if local is not None else get(name)
    if name.startswith("cifar"):
        return arrays.read_cifar(place / FILES[name][0].name if place.is_dir() else place, name)
    classes = _FASHION_CLASSES if name == "fashion-mnist" else tuple(str(digit) for digit in range(10))
    return arrays.read_idx_folder(place if place.is_dir() else place.parent, name, classes)


def get(name: str) -> Path:
    """Download the missing files of a named data set and return the folder with its official files."""
    folder = cache_folder() / "downloads" / name
    folder.mkdir(parents=True, exist_ok=True)
    mirror = os.environ.get("MIRANTE_DOWNLOADS")
    for file in FILES[name]:
        if not (folder / file.name).exists():
            url = f"{mirror.rstrip('/')}/{file.name}" if mirror else file.url
            download(url, folder / file.name, file.md5)
    return folder


def download(url: str, path: Path, md5: str, attempts: int = 5) -> None:
    """Download `url` to `path`, continuing an interrupted attempt, and check its digest before renaming it.

    The unfinished file is `path` + `.part`; it stays after a failure, so that the next call continues it. Raises
    WorkError when the server cannot be reached, keeps breaking the connection, or sends different bytes than were published.
    """
    part = path.with_name(path.name + ".part")
    reason = ""
    for _ in range(attempts):
        try:
            _continue_download(url, part, path.name)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # nothing left to download: the digest decides
                error.close()
            else:
                raise WorkError(
                    f"{url}: the server answered {error.code} ({error.reason}); {_by_hand(path)}"
                ) from error
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
            continue
        except OSError as error:
            raise WorkError(f"{part} could not be written: {system_reason(error)}.") from error
        found = _md5(part)
        if found == md5:
            part.replace(path)
            return
        part.unlink()
        raise WorkError(
            f"{url}: the file has digest {found}, but {md5} was published; it was deleted. Try again later, or "
            f"{_by_hand(path)}"
        )
    raise WorkError(
        f"{url}: interrupted {attempts} times ({reason}); run the same command to continue, or {_by_hand(path)}"
    )


def _by_hand(path: Path) -> str:
    return f"put the official {path.name} at {path} yourself."


def _continue_download(url: str, part: Path, name: str) -> None:
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "mirante"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    with urllib.request.urlopen(request, timeout=30) as answer:
        resumed = answer.status == 206
        length = answer.length
        with part.open("ab" if resumed else "wb") as file:
            written = 0
            blocks = iter(lambda: answer.read(_BLOCK), b"")
            for block in track(blocks, f"Downloading {name}", None if length is None else -(-length // _BLOCK)):
                file.write(block)
                written += len(block)
        expected = written if length is None else length
        if written < expected:
            raise http.client.IncompleteRead(b"", expected - written)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
