"""The person's language in reports, plots and tables: English, or Brazilian Portuguese from pt_BR.toml.

A text is written in English in the code and looked up as it stands; numbers follow the language's own signs.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field
from importlib import resources

from mirante.errors import RequestError

LANGUAGES = ("en", "pt")
_VARIABLES = ("MIRANTE_LANG", "LC_ALL", "LC_MESSAGES", "LANG")  # the first that is set counts


@dataclass(frozen=True)
class Language:
    """One language: call it with an English text and the values for its {braces}."""

    code: str
    texts: dict[str, str] = field(repr=False)

    def __call__(self, text: str, **values: object) -> str:
        """Return the text in this language; raises KeyError when Portuguese lacks it."""
        found = text if self.code == "en" else self.texts[text]
        return found.format(**values) if values else found

    def known(self, text: str) -> str:
        """Return the text in this language if it is one of ours, else as it is: a word of ours or a person's own."""
        return self.texts.get(text, text)

    def told(self, error: object) -> str:
        """Return an error, or a message of the library, in this language, as far as it is known."""
        from mirante.locale.messages import message_in

        return message_in(self.code, str(error))

    def number(self, value: float, digits: int = 0) -> str:
        """Return a number with the language's separators: 1,234.5 in English, 1.234,5 in Portuguese."""
        if value != value:
            return "–"
        text = f"{value:,.{digits}f}"
        return text if self.code == "en" else text.translate(str.maketrans(",.", ".,"))

    def percent(self, share: float, digits: int = 1) -> str:
        """Return a share as a percentage: 0.689 is 68.9% or 68,9%."""
        return "–" if share != share else f"{self.number(100 * share, digits)}%"

    def confidence(self, share: float, digits: int = 1) -> str:
        """Return a probability as a percentage that never claims certainty: 0.9998 is >99.9%, not 100.0%."""
        step = 10.0 ** -(digits + 2)
        return self.percent(share, digits) if share < 1 - step / 2 else f">{self.percent(1 - step, digits)}"


def language(code: str | None = None) -> Language:
    """Return the language of that code, or the one that the environment asks for.

    >>> language("pt").percent(0.6894)
    '68,9%'
    >>> [language("en").confidence(share, 0) for share in (0.62, 0.994, 0.996, 1.0)]
    ['62%', '99%', '>99%', '>99%']
    """
    if code is None:
        asked = next((os.environ[name] for name in _VARIABLES if os.environ.get(name)), "en")
        code = "pt" if asked.lower().startswith("pt") else "en"
    if code not in LANGUAGES:
        raise RequestError(f"lang {code!r}: must be {' or '.join(LANGUAGES)}.")
    if code == "en":
        return Language("en", {})
    content = (resources.files("mirante.locale") / "pt_BR.toml").read_text(encoding="utf-8")
    return Language("pt", tomllib.loads(content))
