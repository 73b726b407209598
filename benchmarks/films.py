"""Films of real photos with known cuts: are the cuts found, what should a change of the answer cost, how fast are they read.

MIRANTE_TEST_DATA=… python benchmarks/films.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from record import record
from sides import unpacked

FILMS, STRETCHES, RATE, SIZE = 24, 12, 25, 240
SWITCHES = (
    (0.0, 0.0),
    (0.5, 0.5),
    (1.0, 1.0),
    (2.0, 2.0),
    (4.0, 4.0),
    (2.0, 0.0),
    (2.0, 0.5),
    (2.0, 1.0),
    (3.0, 0.5),
    (4.0, 0.5),
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        record("Films", list(measure(Path(folder))))


def measure(folder: Path) -> Iterator[str]:
    import mirante
    from mirante.data.films import Sampling, frames

    root = unpacked("flowers-128")
    run = mirante.train(root, "transfer", out=folder / "run", size=128)
    made = list(write_films(run, root, folder))
    yield (
        f"{FILMS} films of {STRETCHES} test photos each that the model answers rightly (flowers, {SIZE} px, H.264, {RATE} frames "
        "per second), "
        "each shown for 2 to 8 s and moved slowly; neighbours of different classes."
    )
    yield ""
    yield (
        "| a change costs | where the picture changes at once | interval | share of time answered rightly "
        "| cuts within one interval | stretches too many |"
    )
    yield "|--:|--:|--:|--:|--:|--:|"
    model = mirante.load(run.path)
    for interval in (0.5, 1.0):
        answers = [answer(model, path, interval) for path, _, _ in made]
        for switch, cut in SWITCHES:
            yield f"| {switch:g} | {cut:g} | {interval:g} s | {scored(made, answers, interval, switch, cut)} |"
    right = found = false = 0
    for path, begins, _ in made:
        told = [one.begin or 0.0 for one in frames(path, Sampling(scenes=True))]
        right += sum(any(abs(one - begin) < 1.5 / RATE for one in told) for begin in begins)
        found += len(begins)
        false += sum(not any(abs(one - begin) < 1.5 / RATE for begin in begins) for one in told)
    yield ""
    yield f"`--scenes` finds {right} of {found} beginnings to the frame, and {false} that are none."
    yield ""
    yield from throughput(model, made)


def throughput(model: object, made: list[tuple[Path, list[float], list[str]]]) -> Iterator[str]:
    from mirante.data.films import Sampling, film_entries, frames
    from mirante.prediction.stream import predict_stream

    yield "| interval | decoding alone | network alone | both, as `predict` does | of the slower of the two |"
    yield "|--:|--:|--:|--:|--:|"
    paths = [path for path, _, _ in made][:8]
    for interval in (0.04, 0.2, 1.0):
        sampling = Sampling(interval)
        times = {"decode": [], "network": [], "both": []}  # type: ignore[var-annotated]
        for _ in range(3):
            began = time.perf_counter()
            pictures = [one.pixels for path in paths for one in frames(path, sampling)]
            times["decode"].append(time.perf_counter() - began)
            entries = [entry for path in paths[:1] for entry in film_entries(path, str(path), sampling)]
            entries = (entries * (len(pictures) // len(entries) + 1))[: len(pictures)]
            began = time.perf_counter()
            assert sum(1 for _ in predict_stream(model, iter(entries))) == len(pictures)  # type: ignore[arg-type]
            times["network"].append(time.perf_counter() - began)
            began = time.perf_counter()
            every = (entry for path in paths for entry in film_entries(path, str(path), sampling))
            assert sum(1 for _ in predict_stream(model, every)) == len(pictures)  # type: ignore[arg-type]
            times["both"].append(time.perf_counter() - began)
        decode, network, both = (float(np.median(times[one])) for one in ("decode", "network", "both"))
        count = len(pictures)
        yield (
            f"| {interval:g} s | {count / decode:,.0f} frames/s | {count / network:,.0f} | {count / both:,.0f} "
            f"| {max(decode, network) / both:.2f} |"
        )


def answer(model: object, path: Path, interval: float) -> tuple[list[float], list[object], np.ndarray]:
    from mirante.data.films import Sampling, are_cuts, film_entries, parted, small_picture
    from mirante.prediction.stream import predict_stream

    times, answers, changes, before = [], [], [], None
    for name, one, pixels in predict_stream(model, film_entries(path, path.name, Sampling(interval))):  # type: ignore[arg-type]
        times.append((parted(name or "") or ("", 0.0))[1])
        answers.append(one)
        small = small_picture(pixels)  # type: ignore[arg-type]
        changes.append(0.0 if before is None else float(np.abs(small - before).mean()))
        before = small
    return times, answers, are_cuts(np.array(changes))  # type: ignore[return-value]


def scored(
    made: list[tuple[Path, list[float], list[str]]],
    answers: list[tuple[list[float], list[object], np.ndarray]],
    interval: float,
    switch: float,
    cut: float,
) -> str:
    from mirante.tasks.classify.prediction import track_of
    from mirante.timeline import stretches

    right = whole = within = cuts = extra = 0.0
    for (path, begins, labels), (times, told, cuts_seen) in zip(made, answers, strict=True):
        end = times[-1] + interval
        costs = np.where(cuts_seen, cut, switch)
        found = stretches(path.name, times, end, [track_of(told)], True, costs)  # type: ignore[arg-type]
        moments = np.arange(0, end, 0.02)
        truth = np.array(labels)[np.searchsorted(begins, moments, side="right") - 1]
        said = np.array([str(one.label) for one in found])[
            np.searchsorted([one.begin for one in found], moments, side="right") - 1
        ]
        right, whole = right + float((said == truth).sum()), whole + len(moments)
        edges = np.array([one.begin for one in found][1:] or [1e9])
        within += sum(float(np.abs(edges - begin).min()) <= interval + 1e-6 for begin in begins[1:])
        cuts += len(begins) - 1
        extra += max(0, len(found) - len(begins))
    return f"{right / whole:.1%} | {within / cuts:.1%} | {extra / len(made):.1f} per film"


def write_films(run: object, root: Path, folder: Path) -> Iterator[tuple[Path, list[float], list[str]]]:
    """Write the films from the run's test photos; yield each with where its stretches begin, and their classes."""
    import av

    dataset, predictions = run.dataset(), run.predictions()  # type: ignore[attr-defined]
    known = {path for path, right in zip(predictions.paths, predictions.right, strict=True) if right}
    chance = np.random.default_rng(0)
    rows = np.array([row for row in dataset.rows("test") if dataset.paths[row] in known])
    for number in range(FILMS):
        path, begins, labels = folder / f"{number:02d}.mp4", [], []
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=RATE, options={"crf": "23", "preset": "veryfast"})
            stream.width = stream.height = SIZE
            stream.pix_fmt = "yuv420p"
            count = 0
            for _ in range(STRETCHES):
                row = next(one for one in chance.permutation(rows) if not labels or dataset.names[one] != labels[-1])
                photo = (
                    Image.open(root / dataset.paths[row])
                    .convert("RGB")
                    .resize((SIZE + 24, SIZE + 24), Image.Resampling.BICUBIC)
                )
                pixels = np.asarray(photo)
                begins.append(count / RATE)
                labels.append(dataset.names[row])
                for step in range(int(RATE * chance.uniform(2, 8))):
                    container.mux(stream.encode(moved(pixels, step, chance)))
                    count += 1
            container.mux(stream.encode(None))
        yield path, begins, labels


def moved(pixels: NDArray[np.uint8], step: int, chance: np.random.Generator) -> object:
    import av

    at = min(24, step // 6)
    part = pixels[at : at + SIZE, 24 - at : 24 - at + SIZE].astype(np.int64) + chance.integers(-6, 7, (SIZE, SIZE, 1))
    return av.VideoFrame.from_ndarray(np.clip(part, 0, 255).astype(np.uint8), format="rgb24")


if __name__ == "__main__":
    sys.exit(main())
