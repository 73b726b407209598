"""Pages from templates in Mirante's packages; inserted values are escaped, and none may be missing."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2


def environment(*folders: str) -> jinja2.Environment:
    """Return an environment that searches these folders in order: "mirante.studio/templates", "mirante.evaluation"."""
    import jinja2

    def load(name: str) -> str | None:
        for folder in folders:
            package, _, inside = folder.partition("/")
            file = resources.files(package) / inside / name
            if file.is_file():
                return file.read_text(encoding="utf-8")
        return None

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(load),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def raw_css() -> str:
    """Return the style sheet of reports, for a template to insert unescaped."""
    import markupsafe

    return markupsafe.Markup((resources.files("mirante.evaluation") / "report.css").read_text(encoding="utf-8"))
