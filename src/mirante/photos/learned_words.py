"""What came of learning, in plain words."""

from __future__ import annotations

from pathlib import Path

from mirante.locale import Language
from mirante.photos.learn import LearnResult, learn
from mirante.photos.library import Library

_VAGUER, _LEAST_LOSS = 1.2, 0.05  # times, and nats, by which its loss may rise before that is told


def learned_sentence(done: LearnResult, say: Language) -> str:
    """Say in plain words what came of learning."""
    counts = {
        "taught": say.number(done.taught),
        "unseen": say.number(done.unseen),
        "before": say.number(done.before),
        "after": say.number(done.after),
    }
    if not done.several:
        compared = say(
            "Learned from {taught} confirmed photos. Of {unseen} images that neither model saw, the old one gets {before} right and "
            "the new one {after}.",
            **counts,
        )
    else:
        compared = say(
            "Learned from {taught} confirmed photos. Of {unseen} labels of images that neither model saw, the old one gets {before} "
            "right and the new one {after}; their mean loss is {old_loss} and {new_loss}.",
            **counts,
            old_loss=say.number(done.losses[0], 4),
            new_loss=say.number(done.losses[1], 4),
        )
    if done.from_before:
        compared += " " + say(
            "{count} of the photos it had learned before, from other folders.", count=say.number(done.from_before)
        )
    if not done.is_new:
        return say("The model has learned from these answers already, so it stays as it is.")
    if done.kept is None:
        if not done.added:
            return f"{compared} {say('The new one is worse, so the old one stays.')}"
        names = ", ".join(done.added)
        text = (
            "The new one, which also knows {names}, is worse on the other classes, so the old one stays; more photos of the new "
            "classes may help, or a new training."
        )
        worse = say(text, names=names)
        return f"{compared} {worse}"
    taken = say("The new one is now in use; the old one is kept in {kept}.", kept=done.kept)
    new = ""
    if done.added:
        text = "New classes: {names}. No test image shows how well they are recognised; a new training would set some aside."
        new = say(text, names=", ".join(done.added))
    fewer = (
        say("Fewer are right, as is to be expected with one class more.")
        if done.added and done.after < done.before
        else ""
    )
    vague = ""
    if not done.several and done.losses[1] > _VAGUER * done.losses[0] + _LEAST_LOSS:
        text = "The probabilities of the new one fit worse: on images of the old classes the mean loss rises from {before} to {after}."
        vague = say(text, before=say.number(done.losses[0], 2), after=say.number(done.losses[1], 2))
    return " ".join(part for part in (compared, fewer, vague, taken, new) if part)


def waiting_sentences(done: LearnResult, say: Language) -> list[str]:
    """Say of each new class that has too few photos how many it has."""
    text = "{label}: {count} of the 5 photos that a new class needs."
    if done.several:
        text = "{label}: {count} of the 5 photos with a new label, and of the 5 without, that it needs (none of them set aside)."
    return [say(text, label=label, count=count) for label, count in done.waiting.items()]


def learn_in_words(path: Path, library: Library, say: Language) -> str:
    """Teach a run, and say what came of it; raises as `learn` does."""
    done = learn(path, library, say)
    return " ".join([learned_sentence(done, say), *waiting_sentences(done, say)])
