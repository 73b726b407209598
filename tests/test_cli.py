"""On the command line a wrong request is one sentence and exit status 2, and help costs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
        (["data", "info", "nowhere"], "nowhere: no such file or folder"),
        (["data", "get", "imagenet"], "'imagenet' is not a data set that can be downloaded"),
        (["dance"], "invalid choice: 'dance'"),
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
    assert (tmp_path / "runs" / "digits-tutorial" / "report.html").exists()
    assert "Agora, as suas imagens" in done.stdout and "mirante train fotos" in done.stdout
    assert "Classe prevista" in done.stdout and "1,797 images of 10 classes" in done.stderr
