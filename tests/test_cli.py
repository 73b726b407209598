"""On the command line a wrong request is one sentence and exit status 2, and help costs nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import Command, write_shapes

from mirante.cli import VERBS


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from mirante.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'numpy', 'PIL', 'rich', 'onnxruntime', 'matplotlib', 'jinja2'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(verb.__name__.rpartition(".")[2] in done.stdout for verb in VERBS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "nowhere"], "nowhere: no such file or folder"),
        (["train"], "nothing to train on"),
        (["train", "digits", "--model", "32C3-MP99"], "MP99 after 30×30: nothing left to pool"),
        (["train", "digits", "--recipe", "slow"], "no recipe 'slow'; choose best, fast, read, transfer, tutorial"),
        (["train", "digits", "--epochs", "0"], "epochs is 0; only a pretrained network"),
        (["train", "digits", "--epochs", "many"], "invalid int value: 'many'"),
        (["train", "digits", "--size", "big"], "'big' is not a size"),
        (["train", "digits", "--classes", "1,11"], "no class '11'"),
        (["train", "digits", "--group-column", "patient"], "--group-column patient needs a table"),
        (["train", "digits", "--labels", "gone.csv"], "gone.csv: no such table"),
        (["train", "digits", "--model", "gone.py:network"], "gone.py: no such file"),
        (["train", "--resume"], "--resume needs the run"),
        (["train", "--resume", "--out", "gone"], "gone: no such run"),
        (["train", "cifar10:gone.tar.gz"], "cifar10:gone.tar.gz: no such file"),
        (["train", "file.txt"], "not a kind of source"),
        (["predict", "gone", "x.png"], "gone: no such run"),
        (["predict", ".", "x.png"], ".: not a Mirante run"),
        (["evaluate", "gone"], "gone: no such run"),
        (["compare", "gone"], "gone: no such run"),
        (["summary", "32C3-MP2-"], "An empty word"),
        (["summary", "32C3", "--input", "32"], "'32' is not an input"),
        (["summary", "runs/gone"], "runs/gone: no such run"),
        (["data", "info", "nowhere"], "nowhere: no such file or folder"),
        (["data", "get", "imagenet"], "'imagenet' is not a data set that can be downloaded"),
        (["dance"], "invalid choice: 'dance'"),
        (["--lang=pt", "train", "digits"], "--lang: as opções vêm depois do verbo"),
        ([], "VERB"),
    ],
)
def test_a_wrong_request_is_a_sentence_and_status_2(
    words: list[str], said: str, tmp_path: Path, mirante: Command
) -> None:
    (tmp_path / "file.txt").write_text("text")
    done = mirante(*words, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.txt"]  # nothing was left behind


def test_debug_shows_the_traceback(mirante: Command) -> None:
    done = mirante("train", "nowhere", "--debug")
    assert "Traceback" in done.stderr and "DataError" in done.stderr


def test_strict_refuses_what_is_otherwise_left_out(tmp_path: Path, mirante: Command) -> None:
    data = write_shapes(tmp_path / "shapes", 12)
    (data / "bar" / "broken.png").write_bytes(b"nothing")
    quick = ("--model", "4C3-GAP", "--epochs", "1", "--out", tmp_path / "run")
    done = mirante("train", data, *quick, "--strict")
    assert done.returncode == 2 and "bar/broken.png: not an image" in done.stderr and not (tmp_path / "run").exists()
    done = mirante("train", data, *quick)
    assert done.returncode == 0 and "cannot be used: 1\n  bar/broken.png: not an image" in done.stderr
    assert "bar/broken.png" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="folders without write permission are a POSIX thing")
def test_a_folder_that_cannot_be_written_is_said_before_training(tmp_path: Path, mirante: Command) -> None:
    (tmp_path / "file").write_text("in the way")
    done = mirante("train", "digits", "--out", tmp_path / "file" / "run")
    assert done.returncode == 2 and "cannot be made there" in done.stderr and "epoch" not in done.stderr


def test_data_info_tells_what_there_is(tmp_path: Path, mirante: Command) -> None:
    data = write_shapes(tmp_path / "shapes", 20)
    done = mirante("data", "info", data, "--lang", "pt")
    assert done.returncode == 0 and "Validação" in done.stdout and "60 imagens, de 24 a 24 pixels" in done.stdout
    assert "class,train,val,test" in mirante("data", "info", data, "--format", "csv").stdout


def test_a_reader_that_leaves_is_no_error(shapes_run: tuple[Path, Path]) -> None:
    run, data = shapes_run
    command = f"{sys.executable} -m mirante predict {run} {data} --format json | head -1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.count("\n") == 1 and done.stderr == ""


def test_demo_trains_judges_predicts_and_shows_the_way_on(tmp_path: Path, mirante: Command) -> None:
    done = mirante("demo", "--lang", "pt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = (tmp_path / "runs" / "digits-tutorial" / "report.html").read_text(encoding="utf-8")
    assert (
        'class="warning grave"' not in report and "põe os números em dúvida" not in report
    )  # the first page that a newcomer sees cries no wolf
    assert "Agora, as suas imagens" in done.stdout and "mirante train fotos" in done.stdout
    assert "Classe prevista" in done.stdout and "1.797 imagens de 10 classes" in done.stderr


LINUX = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full, a file on a full disk")


def straight(*words: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "mirante", *map(str, words)], stderr=subprocess.PIPE, check=False, **options
    )


@LINUX
def test_output_that_cannot_be_written_is_said(shapes_run: tuple[Path, Path]) -> None:
    run, data = shapes_run
    with Path("/dev/full").open("wb") as full:
        done = straight("predict", run, data / "bar", stdout=full)
    assert (done.returncode, done.stderr) == (
        1,
        b"mirante: standard output could not be written: the disk is full; free some space.\n",
    )
    closed = straight("predict", run, data / "bar" / "000.png", preexec_fn=lambda: os.close(1))
    assert (closed.returncode, closed.stderr) == (
        1,
        b"mirante: standard output is closed, so nothing could be printed.\n",
    )


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ascii"])
def test_a_terminal_of_another_encoding_ends_nothing(shapes_run: tuple[Path, Path], encoding: str) -> None:
    """The table of a training holds an en dash, and a table is drawn with lines."""
    done = straight("evaluate", shapes_run[0], stdout=subprocess.PIPE, env={**os.environ, "PYTHONIOENCODING": encoding})
    assert done.returncode == 0, done.stderr
    told = done.stdout.decode(encoding)
    assert "Accuracy" in told and " - " in told.replace("–", "-") and "?" not in told


def test_control_characters_in_a_name_do_not_reach_the_terminal(
    shapes_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    name = "red\x1b[31m\a.png"
    shutil.copy(shapes_run[1] / "bar" / "000.png", tmp_path / name)
    (tmp_path / ("no" + name)).write_bytes(b"nonsense")
    for asked in ([tmp_path], [tmp_path / name, tmp_path / ("no" + name)]):
        done = mirante("predict", shapes_run[0], *asked)
        assert "\x1b" not in done.stdout + done.stderr and "red\\x1b[31m\\x07.png" in done.stdout
        assert "nored\\x1b[31m\\x07.png: left out" in done.stderr
    gone = mirante("predict", shapes_run[0], tmp_path / "\x1b[2J")
    assert gone.returncode == 2 and "\x1b" not in gone.stderr


@pytest.mark.skipif(
    sys.platform == "win32", reason="a home below a device, where no folder can be, is a thing of POSIX"
)
def test_a_user_without_a_home_can_work(shapes_run: tuple[Path, Path], tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in ("MIRANTE_CACHE", "XDG_CACHE_HOME")}
    nobody = {
        "cwd": tmp_path,
        "stdout": subprocess.PIPE,
        "env": {**kept, "HOME": "/dev/null/home", "TMPDIR": str(tmp_path)},
    }
    done = straight("train", shapes_run[1], "--model", "4C3-GAP", "--epochs", "1", "--out", "run", **nobody)
    assert done.returncode == 0 and b"home" not in done.stderr, done.stderr
    assert straight("predict", "run", shapes_run[1] / "bar", **nobody).returncode == 0
    code = "from mirante.places import data_folder; data_folder()"  # what must last is not put where it is lost
    lasting = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, check=False, **nobody)
    assert b"set HOME, or XDG_DATA_HOME" in lasting.stderr
    assert [one.name for one in tmp_path.glob("mirante-*")] == [f"mirante-{os.getuid()}"]


@pytest.mark.skipif(
    shutil.which("setpriv") is None or os.getuid() != 0, reason="it needs root and setpriv to be another user"
)
def test_a_tilde_of_a_user_who_has_no_entry_is_said() -> None:
    words = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", sys.executable, "-m", "mirante", "predict"]
    kept = {name: value for name, value in os.environ.items() if name != "HOME"}
    done = subprocess.run([*words, "~/run", "photo.jpg"], stderr=subprocess.PIPE, env=kept, check=False)
    assert done.returncode == 2 and b"no home folder" in done.stderr
