"""Augmentation: each word does what it says, the same in every process and on every device; the images decide what is asked."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Command, write_shapes
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from mirante import RequestError, see
from mirante.experiment.defaults import suited
from mirante.training.augment import VOCABULARY, Augmentation, read_augment
from mirante.training.recipe import Recipe
from mirante.training.symmetry import agreement, suited_to


def changed(
    pixels: NDArray[np.uint8], *words: str, seed: int = 0, step: int = 0, mirrored: bool = False
) -> NDArray[np.uint8]:
    """Return all the images (N, H, W, C) as the words change them."""
    rows = np.arange(len(pixels))
    change = Augmentation(read_augment(words), len(rows), np.full(len(rows), mirrored), seed, step)
    found: NDArray[np.uint8] = change.batch(pixels, rows, rows, "cpu").numpy()
    return found


def photo(count: int = 8, side: int = 33, channels: int = 3) -> NDArray[np.uint8]:
    """Return smooth images, each unlike its mirror image."""
    y, x = np.mgrid[0:side, 0:side] / side
    one = np.stack([200 * x + 20, 120 * y + 60, 90 + 80 * np.sin(7 * x + 3 * y)], -1)[..., :channels]
    return np.broadcast_to(one.round().astype(np.uint8), (count, side, side, channels)).copy()


@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from([1, 3]),
    st.integers(0, 4),
    st.booleans(),
    st.integers(0, 99),
)
@settings(deadline=None)
def test_a_batch_holds_each_image_moved_and_mirrored_with_reflected_borders(
    height: int, width: int, channels: int, shift: int, held: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (9, height, width, channels), np.uint8)
    rows, mirrored = random.integers(0, 9, 5), random.random(5) < 0.5
    change = Augmentation(read_augment((f"shift {shift}",)), 5, mirrored, seed, 0)
    batch = change.batch(torch.from_numpy(pixels) if held else pixels, rows, np.arange(5), "cpu").numpy()
    assert batch.dtype == np.uint8 and batch.shape == (5, height, width, channels)
    reach = min(shift, height - 1, width - 1)
    padded = np.pad(pixels, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="reflect")
    for image, row, mirror in zip(batch, rows, mirrored, strict=True):
        image = image[:, ::-1] if mirror else image
        windows = (
            padded[row, y : y + height, x : x + width] for y in range(2 * reach + 1) for x in range(2 * reach + 1)
        )
        assert any(np.array_equal(image, window) for window in windows)


def test_every_shift_is_drawn() -> None:
    pixels = np.broadcast_to(np.arange(25, dtype=np.uint8).reshape(1, 5, 5, 1), (500, 5, 5, 1))
    assert len({image[2, 2, 0] for image in changed(pixels, "shift 1")}) == 9


@given(
    st.lists(st.sampled_from(sorted(VOCABULARY)), min_size=1, max_size=5, unique=True),
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from([1, 3]),
    st.integers(0, 99),
)
@settings(deadline=None, max_examples=60)
def test_any_words_at_any_size_give_the_same_batch_whoever_makes_which_part_of_it(
    words: list[str], height: int, width: int, channels: int, seed: int
) -> None:
    if {"mixup", "cutmix"} <= set(words):
        words.remove("mixup")
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (7, height, width, channels), np.uint8)
    rows, mirrored = random.integers(0, 7, 6), random.random(6) < 0.5
    change = Augmentation(read_augment(tuple(words)), 6, mirrored, seed, 3)
    whole = change.batch(pixels, rows, np.arange(6), "cpu")
    assert whole.dtype == torch.uint8 and whole.shape == (6, height, width, channels)
    parts = [change.batch(pixels, rows, np.arange(6)[part], "cpu") for part in (slice(0, 2), slice(2, 3), slice(3, 6))]
    assert torch.equal(whole, torch.cat(parts))
    again = Augmentation(read_augment(tuple(words)), 6, mirrored, seed, 3).batch(
        torch.from_numpy(pixels), rows, np.arange(6), "cpu"
    )
    assert torch.equal(whole, again)


def test_another_step_and_another_seed_change_images_in_other_ways() -> None:
    one = changed(photo(), "rotate", "brightness")
    assert (one != changed(photo(), "rotate", "brightness", step=1)).any()
    assert (one != changed(photo(), "rotate", "brightness", seed=1)).any()
    assert len({image.tobytes() for image in one}) == 8


def test_turns_and_mirrors_move_pixels_and_change_none() -> None:
    image = photo(64)
    assert np.array_equal(changed(image, "mirror", mirrored=True), image[:, :, ::-1])
    ways = [np.rot90(image[0], number) for number in range(4)]
    turned = {[np.array_equal(one, way) for way in ways].index(True) for one in changed(image, "turn")}
    assert turned == {0, 1, 2, 3}
    over = changed(image, "upside-down")
    assert {np.array_equal(one, image[0, ::-1]) for one in over} == {True, False}
    assert all(np.array_equal(one, image[0]) or np.array_equal(one, image[0, ::-1]) for one in over)
    wide = image[:, :20]
    assert {np.array_equal(one, wide[0, ::-1, ::-1]) for one in changed(wide, "turn")} == {True, False}


def test_rotation_is_by_the_angle_it_says_also_in_images_that_are_not_square() -> None:
    dot = np.zeros((200, 41, 81, 1), np.uint8)
    dot[:, 19:22, 51:54] = 255  # 12 pixels right of the middle
    seen = changed(dot, "rotate 40")[:, :, :, 0].astype(float)
    y, x = np.mgrid[-20:21, -40:41]
    total = seen.sum((1, 2))
    right, down = ((seen * place).sum((1, 2)) / total for place in (x, y))
    assert np.hypot(right, down) == pytest.approx(12, abs=0.2)
    angles = np.degrees(np.arctan2(down, right))
    assert -40.5 < angles.min() < -30 and 30 < angles.max() < 40.5


def test_zoom_and_crop_show_what_they_say() -> None:
    y, x = np.mgrid[0:64, 0:64]
    disc = np.broadcast_to((255 * (np.hypot(x - 31.5, y - 31.5) < 12))[..., None].astype(np.uint8), (200, 64, 64, 1))
    area = (changed(disc, "zoom 0.5") > 127).sum((1, 2, 3)) / (disc[0] > 127).sum()
    assert 1 / 1.5**2 - 0.05 < area.min() < 0.6 and 1.8 < area.max() < 1.5**2 + 0.1
    ramp = np.broadcast_to(np.arange(0, 256, 4, dtype=np.uint8)[None, None, :, None], (200, 64, 64, 1))
    part = changed(ramp, "crop 0.25").astype(float)
    seen = (part[:, 32, -4, 0] - part[:, 32, 3, 0]) / (ramp[0, 32, -4, 0] - ramp[0, 32, 3, 0])
    assert 0.4 < seen.min() < 0.6 and seen.max() < 1.02


def test_colours_change_as_they_say() -> None:
    image = photo(400)
    grey = image.astype(float) @ [0.299, 0.587, 0.114]
    bright = changed(np.full_like(image, 128), "brightness 0.2").astype(float).mean((1, 2, 3)) - 128
    assert -51.5 <= bright.min() < -45 and 45 < bright.max() <= 51.5
    strong = changed(image, "contrast 0.3").astype(float)
    spread = strong.std((1, 2)).mean(1) / image[0].std((0, 1)).mean()
    assert 0.68 < spread.min() < 0.75 and 1.2 < spread.max() < 1.32
    assert abs(strong.mean((1, 2, 3)) - image[0].mean()).max() < 6
    pale = changed(image, "saturation 1").astype(float)
    assert np.ptp(pale, axis=3).mean((1, 2)).min() < 0.15 * np.ptp(image[0], axis=2).mean()
    assert abs(pale @ [0.299, 0.587, 0.114] - grey).mean() < 6  # but for colours that would leave 0..255
    plain = changed(image, "grey 0.5")
    without = np.array([(one == one[:, :, :1]).all() for one in plain])
    assert 0.4 < without.mean() < 0.6 and abs(plain[without][0, :, :, 0] - grey[0]).max() <= 1
    turned = changed(np.broadcast_to(np.array([200, 60, 60], np.uint8), (400, 4, 4, 3)), "hue 0.3334")[:, 0, 0]
    strongest = [
        np.abs(turned.astype(int) - wanted).max(1).min() for wanted in ([60, 200, 60], [60, 60, 200], [200, 60, 60])
    ]
    assert max(strongest) < 12
    assert np.array_equal(changed(photo(8, channels=1), "saturation", "hue", "grey"), photo(8, channels=1))


def test_blur_noise_jpeg_and_erase_do_what_they_say() -> None:
    line = np.zeros((300, 33, 33, 1), np.uint8)
    line[:, :, 16] = 255
    seen = changed(line, "blur 2")[:, 16, :, 0].astype(float)
    widths = np.sqrt((seen * (np.arange(33) - 16) ** 2).sum(1) / seen.sum(1))
    assert widths.min() < 0.3 and 1.6 < widths.max() < 2.1
    flat = np.full((200, 32, 32, 3), 128, np.uint8)
    noise = changed(flat, "noise 20").astype(float) - 128
    assert 18 < noise.std((1, 2, 3)).max() < 20.7 and abs(noise.mean()) < 0.1
    rough = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
    rough[:] = rough[0]
    packed = changed(rough, "jpeg 10").astype(float)
    error = np.sqrt(((packed - rough) ** 2).mean((1, 2, 3)))
    lowest = io.BytesIO()
    Image.fromarray(rough[0]).save(lowest, "JPEG", quality=10)
    worst = np.sqrt(((np.asarray(Image.open(lowest)).astype(float) - rough[0]) ** 2).mean())
    assert 0.3 < (error == 0).mean() < 0.7 and 0.8 * worst < error.max() < 1.1 * worst
    holes = (changed(photo(400), "erase 0.4") != photo(400)).any(3).mean((1, 2))
    assert 0.4 < (holes < 0.01).mean() < 0.6 and 0.33 < holes.max() < 0.42


def test_mixes_join_two_images_and_share_their_labels() -> None:
    pixels = np.stack([np.full((16, 16, 1), 250 * number, np.uint8) for number in (0, 1)] * 8)
    rows = np.arange(16)
    for word in ("mixup 2", "cutmix 2"):
        shares = []
        for step in range(30):
            change = Augmentation(read_augment((word,)), 16, np.zeros(16, bool), 0, step)
            batch, mix = change.batch(pixels, rows, rows, "cpu").numpy(), change.mix
            assert mix is not None
            expected = mix.share * pixels + (1 - mix.share) * pixels[mix.other]
            assert abs(batch.mean((1, 2, 3)) - expected.mean((1, 2, 3))).max() < (1 if word == "mixup 2" else 25)
            if word == "cutmix 2":
                assert set(np.unique(batch)) <= {0, 250}
            shares.append(mix.share)
        assert 0.3 < np.mean(shares) < 0.7 and np.ptp(shares) > 0.4


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["flip"], "unknown; the words are mirror"),
        (["rotate 200"], "rotate takes one number from 0 to 180 (degrees each way)"),
        (["rotate x"], "rotate takes one number"),
        (["mirror 2"], "mirror takes no number"),
        (["rotate 3 4"], "rotate takes one number"),
        (["zoom nan"], "zoom takes one number"),
        (["shift 1.5"], "whole pixels"),
        (["blur", "blur 2"], "listed twice"),
        (["rotate? 30"], "a question mark can follow mirror, upside-down, turn only"),
        (["mixup?"], "a question mark can follow"),
        ([""], "unknown"),
        (["mixup", "cutmix"], "list one of them"),
        ("mirror", 'it must be a list such as ["mirror", "shift 2"]'),
        ([3], "it must be a list"),
    ],
)
def test_a_wrong_word_is_told_in_one_sentence(words: object, told: str) -> None:
    values = {**Recipe.load("fast").to_dict(), "augment": words}
    with pytest.raises(RequestError, match=re.escape(told)):
        Recipe.from_dict(values, "mine.toml")


def textures(count: int, classes: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images (N, 24, 24, 3) alike in all directions, as from a microscope, whose classes are finer or coarser grains."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    grains = [random.integers(0, 256, (8 * (one + 1),) * 2, np.uint8) for one in labels]
    shown = [np.asarray(Image.fromarray(one).resize((24, 24), Image.Resampling.NEAREST)) for one in grains]
    return np.stack(shown)[..., None].repeat(3, axis=3), labels


def arrows(count: int, anywhere: bool, either: bool) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return arrows to the left (0) and to the right (1); anywhere in the image, bright on dark or either way round."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 2
    images = np.zeros((count, 24, 24, 1), np.uint8)
    for image, label in zip(images[..., 0], labels, strict=True):
        image[11:13, 5:19] = 255
        for step in range(5):
            image[11 - step : 13 + step, 17 - step] = 255
        if label == 0:
            image[:] = image[:, ::-1].copy()
        if anywhere:
            image[:] = np.roll(image, random.integers(-4, 5, 2), (0, 1))
        if either and random.random() < 0.5:
            image[:] = 255 - image
    return images, labels


def test_images_say_whether_they_may_be_mirrored_or_turned() -> None:
    digits = load_digits()
    pixels = (digits.images * 15.9).astype(np.uint8)[..., None]
    assert agreement(pixels, np.arange(300), digits.target, "mirror") > 0.8
    mixed = np.random.default_rng(3).permutation(1797)[:300]  # rows of the data set, in any order
    assert agreement(pixels, mixed, digits.target, "mirror") > 0.85
    recipe, rows = Recipe.load("fast"), np.arange(800)
    found = suited_to(recipe, pixels, mixed, digits.target)
    assert found.augment == ("shift 2",) and not found.flip_tta
    cells, labels = textures(800, 2)
    found = suited_to(recipe, cells, rows, labels)
    assert found.augment == ("mirror", "turn", "shift 2") and found.flip_tta
    scene = cells // 2
    scene[:, :12] += 90  # sky above, ground below
    assert suited_to(recipe, scene, rows, labels).augment == ("mirror", "shift 2")
    for words, mirrors in ((("shift 2",), False), ((), False), (("mirror",), True), (("turn?", "mirror"), True)):
        assert suited_to(recipe.changed(augment=words), cells, rows, labels).flip_tta == mirrors
    asked = recipe.changed(augment=("mirror", "shift 2"))
    assert suited_to(asked, cells, rows, labels) is asked  # what is said without a question mark is done


@pytest.mark.parametrize("anywhere", [False, True])
@pytest.mark.parametrize("either", [False, True])
def test_two_classes_that_mirroring_would_exchange_are_not_mirrored(
    anywhere: bool, either: bool, caplog: pytest.LogCaptureFixture
) -> None:
    pixels, labels = arrows(400, anywhere, either)
    recipe = Recipe.load("fast", augment=("mirror?", "upside-down?"))
    with caplog.at_level("INFO", "mirante"):
        assert suited_to(recipe, pixels, np.arange(400), labels).augment == ("upside-down",)
    assert "mirror no (" in caplog.text and "upside-down yes (a small network recognises" in caplog.text


def test_a_pretrained_network_is_asked_by_its_features(caplog: pytest.LogCaptureFixture) -> None:
    """Features that know left from right forbid the mirror image; images that are not square are only turned upside down."""
    pixels, labels = arrows(60, False, False)
    seen: list[tuple[int, ...]] = []

    def look(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(images.shape)
        small = images.reshape(len(images), 8, images.shape[1] // 8, 8, images.shape[2] // 8, images.shape[3]).mean(
            (2, 4, 5)
        )
        return small.reshape(len(images), -1).astype(np.float32)

    recipe, rows = Recipe.load("transfer", augment=("mirror?", "upside-down?", "crop 0.5")), np.arange(60)
    with caplog.at_level("INFO", "mirante"):
        found = suited_to(recipe, pixels, rows, labels, look)
    assert found.augment == ("upside-down", "crop 0.5") and "the pretrained network recognises" in caplog.text
    assert {shape[0] for shape in seen} == {60}
    seen.clear()
    suited_to(recipe.changed(seconds=3.0), pixels, rows, labels, look)
    assert {shape[0] for shape in seen} == {12}  # a short training asks about few
    wide = np.concatenate([textures(200, 2)[0], textures(200, 2)[0]], 2)
    seen.clear()
    suited_to(recipe.changed(augment=("turn?",)), wide, np.arange(200), textures(200, 2)[1], look)
    assert {shape[1:3] for shape in seen} <= {wide.shape[1:3]}


def test_what_cannot_be_learned_is_not_mirrored(caplog: pytest.LogCaptureFixture) -> None:
    random = np.random.default_rng(0)
    noise, labels = random.integers(0, 256, (200, 16, 16, 3), np.uint8), random.integers(0, 3, 200)
    with caplog.at_level("INFO", "mirante"):
        assert suited_to(Recipe.load("fast"), noise, np.arange(200), labels).augment == ("shift 2",)
    assert "mirror no (" in caplog.text


def test_texts_are_neither_mirrored_nor_turned(tmp_path: Path) -> None:
    from test_read import draw_texts

    from mirante import Dataset

    dataset = Dataset.open(draw_texts(tmp_path / "texts", 30), task="read")
    recipe = Recipe.load("fast", augment=("mirror?", "turn", "upside-down", "shift 3", "rotate 5"))
    assert suited(recipe, dataset).augment == ("shift 3", "rotate 5") and not suited(recipe, dataset).flip_tta


def test_a_training_says_what_was_chosen_and_the_report_too(tmp_path: Path, mirante: Command) -> None:
    data = write_shapes(tmp_path / "shapes", 40)
    done = mirante("train", data, "--recipe", "fast", "--epochs", "1", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    told = re.search(r"augmentation: mirror (yes|no) \(.*\naugmentation: turn (yes|no) \(", done.stderr)
    assert told is not None, done.stderr
    words = [*["mirror"] * (told[1] == "yes"), *["turn"] * (told[2] == "yes"), "shift 2"]
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert f"they were changed: {', '.join(words)}." in report
    assert json.loads((tmp_path / "run" / "model.json").read_text())["flip_tta"] == (told[1] == "yes")


def test_words_on_the_command_line_are_what_is_done(tmp_path: Path, mirante: Command) -> None:
    data = write_shapes(tmp_path / "shapes", 30)
    words = ["--model", "8C3-MP2-GAP", "--epochs", "2"]
    for given_words, name in (("rotate 20, mixup", "one"), ("none", "two")):
        done = mirante("train", data, *words, "--augment", given_words, "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
    assert "changed: rotate 20, mixup." in (tmp_path / "one" / "report.html").read_text(encoding="utf-8")
    assert "they were changed" not in (tmp_path / "two" / "report.html").read_text(encoding="utf-8")
    assert 'augment = [\n    "rotate 20",\n    "mixup",\n]' in (tmp_path / "one" / "recipe.toml").read_text()
    wrong = mirante("train", data, *words, "--augment", "spin", "--out", tmp_path / "three")
    assert wrong.returncode == 2 and "augment 'spin': unknown" in wrong.stderr and not (tmp_path / "three").exists()


def test_the_docs_have_every_word_with_its_amount() -> None:
    table = (Path(__file__).parents[1] / "docs" / "recipes.md").read_text(encoding="utf-8")
    for word, one in VOCABULARY.items():
        amount = "" if one.amount is None else f"{one.amount:g}"
        assert f"| `{word}` | {amount} | {one.meaning} | {one.reason} |" in table


def test_see_augment_draws_what_a_recipe_does(tmp_path: Path, mirante: Command) -> None:
    Image.fromarray(photo(1, 64)[0]).save(tmp_path / "photo.png")
    done = mirante("see", "augment", tmp_path / "photo.png", "--augment", "all", "--out", tmp_path / "all.png")
    assert done.returncode == 0, done.stderr
    for word in VOCABULARY:
        assert word in done.stdout
    assert Image.open(tmp_path / "all.png").height > 2000
    few = see.augment(tmp_path / "photo.png", ["rotate 30"], lang="pt")
    assert "rotate 30" in few.alt and "modificada de 6 maneiras" in few.alt
    none = mirante("see", "augment", tmp_path / "photo.png", "--augment", "none")
    assert none.returncode == 2 and "change no images" in none.stderr
    assert "mirror?, turn?, shift 2" in see.augment(tmp_path / "photo.png", recipe="fast").alt
    wrong = mirante("see", "augment", tmp_path / "photo.png", "--recipe", "tutorial")
    assert wrong.returncode == 2 and "change no images" in wrong.stderr
