"""Labels from XMP sidecars: a keyword that is the name of a class, or of a label, counts as a person's answer."""

from __future__ import annotations

import uuid
from pathlib import Path

from mirante import runfolder
from mirante.data.classes import known_as, letters
from mirante.data.entries import Skipped, printable
from mirante.errors import ImageError
from mirante.photos.library import Library, labels_of, several_of
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
    named: dict[str, tuple[str, set[str]]] = {}  # by digest: a path, and what the sidecars of all copies name
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
        named.setdefault(photo.digest, (photo.path, set()))[1].update(known)
    before = library.all_answers("sidecar")
    one_class, labels_said = labels_of(before), several_of(before)
    stands = {one.digest: one for one in library.answers() if one.has is None}
    for digest, (path, found) in named.items():
        labels = sorted(found)
        read += len(labels) == 1 or (several and bool(labels))
        if several:  # what is not named is not known
            earlier = [label for label, one in labels_said.get(digest, {}).items() if one.has == 1]
            said = {label: 1 for label in labels if known_as(label, earlier) not in earlier}
            said |= {label: -1 for label in earlier if known_as(label, labels) not in labels}
            if said:
                library.answer_labels(digest, said, "sidecar", uuid.uuid4().hex)
        elif len(labels) > 1:
            text = f"has the keywords of several classes: {', '.join(labels)}"
            left.append(Skipped(printable(path), text))
        elif labels and letters(one_class.get(digest) or "") != letters(labels[0]):
            library.answer([digest], labels[0], "sidecar", None, uuid.uuid4().hex)
        elif not labels and one_class.get(digest) is not None and digest in stands and stands[digest].kind == "sidecar":
            library.answer([digest], None, "sidecar", None, uuid.uuid4().hex)  # the keyword was taken out
    return read, left


def _with_ancestors(paths: list[str]) -> list[str]:
    """Return nested keywords with all that they lie below: a photo of an animal/owl is one of an animal too."""
    parts = [path.split("/") for path in paths]
    return ["/".join(names[:depth]) for names in parts for depth in range(1, len(names) + 1)]
