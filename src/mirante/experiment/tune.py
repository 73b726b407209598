"""Search for the recipe settings that suit some images: many short trainings, with bad ones stopped early.

Optuna proposes and prunes; its study is an SQLite file, so that a search continues where it was stopped, and several processes
with the same folder share it. Only validation images are used to choose; the test images are not looked at.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any, Unpack

import tomli_w

from mirante import runfolder
from mirante.data.dataset import DataOptions, Dataset
from mirante.errors import RequestError, WorkError
from mirante.experiment.defaults import changed, input_shape, suited, untrained
from mirante.experiment.options import TuneOptions, read_time, sort_options
from mirante.files import write_json, write_text
from mirante.images import Pixels
from mirante.model.notation import has_layers
from mirante.model_info import ModelInfo
from mirante.task import task_named
from mirante.training.history import Epoch
from mirante.training.recipe import Recipe
from mirante.training.symmetry import suited_to

STUDY, BEST, FOUND = "study.db", "best.toml", "tuning.json"
_log = logging.getLogger("mirante")
_NAME = "mirante"
_RANGE = 4.0  # how many times larger or smaller the learning rate may be
_BATCHES = (32, 64, 128, 250, 500)
_LEAST_FOR_IMPORTANCE = 6
_TRIED: dict[str, tuple[str, ...]] = {
    "rotate": (),
    "zoom": (),
    "crop": (),
    "brightness": ("contrast",),
    "erase": (),
    "mixup": (),
    "cutmix": (),
    "trivial": (),
}
"""Words of augmentation that are tried beside the recipe's own, and what goes with each."""


@dataclass(frozen=True)
class Tuned:
    """The result of a search.

    folder      where study, best recipe and figures are
    settings    those of the best trial
    loss, usual  its validation loss (nats), and that of the unchanged recipe
    trials      how many trainings finished, and how many were stopped early
    importance  share of the differences in loss that each setting explains (fANOVA); empty for few trials
    """

    folder: Path
    settings: dict[str, Any]
    loss: float
    usual: float | None
    trials: tuple[int, int]
    importance: dict[str, float]


def tune(
    data: str | Path,
    recipe: str | Recipe | None = None,
    *,
    out: str | Path | None = None,
    trials: int = 30,
    time: str | float | None = None,
    size: int | tuple[int, int] | None = None,
    device: str = "auto",
    **options: Unpack[TuneOptions],
) -> Tuned:
    """Search for the recipe settings that suit some images, and write study, best recipe and figures into a folder.

    recipe    where the search starts; None takes the task's own, or fast
    out       the folder; tunings/DATA-RECIPE when None. A study of the same images there is continued
    trials    trainings that the study should have in all, over all processes, including earlier ones
    time      stop after this, such as "10m", or in seconds; None for no limit
    size      the input size in pixels, as in train
    options   by name: those of Dataset.open, and fields of the recipe, which are then not searched

    Raises RequestError when there are no validation images, or the recipe's network is not a line of layers.
    """
    import optuna

    asked = sort_options(dict(options), TuneOptions)
    given = asked.recipe
    base = changed(recipe or task_named(asked.data.get("task", "classify")).recipe or "fast", given)
    if not has_layers(base.layers):
        raise RequestError(
            f"recipe {base.name}: {base.layers} is not a line of layers; only such networks can be tuned."
        )
    if base.seconds:
        raise RequestError(f"recipe {base.name}: trainings by the clock cannot be compared; give epochs.")
    opened: DataOptions = {"val_share": base.val_share, **asked.data}
    dataset = Dataset.open(data, **opened)
    if not len(dataset.rows("val")):
        raise RequestError(f"{data}: no validation images, which the search needs; give the recipe a val_share.")
    base = suited(base, dataset)
    shape = input_shape(dataset, base.max_size, base.min_size, size)
    info = untrained(dataset, shape, dataset.asks.fit, base)
    dataset, pixels = dataset.load(info.size, info.channels, info.fit, info.rendering)
    rows = dataset.rows("train")
    base = suited_to(base, pixels, rows, dataset.targets)
    info = replace(info, flip_tta=base.flip_tta)
    folder = Path(out).expanduser() if out is not None else Path("tunings") / f"{dataset.name}-{base.name}"
    if folder.exists() and any(folder.iterdir()) and not (folder / STUDY).exists():
        raise RequestError(f"{folder}: already exists and is not a tuning; choose another --out.")
    folder.mkdir(parents=True, exist_ok=True)
    seed = None if (folder / STUDY).exists() else base.seed  # a search that goes on tries something else
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage=f"sqlite:///{(folder / STUDY).absolute()}",
        study_name=_NAME,
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
    )
    _require_same(study, dataset, base, folder)
    if not study.trials:
        study.enqueue_trial(_as_it_is(base, given, dataset))  # what the search has to beat
    ends = monotonic() + read_time(time) if time is not None else float("inf")
    _log.info(f"{dataset.location}: {base.name}, judged by {len(dataset.rows('val')):,} validation images  →  {folder}")
    while _done(study) < trials and monotonic() < ends:
        study.optimize(
            lambda trial: _train(
                trial, _suggested(trial, base, given, dataset), dataset, pixels, info, folder, device, ends
            ),
            n_trials=1,
        )
        _say_last(study)
    return _written(study, base, folder)


def _train(
    trial: Any,
    recipe: Recipe,
    dataset: Dataset,
    pixels: Pixels,
    info: ModelInfo,
    folder: Path,
    device: str,
    ends: float,
) -> float:
    """Train once, and return the validation loss after the last epoch; raises optuna.TrialPruned if it is not worth it."""
    import optuna

    from mirante.experiment.fit_network import new_network
    from mirante.training.engine import Images, hold
    from mirante.training.loop import Stopped, fit

    network, place = new_network(recipe, replace(info, layers=recipe.layers), device)
    held = hold(pixels, place)
    train, val = (Images(held, dataset.targets, dataset.rows(split)) for split in ("train", "val"))

    def report(epoch: Epoch) -> None:
        assert epoch.val_loss is not None  # it is watched
        trial.report(epoch.val_loss, epoch.epoch)
        if trial.should_prune() or monotonic() > ends:
            raise optuna.TrialPruned

    here = folder / f"trial-{trial.number:04d}"
    (here / runfolder.CHECKPOINT).mkdir(parents=True, exist_ok=True)
    try:
        history = fit(network, train, val, recipe, dataset.asks.criterion(), here, place, report)
    except Stopped:
        raise
    except WorkError as error:
        raise optuna.TrialPruned from error  # a loss that is not a number is also a result
    finally:
        shutil.rmtree(here, ignore_errors=True)
    loss = history[-1].val_loss
    assert loss is not None
    return loss


def _space(recipe: Recipe, given: Mapping[str, Any], dataset: Dataset) -> dict[str, tuple[Any, ...]]:
    """Return setting → its lowest and highest value and whether the scale is logarithmic, or a tuple of choices first."""
    rows = len(dataset.rows("train"))
    batches = tuple(one for one in _BATCHES if one <= max(32, rows // 4))
    space: dict[str, tuple[Any, ...]] = {
        "learning_rate": (recipe.learning_rate / _RANGE, recipe.learning_rate * _RANGE, True),
        "batch_size": (tuple(dict.fromkeys((*batches, recipe.batch_size))),),
        "label_smoothing": (0.0, 0.2, False),
        "augment": (_augmentations(recipe, dataset.asks.mirrors),),
    }
    if recipe.sizes and "layers" not in given:
        space["layers"] = (tuple(dict.fromkeys((recipe.layers, *(one.layers for one in recipe.sizes)))),)
    return {name: values for name, values in space.items() if name not in given}


def _augmentations(recipe: Recipe, mirrors: bool) -> tuple[str, ...]:
    """Return the lists of augmentation that are tried, as texts: the recipe's own, less, and more."""
    tried = {*_TRIED, *(word for others in _TRIED.values() for word in others)}
    own = [one for one in recipe.augment if one.split()[0] not in tried]
    lists = [recipe.augment, (), own, *([*own, one, *_TRIED[one]] for one in _TRIED)]
    if mirrors and not any(one.startswith("mirror") for one in own):
        lists.append(["mirror", *recipe.augment])
    return tuple(dict.fromkeys(", ".join(one) for one in lists))


def _fields(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a recipe for settings as the search has them."""
    found = dict(settings)
    if "augment" in found:
        found["augment"] = tuple(one for one in found["augment"].split(", ") if one)
    return found


def _suggested(trial: Any, recipe: Recipe, given: Mapping[str, Any], dataset: Dataset) -> Recipe:
    chosen: dict[str, Any] = {}
    for name, values in _space(recipe, given, dataset).items():
        if isinstance(values[0], tuple):
            chosen[name] = trial.suggest_categorical(name, list(values[0]))
        else:
            chosen[name] = trial.suggest_float(name, values[0], values[1], log=values[2])
    return recipe.changed(**_fields(chosen))


def _as_it_is(recipe: Recipe, given: Mapping[str, Any], dataset: Dataset) -> dict[str, Any]:
    found = {name: getattr(recipe, name) for name in _space(recipe, given, dataset)}
    return found | ({"augment": ", ".join(recipe.augment)} if "augment" in found else {})


def _require_same(study: Any, dataset: Dataset, recipe: Recipe, folder: Path) -> None:
    """Raise RequestError when a study is of other images or another recipe."""
    wanted = {"data": dataset.fingerprint, "recipe": {**recipe.to_dict(), "sizes": [], "seed": 0}}
    kept = study.user_attrs.get("of")
    if kept is None:
        study.set_user_attr("of", wanted)
    elif kept != wanted:
        raise RequestError(f"{folder}: a tuning for other images or another recipe; choose another --out.")


def _done(study: Any) -> int:
    from optuna.trial import TrialState

    return len(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))


def _say_last(study: Any) -> None:
    last = study.trials[-1]
    settings = ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in last.params.items()
    )
    outcome = f"val loss {last.value:.4f}" if last.state.name == "COMPLETE" else "stopped early"
    _log.info(f"trial {last.number + 1}: {outcome}  ({settings})")


def _written(study: Any, recipe: Recipe, folder: Path) -> Tuned:
    from optuna.trial import TrialState

    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if not finished:
        raise WorkError(f"{folder}: no training finished in that time; give more time (--time) or fewer --epochs.")
    best = study.best_trial
    importance: dict[str, float] = {}
    if len(finished) >= _LEAST_FOR_IMPORTANCE:
        from optuna.importance import get_param_importances

        importance = {name: float(share) for name, share in get_param_importances(study).items()}
    chosen = recipe.changed(**_fields(best.params), sizes=())
    header = "# Chosen by mirante tune on validation images: mirante train DATA --recipe this/file\n"
    write_text(folder / BEST, header + tomli_w.dumps(replace(chosen, name=f"{recipe.name}-tuned").to_dict()))
    stopped = len(study.get_trials(deepcopy=False, states=(TrialState.PRUNED,)))
    first = study.trials[0]
    usual = float(first.value) if first.state == TrialState.COMPLETE else None
    done = Tuned(folder, dict(best.params), float(best.value), usual, (len(finished), stopped), importance)
    found = {
        "format": runfolder.FORMAT,
        "settings": done.settings,
        "val_loss": done.loss,
        "val_loss_of_the_recipe": usual,
        "finished": len(finished),
        "stopped_early": stopped,
        "importance": importance,
    }
    write_json(folder / FOUND, found)
    return done
