"""Films: real containers and codecs, every frame where a player shows it, timelines, and training from films."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import Command
from film_files import turn, write_film
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from test_grade_tree import draw_tree
from test_tag import draw_marks

from mirante import DataError, Dataset, ImageError, Run
from mirante.data.films import Sampling, StillOf, duration, frame_name, frames, middle_frame, parted, recorded
from mirante.evaluation.metrics import share_right
from mirante.locale import language
from mirante.model_info import ModelInfo
from mirante.photos.grouping import group_folder
from mirante.photos.library import Library
from mirante.prediction.films import Timelines
from mirante.prediction.model import Model
from mirante.tasks.classify.prediction import Prediction
from mirante.timeline import Track, smoothed, stretches

RED, GREEN, BLUE = (200, 30, 30), (30, 180, 40), (20, 20, 220)
KINDS = {
    "a.mp4": ("libx264", "yuv420p"),
    "b.mov": ("mpeg4", "yuv420p"),
    "c.mkv": ("libx265", "yuv420p10le"),
    "d.avi": ("mjpeg", "yuvj420p"),
    "e.webm": ("libvpx-vp9", "yuv420p"),
    "f.m4v": ("mpeg4", "yuv420p"),
}


def plain(colour: tuple[int, int, int], height: int = 96, width: int = 128) -> NDArray[np.uint8]:
    return np.full((height, width, 3), colour, np.uint8)


def halves() -> NDArray[np.uint8]:
    """Return a picture that is blue above and red below."""
    picture = plain(RED)
    picture[:48] = BLUE
    return picture


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_film_shows_at_each_time_what_a_player_shows(tmp_path: Path, name: str) -> None:
    codec, pixels = KINDS[name]
    path = tmp_path / name
    write_film(path, [(plain(RED), 1.3), (plain(GREEN), 1.5), (halves(), 1.0)], codec=codec, pixels=pixels)
    found = list(frames(path, Sampling(0.5)))
    assert [one.time for one in found] == [0.5 * number for number in range(8)]
    for one in found:
        colour = RED if one.time < 1.3 else GREEN if one.time < 2.8 else BLUE
        assert one.pixels.shape == (96, 128, 3) and np.abs(one.pixels[20, 60].astype(int) - colour).max() < 16, one.time
    assert duration(path) == pytest.approx(3.8, abs=0.2)
    for moment in (0.0, 1.2, 2.0, 3.5):
        expected = RED if moment < 1.3 else GREEN if moment < 2.8 else BLUE
        assert np.abs(StillOf(path, moment)()[20, 60].astype(int) - expected).max() < 16
    scenes = list(frames(path, Sampling(scenes=True)))
    assert [one.begin for one in scenes] == pytest.approx([0, 1.3, 2.8], abs=0.01)
    assert all(one.begin is not None and one.end is not None and one.begin <= one.time < one.end for one in scenes)


def test_a_variable_frame_rate_is_measured_in_seconds_not_frames(tmp_path: Path) -> None:
    path = tmp_path / "vary.mkv"
    write_film(path, [(plain(RED), 3.0), (plain(GREEN), 3.0)], codec="libx264", vary=True)
    found = list(frames(path, Sampling(0.25)))
    assert next(one.time for one in found if one.pixels[50, 50, 0] < 100) == pytest.approx(3.0, abs=0.25)
    assert len({one.time for one in found}) == len(found)


@pytest.mark.parametrize("quarter_turns", range(4))
def test_a_film_of_a_phone_is_turned_upright(tmp_path: Path, quarter_turns: int) -> None:
    path = tmp_path / "phone.mp4"
    write_film(path, [(halves(), 1.0)], codec="libx264")
    turn(path, quarter_turns)
    pixels = next(iter(frames(path))).pixels
    assert pixels.shape[:2] == ((96, 128) if quarter_turns % 2 == 0 else (128, 96))
    expected = np.rot90(halves(), -quarter_turns)
    for corner in ((6, 6), (-6, 6), (6, -6), (-6, -6)):
        assert np.abs(pixels[corner].astype(int) - expected[corner]).max() < 16, corner


def test_an_interlaced_picture_has_no_comb(tmp_path: Path) -> None:
    import av

    path = tmp_path / "old.mkv"
    comb = plain((90, 90, 90), 96, 128)
    comb[1::2] = 200  # the other moment
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25, options={"b": "8000000"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv422p"
        stream.codec_context.flags |= (1 << 18) | (1 << 29)  # coded as two fields
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(comb, format="rgb24").reformat(format="yuv422p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    pixels = next(iter(frames(path))).pixels.astype(int)
    assert np.abs(pixels[30] - pixels[31]).mean() < 12 and abs(pixels.mean() - 90) < 12


def test_what_is_damaged_is_said_and_the_rest_is_answered(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mkv"
    write_film(whole, [(plain(RED), 20.0)], codec="libx264", noise=30)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    found = []
    with pytest.raises(ImageError, match=r"damaged or truncated: its pictures end at \d+\.\d s"):
        for one in frames(cut):
            found.append(one)
    assert 5 < len(found) < 15
    (tmp_path / "headless.mp4").write_bytes(b"\x00\x00\x00\x20ftypisom" + bytes(500))
    (tmp_path / "text.mp4").write_text("not a film")
    for name in ("headless.mp4", "text.mp4"):
        with pytest.raises(ImageError, match="not a film that can be read"):
            list(frames(tmp_path / name))


def test_a_film_with_sound_only_is_said(tmp_path: Path) -> None:
    import av

    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        for number in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, 1024 * number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(ImageError, match="no pictures that move"):
        list(frames(path))


def test_a_long_film_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    path = tmp_path / "long.mkv"
    write_film(path, [(plain(RED, 240, 320), 1800.0)], rate=1, codec="libx264", options={"preset": "ultrafast"})
    code = (
        "import resource, sys; from pathlib import Path; from mirante.data.films import Sampling, frames\n"
        "seen = 0\n"
        "for one in frames(Path(sys.argv[1]), Sampling(1.0)):\n"
        "    seen += 1\n"
        "    if seen == 60: first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(seen, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - first)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    seen, grown = map(int, done.stdout.split())
    assert seen == 1800 and grown < 40_000  # KiB, of more than 400 MB of pictures


@given(st.floats(0, 1e5), st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20))
def test_names_of_frames_are_read_back(moment: float, film: str) -> None:
    back = parted(frame_name(film, moment))
    assert back is not None and back[0] == film and back[1] == pytest.approx(moment, abs=6e-4)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(2, 9)), min_size=1, max_size=8), st.integers(0, 10_000))
def test_stretches_cover_a_film_and_single_odd_frames_do_not_break_them(
    parts: list[tuple[int, int]], seed: int
) -> None:
    chance = np.random.default_rng(seed)
    truth = np.repeat([state for state, _ in parts], [5 * length for _, length in parts])
    shares = np.full((len(truth), 3), 0.05)
    shares[np.arange(len(truth)), truth] = 0.9
    odd = chance.integers(2, len(truth) - 2)
    shares[odd] = np.roll(shares[odd], 1)
    found = stretches(
        "f.mp4", list(map(float, range(len(truth)))), float(len(truth)), [Track(("a", "b", None), shares)], True
    )
    assert found[0].begin == 0 and found[-1].end == len(truth)
    assert all(before.end == after.begin and before.label != after.label for before, after in pairwise(found))
    edges = set(np.flatnonzero(np.diff(truth)) + 1)
    far = min((abs(odd - edge) for edge in edges), default=99)
    if far > 2:
        assert {one.begin for one in found[1:]} == edges
    assert (smoothed(shares, 0.0) == shares.argmax(axis=1)).all()


def test_an_answer_may_change_where_the_picture_does() -> None:
    shares = np.array([[0.8, 0.2], [0.8, 0.2], [0.3, 0.7], [0.8, 0.2], [0.8, 0.2]])
    still, cuts = np.full(5, 2.0), np.array([2.0, 2.0, 0.0, 0.0, 2.0])
    assert smoothed(shares, still).tolist() == [0, 0, 0, 0, 0]
    assert smoothed(shares, cuts).tolist() == [0, 0, 1, 0, 0]
    made = Timelines(ModelInfo("classify", ("a", "b"), 8, 8, 3, "crop", "", (2,)), Sampling())
    for number, row in enumerate(shares):
        picture = np.full((8, 8, 3), 200 if number == 2 else 20, np.uint8)
        made.add(f"film.mp4#t={number}", Prediction(("a", "b"), row.astype(np.float32)), picture)
    assert [(one.label, one.begin) for one in made.of("film.mp4")] == [("a", 0.0), ("b", 2.0), ("a", 3.0)]


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory, mirante: Command) -> tuple[Path, Path]:
    """A run that tells long from round marks, and a film of five stretches made from other pictures of them."""
    folder = tmp_path_factory.mktemp("films")
    draw_tree(folder / "marks", 60)
    data = folder / "two"
    for kind in ("long", "round"):
        (data / kind).mkdir(parents=True)
        for number, file in enumerate(sorted((folder / "marks" / kind).rglob("*.png"))):
            file.rename(data / kind / f"{number:03d}.png")
    done = mirante("train", data, "--model", "W2-16B-24B-GMP", "--epochs", "6", "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    pictures = []
    for number, kind in enumerate(("long", "round", "long", "round", "long")):
        picture = Image.open(data / kind / f"{50 + number:03d}.png").resize((96, 96), Image.Resampling.NEAREST)
        pictures.append((np.asarray(picture), 3.3))
    write_film(folder / "film.mp4", pictures, codec="libx264")
    return folder / "run", folder / "film.mp4"


def test_a_film_has_an_answer_per_frame_and_a_timeline_in_every_form(
    marks: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run, film = marks
    forms = [word for name in ("t.csv", "t.json", "t.vtt", "t.html") for word in ("--timeline", tmp_path / name)]
    done = mirante("predict", run, film, "--interval", "0.5s", "--format", "json", *forms)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [parted(one["path"]) for one in answers] == [(str(film), 0.5 * number) for number in range(33)]
    told = json.loads((tmp_path / "t.json").read_text())
    assert [one["label"] for one in told] == ["long", "round", "long", "round", "long"]
    assert [one["begin"] for one in told] == pytest.approx([0, 3.3, 6.6, 9.9, 13.2], abs=0.5)
    assert told[-1]["end"] == pytest.approx(16.5, abs=0.1) and sum(one["frames"] for one in told) == 33
    moments = [float(one["path"].partition("#t=")[2]) for one in answers]
    part = [
        one["probabilities"]["round"]
        for one, moment in zip(answers, moments, strict=True)
        if told[1]["begin"] <= moment < told[1]["end"]
    ]
    assert told[1]["confidence"] == pytest.approx(np.mean(part), abs=1e-4)
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == [one["label"] for one in told] and float(rows[1]["begin"]) == told[1][
        "begin"
    ]
    subtitles = (tmp_path / "t.vtt").read_text()
    assert subtitles.startswith("WEBVTT\n\n00:00:00.000 --> 00:00:03.500\nlong (")
    page = (tmp_path / "t.html").read_text()
    assert (
        page.count("data:image/jpeg;base64,") == 5
        and "<script" not in page
        and "http" not in page.replace("<!doctype", "")
    )
    table = mirante("predict", run, film, "--lang", "pt").stdout
    assert "00:00:04.000 – 00:00:07.000  round" in table
    scenes = mirante("predict", run, film, "--scenes", "--format", "json").stdout.splitlines()
    assert [json.loads(line)["label"] for line in scenes] == ["long", "round", "long", "round", "long"]


def test_what_cannot_be_done_with_films_is_said_before_the_work(
    marks: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run, film = marks
    (tmp_path / "films").mkdir()
    shutil.copy(film, tmp_path / "films" / "one.mp4")
    for words, told in (
        ([film, tmp_path / "films" / "one.mp4", "--timeline", tmp_path / "x.vtt"], "subtitles are of one film"),
        ([film, "--interval", "1s", "--scenes"], "choose one"),
        ([tmp_path / "films"], "--interval 1s or --scenes"),
    ):
        done = mirante("predict", run, *words)
        assert done.returncode == 2 and told in done.stderr and not done.stdout
    assert not (tmp_path / "x.vtt").exists()


def test_python_tells_the_timeline_too(marks: tuple[Path, Path]) -> None:
    found = Model(marks[0]).timeline(marks[1], interval=0.5)
    assert [one.label for one in found] == ["long", "round", "long", "round", "long"]
    with pytest.raises(ImageError, match="not a film"):
        Model(marks[0]).timeline(marks[0] / "metrics.json")


def test_labels_have_stretches_of_their_own_that_may_overlap(tmp_path: Path, mirante: Command) -> None:
    data = draw_marks(tmp_path / "marks", 300)
    words = [
        "--task",
        "tag",
        "--labels",
        "labels.csv",
        "--model",
        "W2-16B-24B-GMP",
        "--epochs",
        "8",
        "--out",
        tmp_path / "run",
    ]
    assert mirante("train", data, *words).returncode == 0
    rows = list(csv.DictReader((data / "labels.csv").read_text().splitlines()))
    both = next(row for row in rows if row["labels"] == "bar|disc")
    one = next(row for row in rows if row["labels"] == "bar")
    pictures = [
        np.asarray(Image.open(data / row["path"]).resize((96, 96), Image.Resampling.NEAREST))
        for row in (one, both, one)
    ]
    write_film(tmp_path / "film.mp4", [(picture, 4.0) for picture in pictures], codec="libx264")
    found = Model(tmp_path / "run").timeline(tmp_path / "film.mp4", interval=0.5)
    told = {(label.label, round(label.begin), round(label.end)) for label in found}
    assert {("bar", 0, 12), ("disc", 4, 8)} <= told


def test_what_cannot_be_a_timeline_is_refused(marks: tuple[Path, Path], tmp_path: Path, mirante: Command) -> None:
    run, film = marks
    Image.new("RGB", (24, 24)).save(tmp_path / "photo.png")
    for words, told in (
        ([film, "--timeline", "t.docx"], "must end in"),
        ([film, "--timeline", tmp_path / "nowhere/t.csv"], "no such folder"),
        ([tmp_path / "photo.png", "--timeline", tmp_path / "t.csv"], "is no film"),
        ([film, "--interval", "often"], "is not a time between frames"),
        ([film, "--interval", "0"], "is not a time between frames"),
    ):
        done = mirante("predict", run, *words)
        assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_films_beside_photos_are_left_alone_unless_asked_for(
    marks: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run, film = marks
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (24, 24)).save(tmp_path / "photos/1.png")
    (tmp_path / "photos/1.mov").write_bytes(film.read_bytes())  # a live photo
    plain_answers = mirante("predict", run, tmp_path / "photos", "--format", "json").stdout.splitlines()
    asked = mirante("predict", run, tmp_path / "photos", "--interval", "2s", "--format", "json").stdout.splitlines()
    assert len(plain_answers) == 1 and len(asked) == 1 + 9
    frames_of_gif = [Image.new("RGB", (24, 24), colour) for colour in (RED, GREEN, BLUE)]
    frames_of_gif[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames_of_gif[1:], duration=500)
    assert len(mirante("predict", run, tmp_path / "moving.gif", "--format", "json").stdout.splitlines()) == 1
    moving = mirante("predict", run, tmp_path / "moving.gif", "--interval", "0.5s", "--format", "json")
    assert len(moving.stdout.splitlines()) == 3, moving.stderr


def test_a_truncated_film_is_answered_as_far_as_it_goes(
    marks: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    whole = tmp_path / "whole.mkv"
    write_film(whole, [(plain(RED), 20.0)], codec="libx264", noise=30)
    (tmp_path / "cut.mkv").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    done = mirante("predict", marks[0], tmp_path / "cut.mkv", "--format", "csv")
    assert done.returncode == 0 and len(done.stdout.splitlines()) > 5
    assert "damaged or truncated" in done.stderr and "Traceback" not in done.stderr


def test_a_last_picture_that_stands_still_and_longer_sound_do_not_make_a_film_truncated(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (24, 24), colour) for colour in (RED, GREEN, BLUE)]
    pictures[0].save(tmp_path / "slow.gif", save_all=True, append_images=pictures[1:], duration=[500, 500, 6000])
    found = list(frames(tmp_path / "slow.gif", Sampling(1.0)))
    assert [one.time for one in found] == [0, 1]
    import av

    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        video, audio = container.add_stream("libx264", rate=10), container.add_stream("aac", rate=44100)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(plain(RED, 64, 64), format="rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for number in range(430):  # ten seconds
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 44100, 1024 * number
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
    assert len(list(frames(path, Sampling(1.0)))) == 2


@pytest.mark.parametrize("ending", [".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v"])
def test_films_of_every_kind_in_a_folder_are_companions_of_photos_or_a_data_set(tmp_path: Path, ending: str) -> None:
    codec = {".avi": "mjpeg", ".webm": "libvpx-vp9"}.get(ending, "libx264")
    for name, colour in (("red", RED), ("green", GREEN)):
        (tmp_path / name).mkdir()
        for number in range(4):
            shade = np.clip(np.array(colour) + 12 * number, 0, 255)
            pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            write_film(
                tmp_path / name / f"{number}{ending}", [(plain(tuple(shade.tolist())), 1.0)], codec=codec, pixels=pixels
            )
    assert len(Dataset.open(tmp_path)) == 8
    Image.new("RGB", (32, 32)).save(tmp_path / "red" / "photo.png")
    asked = Dataset.open(tmp_path, interval=1.0, lenient=True)
    assert len(asked) == 9 and not asked.skipped


def test_an_image_table_may_have_a_column_called_start(tmp_path: Path) -> None:
    rows = ["path,start,label"]
    for number in range(12):
        Image.new("RGB", (16, 16), (20 * number, 0, 0)).save(tmp_path / f"{number}.png")
        rows.append(f"{number}.png,2024-05-{number + 1:02d},{'a' if number % 2 else 'b'}")
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    assert len(Dataset.open(tmp_path / "table.csv")) == 12


def test_with_several_labels_parts_of_a_film_may_overlap(tmp_path: Path) -> None:
    data = write_class_films(tmp_path / "films", 3)
    (data / "parts.csv").write_text("path,begin,end,labels\nred/0.mp4,0,3.5,a\nred/0.mp4,2,,b\ngreen/1.mp4,,,c\n")
    dataset = Dataset.open(data / "parts.csv", task="tag", lenient=True)
    told = dict(zip(dataset.paths, dataset.asks.label_names(dataset.targets, dataset.classes), strict=True))
    assert told["red/0.mp4#t=0"] == "a" and told["red/0.mp4#t=2"] == "a|b" and told["red/0.mp4#t=4"] == "b"


def test_a_killed_process_leaves_no_half_timeline(marks: tuple[Path, Path], tmp_path: Path) -> None:
    run, film = marks
    command = [
        sys.executable,
        "-m",
        "mirante",
        "predict",
        str(run),
        str(film),
        "--interval",
        "0.02s",
        "--timeline",
        "t.csv",
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.1)
    assert list(tmp_path.iterdir()) == []


def write_class_films(folder: Path, each: int = 8) -> Path:
    """Write films of red and of green noise into class folders; in each, three pictures that stand still for a while."""
    chance = np.random.default_rng(0)
    for name, colour in (("red", RED), ("green", GREEN)):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pictures = [
                np.clip(np.array(colour) + chance.integers(-60, 60, (32, 32, 3)), 0, 255).astype(np.uint8)
                for _ in range(3)
            ]
            write_film(folder / name / f"{number}.mp4", [(one, 2.0) for one in pictures], codec="libx264", noise=0)
    return folder


def test_a_model_learns_from_films_and_no_film_is_on_both_sides(tmp_path: Path, mirante: Command) -> None:
    data = write_class_films(tmp_path / "films")
    done = mirante(
        "train",
        data,
        "--model",
        "8C3-MP2-16N",
        "--epochs",
        "3",
        "--folds",
        "3",
        "--out",
        tmp_path / "run",
        "--lang",
        "en",
    )
    assert done.returncode == 0, done.stderr
    run = Run(tmp_path / "run")
    dataset = run.dataset()
    assert dataset.groups is not None and set(dataset.groups) == {
        f"{kind}/{one}.mp4" for kind in ("red", "green") for one in range(8)
    }
    assert len(dataset) == 3 * 16  # frames that stand still count once
    fold_of: dict[str, set[str]] = {}
    for group, split in zip(dataset.groups, dataset.splits.tolist(), strict=True):
        fold_of.setdefault(group, set()).add(split)
    assert all(len(splits) == 1 for splits in fold_of.values())
    report = (run.path / "report.html").read_text(encoding="utf-8")
    assert "They are frames of 16 films, none of which is also in the training images." in report


def test_a_table_labels_parts_of_films(tmp_path: Path) -> None:
    data = write_class_films(tmp_path / "films", 6)
    rows = ["path,begin,end,label", "red/0.mp4,0,3.5,a", "red/0.mp4,0:04,,b"]
    rows += [
        f"{kind}/{number}.mp4,,,{label}" for kind, label in (("red", "a"), ("green", "b")) for number in range(1, 6)
    ]
    (data / "parts.csv").write_text("\n".join(rows) + "\n")
    direct = Dataset.open(data / "parts.csv")
    beside = Dataset.open(data, labels="parts.csv")
    for dataset in (direct, beside):
        told = {
            path: dataset.classes[target]
            for path, target in zip(dataset.paths, dataset.targets.tolist(), strict=True)
            if path.startswith("red/0")
        }
        assert told == {"red/0.mp4#t=0": "a", "red/0.mp4#t=2": "a", "red/0.mp4#t=4": "b"}
        assert dataset.groups is not None and {one for one in dataset.groups if one.startswith("red/0")} == {
            "red/0.mp4"
        }
    assert direct[0][0].shape == (32, 32, 3)
    for row, told_of in (
        ("red/0.mp4,3,2,a", "the end must be later"),
        ("red/0.mp4,soon,2,a", "no moment of a film"),
        ("red/0.mp4,0.1,0.2,c", "no frame of red/0.mp4 lies in this part"),
        ("red/0.mp4,0,2,b", "a moment has one label"),
    ):
        (data / "wrong.csv").write_text("\n".join([*rows, row]) + "\n")
        with pytest.raises(DataError, match=told_of):
            Dataset.open(data / "wrong.csv")


def test_a_picture_that_stands_still_counts_as_long_as_it_is_seen() -> None:
    shares = np.array([[0.9, 0.1], [0.1, 0.9], [0.9, 0.1]])
    begins = [0.0, 10.0, 70.0]
    told = stretches("f.mp4", begins, 80.0, [Track(("a", "b"), shares)], True, weights=np.array([10.0, 10.0, 10.0]))
    assert [(one.label, one.begin, one.end) for one in told] == [("a", 0, 10), ("b", 10, 70), ("a", 70, 80)]
    assert len(stretches("f.mp4", begins, 80.0, [Track(("a", "b"), shares)], True)) == 1


def test_a_changed_film_of_a_table_is_read_again(tmp_path: Path) -> None:
    data = write_class_films(tmp_path / "films", 4)
    rows = [f"{kind}/{number}.mp4,{kind}" for kind in ("red", "green") for number in range(4)]
    (data / "table.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    before = Dataset.open(data / "table.csv")
    chance = np.random.default_rng(9)
    pictures = [chance.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(3)]
    write_film(data / "red" / "0.mp4", [(one, 2.0) for one in pictures], codec="libx264", noise=0)
    after = Dataset.open(data / "table.csv")
    assert (
        before.paths == after.paths
        and before.digests[:3] != after.digests[:3]
        and before.digests[3:] == after.digests[3:]
    )


def test_one_film_to_test_on_has_an_interval_as_wide_as_one_is() -> None:
    right = np.array([True, True, False, True])
    found = share_right(right, ["a.mp4"] * 4)
    assert found["value"] == 0.75 and found["low"] < 0.25 and found["high"] > 0.9


def test_photos_keep_their_split_when_a_film_comes_beside_them(tmp_path: Path) -> None:
    for number in range(60):
        kind = "a" if number % 2 else "b"
        (tmp_path / kind).mkdir(exist_ok=True)
        Image.new("RGB", (16, 16), (4 * number, 100 if number % 2 else 0, 0)).save(tmp_path / kind / f"{number}.png")
    before = Dataset.open(tmp_path)
    write_film(tmp_path / "a" / "film.mp4", [(plain(RED), 3.0)], codec="libx264", noise=30)
    after = Dataset.open(tmp_path, interval=1.0)
    splits = dict(zip(after.paths, after.splits.tolist(), strict=True))
    assert {path: splits[path] for path in before.paths} == dict(zip(before.paths, before.splits.tolist(), strict=True))


def test_films_are_sorted_with_the_photos_by_what_they_show_longest(
    marks: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run, film = marks
    photos = tmp_path / "photos"
    photos.mkdir()
    frames_of = list(frames(film, Sampling(3.3)))
    long, round_ = frames_of[0].pixels, frames_of[1].pixels
    write_film(photos / "mostly-round.mp4", [(long, 2.0), (round_, 12.0)], codec="libx264")
    write_film(photos / "long.mov", [(long, 6.0)])
    write_film(photos / "half.mkv", [(long, 6.0), (round_, 6.0)], codec="libx264")
    (photos / "mostly-round.mp4.json").write_text("{}")
    (photos / "broken.avi").write_bytes(b"RIFF" + bytes(300))
    Image.fromarray(round_).save(photos / "live.jpg")
    write_film(photos / "live.mov", [(long, 2.0)])  # of a live photo: it goes where the photo goes
    before = {path.name: path.read_bytes() for path in photos.iterdir()}
    words = ["photos", "organise", run, photos, "--into", tmp_path / "sorted", "--move", "--interval", "0.5s"]
    done = mirante(*words)
    assert done.returncode == 0, done.stderr
    found = {path.name: path.parent.name for path in (tmp_path / "sorted").rglob("*.*") if ".mirante" not in path.parts}
    assert found == {
        "mostly-round.mp4": "round",
        "mostly-round.mp4.json": "round",
        "long.mov": "long",
        "half.mkv": "review",
        "live.jpg": "round",
        "live.mov": "round",
    }
    assert "broken.avi: not a film that can be read" in done.stderr
    assert [path.name for path in photos.iterdir() if path.is_file()] == ["broken.avi"]
    assert mirante("photos", "undo", tmp_path / "sorted").returncode == 0
    assert {path.name: path.read_bytes() for path in photos.iterdir() if path.is_file()} == before


def test_films_are_grouped_by_their_middle_frame_and_tell_when_they_were_made(tmp_path: Path) -> None:
    import av

    write_film(tmp_path / "plain.mp4", [(np.full((48, 48, 3), 200, np.uint8), 1.0)])
    with (
        av.open(str(tmp_path / "plain.mp4")) as source,
        av.open(str(tmp_path / "dated.mov"), "w", options={"movflags": "use_metadata_tags"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        target.metadata.update({"creation_time": "2021-05-04T03:02:01.000000Z", "com.apple.quicktime.model": "Phone 9"})
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    taken, camera = recorded(tmp_path / "dated.mov")
    assert taken is not None and taken.isoformat() == "2021-05-04T03:02:01" and camera == "Phone 9"
    assert recorded(tmp_path / "plain.mp4")[0] is None
    write_film(
        tmp_path / "two.mp4", [(np.full((48, 48, 3), 20, np.uint8), 1.0), (np.full((48, 48, 3), 220, np.uint8), 3.0)]
    )
    assert middle_frame(tmp_path / "two.mp4").mean() > 180
    Image.new("RGB", (48, 48), (220, 220, 220)).save(tmp_path / "photo.png")
    library = Library(tmp_path)
    known, skipped = library.look()
    assert [one.path for one in known] == ["dated.mov", "photo.png", "plain.mp4", "two.mp4"] and not skipped
    assert known[0].taken is not None and library.look()[0] == known
    found, _ = group_folder(library, language("en"))
    assert {photo.path for one in found for photo in one.photos} == {one.path for one in known}
