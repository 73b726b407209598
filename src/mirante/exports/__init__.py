"""A finished model in the forms that others read, each compared with model.onnx on real images before it is handed over."""

from __future__ import annotations

import pkgutil

_MODULES = "to_"


def forms() -> tuple[str, ...]:
    """Return the names of all forms: each is a module to_NAME here, with `write(job) -> Written` (mirante.exports.form)."""
    found = (one.name for one in pkgutil.iter_modules(__path__) if one.name.startswith(_MODULES))
    return tuple(sorted(name.removeprefix(_MODULES).replace("_", "-") for name in found))


def module_of(form: str) -> str:
    """Return the name of the module that writes a form."""
    return f"{__name__}.{_MODULES}{form.replace('-', '_')}"
