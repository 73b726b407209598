"""The chapter on augmentation: one's own image changed by each word, and short trainings that differ in nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tomli_w

from mirante.errors import ImageError, RequestError, require_training
from mirante.files import write_text
from mirante.studio import collections, listing, trainings
from mirante.studio.workspace import Workspace, name_from
from mirante.training.augment import VOCABULARY, read_augment
from mirante.training.recipe import Recipe

if TYPE_CHECKING:
    from mirante.locale import Language
    from mirante.see.picture import Picture

_RUN = "augment"  # how the names of these runs begin
_SIDE = 96  # pixels of the picture
_LAYERS, _EPOCHS = "W2-16B-32B-64B-GMP", 12
_KEPT, _KEPT_OF_FEW, _FEW = 0.8, 0.5, 1000  # share of the images kept apart: few teach, and many judge
_DIGITS = "digits"


def _words(text: str) -> tuple[str, ...]:
    """Return the words of augmentation in `text`, separated by commas, each with its amount. Raises RequestError."""
    return tuple(str(step) for step in read_augment(tuple(part.strip() for part in text.split(",") if part.strip())))


def drawn(image: bytes, text: str, say: Language) -> Picture:
    """Return an encoded image as these words change it. Raises RequestError."""
    require_training()
    from mirante.images import read_image
    from mirante.see import augmentation

    steps = read_augment(_words(text))
    if not steps:
        raise RequestError("choose at least one word.")
    try:
        pixels = read_image(image, (_SIDE, _SIDE), 3, "crop")
    except ImageError as error:
        raise RequestError(f"{error}.") from error
    return augmentation.together(pixels, steps, 0, say)


def start(workspace: Workspace, collection: str, text: str, code: str) -> str:
    """Train a small network on a collection with these words, and once without any, unless these runs are there already.

    collection  its name; empty takes the handwritten digits

    Returns the words as `runs` has them.
    """
    require_training()
    opened = collections.read_collection if collection else collections.open_collection
    one = opened(workspace, collection or _DIGITS)
    recipe = workspace.memory("recipes") / f"{_RUN} {one.name}.toml"
    kept = _KEPT_OF_FEW if len(listing.listing(one).items) < _FEW else _KEPT
    write_text(recipe, tomli_w.dumps({"recipe": Recipe.load("fast", val_share=kept).to_dict()}))
    known = {run["words"] for run in runs(workspace, one.name) if run["state"] in ("running", "finished")}
    data, wanted = listing.training_words(workspace, one), ", ".join(_words(text)) or "none"
    for listed in dict.fromkeys(("none", wanted)):
        if listed in known:
            continue
        name = name_from(f"{_RUN}-{one.name}-{listed.replace(', ', '+')}".replace(" ", "-"), _RUN)
        command = [*data, "--recipe", str(recipe), "--model", _LAYERS]
        command += ["--epochs", str(_EPOCHS), "--augment", listed, "--lang", code]
        trainings.start(workspace, trainings.free_name(workspace, name), one.name, command)
    return wanted


def runs(workspace: Workspace, collection: str) -> list[dict[str, Any]]:
    """Return what is known of this chapter's trainings on a collection as it is now: name, words, state, error, epochs."""
    if (collection or _DIGITS) not in {one.name for one in collections.list_collections(workspace)}:
        return []
    asked = [
        one
        for one in reversed(trainings.list_trainings(workspace))
        if one.collection == (collection or _DIGITS) and one.name.startswith(_RUN) and "--augment" in one.words
    ]
    if not asked:
        return []
    data = listing.training_words(workspace, collections.read_collection(workspace, asked[0].collection))
    found = []
    for one in asked:
        if one.words[1 : 1 + len(data)] == data:  # else images were given other classes since
            now = trainings.progress(workspace, one.name)
            words = one.words[one.words.index("--augment") + 1]
            found.append({"name": one.name, "words": words, **{key: now[key] for key in ("state", "error", "epochs")}})
    return found


def switches(say: Language) -> list[dict[str, Any]]:
    """Return the words there are, each with its usual amount, its limits, and what it does in the person's language."""
    return [
        {
            "name": name,
            "amount": one.amount,
            "limits": one.limits,
            "meaning": say.known(one.meaning),
            "reason": say.known(one.reason),
        }
        for name, one in VOCABULARY.items()
    ]
