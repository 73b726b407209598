"""Labels from the keywords of photos, in XMP sidecars and in the photos themselves, as photo programs write them."""

from __future__ import annotations

from pathlib import PurePosixPath

from mirante.data.classes import upwards
from mirante.data.entries import HasSidecars, Skipped, Source
from mirante.data.labels import Labelled
from mirante.data.scan import Scanned
from mirante.data.several import join, require_writable
from mirante.errors import DataError, ImageError, NothingLabelled
from mirante.xmp import embedded_keywords, keyword_paths

NAME = "xmp"
"""What --labels names them by."""


UNLABELLED = "has no keywords"
"""Why a photo was left out that says nothing."""


def label_by_keywords(
    location: str, source: Source, scanned: list[Scanned], several: bool
) -> tuple[list[Labelled], list[Skipped]]:
    """Label each photo by its keywords: those in its sidecar if it has one, else those in its file.

    Nested keywords keep their path, `animal/bird/owl`. With several labels, a photo of an owl is one of a bird too if any photo has
    the keyword `animal/bird` by itself. A photo without keywords says nothing, and is left out; without several labels, so is one
    with more than one.

    Raises DataError when no photo has a keyword.
    """
    beside = dict(source.sidecars()) if isinstance(source, HasSidecars) else {}
    images = {image.path: image for image in scanned}
    found: dict[str, list[str]] = {}
    skipped = [Skipped(image.path, image.error) for image in scanned if image.error is not None]
    for entry in source.entries():
        image = images.get(entry.path)
        if image is None or image.error is not None:
            continue
        try:
            sidecar = next((beside[name] for name in _sidecar_names(entry.path) if name in beside), None)
            content = None if sidecar is not None else entry.content()
            words = (
                keyword_paths(sidecar)
                if sidecar is not None
                else embedded_keywords(content)
                if isinstance(content, bytes)
                else []
            )
        except (ImageError, OSError) as error:
            skipped.append(Skipped(entry.path, str(error)))
            continue
        if words:
            found[entry.path] = words
        else:
            skipped.append(Skipped(entry.path, UNLABELLED))
    if not found:
        raise NothingLabelled(
            f"{location}: no photo has keywords, in its file or in an XMP sidecar beside it, and --labels {NAME} takes "
            "the labels from there."
        )
    named = {word for words in found.values() for word in words}
    for word in sorted(named):
        require_writable(location, word)
    rows = []
    for path, words in found.items():
        deepest = [word for word in words if not any(other.startswith(f"{word}/") for other in words)]
        if several:
            label = join(dict.fromkeys(up for word in words for up in reversed(upwards(word)) if up in named))
        elif len(deepest) == 1:
            label = deepest[0]
        else:
            skipped.append(Skipped(path, f"has {len(deepest)} keywords: {', '.join(deepest)}"))
            continue
        rows.append(Labelled(images[path], label, None, None))
    if not rows:
        raise DataError(
            f"{location}: every photo with keywords has several; with --task tag an image can have several labels."
        )
    return rows, skipped


def _sidecar_names(path: str) -> tuple[str, ...]:
    stem = PurePosixPath(path).with_suffix("").as_posix()
    return tuple(f"{name}{ending}" for name in (path, stem) for ending in (".xmp", ".XMP"))
