"""Standard output and error: what they cannot show is shown otherwise, and what they cannot take is said."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import IO, Any

from mirante.files import system_reason

_PLAIN = {
    "–": "-", "—": "-", "−": "-", "‑": "-", "…": "...", "→": "->", "×": "x", "≥": ">=", "≤": "<=", "±": "+-", "’": "'", "‘": "'",
    "“": '"', "”": '"', "─": "-", "━": "-", "╸": "-", "╺": "-", "█": "#", "│": "|", "┃": "|", "•": "*", "✓": "+", "\ufeff": "",
}  # fmt: skip
"""What a terminal of another encoding is given for signs that it does not have."""


class OutputError(OSError):
    """Standard output cannot be written."""


class Closed(io.TextIOBase):
    """Stands for a standard output that is closed, and remembers whether anything was meant for it."""

    written = False

    def write(self, text: str) -> int:
        self.written = self.written or bool(text)
        return len(text)

    def writable(self) -> bool:
        return True


def prepare() -> None:
    """Make standard output and error take any text: a sign or a name that they cannot show is no reason to stop."""
    codecs.register_error("mirante", _otherwise)
    if sys.stdout is None:
        os.open(os.devnull, os.O_WRONLY)  # else the next file that is opened becomes the standard output of libraries
        sys.stdout = Closed()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace" if stream is sys.stderr else "mirante")
    if isinstance(sys.stdout, io.TextIOWrapper) and "write" not in vars(sys.stdout):
        vars(sys.stdout).update(write=_watched(sys.stdout.write), flush=_watched(sys.stdout.flush))


def tell(message: str, code: str | None, file: IO[str] | None = None) -> None:
    """Print a message in the language of this code (the system's when None), to standard error if no `file` is given."""
    from mirante.locale.messages import message_in

    print(message_in(code, message), file=sys.stderr if file is None else file, flush=True)


def finish() -> str:
    """Flush what was printed; return why it could not be written, or nothing."""
    if isinstance(sys.stdout, Closed):
        return "standard output is closed, so nothing could be printed." if sys.stdout.written else ""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        return unwritable(error)
    return ""


def unwritable(error: OSError) -> str:
    """Say that standard output cannot be written, and keep Python from trying again at its end."""
    discard()
    return f"standard output could not be written: {system_reason(error)}."


def discard() -> None:
    """Send what is still to be written to standard output nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _watched(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of standard output whose failures can be told from those of other files."""

    @wraps(call)
    def watched(*arguments: Any) -> Any:
        try:
            return call(*arguments)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(error.errno, error.strerror) from error

    return watched


def _otherwise(error: UnicodeError) -> tuple[str | bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    if all("\udc80" <= letter <= "\udcff" for letter in text):  # bytes of a name that is no text, as they are
        return bytes(ord(letter) - 0xDC00 for letter in text), error.end
    return "".join(map(_plain, text)), error.end


def _plain(letter: str) -> str:
    """Return a letter in ASCII: names that differ by an accent must still differ."""
    escaped = letter.encode("ascii", "backslashreplace").decode()
    return _PLAIN.get(letter, escaped if letter.isalnum() else "?")
