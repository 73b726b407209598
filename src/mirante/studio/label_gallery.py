"""Photo folders opened with a run of several labels: which photos have a label is asked about many of them at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mirante.data.entries import printable
from mirante.errors import RequestError
from mirante.evaluation.metrics import share_right
from mirante.locale import Language
from mirante.photos.label_questions import choose_labels
from mirante.photos.library import several_of
from mirante.photos.questions import Question
from mirante.studio.gallery import DIGEST, Gallery, Session, classes_of, new_turn
from mirante.studio.workspace import UNCLEAR

_AT_ONCE = 6  # questions chosen at a time


class LabelSession(Session):
    """A gallery of several labels that is open."""

    def __init__(self, gallery: Gallery) -> None:
        super().__init__(gallery)
        self._skipped: set[tuple[str, str]] = set()  # digest and label
        self._taken_back: dict[str, dict[str, int]] = {}  # turn of the question → digest → what was said before

    def questions(self, say: Language) -> list[dict[str, Any]]:
        with self._lock:
            self.refresh()
            known = self._known()
            self._waiting = [
                (turn, one) for turn, one in self._waiting if not {(row, one.label) for row in one.rows} & known
            ]
            if len(self._waiting) < _AT_ONCE // 2:
                waiting = {(row, one.label) for _, one in self._waiting for row in one.rows}
                found = choose_labels(
                    self._features,
                    self._probabilities,
                    known | waiting | self._numbers(self._skipped),
                    self._apart(),
                    _AT_ONCE,
                    np.random.default_rng(),
                    self._asked,
                )
                self._asked += len(found)
                self._waiting += [(new_turn(), one) for one in found]
            return [self._shown(turn, one, say) for turn, one in self._waiting]

    def answer_label(self, turn: str, said: Mapping[str, int], label: str, kind: str) -> None:
        """Keep which photos have a label, digest → 1 yes, 0 no, -1 not sure; nothing said skips the question for now."""
        with self._lock:
            sound = all(DIGEST.fullmatch(digest) and has in (-1, 0, 1) for digest, has in said.items())
            if not sound or kind not in ("random", "together") or label not in classes_of(self.gallery):
                raise RequestError(UNCLEAR)
            for known, one in self._waiting:
                if known == turn and not said:
                    self._skipped |= {(self.photos[row].digest, label) for row in one.rows}
            if said:
                self.library.answer_label(said, label, kind, turn)  # type: ignore[arg-type]
            self._waiting = [one for one in self._waiting if one[0] != turn]

    def take_back(self) -> int:
        with self._lock:
            given = self.library.answers()
            digests = self.library.take_back()
            rows = tuple(self.rows[digest] for digest in digests if digest in self.rows)
            kind = given[-1].kind if digests else "chosen"
            if rows and kind in ("random", "together") and given[-1].label in self.classes:  # asked again at once
                again = Question(rows, self.classes.index(given[-1].label), kind)
                turn = new_turn()
                self._taken_back[turn] = {
                    one.digest: one.has for one in given if one.turn == given[-1].turn and one.has is not None
                }
                self._waiting.insert(0, (turn, again))
            return len(digests)

    def given(self, names: Mapping[str, str], say: Language) -> list[dict[str, Any]]:
        found = []
        for digest, labels in reversed(several_of(self.library.answers()).items()):
            if digest not in names:
                continue
            has = sorted(label for label, one in labels.items() if one.has == 1)
            unsure = sorted(label for label, one in labels.items() if one.has == -1)
            told = [*has, *(say("{label}: not sure", label=label) for label in unsure)]
            found.append(
                {"path": digest, "title": names[digest], "said": has, "told": ", ".join(told) or say("no label")}
            )
        return found

    def change(self, digests: Sequence[str], label: str | None, has: int | None) -> None:
        sound = all(DIGEST.fullmatch(digest) for digest in digests)
        said = {name for labels in several_of(self.library.answers()).values() for name in labels}
        if not sound or has not in (-1, 0, 1) or label not in {*classes_of(self.gallery), *said}:
            raise RequestError(UNCLEAR)
        self.library.change(digests, label, has, new_turn())

    def progress(self, say: Language) -> dict[str, Any]:
        """Return how many answers there are, and how good the model is on those of questions drawn at random, with an interval."""
        answers = self.library.answers()
        told = several_of(answers)
        drawn = {(one.digest, str(one.label)) for one in answers if one.kind == "random" and one.has is not None}
        right, wanted, turns = [], [], []
        with self._lock:
            decided = self.info.asks.answered(self._probabilities, self.info) if len(self.rows) else None
            for digest, label in sorted(drawn):
                one = told[digest][label]
                is_here = digest in self.rows and digest not in self._made_from
                if decided is not None and is_here and label in self.classes and one.has in (0, 1):
                    right.append(int(decided[self.rows[digest], self.classes.index(label)]) == one.has)
                    wanted.append(one.has == 1)
                    turns.append(one.turn)
        estimate = say(
            "Questions drawn at random tell how good the model is on these photos; none has been answered yet."
        )
        if right:
            share = share_right(np.array(right), turns)  # the photos of one question are about one label
            found = [hit for hit, has in zip(right, wanted, strict=True) if has]
            estimate = say(
                "Labels of photos drawn at random that the model gets right: {right} of {count}, {share} ({low} – {high}); "
                "of {has} that a photo has, it finds {found}.",
                right=say.number(sum(right)),
                count=say.number(len(right)),
                share=say.percent(share["value"], 0),
                low=say.percent(share["low"], 0),
                high=say.percent(share["high"], 0),
                has=say.number(len(found)),
                found=say.number(sum(found)),
            )
        said = [one for labels in told.values() for one in labels.values()]
        return {"answered": len(said), "unsure": sum(one.has == -1 for one in said), "estimate": estimate}

    def _known(self) -> set[tuple[int, int]]:
        answers = several_of(self.library.answers())
        return self._numbers({(digest, label) for digest, labels in answers.items() for label in labels})

    def _numbers(self, pairs: set[tuple[str, str]]) -> set[tuple[int, int]]:
        """Return (digest, label) as numbers of photos and labels, without those that are not here."""
        return {
            (self.rows[digest], self.classes.index(label))
            for digest, label in pairs
            if digest in self.rows and label in self.classes
        }

    def _shown(self, turn: str, one: Question, say: Language) -> dict[str, Any]:
        photos = [(self.photos[row], float(self._probabilities[row, one.label])) for row in one.rows]
        return {
            "turn": turn,
            "label": self.classes[one.label],
            "kind": one.kind,
            "said": self._taken_back.get(turn, {}),
            "photos": [
                {"digest": photo.digest, "path": printable(photo.path), "share": say.confidence(share, 0)}
                for photo, share in photos
            ],
        }
