"""A person's answers as a table for a first training."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mirante.errors import DataError
from mirante.files import csv_text, write_text
from mirante.photos.library import Known, Library, labels_of
from mirante.photos.said import NEEDED


def first_table(library: Library) -> Path:
    """Write the answers as a table for a first training and return its path. Raises DataError when there are too few."""
    photos: dict[str, Known] = {one.digest: one for one in library.look()[0]}
    labels = {digest: label for digest, label in labels_of(library.answers()).items() if label and digest in photos}
    counts = Counter(labels.values())
    if len([count for count in counts.values() if count >= NEEDED]) < 2:
        raise DataError(f"{library.folder}: a first model needs two classes with {NEEDED} answered photos each.")
    rows = [(photos[digest].path, label) for digest, label in labels.items() if counts[label] >= NEEDED]
    path = library.place.with_name("answers.csv")
    write_text(path, csv_text(["path", "label"], rows))
    return path
