"""Pages from templates that lie in packages of Mirante; what is put in is escaped, and nothing may be missing."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import jinja2


def environment(*folders: str) -> jinja2.Environment:
    """Return what finds templates in these folders, the first one first: "mirante.studio/templates", "mirante.evaluation"."""
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
    """Return the style sheet of reports, for a template that takes it as it is."""
    import markupsafe

    return markupsafe.Markup((resources.files("mirante.evaluation") / "report.css").read_text(encoding="utf-8"))
