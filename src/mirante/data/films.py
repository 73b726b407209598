"""Films as images: the frame that is seen every so many seconds, or one for each scene, read from begin to end in constant memory.

Decoded by FFmpeg through PyAV (pip install 'mirante[film]'). A frame is what a player would show: upright, with square pixels, in RGB,
without the comb of interlaced pictures.
"""

from __future__ import annotations

import datetime
import logging
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mirante.data.entries import Entry
from mirante.errors import ImageError, RequestError
from mirante.images import MAX_PIXELS, Pixels

SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v")
"""The endings of films; a .gif counts as one where it is named itself and an interval is asked for."""

INTERVAL = 1.0
"""Seconds between the frames that are looked at, unless the user says otherwise."""

_TIME = re.compile(r"^(?P<film>.*)#t=(?P<time>\d+(?:\.\d+)?)(?:,(?P<end>\d+(?:\.\d+)?))?$", re.DOTALL)
_LOST = 2.0  # seconds that may be missing at the end of a film before it counts as truncated
_SMALL = 32  # side in pixels of the pictures by which cuts are found
_CUT = 10.0  # mean difference of two such pictures, from 0 to 255, that is a cut
_ABOVE_MOTION = 4.0  # and how many times that of the frames before it
_HD = 720  # lines from which colours that are not described are those of HD (ITU-R BT.709), not of television (BT.601)
_FIRST_YEAR = 1970  # and earlier: a clock that was never set (films count from 1904)
_STILL = 1.5  # mean difference below which a frame is the same picture as the one before


@dataclass(frozen=True)
class Sampling:
    """Which frames of a film are looked at.

    interval  seconds between them
    scenes    one for each scene instead, from its middle
    alike     keep frames that are nearly the same as the one kept before; for training, one of them says as much as all
    """

    interval: float = INTERVAL
    scenes: bool = False
    alike: bool = True

    def __post_init__(self) -> None:
        if not 0.01 <= self.interval <= 86_400:
            raise RequestError(f"interval={self.interval!r} must be a number of seconds, from 0.01 to a day.")


@dataclass(frozen=True)
class Frame:
    """A frame of a film.

    time    seconds from the first frame
    pixels  uint8 (height, width, 3)
    end     seconds, the end of its scene; None when frames are looked at by time
    begin   seconds, the beginning of its scene
    """

    time: float
    pixels: Pixels
    begin: float | None = None
    end: float | None = None


def can_read() -> bool:
    """Tell whether the package that decodes films is installed."""
    return find_spec("av") is not None


def is_film(path: str) -> bool:
    """Tell whether a file has the ending of a film."""
    return path.lower().endswith(SUFFIXES)


def frame_name(film: str, *times: float) -> str:
    """Return the name of a frame, or of a scene from one time to another, as media fragments are written (W3C, Media Fragments URI).

    >>> frame_name("a/b.mp4", 12.5), frame_name("b.mp4", 3, 4.25)
    ('a/b.mp4#t=12.5', 'b.mp4#t=3,4.25')
    """
    return f"{film}#t={','.join(f'{time:.3f}'.rstrip('0').rstrip('.') for time in times)}"


def parted(name: str) -> tuple[str, float] | None:
    """Return the film and the time that the name of a frame gives, of a scene its beginning; None for any other name.

    >>> parted("b.mp4#t=12.5"), parted("b.mp4#t=3,4.25"), parted("b.jpg")
    (('b.mp4', 12.5), ('b.mp4', 3.0), None)
    """
    found = _TIME.match(name)
    return None if found is None else (found["film"], float(found["time"]))


def scene_end(name: str) -> float | None:
    """Return the time at which the scene of this name ends; None for the name of a frame.

    >>> scene_end("b.mp4#t=3,4.25"), scene_end("b.mp4#t=3")
    (4.25, None)
    """
    found = _TIME.match(name)
    return float(found["end"]) if found is not None and found["end"] else None


def film_entries(path: Path, name: str, sampling: Sampling) -> Iterator[Entry]:
    """Yield the frames of a film as images, under names such as `film.mp4#t=12.5`; what is wrong with it is an entry with an error."""
    try:
        for frame in frames(path, sampling):
            times = (frame.time,) if frame.begin is None or frame.end is None else (frame.begin, frame.end)
            yield Entry(frame_name(name, *times), frame.pixels, group=name, reread=StillOf(path, frame.time))
    except ImageError as error:
        yield Entry(name, b"", error=str(error))


@dataclass(frozen=True)
class StillOf:
    """Reads one frame of a film when called."""

    path: Path
    time: float

    def __call__(self) -> Pixels:
        """Return its pixels. Raises ImageError."""
        best = None
        with _opened(self.path) as film:
            film.seek(self.time)
            for time, picture in film.pictures():
                if best is not None and time > self.time + _EPS:
                    break
                best = picture
            if best is None:
                raise ImageError(f"no frame at {self.time:g} s")
            return film.pixels(best)


def middle_frame(path: Path) -> Pixels:
    """Return the frame in the middle of a film, by which it is shown and grouped. Raises ImageError."""
    return StillOf(path, (duration(path) or 0.0) / 2)()


def recorded(path: Path) -> tuple[datetime.datetime | None, str | None]:
    """Return when a film was recorded and by which camera, as far as it says. Raises ImageError."""
    with _opened(path) as film:
        told = film.metadata
    camera = " ".join(told[key] for key in told if key.endswith("model")) or None
    for key in ("com.apple.quicktime.creationdate", "creation_time"):
        try:
            time = datetime.datetime.fromisoformat(told[key])
        except (KeyError, ValueError):
            continue
        if time.year > _FIRST_YEAR:
            if key == "creation_time" and time.tzinfo is not None:  # of the world's time; the other is the camera's own
                time = time.astimezone()
            return time.replace(tzinfo=None), camera
    return None, camera


def duration(path: Path) -> float | None:
    """Return the seconds that a film says it lasts; None if it does not say. Raises ImageError."""
    with _opened(path) as film:
        return film.duration


def frames(path: Path, sampling: Sampling = Sampling()) -> Iterator[Frame]:
    """Yield the frames of a film that are looked at, in order.

    Raises ImageError when it is no film that can be read or has no pictures, and for one that ends before it should after all frames
    that there are.
    """
    with _opened(path) as film:
        found = _scenes(film) if sampling.scenes else _every(film, sampling.interval)
        before: NDArray[np.float32] | None = None
        for frame in found:
            if not sampling.alike:
                small = small_picture(frame.pixels)
                if before is not None and float(np.abs(small - before).mean()) < _STILL:
                    continue
                before = small
            yield frame
        film.require_whole()


_EPS = 6e-4  # names of frames have milliseconds


def _every(film: _Film, interval: float) -> Iterator[Frame]:
    """Yield the frame that is seen at each multiple of the interval, each frame once."""
    number, shown = 0, None
    for time, picture in film.pictures():
        if shown is not None and time > number * interval + _EPS:
            yield Frame(number * interval, film.pixels(shown))
            number = max(number + 1, math.ceil((time - _EPS) / interval))
        shown = picture
    if shown is not None and film.end > number * interval + _EPS:
        yield Frame(number * interval, film.pixels(shown))


def _scenes(film: _Film) -> Iterator[Frame]:
    """Yield one frame for each scene: of those kept every doubling of its length, the one nearest its middle."""
    kept: list[tuple[float, Any]] = []
    before: NDArray[np.float32] | None = None
    begin = motion = 0.0
    for time, picture in film.pictures():
        small = film.small(picture)
        change = 0.0 if before is None else float(np.abs(small - before).mean())
        if kept and change > max(_CUT, _ABOVE_MOTION * motion):
            yield _middle(film, kept, begin, time)
            begin, kept, motion = time, [], 0.0
        else:
            motion = 0.9 * motion + 0.1 * change
        if not kept or time - begin >= 1.5 * (kept[-1][0] - begin) + 1.0:
            kept = [*kept[-2:], (time, picture)]
        before = small
    if kept:
        yield _middle(film, kept, begin, film.end)


def _middle(film: _Film, kept: list[tuple[float, Any]], begin: float, end: float) -> Frame:
    time, picture = min(kept, key=lambda one: abs(one[0] - (begin + end) / 2))
    return Frame(time, film.pixels(picture), begin, end)


def are_cuts(changes: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Tell which of a film's frames (N,) come after a cut, by how much each differs from the one before (`small_picture`).

    Where every frame differs much, as with a camera in the hand, a cut differs twice as much as they usually do.
    """
    return changes > max(_CUT, 2 * float(np.median(changes)))


def small_picture(pixels: Pixels) -> NDArray[np.float32]:
    """Return a picture at a small size, by which it is compared with another."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return np.asarray(image.resize((_SMALL, _SMALL), Image.Resampling.BOX), np.float32)


class _Film:
    """A film that is being decoded: its pictures in order, and what turns one into pixels."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._container, self._stream = container, stream
        self.metadata: dict[str, str] = {**stream.metadata, **container.metadata}
        stream.thread_type = "AUTO"
        self.last = self.end = 0.0
        self._heard = 0.0
        self._start: float | None = None
        self._damaged = False
        rate = stream.average_rate or stream.guessed_rate
        self.frame_seconds = float(1 / rate) if rate else 0.04
        length = float(stream.duration * stream.time_base) if stream.duration else None
        self.duration = length or (container.duration / 1e6 if container.duration else None)

    def seek(self, time: float) -> None:
        """Go to the last key frame before a time, from which `pictures` goes on."""
        import av

        start = float((self._stream.start_time or 0) * self._stream.time_base)
        self._start = start
        try:
            self._container.seek(int((start + time) / self._stream.time_base), stream=self._stream)
        except av.error.FFmpegError:  # some can only be read from the beginning
            self._container.seek(0)

    def pictures(self) -> Iterator[tuple[float, Any]]:
        """Yield (seconds from the first frame, picture); pictures that cannot be decoded are passed over."""
        import av

        packets = self._container.demux()  # of sound too, which may outlast the pictures
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError):
                self._damaged = True
                return
            if packet is None:
                return
            if packet.stream.index != self._stream.index:
                if packet.pts is not None:
                    self._heard = max(self._heard, float(packet.pts * packet.time_base))
                continue
            try:
                decoded = packet.decode()
            except av.error.FFmpegError:
                self._damaged = True
                continue
            for picture in decoded:
                if picture.pts is None:
                    time = self.last + self.frame_seconds
                else:
                    time = float(picture.pts * picture.time_base)
                    self._start = time if self._start is None else self._start
                    time -= self._start
                self.last = max(self.last, time)
                shown = getattr(picture, "duration", 0) or 0
                self.end = max(self.end, time + max(self.frame_seconds, float(shown * picture.time_base)))
                yield time, picture

    def require_whole(self) -> None:
        """Raise ImageError when it ended before it should."""
        short = (
            self.duration is not None
            and max(self.end + max(0.0, self._start or 0.0), self._heard) < self.duration - _LOST
        )
        if short or self._damaged:
            raise ImageError(f"the film is damaged or truncated: its pictures end at {self.last:.1f} s")

    def pixels(self, picture: Any) -> Pixels:
        """Return a picture as a player shows it, uint8 (height, width, 3)."""
        aspect = float(self._stream.sample_aspect_ratio or 1)
        if picture.width * picture.height * max(1.0, aspect) > MAX_PIXELS:
            raise ImageError(f"{picture.width}×{picture.height} pixels, more than {MAX_PIXELS // 1_000_000} megapixels")
        rgb = self._rgb(picture, picture.width, picture.height)
        image = Image.fromarray(rgb)
        if picture.interlaced_frame:  # every second line is of another moment
            image = Image.fromarray(np.ascontiguousarray(rgb[::2])).resize(image.size, Image.Resampling.BILINEAR)
        if aspect > 0 and aspect != 1:
            image = image.resize((max(1, round(image.width * aspect)), image.height), Image.Resampling.BILINEAR)
        pixels = np.asarray(image)
        turns = round(getattr(picture, "rotation", 0) / 90) % 4  # counterclockwise
        return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels

    def small(self, picture: Any) -> NDArray[np.float32]:
        """Return a picture at a small size, by which it is compared with the next one."""
        return self._rgb(picture, _SMALL, _SMALL).astype(np.float32)

    def _rgb(self, picture: Any, width: int, height: int) -> Pixels:
        from av.error import FFmpegError
        from av.video.reformatter import Colorspace

        if picture.colorspace in (0, 2) and not picture.format.name.startswith(("rgb", "bgr", "gbr", "pal", "gray")):
            known = Colorspace.ITU709 if picture.height >= _HD else Colorspace.ITU601
        else:
            known = None
        try:
            shown: Pixels = picture.reformat(width, height, "rgb24", src_colorspace=known).to_ndarray()
        except (FFmpegError, ValueError) as error:
            raise ImageError(f"pictures of a kind that cannot be shown here ({picture.format.name})") from error
        return shown


@contextmanager
def _opened(path: Path) -> Iterator[_Film]:
    try:
        import av
    except ImportError as error:
        raise RequestError(
            f"{path.name}: a film needs one more package; run pip install 'mirante[film]' and try again."
        ) from error
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    try:
        container = av.open(str(path), metadata_errors="replace")
    except av.error.FFmpegError as error:
        raise ImageError("not a film that can be read, or damaged at its beginning") from error
    except OSError as error:
        raise ImageError(str(error.strerror or error)) from error
    with container:
        moving = [one for one in container.streams.video if not one.disposition & av.stream.Disposition.attached_pic]
        if not moving:
            raise ImageError("it has no pictures that move, only sound or a cover")
        yield _Film(container, moving[0])
