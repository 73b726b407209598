"""The data check against faults that are planted by script: how many of each kind it finds, how many false alarms, how fast.

MIRANTE_TEST_DATA=… python benchmarks/check.py [flowers-128|chest-xray-320|cifar10-images]…
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from record import record
from sides import run_side

COPIES = ("exact", "recompressed", "resized", "cropped", "mirrored", "brighter")
PLANTED = 200  # of each kind of copy
MOST = int(os.environ.get("MOST_IMAGES", "5000"))  # that are taken from an archive


def main() -> None:
    for name in sys.argv[1:] or ("flowers-128", "chest-xray-320", "cifar10-images"):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["MIRANTE_CACHE"] = f"{folder}/cache"
            record(f"The data check, faults planted in {name}", measure(name, Path(folder)))


def measure(name: str, folder: Path) -> list[str]:
    from mirante.data.check.copies import find_copies
    from mirante.data.check.look import Looks, look
    from mirante.data.dataset import Dataset
    from mirante.experiment.label_errors import find_label_errors, rank_doubtful
    from mirante.model.packages import OFFLINE

    def copies_in(dataset: Dataset, looks: Looks) -> set[tuple[str, ...]]:
        pairs = find_copies(looks.small, dataset.sizes.min(axis=1)).pairs
        return {tuple(sorted(dataset.paths[row] for row in pair)) for pair in pairs.tolist()}

    random = np.random.default_rng(0)
    images = unpack(name, folder / "images")
    dataset = Dataset.open(folder / "images", lenient=True)
    began = time.monotonic()
    looks = look(dataset.source, dict(zip(dataset.paths, dataset.digests, strict=True)))
    looked = len(dataset) / (time.monotonic() - began)
    began = time.monotonic()
    before = copies_in(dataset, looks)
    compared = len(dataset) / (time.monotonic() - began)
    lines = [f"{len(dataset):,} images: {looked:,.0f} a second looked at, {compared:,.0f} a second compared with all."]

    planted: dict[str, set[tuple[str, str]]] = {}
    for number, kind in enumerate(COPIES):
        chosen = random.permutation(len(images))[:PLANTED]
        planted[kind] = {plant(folder / "images", images[one], kind, number, random) for one in chosen}
    dataset = Dataset.open(folder / "images", lenient=True)
    looks = look(dataset.source, dict(zip(dataset.paths, dataset.digests, strict=True)))
    found = copies_in(dataset, looks)
    first: dict[str, str] = {}
    same = {(first.setdefault(digest, path), path) for path, digest in zip(dataset.paths, dataset.digests, strict=True)}
    found |= {tuple(sorted(pair)) for pair in same if pair[0] != pair[1]}
    shares = ", ".join(f"{kind} {len(wanted & found) / len(wanted):.1%}" for kind, wanted in planted.items())
    false = false_pairs(found, before)
    lines += [f"Copies found: {shares}. Pairs found before anything was planted: {len(before)}."]
    lines += [f"False pairs: {len(false)} of {len(found)} found ({len(false) / max(1, len(found)):.2%})."]

    dataset = Dataset.open(folder / "images", lenient=True)
    wrong = random.choice(len(dataset), round(0.03 * len(dataset)), replace=False)
    dataset.targets[wrong] = (dataset.targets[wrong] + random.integers(1, len(dataset.classes), len(wrong))) % len(
        dataset.classes
    )
    is_wrong = {dataset.paths[row] for row in wrong.tolist()}
    began = time.monotonic()
    asked, doubts = find_label_errors(dataset, OFFLINE)
    _, score = rank_doubtful(doubts.probabilities, asked.labels)
    early = [asked.paths[row] in is_wrong for row in np.argsort(score)[: round(0.05 * len(asked))]]
    named = [asked.paths[row] in is_wrong for row in doubts.doubtful]
    speed = len(asked) / (time.monotonic() - began)
    lines += [
        f"3% of the labels swapped: {sum(early) / len(wrong):.1%} of them in the first 5% of the ranking.",
        f"Named as doubtful: {len(named)}, of which {np.mean(named):.1%} were swapped by script.",
        f"The model gives {doubts.accuracy:.1%} of the images their label; {speed:,.0f} a second.",
    ]
    if len(asked) <= 10_000:
        np.savez(folder / "asked.npz", probabilities=doubts.probabilities, labels=asked.labels)
        lines += ["", *others(folder, planted, before, [path in is_wrong for path in asked.paths])]
    return lines


def others(folder: Path, planted: dict[str, set], before: set, wrong: list[bool]) -> Iterator[str]:
    """Say what imagehash and cleanlab find of the same faults; cleanlab is given our model's answers."""
    *hashed, ranked = run_side("hashes", str(folder / "images"), str(folder / "asked.npz"))
    yield "| perceptual hash (imagehash) | " + " | ".join(planted) + " | false pairs |"
    yield "|---|" + "--:|" * (len(planted) + 1)
    for row in hashed:
        found = {tuple(sorted(pair)) for pair in row["pairs"]}
        shares = " | ".join(f"{len(wanted & found) / len(wanted):.1%}" for wanted in planted.values())
        yield f"| up to {row['limit']} of 64 bits differ | {shares} | {len(false_pairs(found, before)):,} |"
    yield ""
    early = [wrong[row] for row in ranked["order"][: round(0.05 * len(wrong))]]
    yield f"cleanlab's ranking (normalised margin) of the same answers: {sum(early) / sum(wrong):.1%} in the first 5%."


def false_pairs(found: set[tuple[str, ...]], before: set[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the pairs that are no copies: neither of one image, nor of two that were copies before anything was planted."""
    sources = {pair: tuple(sorted(path.split("~")[0] for path in pair)) for pair in found}
    return [pair for pair, source in sources.items() if source[0] != source[1] and source not in before]


def unpack(name: str, folder: Path) -> list[Path]:
    """Write the archive's images as class folders; return their paths."""
    paths = []
    with tarfile.open(Path(os.environ["MIRANTE_TEST_DATA"]) / f"{name}.tar.xz") as archive:
        members = [one for one in archive if one.name.lower().endswith((".jpg", ".png", ".jpeg"))]
        members = [members[row] for row in np.sort(np.random.default_rng(1).permutation(len(members))[:MOST])]
        for member in members:
            parts = Path(member.name).parts
            path = folder / parts[-2] / f"{'-'.join(parts[:-2])}-{parts[-1]}"
            path.parent.mkdir(parents=True, exist_ok=True)
            file = archive.extractfile(member)
            assert file is not None
            path.write_bytes(file.read())
            paths.append(path)
    return paths


def plant(folder: Path, path: Path, kind: str, number: int, random: np.random.Generator) -> tuple[str, str]:
    """Write a copy of one image beside it; return the pair of paths, as the check names them."""
    copy = path.with_name(f"{path.name}~{number}.jpg")
    if kind == "exact":
        copy.write_bytes(path.read_bytes())
    else:
        with Image.open(path) as opened:
            image = opened.convert("L" if opened.mode == "L" else "RGB")
        width, height = image.size
        quality = int(random.integers(30, 60)) if kind == "recompressed" else 90
        if kind == "resized":
            share = random.uniform(0.5, 0.9)
            image = image.resize((max(8, round(width * share)), max(8, round(height * share))))
        elif kind == "cropped":
            left, right, top, bottom = random.uniform(0, 0.08, 4)
            image = image.crop(
                (round(width * left), round(height * top), round(width * (1 - right)), round(height * (1 - bottom)))
            )
        elif kind == "mirrored":
            image = ImageOps.mirror(image)
        elif kind == "brighter":
            image = image.point(lambda value: min(255, int(1.15 * value + 8)))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        copy.write_bytes(buffer.getvalue())
    one, other = sorted((path.relative_to(folder).as_posix(), copy.relative_to(folder).as_posix()))
    return one, other


if __name__ == "__main__":
    main()
