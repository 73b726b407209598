"""Answers on a Ray cluster of several nodes, each in processes of its own: exactly one row an input, whatever is killed."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from conftest import Command, draw_shape, write_shapes
from hypothesis import given
from hypothesis import strategies as st

from mirante.cluster.plan import Plan, Table

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
ray = pytest.importorskip("ray")

NODE = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}


@pytest.fixture(scope="module")
def store() -> Iterator[None]:
    """A server that speaks S3, of which this process and all that it starts know."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    told = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "mine"}
    os.environ.update(told)
    until = time.monotonic() + 60
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            break
        assert time.monotonic() < until and server.poll() is None, "no server of S3"
        time.sleep(0.1)
    yield
    server.kill()
    for name in told:
        del os.environ[name]


@pytest.fixture(scope="module")
def cluster(store: None) -> Iterator[Any]:
    """A head and one more node."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args=NODE)
    made.add_node(**NODE)
    yield made
    made.shutdown()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 360 images, 180 parts."""
    return write_shapes(tmp_path_factory.mktemp("many") / "images", 120)


def start(cluster: Any, *words: str | Path, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mirante", "predict", *map(str, words), "--engine", "ray"]
    return subprocess.Popen(
        [*command, "--address", cluster.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def done(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def answers(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = ds.dataset(out, format="parquet").to_table().to_pylist()
    return rows


def wait_for_parts(out: Path, count: int) -> None:
    until = time.monotonic() + 60
    while len(list(out.glob("part-*.parquet"))) < count:
        assert time.monotonic() < until, "no part came"
        time.sleep(0.01)


def test_every_kind_of_input_has_one_row_each_and_the_answers_are_those_of_one_process(
    cluster: Any, shapes_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run, _ = shapes_run
    folder = write_shapes(tmp_path / "folder", 4)
    (folder / "bar" / "broken.png").write_bytes(b"no image")
    (folder / "notes.txt").write_text("left aside")
    (folder / "bar" / "000.png").rename(folder / "bar" / os.fsdecode(b"\xff.png"))  # no text
    paths = ["folder/disc/000.png", str(folder / "disc" / "001.png"), "folder/gone.png", None, "folder/disc/000.png"]
    pq.write_table(pa.table({"path": paths}), tmp_path / "paths.parquet", row_group_size=2)
    drawn = io.BytesIO()
    draw_shape("disc", 7).save(drawn, "PNG")
    held = [
        {"bytes": drawn.getvalue(), "path": "seven"},
        {"bytes": b"junk", "path": "junk"},
        {"bytes": None, "path": None},
    ]
    (tmp_path / "held.parquet").mkdir()
    pq.write_table(pa.table({"image": held, "name": ["a", "b", "c"]}), tmp_path / "held.parquet" / "0.parquet")
    words = [folder, folder / "cross" / "*.png", tmp_path / "*ths.parquet", f"file://{tmp_path}/held.parquet"]
    said = done(start(cluster, run, *words, "--out", tmp_path / "out", "--rows-per-file", "3"))
    assert "21 images, 5 of which" in said
    found = answers(tmp_path / "out")
    assert len(found) == 13 + 5 + 3
    reasons = Counter(row["error"] for row in found)
    assert reasons.pop(None) == 16
    assert reasons == {"not an image that can be read": 2, "no such file": 1, "no path": 1, "no bytes": 1}
    names = Counter(row["path"] for row in found)
    assert names[str(folder / "disc" / "000.png")] == 3, "once in the folder, twice in the table"
    assert names[str(folder / "cross" / "001.png")] == 1, "named by a folder and by a pattern"
    assert names[f"{folder}/bar/\\xff.png"] == 1 and {"a", "b", "c"} <= names.keys()
    local = mirante("predict", run, folder, "--format", "csv")
    expected = {line["path"]: line for line in csv.DictReader(io.StringIO(local.stdout))}
    alike = [row for row in found if row["path"] in expected]
    assert len(alike) >= 12
    for row in alike:
        assert row["label"] == expected[row["path"]]["label"]
        for name, share in row["probabilities"].items():
            assert share == pytest.approx(float(expected[row["path"]][f"probability_{name}"]), abs=1e-5)
    assert all(row["label"] is None and row["probabilities"] is None for row in found if row["error"])


def test_a_killed_worker_and_a_killed_node_lose_nothing(
    cluster: Any, many: Path, shapes_run: tuple[Path, Path], tmp_path: Path
) -> None:
    node = cluster.add_node(**NODE)
    out = tmp_path / "out"
    process = start(cluster, shapes_run[0], many, "--out", out, "--rows-per-file", "2")
    wait_for_parts(out, 20)
    worker().kill()
    wait_for_parts(out, 50)
    assert not list(out.glob("*.parquet"))[170:], "all was done before anything could be lost"
    cluster.remove_node(node, allow_graceful=False)
    assert len(list(out.glob("part-*.parquet"))) < 175
    assert re.search(
        r"360 images( \(\d+ of them before\))?, 0 of which", done(process)
    )  # a killed task may have written its part
    whole(out, many)


def worker() -> psutil.Process:
    """Return a process of the cluster that is answering a part."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for one in psutil.process_iter(["cmdline"]):
            if "ray::" in (name := " ".join(one.info["cmdline"] or [])) and "Map" in name:
                return one
    raise AssertionError("nobody works")


def whole(out: Path, many: Path) -> None:
    """Each image of the folder has exactly one row, and nothing else has."""
    rows = answers(out)
    assert sorted(row["path"] for row in rows) == sorted(map(str, many.rglob("*.png")))
    assert len(list(out.glob("part-*.parquet"))) == 180


def test_what_was_answered_before_a_kill_is_kept_and_the_rest_is_answered(
    cluster: Any, many: Path, shapes_run: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = (shapes_run[0], many, "--out", out, "--rows-per-file", "2", "--coverage", "90%")
    process = start(cluster, *words)
    wait_for_parts(out, 30)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    kept = {path: path.stat().st_mtime_ns for path in out.glob("part-*.parquet")}
    assert 30 <= len(kept) < 180
    draw_shape("bar", 999).save(many / "bar" / "later.png")  # not there when the images were listed
    try:
        said = done(start(cluster, *words))
    finally:
        (many / "bar" / "later.png").unlink()
    assert "of them before" in said
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    whole(out, many)
    assert {"prediction_set", "unsure"} <= answers(out)[0].keys()
    # asked another question, it is refused and not mixed
    for change in (("--coverage", "80%"), ("--rows-per-file", "3")):
        refused = start(cluster, *words, *change)
        _, err = refused.communicate(timeout=60)
        assert refused.returncode == 2 and "another" in err and err.count("\n") == 1


def test_an_object_store_holds_images_and_answers(cluster: Any, shapes_run: tuple[Path, Path]) -> None:
    import s3fs

    system = s3fs.S3FileSystem()
    system.mkdir("photos")
    for number in range(5):
        drawn = io.BytesIO()
        draw_shape("cross", number).save(drawn, "PNG")
        system.pipe_file(f"photos/in/{number}.png", drawn.getvalue())
    system.pipe_file("photos/in/5.png", b"no image")
    said = done(start(cluster, shapes_run[0], "s3://photos/in", "--out", "s3://photos/out", "--rows-per-file", "4"))
    assert "6 images, 1 of which" in said
    with (
        system.open("photos/out/part-0000000.parquet") as first,
        system.open("photos/out/part-0000001.parquet") as second,
    ):
        rows = pq.read_table(first).to_pylist() + pq.read_table(second).to_pylist()
    assert [row["path"] for row in rows] == [f"s3://photos/in/{number}.png" for number in range(6)]
    assert [row["error"] for row in rows] == [None] * 5 + ["not an image that can be read"]
    again = done(start(cluster, shapes_run[0], "s3://photos/in", "--out", "s3://photos/out", "--rows-per-file", "4"))
    assert "6 images (6 of them before)" in again


def test_wrong_requests_are_one_sentence(shapes_run: tuple[Path, Path], tmp_path: Path, mirante: Command) -> None:
    run, data = shapes_run
    pq.write_table(pa.table({"size": [1]}), tmp_path / "wrong.parquet")
    (tmp_path / "junk.parquet").write_bytes(b"junk")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    out = ("--out", tmp_path / "out")
    cases = {
        "needs --out": (data,),
        "holds something other than answers": (data, "--out", tmp_path / "full"),
        "neither a column of paths": (tmp_path / "wrong.parquet", *out),
        "not a readable Parquet file": (tmp_path / "junk.parquet", *out),
        "no image in it, and no file with that name": (tmp_path / "nothing", *out),
        "Parquet files in --out": (data, *out, "--format", "csv"),
        "must be 1 or more": (data, *out, "--workers", "0"),
        "Protocol not known": ("nowhere://x", *out),
        "no Ray cluster responds at 127.0.0.1:9": (data, *out, "--address", "127.0.0.1:9"),
    }
    for sentence, words in cases.items():
        refused = mirante("predict", run, *words, "--engine", "ray")
        assert sentence in refused.stderr and refused.stderr.count("\n") == 1, refused.stderr
        assert refused.returncode == (1 if "cluster" in sentence else 2)
    assert "needs --engine ray" in mirante("predict", run, data, *out).stderr
    assert (tmp_path / "full" / "letter.txt").read_text() == "mine"


@given(st.lists(st.lists(st.integers(0, 40), max_size=5), max_size=4), st.integers(1, 9))
def test_the_parts_of_a_plan_hold_each_row_once(groups: list[list[int]], rows: int) -> None:
    tables = tuple(Table(str(number), "path", "path", None, tuple(one), "") for number, one in enumerate(groups))
    plan = Plan(("x",), "", None, None, rows, tables)
    found = []
    for number in range(plan.parts):
        part = plan.part(number)
        assert 1 <= part.count <= rows and part.number == number
        found += [(part.table.file, part.group, row) for row in range(part.start, part.start + part.count)]
    assert found == [
        (table.file, group, row) for table in tables for group, size in enumerate(table.groups) for row in range(size)
    ]
    assert plan.inputs == len(found)
    assert Plan.from_json(json.dumps(json.loads(plan.to_json())).encode(), "plan") == plan
