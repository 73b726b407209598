"""Named data sets come from a real server: in the official formats, through break-offs, never with wrong bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from conftest import Command

from mirante.data.dataset import Dataset
from mirante.data.downloads import download
from mirante.errors import DataError, WorkError


class Server(ThreadingHTTPServer):
    """Serves `files`; breaks each of the first `breaks` answers off halfway; keeps the Range headers it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.breaks = 0
        self.ranges: list[str | None] = []
        self.knows_ranges = True

    def address(self, name: str = "") -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        content = self.server.files.get(self.path[1:])
        if content is None:
            self.send_error(404)
            return
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and self.server.knows_ranges else 0
        if start >= len(content) and start:
            self.send_error(416)
            return
        part = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        if self.server.breaks > 0:
            self.server.breaks -= 1
            part = part[: len(part) // 2]
        self.wfile.write(part)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


CONTENT = np.random.default_rng(0).bytes(1_500_000)


def test_a_download_that_breaks_off_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    server.files["big.bin"] = CONTENT
    server.breaks = 3
    download(server.address("big.bin"), tmp_path / "big.bin", md5(CONTENT))
    assert (tmp_path / "big.bin").read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=750000-", "bytes=1125000-", "bytes=1312500-"]
    assert [path.name for path in tmp_path.iterdir()] == ["big.bin"]


def test_a_later_call_continues_an_earlier_one(server: Server, tmp_path: Path) -> None:
    server.files["big.bin"] = CONTENT
    server.breaks = 1
    with pytest.raises(WorkError, match="run the same command to continue"):
        download(server.address("big.bin"), tmp_path / "big.bin", md5(CONTENT), attempts=1)
    download(server.address("big.bin"), tmp_path / "big.bin", md5(CONTENT), attempts=1)
    assert server.ranges[-1] == "bytes=750000-"
    assert (tmp_path / "big.bin").read_bytes() == CONTENT


def test_a_server_that_knows_no_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.files["big.bin"] = CONTENT
    server.breaks, server.knows_ranges = 1, False
    download(server.address("big.bin"), tmp_path / "big.bin", md5(CONTENT))
    assert (tmp_path / "big.bin").read_bytes() == CONTENT


def test_a_part_that_is_already_whole_only_needs_its_digest(server: Server, tmp_path: Path) -> None:
    server.files["big.bin"] = CONTENT
    (tmp_path / "big.bin.part").write_bytes(CONTENT)
    download(server.address("big.bin"), tmp_path / "big.bin", md5(CONTENT))
    assert (tmp_path / "big.bin").read_bytes() == CONTENT


def test_wrong_bytes_are_thrown_away(server: Server, tmp_path: Path) -> None:
    server.files["big.bin"] = CONTENT
    with pytest.raises(WorkError, match="was published; it was deleted"):
        download(server.address("big.bin"), tmp_path / "big.bin", md5(b"something else"))
    assert not list(tmp_path.iterdir())


def test_a_missing_file_and_a_missing_server_are_said_in_a_sentence(
    server: Server, tmp_path: Path, mirante: Command
) -> None:
    environment = {"MIRANTE_CACHE": str(tmp_path), "MIRANTE_DOWNLOADS": server.address()}
    done = mirante("data", "get", "cifar10", **environment)
    assert done.returncode == 1 and "answered 404" in done.stderr and "Traceback" not in done.stderr
    done = mirante("data", "get", "mnist", **{**environment, "MIRANTE_DOWNLOADS": "http://127.0.0.1:1/"})
    assert done.returncode == 1 and "interrupted 5 times" in done.stderr and "yourself" in done.stderr


def cifar_archive(path: Path, name: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Write an archive in the official binary format; return the images (N, H, W, C) and labels that it holds."""
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (count, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(count) % (10 if name == "cifar10" else 100)
    coarse = [] if name == "cifar10" else [labels // 5]
    records = np.concatenate(
        [np.stack([*coarse, labels], axis=1).astype(np.uint8), images.transpose(0, 3, 1, 2).reshape(count, -1)], axis=1
    )
    half = count // 2
    if name == "cifar10":
        files = {"data_batch_1.bin": records[:half], "test_batch.bin": records[half:]}
        meta = ("batches.meta.txt", "\n".join(f"class{number}" for number in range(10)) + "\n\n")
    else:
        files = {"train.bin": records[:half], "test.bin": records[half:]}
        meta = ("fine_label_names.txt", "\n".join(f"class{number}" for number in range(100)) + "\n")
    with tarfile.open(path, "w:gz") as archive:
        for member, content in [*((n, r.tobytes()) for n, r in files.items()), (meta[0], meta[1].encode())]:
            info = tarfile.TarInfo(f"{name}-batches-bin/{member}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return images, labels


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_in_its_binary_format(tmp_path: Path, name: str) -> None:
    images, labels = cifar_archive(tmp_path / "archive.tar.gz", name, 1000)
    dataset = Dataset.open(f"{name}:{tmp_path / 'archive.tar.gz'}")
    assert len(dataset.classes) == (10 if name == "cifar10" else 100) and dataset.classes[3] == "class3"
    assert len(dataset.rows("test")) == 500 and dataset.split_by == "source"
    _, pixels = dataset.load((32, 32), 3, "crop")
    assert np.array_equal(pixels, images) and np.array_equal(dataset.targets, labels)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_idx_files(tmp_path: Path, name: str) -> None:
    random = np.random.default_rng(0)
    for prefix in ("train", "t10k"):
        images = random.integers(0, 255, (100, 28, 28), dtype=np.uint8)
        labels = (np.arange(100) % 10).astype(np.uint8)
        header = np.array([0x803, 100, 28, 28], ">u4").tobytes()
        (tmp_path / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + images.tobytes()))
        header = np.array([0x801, 100], ">u4").tobytes()
        (tmp_path / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(header + labels.tobytes()))
    dataset = Dataset.open(f"{name}:{tmp_path}")
    assert dataset.classes[9] == ("9" if name == "mnist" else "Ankle boot")
    _, pixels = dataset.load((28, 28), 1, "crop")
    assert np.array_equal(pixels[dataset.rows("test"), :, :, 0], images)


def test_archives_of_another_kind_are_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.tar.gz"
    for content in (b"nothing of the kind", gzip.compress(b"still not a tar"), b""):
        bad.write_bytes(content)
        with pytest.raises(DataError, match="not the binary version of cifar10"):
            Dataset.open(f"cifar10:{bad}")
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"\0" * 32))
    with pytest.raises(DataError, match="not an IDX file"):
        Dataset.open(f"mnist:{tmp_path}")
