"""Standard output and error: what they cannot show is shown otherwise, and what they cannot take is said."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys

from mirante.files import system_reason

_PLAIN = {
    "–": "-", "—": "-", "−": "-", "‑": "-", "…": "...", "→": "->", "×": "x", "≥": ">=", "≤": "<=", "±": "+-", "’": "'", "‘": "'",
    "“": '"', "”": '"', "─": "-", "━": "-", "╸": "-", "╺": "-", "█": "#", "│": "|", "┃": "|", "•": "*", "✓": "+", "\ufeff": "",
}  # fmt: skip
"""What a terminal of another encoding is given for signs that it does not have."""


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


def concerns_output(error: OSError) -> bool:
    """Tell whether an error of the system is that of a stream without a name, which standard output is."""
    return error.filename is None and error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG, errno.EINVAL)


def _otherwise(error: UnicodeError) -> tuple[str | bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    text = error.object[error.start : error.end]
    if all("\udc80" <= letter <= "\udcff" for letter in text):  # bytes of a name that is no text, as they are
        return bytes(ord(letter) - 0xDC00 for letter in text), error.end
    return "".join(_PLAIN.get(letter, "?") for letter in text), error.end
