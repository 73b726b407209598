"""Labels from XMP sidecars: a keyword that is the name of a class, or of a label, counts as a person's answer."""

from __future__ import annotations

from pathlib import Path

from mirante import runfolder
from mirante.data.entries import Skipped, printable
from mirante.errors import ImageError
from mirante.photos.library import Library
from mirante.run import Run
from mirante.xmp import keyword_paths, keywords, sidecar_of


def read_sidecars(library: Library, run: Path) -> tuple[int, list[Skipped]]:
    """Keep the class of each photo whose sidecar names exactly one, or all labels that it names; return how many photos had any,
    and what could not be read.

    The classes are those of the run; where there is no run yet, every photo with exactly one keyword counts. What Mirante
    itself wrote into a sidecar is its own guess and does not count.
    """
    classes = {name.casefold(): name for name in Run(run).classes} if runfolder.is_run(run) else None
    several = classes is not None and Run(run).info.asks.several_labels
    read, left = 0, []
    for photo in library.look()[0]:
        sidecar = sidecar_of(library.folder / photo.path)
        if sidecar is None:
            continue
        try:
            content = sidecar.read_bytes()
            words = _with_ancestors(keyword_paths(content)) if several else keywords(content)
        except (ImageError, OSError) as error:
            reason = str(error) if isinstance(error, ImageError) else str(error.strerror)
            left.append(Skipped(printable(str(sidecar.relative_to(library.folder))), reason))
            continue
        known = words if classes is None else [classes[one.casefold()] for one in words if one.casefold() in classes]
        labels = sorted(set(known))
        if several:
            for label in labels:  # what is not named is not known
                library.answer_label({photo.digest: 1}, label, "sidecar", f"sidecar {photo.digest} {label}")
            read += bool(labels)
        elif len(labels) == 1:
            library.answer([photo.digest], labels[0], "sidecar", None, f"sidecar {photo.digest} {labels[0]}")
            read += 1
        elif labels:
            left.append(Skipped(printable(photo.path), f"has the keywords of several classes: {', '.join(labels)}"))
    return read, left


def _with_ancestors(paths: list[str]) -> list[str]:
    """Return nested keywords with all that they lie below: a photo of an animal/owl is one of an animal too."""
    parts = [path.split("/") for path in paths]
    return ["/".join(names[:depth]) for names in parts for depth in range(1, len(names) + 1)]
