"""The answer of a model of a tree for one image: a leaf, or with a coverage the deepest node that can be promised."""

from __future__ import annotations

from mirante.locale import Language
from mirante.tasks.classify import terminal
from mirante.tasks.classify.prediction import Prediction
from mirante.tasks.tree.paths import common


class TreePrediction(Prediction):
    """The prediction for one image, of a class in a tree.

    Asked with a coverage, `label` is the deepest node of the tree that holds the true class with it, such as `animal/bird`, and
    `confidence` the probability of that node; `prediction_set` holds all its classes. Where nothing can be promised, `label` is None.
    """

    @property
    def node(self) -> str | None:
        """The deepest node that can be promised, empty for the root; None if no coverage was asked for."""
        return None if self.prediction_set is None else common(self.prediction_set)

    @property
    def label(self) -> str | None:
        return None if self.node == "" else super().label

    @property
    def confidence(self) -> float | None:
        return None if self.label is None else super().confidence

    @property
    def nearest(self) -> str:
        return self.node or super().nearest

    @property
    def nearest_confidence(self) -> float:
        if not self.node or self.prediction_set is None:
            return super().nearest_confidence
        inside = set(self.prediction_set)
        return float(
            sum(share for name, share in zip(self.classes, self.probabilities.tolist(), strict=True) if name in inside)
        )


def table_row(answer: TreePrediction, say: Language) -> list[tuple[str, str]]:
    """Return (heading, cell) of each column."""
    (_, told), share, *others = terminal.table_row(answer, say)
    if answer.node == "" and not answer.none_of_these:
        told = say("unsure")
    elif answer.unsure and not answer.none_of_these:
        told = say("{node}, kind unknown", node=answer.node)
    return [(f"{say('Class'):<36}", f"{told.strip():<36}"), share, others[-1]]
