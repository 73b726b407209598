"""What breaks under a program: damaged files, kills, full disks, deleted caches, jumping clocks, few files and little memory.

make faults runs all of it, for an hour or two, and writes the figures into docs/reliability.md; test_faults.py runs a sample.
Everything is real: the processes, the file systems, the signals. Linux only.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import logging
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent
SECONDS, MEMORY = 2.0, 1 << 30
"""What one damaged file may take."""


@dataclass
class Outcome:
    """What came of one kind of fault: how often it was tried, what is to be said, and what went wrong."""

    title: str
    tried: int = 0
    told: str = ""
    wrong: list[str] = field(default_factory=list)


# --- damaged files


def samples() -> dict[str, bytes]:
    """Return a sound file of every format, some of them in several kinds."""
    from test_dicom import RAMP, make
    from test_formats import heic, raw_photo
    from test_rendering import animated, png, tiff

    y, x = np.mgrid[:48, :64]
    colours = np.stack([x * 4, y * 5, (x + y) * 2], axis=2).astype(np.uint8)
    image = Image.fromarray(colours)
    found: dict[str, bytes] = {}
    kinds: dict[str, tuple[str, dict[str, object]]] = {
        "JPEG": ("JPEG", {}), "JPEG progressive": ("JPEG", {"progressive": True}), "JPEG CMYK": ("JPEG", {}), "PNG": ("PNG", {}),
        "WebP": ("WEBP", {}), "TIFF LZW": ("TIFF", {"compression": "tiff_lzw"}), "TIFF": ("TIFF", {}), "GIF": ("GIF", {}),
        "BMP": ("BMP", {}), "AVIF": ("AVIF", {}), "JPEG 2000": ("JPEG2000", {}), "PPM": ("PPM", {}), "MPO": ("MPO", {}),
        "TGA": ("TGA", {"compression": "tga_rle"}), "ICO": ("ICO", {"sizes": [(48, 48)]}),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, (form, options) in kinds.items():
        buffer = io.BytesIO()
        given = image.convert("CMYK") if "CMYK" in name else image
        given.save(buffer, form, **({"exif": exif} if form in ("JPEG", "PNG", "TIFF", "WEBP") else {}), **options)
        found[name] = buffer.getvalue()
    found["PNG of 16 bits"] = png(colours.astype(np.uint16) * 257)
    found["TIFF of 16 bits"] = tiff(colours.astype(np.uint16) * 257, pages=2)
    found["TIFF of floats"] = tiff(colours[:, :, 0].astype(np.float32) / 255, kind=3)
    found["GIF of frames"] = animated()
    found["DICOM"] = make(RAMP)
    found["RAW"] = raw_photo(image)
    with tempfile.TemporaryDirectory() as folder:
        found["HEIC"] = heic(image, Path(folder))
    return found


def damaged(content: bytes, lot: random.Random) -> bytes:
    """Return the content cut short, with bytes or numbers changed, a piece doubled, moved or taken out, or several of these."""
    made = bytearray(content)
    for _ in range(lot.choice((1, 1, 2, 5))):
        place, kind = lot.randrange(len(made) or 1), lot.randrange(8)
        near = min(place, lot.randrange(512))  # headers are where it matters
        if kind == 0:
            del made[place:]
        elif kind == 1:
            for _ in range(lot.choice((1, 3, 20))):
                made[lot.randrange(len(made))] = lot.randrange(256)
        elif kind == 2 and len(made) > near + 4:
            made[near : near + 4] = lot.choice(
                (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\xff\xff", lot.randbytes(4))
            )
        elif kind == 3:
            made[place:place] = made[near : near + lot.randrange(200)]
        elif kind == 4:
            del made[near : near + lot.randrange(1, 50)]
        elif kind == 5:
            made[near] ^= 1 << lot.randrange(8)
        elif kind == 6:
            made += lot.randbytes(lot.randrange(300))
        else:
            made[place : place + 8] = b"\0" * 8
        if not made:
            break
    return bytes(made)


def files(count: int, seed: int = 0) -> Outcome:
    """Read damaged files of every format: none ends the process, hangs, or takes more than it may."""
    outcome = Outcome("Damaged files of every format, read as a prediction reads them")
    known = samples()
    each = -(-count // len(known))
    slowest, largest, read = 0.0, 0, 0
    answers: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for name, content in known.items():
            start = 0
            (Path(folder) / "sound").write_bytes(content)
            while start < each:
                words = [sys.executable, __file__, "--read", f"{folder}/sound", str(seed), str(start), str(each)]
                done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
                lines = [line.split("\t") for line in done.stdout.splitlines() if line.count("\t") == 4]
                for number, kind, seconds, kilobytes, reason in lines:
                    read += 1
                    answers[kind] += 1
                    slowest, largest = max(slowest, float(seconds)), max(largest, int(kilobytes))
                    if kind == "raised" or float(seconds) > SECONDS or int(kilobytes) << 10 > MEMORY:
                        outcome.wrong.append(
                            f"{name} {seed}/{number}: {kind}, {seconds} s, {int(kilobytes) >> 10} MiB, {reason}"
                        )
                if noise := done.stderr.strip():
                    outcome.wrong.append(f"{name} {seed}: wrote to the terminal: {noise.splitlines()[-1][:100]}")
                start = int(lines[-1][0]) + 1 if lines else start + 1
                if done.returncode != 0:
                    outcome.wrong.append(f"{name} {seed}/{start}: the process ended with {done.returncode}")
                    start += 1
    outcome.tried = read
    outcome.told = (
        f"{answers['pixels']:,} gave pixels, {answers['refused']:,} a reason; the slowest took {slowest:.2f} s, the largest "
        f"{largest >> 10} MiB more than before"
    )
    return outcome


def read_damaged(sound: str, seed: int, start: int, end: int) -> None:
    """Read the damaged files from start to end, and print what came of each; a hang ends the process."""
    from mirante.errors import ImageError
    from mirante.images import read_header, read_image

    logging.getLogger("mirante").addHandler(logging.NullHandler())  # a warning about a window is Mirante's own
    content = Path(sound).read_bytes()
    read_image(content, (64, 64))  # what is loaded once is not counted
    for number in range(start, end):
        data = damaged(content, random.Random(f"{seed} {number}"))
        before, began = peak(), time.monotonic()
        signal.alarm(30)
        kind, reason = "pixels", ""
        try:
            header = read_header(data)
            pixels = read_image(data)
            if (header.height, header.width) != pixels.shape[:2]:
                reason = f"the header says {header.height}×{header.width}, the pixels {pixels.shape[:2]}"
            del pixels
            read_image(data, (224, 224))
        except ImageError as error:
            kind, reason = "refused", str(error)
        except BaseException as error:
            kind, reason = "raised", f"{type(error).__name__}: {error}".replace("\n", " ").replace("\t", " ")[:120]
        signal.alarm(0)
        print(number, kind, f"{time.monotonic() - began:.3f}", max(0, peak() - before), reason, sep="\t", flush=True)


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


# --- trainings

LAYERS = ("--model", "8C3-MP2-16C3-GAP")
RECIPES: dict[str, tuple[str, ...]] = {
    "fast": ("--recipe", "fast", *LAYERS, "--epochs", "6"),
    "tutorial": ("--recipe", "tutorial", *LAYERS, "--epochs", "6"),
    "best": ("--recipe", "best", *LAYERS, "--epochs", "6"),
    "folds": ("--recipe", "fast", *LAYERS, "--epochs", "2", "--folds", "3"),
    "transfer": ("--recipe", "transfer", "--epochs", "6"),
    "read": ("--task", "read", "--epochs", "3"),
}


def mirante(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    options = {"capture_output": True, "text": True, "errors": "replace", "timeout": 600, "check": False, **options}
    return subprocess.run([sys.executable, "-m", "mirante", *map(str, words)], **options)  # type: ignore[call-overload, no-any-return]


def must_work(outcome: Outcome, words: tuple[object, ...], **options: object) -> None:
    """Run a command, and note it as wrong unless it succeeds."""
    done = mirante(*words, **options)
    outcome.tried += 1
    if done.returncode != 0:
        outcome.wrong.append(f"{' '.join(map(str, words[:2]))}: {done.stderr.strip().splitlines()[-1][:160]}")


def sentence(done: subprocess.CompletedProcess[str], status: tuple[int, ...] = (1, 2)) -> str:
    """Return what is wrong with how a command failed, or nothing: it must say one sentence and have a status of its own."""
    last = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ""
    if "Traceback" in done.stderr or "unexpected error" in done.stderr or not last.startswith("mirante: "):
        return f"status {done.returncode}: {last[:160]}"
    return "" if done.returncode in status else f"status {done.returncode}: {last[:160]}"


def weights(run: Path) -> str:
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()


def cannot_mount() -> bool:
    """Tell whether this process may not mount file systems, even in a namespace of its own."""
    code = "import subprocess, sys; sys.exit(subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).returncode)"
    words = ["unshare", "--mount", sys.executable, "-c", code]
    return subprocess.run(words, capture_output=True, check=False).returncode != 0


def drawings(folder: Path, count: int = 40) -> Path:
    from conftest import write_shapes

    return write_shapes(folder / "shapes", count, ("bar", "disc"))


def kills(moments: int, recipes: tuple[str, ...] = tuple(RECIPES), seed: int = 0) -> Outcome:
    """Kill trainings at moments spread over their time; resumed, each must reach the weights of one that was not killed."""
    outcome = Outcome("kill -9 at moments of a training, then --resume")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for recipe in recipes:
            if recipe == "read":
                from test_read import draw_texts

                draw_texts(folder / "texts", 120)
                data = folder / "texts"
            else:
                data = drawings(folder)
            words = ("train", data, *RECIPES[recipe], "--seed", "3")
            began = time.monotonic()
            whole = mirante(*words, "--out", folder / f"{recipe}-whole")
            seconds = time.monotonic() - began
            if whole.returncode != 0:
                outcome.wrong.append(f"{recipe}: {whole.stderr.strip().splitlines()[-1]}")
                continue
            lot = random.Random(f"{seed} {recipe}")
            for moment in range(moments):
                run = folder / f"{recipe}-{moment}"
                process = subprocess.Popen(
                    [sys.executable, "-m", "mirante", *map(str, words), "--out", str(run)],
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip
                time.sleep(seconds * (moment + lot.random()) / moments)
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                again = mirante("train", "--resume", "--out", run)
                begun = (run / "data.json").exists() and (run / "checkpoint").is_dir()
                if again.returncode != 0 and begun:
                    outcome.wrong.append(f"{recipe} at {moment}, --resume: {again.stderr.strip()[-160:]}")
                if again.returncode != 0:  # killed before there was a run
                    again = mirante(*words, "--out", run, "--overwrite")
                outcome.tried += 1
                if again.returncode != 0:
                    outcome.wrong.append(f"{recipe} at {moment}: {sentence(again) or again.stderr.strip()[-160:]}")
                elif weights(run) != weights(folder / f"{recipe}-whole"):
                    outcome.wrong.append(f"{recipe} at {moment}: other weights")
                shutil.rmtree(run, ignore_errors=True)
    outcome.told = f"{', '.join(recipes)}: the same weights, bit for bit"
    return outcome


_FILLED = """
import os, subprocess, sys, time
size, left, delay, disk, *words = sys.argv[1:]
subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size}k', 'tmpfs', disk], check=True)
command = [sys.executable, '-m', 'mirante', *words]
process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
time.sleep(float(delay))
filler = os.open(f'{disk}/filler', os.O_WRONLY | os.O_CREAT)
for piece in (1 << 20, 4096, 1):
    try:
        while True:
            os.write(filler, bytes(piece))
    except OSError:
        pass
os.ftruncate(filler, max(0, os.fstat(filler).st_size - (int(left) << 10)))
told = process.communicate()[1]
sys.stderr.write(told)
os.close(filler)
os.unlink(f'{disk}/filler')
if process.returncode == 0:
    sys.exit(0)
run = words[words.index('--out') + 1]
again = subprocess.run([sys.executable, '-m', 'mirante', 'train', '--resume', '--out', run], capture_output=True, text=True)
if again.returncode != 0:
    again = subprocess.run([*command, '--overwrite'], capture_output=True, text=True)
import hashlib
if again.returncode == 0:
    print('again', hashlib.sha256(open(f'{run}/model.safetensors', 'rb').read()).hexdigest())
else:
    print('again', again.stderr[-200:])
sys.exit(process.returncode)
"""


def full_disk(times: int, caches: tuple[int, ...] = (16, 64, 200)) -> Outcome:
    """Fill the disk at moments of a training, all of it or but for a few kB; with space again, it must be resumed or begun anew."""
    outcome = Outcome("A small file system that becomes full at moments of a training")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        data, disk = drawings(folder), folder / "disk"
        disk.mkdir()
        words = ["train", str(data), *LAYERS, "--epochs", "6"]
        began = time.monotonic()
        assert mirante(*words, "--out", folder / "whole").returncode == 0
        seconds, full = time.monotonic() - began, 0
        for number in range(times):
            delay, left = seconds * (number + 0.5) / times, (0, 2, 16, 100)[number % 4]
            command = [
                "unshare",
                "--mount",
                sys.executable,
                "-c",
                _FILLED,
                str(80_000),
                str(left),
                f"{delay:.2f}",
                str(disk),
            ]
            done = subprocess.run(
                [*command, *words, "--out", str(disk / "run")], capture_output=True, text=True, check=False
            )
            outcome.tried += 1
            if done.returncode == 0:
                continue
            full += 1
            if wrong := sentence(done):
                outcome.wrong.append(f"{delay:.1f} s, {left} kB left: {wrong}")
            if done.stdout.split() != ["again", weights(folder / "whole")]:
                outcome.wrong.append(f"{delay:.1f} s, {left} kB left, then again: {done.stdout.strip()[:200]}")
        cache = folder / "cache"
        cache.mkdir()
        code = (
            "import subprocess, sys; size, disk, words = sys.argv[1], sys.argv[2], sys.argv[3:]\n"
            "subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size}k', 'tmpfs', disk], check=True)\n"
            "sys.exit(subprocess.run([sys.executable, '-m', 'mirante', *words]).returncode)"
        )
        for size in caches:  # kB of the cache itself
            command = [
                "unshare",
                "--mount",
                sys.executable,
                "-c",
                code,
                str(size),
                str(cache),
                *words,
                "--out",
                f"{folder}/{size}",
            ]
            told = {**os.environ, "MIRANTE_CACHE": str(cache)}
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=told)
            outcome.tried += 1
            if done.returncode != 0 and (wrong := sentence(done)):
                outcome.wrong.append(f"cache of {size} kB: {wrong}")
    outcome.told = f"{full} met the full disk and ended in one sentence; resumed, they reached the same weights"
    return outcome


def cache_gone(times: int, cut_too: bool = True) -> Outcome:
    """Delete or damage the cache while a training runs, and before it starts again."""
    outcome = Outcome("A cache that is deleted, cut short or overwritten under a training")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        data, cache = drawings(folder), folder / "cache"
        environment = {**os.environ, "MIRANTE_CACHE": str(cache)}
        whole = mirante("train", data, *LAYERS, "--epochs", "4", "--out", folder / "whole", env=environment)
        assert whole.returncode == 0, whole.stderr
        lot = random.Random(0)
        for number in range(times):
            run = folder / str(number)
            words = [sys.executable, "-m", "mirante", "train", str(data), *LAYERS, "--epochs", "4", "--out", str(run)]
            process = subprocess.Popen(
                words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
            )
            time.sleep(lot.uniform(0.3, 4))
            kind = number % 3
            for path in sorted(cache.rglob("*")) if cache.exists() else ():
                if path.is_file() and kind == 1:
                    path.unlink()
                elif (
                    path.is_file() and kind == 2 and path.suffix != ".npy"
                ):  # a mapped array cut short ends any process
                    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            if kind == 0:
                shutil.rmtree(cache, ignore_errors=True)
            told = process.communicate(timeout=300)[1]
            outcome.tried += 1
            if process.returncode != 0 and ("Traceback" in told or "unexpected" in told):
                outcome.wrong.append(f"{number}: {told.strip().splitlines()[-1][:160]}")
            elif process.returncode == 0 and weights(run) != weights(folder / "whole"):
                outcome.wrong.append(f"{number}: other weights")
            again = mirante("train", data, *LAYERS, "--epochs", "4", "--out", folder / f"{number}b", env=environment)
            if again.returncode != 0 or weights(folder / f"{number}b") != weights(folder / "whole"):
                outcome.wrong.append(f"{number}, again: {again.stderr.strip().splitlines()[-1][:160]}")
            for path in sorted(cache.rglob("*.npy")) if cut_too else ():  # and a stored array that was cut short before
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            if not cut_too:
                continue
            cut = mirante("train", data, *LAYERS, "--epochs", "4", "--out", folder / f"{number}c", env=environment)
            if cut.returncode != 0 or weights(folder / f"{number}c") != weights(folder / "whole"):
                outcome.wrong.append(f"{number}, cut: {cut.stderr.strip().splitlines()[-1][:160]}")
    outcome.told = "each training ended with the same weights or in a sentence, and the next one made the cache again"
    return outcome


def read_only(verbs: int = 8) -> Outcome:
    """Use a finished run from where nothing can be written."""
    outcome = Outcome("A run folder that cannot be written")
    code = (
        "import subprocess, sys; run, words = sys.argv[1], sys.argv[2:]\n"
        "subprocess.run(['mount', '--bind', run, run], check=True)\n"
        "subprocess.run(['mount', '-o', 'remount,ro,bind', run], check=True)\n"
        "sys.exit(subprocess.run([sys.executable, '-m', 'mirante', *words]).returncode)"
    )
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        data, run = drawings(folder), folder / "run"
        assert mirante("train", data, *LAYERS, "--epochs", "1", "--out", run).returncode == 0
        for words, good in (
            (["predict", run, data / "bar"], True), (["summary", run], True), (["evaluate", run], False),
            (["evaluate", run, data], False), (["train", data, "--out", run, "--overwrite"], False),
            (["train", "--resume", "--out", run], True), (["export", run], False), (["export", run, "--out", folder / "out"], True),
        )[:verbs]:  # fmt: skip
            command = ["unshare", "--mount", sys.executable, "-c", code, str(run), *map(str, words)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            outcome.tried += 1
            if good and done.returncode != 0:
                outcome.wrong.append(f"{words[0]}: {done.stderr.strip()[-160:]}")
            elif not good and (done.returncode == 0 or (wrong := sentence(done))):
                outcome.wrong.append(f"{words[0]}: {'no error' if done.returncode == 0 else wrong}")
    outcome.told = "what only reads works, what must write says so"
    return outcome


def clocks(times: int, verbs: int = 3) -> Outcome:
    """Train, predict and look while the wall clock jumps by up to a day at every look."""
    outcome = Outcome("A wall clock that jumps by up to a day, back and forth, at every look")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        shim = folder / "clock.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, Path(__file__).parent / "clock.c", "-ldl"], check=True)
        data = drawings(folder)
        environment = {**os.environ, "LD_PRELOAD": str(shim), "MIRANTE_CACHE": str(folder / "cache")}
        whole = mirante("train", data, *LAYERS, "--epochs", "3", "--out", folder / "whole")
        assert whole.returncode == 0
        for number in range(times):
            run = folder / str(number)
            done = mirante("train", data, *LAYERS, "--epochs", "3", "--out", run, env=environment)
            outcome.tried += 1
            if done.returncode != 0 or weights(run) != weights(folder / "whole"):
                outcome.wrong.append(f"train: {done.stderr.strip().splitlines()[-1][:160]}")
            for words in (
                ("predict", run, data),
                ("evaluate", run),
                ("train", data, *LAYERS, "--time", "2s", "--out", f"{run}t"),
            )[:verbs]:
                must_work(outcome, words, env=environment)
    outcome.told = "the same weights; times shown to people are those of the clock that only goes on"
    return outcome


def many_names(count: int) -> Outcome:
    """Look at a folder of very many names."""
    outcome = Outcome("Very many file names in one folder")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "many"
        image = Image.new("RGB", (8, 8), (200, 30, 30))
        for kind in ("a", "b"):
            (folder / kind).mkdir(parents=True)
            for number in range(count // 2):
                path = folder / kind / f"{number:07d}.png"
                if number % 30_000 < 6:  # a file may have only so many names
                    first = path
                    image.putpixel((0, 0), (number // 30_000, ord(kind), number % 30_000))
                    image.save(path)
                else:
                    os.link(first, path)
        script = f"import sys, resource; sys.argv = ['mirante', 'data', 'info', {str(folder)!r}]\nfrom mirante.cli import main\n"
        script += "try:\n    main()\nfinally:\n    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10, file=sys.stderr)"
        began = time.monotonic()
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        seconds = time.monotonic() - began
        outcome.tried = count
        if done.returncode != 0 or f"{count:,}" not in done.stdout:
            outcome.wrong.append(done.stderr.strip()[-200:])
        outcome.told = f"mirante data info took {seconds:.0f} s and {done.stderr.strip().splitlines()[-1]} MiB"
    return outcome


def few_files(limit: int = 64, verbs: int = 5) -> Outcome:
    """Train, predict and so on, up to so many verbs, with few files that may be open."""
    outcome = Outcome(f"ulimit -n {limit}")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        data, run = drawings(folder, 100), folder / "run"

        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

        for words in (
            ("train", data, *LAYERS, "--epochs", "2", "--out", run), ("predict", run, data), ("evaluate", run),
            ("data", "check", data, "--no-model", "--out", folder / "check"),
            ("photos", "organise", run, data, "--into", folder / "sorted"),
        )[:verbs]:  # fmt: skip
            must_work(outcome, words, preexec_fn=limited)
    outcome.told = "train, predict, evaluate, the data check and organise do their work"
    return outcome


def little_memory(limits: tuple[int, ...]) -> Outcome:
    """Train and predict with little memory (MiB of address space): done, or a sentence."""
    outcome = Outcome("Little memory (ulimit -v)")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        data, run = drawings(folder), folder / "run"
        assert mirante("train", data, *LAYERS, "--epochs", "1", "--out", run).returncode == 0
        finished = 0
        for limit in limits:

            def limited(bytes_: int = limit << 20) -> None:
                resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_))

            for words in (
                ("train", data, "--model", "64C3-64C3-GAP", "--size", "256", "--epochs", "1", "--out", folder / f"{limit}"),
                ("predict", run, data),
            ):  # fmt: skip
                done = mirante(*words, preexec_fn=limited, env={**os.environ, "OMP_NUM_THREADS": "2"})
                outcome.tried += 1
                finished += done.returncode == 0
                if done.returncode != 0 and (wrong := sentence(done)):
                    outcome.wrong.append(f"{words[0]}, {limit} MiB: {wrong}")
    outcome.told = f"{finished} finished, the others ended in a sentence"
    return outcome


# --- the campaign


def whole() -> Iterator[Outcome]:
    yield files(24_000)
    yield kills(50)
    yield full_disk(48)
    yield cache_gone(12)
    yield read_only()
    yield clocks(5)
    yield many_names(1_000_000)
    yield few_files()
    yield little_memory((1000, 1500, 2000, 2500, 3000, 3500, 4000, 5000, 6000))


def main() -> None:
    if sys.argv[1:2] == ["--read"]:
        sound, seed, start, end = sys.argv[2:]
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        read_damaged(sound, int(seed), int(start), int(end))
        return
    asked = [word for word in sys.argv[1:] if word != "--write"]
    rows, wrong = [], []
    for outcome in (one for one in whole()) if not asked else (eval(one) for one in asked):  # such as "kills(5)"
        print(f"{outcome.title}: {outcome.tried:,} tried, {len(outcome.wrong)} wrong. {outcome.told}.", flush=True)
        for line in outcome.wrong:
            print(f"  {line}", flush=True)
        rows.append(f"| {outcome.title} | {outcome.tried:,} | {len(outcome.wrong)} | {outcome.told} |")
        wrong += outcome.wrong
    if not asked or "--write" in sys.argv:
        page = ROOT / "docs" / "reliability.md"
        head = f"{datetime.date.today().isoformat()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}"
        table = "\n".join([head, "", "| fault | tried | wrong | what came of it |", "|---|--:|--:|---|", *rows])
        text = page.read_text(encoding="utf-8")
        begin, end = "<!-- figures -->", "<!-- end of figures -->"
        page.write_text(
            re.sub(f"{begin}.*{end}", lambda _: f"{begin}\n{table}\n{end}", text, flags=re.DOTALL), encoding="utf-8"
        )
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
