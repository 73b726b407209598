"""Classes as paths, animal/bird/owl: what lies in what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mirante.data.classes import look_alikes, tidy_path, upwards
from mirante.data.labels import Labelled
from mirante.errors import DataError


def tidied(rows: Sequence[Labelled]) -> list[Labelled]:
    """Return the rows with their labels as paths without spaces around the slashes, and without one at either end."""
    return [row._replace(label=tidy_path(row.label)) for row in rows]


def require_tree(location: str, classes: Sequence[str]) -> None:
    """Raise DataError for classes that are no leaves of a tree."""
    if all("/" not in name for name in classes):
        raise DataError(
            f"{location}: no class lies in another one: classes of a tree are nested folders, or names such as animal/bird. For "
            "these, leave --tree out."
        )
    if alike := look_alikes(Counter(up for name in classes for up in upwards(name))):
        one, other = alike[0]
        raise DataError(
            f"{location}: {one!r} and {other!r} differ only by case or spaces; merge them, or give them names that people can tell "
            "apart. Nothing was merged."
        )
    for name in classes:
        if inside := next((other for other in classes if other.startswith(f"{name}/")), None):
            raise DataError(
                f"{location}: {name!r} has images of its own and holds {inside!r}; every image needs a class at the end of the tree. "
                f"Put them into one of those, or into a new one such as '{name}/other'."
            )


@dataclass(frozen=True)
class Nodes:
    """All M nodes in a tree but its root, for its leaves in the order of the classes.

    names    M paths
    holds    (M, classes) which leaves lie in each, itself included
    below    (M + 1, M) which are right below each; the last row is the root
    depths   (M,) 1 for those right below the root
    """

    names: tuple[str, ...]
    holds: NDArray[np.bool_]
    below: NDArray[np.bool_]
    depths: NDArray[np.int64]

    @property
    def depth(self) -> int:
        """The depth of the deepest leaf."""
        return int(self.depths.max())


@lru_cache(maxsize=8)
def nodes_of(classes: tuple[str, ...]) -> Nodes:
    """Return the nodes of the tree whose leaves these classes are."""
    names = tuple(dict.fromkeys(up for name in classes for up in upwards(name)))
    number = {name: at for at, name in enumerate(names)}
    holds = np.zeros((len(names), len(classes)), bool)
    below = np.zeros((len(names) + 1, len(names)), bool)
    for at, name in enumerate(classes):
        holds[[number[up] for up in upwards(name)], at] = True
    for at, name in enumerate(names):
        parent = name.rpartition("/")[0]
        below[number[parent] if parent else len(names), at] = True
    return Nodes(names, holds, below, np.array([name.count("/") + 1 for name in names]))


def at_level(path: str, level: int) -> str:
    """Return the beginning of a path, of this many parts; a shorter path is returned whole.

    >>> at_level("animal/bird/owl", 2), at_level("stone", 2)
    ('animal/bird', 'stone')
    """
    return "/".join(path.split("/")[:level])


def common(paths: Sequence[str]) -> str:
    """Return the deepest node that holds all paths; empty for the root.

    >>> common(["animal/bird/owl", "animal/bird/wren"]), common(["a/b", "c"]), common(["a/b"])
    ('animal/bird', '', 'a/b')
    """
    shared = []
    for parts in zip(*(path.split("/") for path in paths), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "/".join(shared)


def distances(classes: Sequence[str]) -> NDArray[np.int64]:
    """Return how many levels up from each class (rows) the node is that also holds the other (columns): 1 between siblings."""
    parts = [name.split("/") for name in classes]
    found = np.zeros((len(parts), len(parts)), np.int64)
    for row, one in enumerate(parts):
        for column, other in enumerate(parts):
            shared = next((at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))
            found[row, column] = len(one) - shared
    return found
