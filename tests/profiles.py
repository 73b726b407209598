"""Colour profiles for the tests, written byte by byte after the ICC specification: a matrix for RGB, a table for CMYK."""

from __future__ import annotations

import struct


def _profile(space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content
    header = struct.pack(">I4sI4s4s4s", start + len(body), b"lcms", 0x02400000, b"mntr", space, connection)
    header += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28
    header += struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D)  # D50, the white that profiles count from
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _described(name: str) -> bytes:
    text = name.encode() + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + b"\0" * 78


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(one * 65536)) for one in values)


def display_p3() -> bytes:
    """Return a profile with the primaries of Display P3, adapted to D50, and a gamma of 2.2."""
    gamma = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    return _profile(
        b"RGB ",
        b"XYZ ",
        {
            b"desc": _described("P3 of the tests"),
            b"wtpt": _xyz(0.9642, 1.0, 0.8249),
            b"rXYZ": _xyz(0.5151, 0.2412, -0.0011),
            b"gXYZ": _xyz(0.2920, 0.6922, 0.0419),
            b"bXYZ": _xyz(0.1571, 0.0666, 0.7841),
            **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma),
        },
    )


def printing_ink(red_of_magenta: int = 180) -> bytes:
    """Return a profile of four inks in which full magenta is of a colour that no formula would guess."""
    straight = bytes(range(256))
    corners = b""
    for number in range(16):  # cyan changes slowest, black fastest; each corner in Lab, as bytes
        cyan, magenta, yellow, black = (number >> bit & 1 for bit in (3, 2, 1, 0))
        light = 255 - 60 * cyan - 100 * magenta - 10 * yellow
        corners += bytes([max(0, light) if not black else 0, red_of_magenta if magenta else 128, 128])
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table += 4 * straight + corners + 3 * straight
    return _profile(b"CMYK", b"Lab ", {b"desc": _described("ink"), b"wtpt": _xyz(0.9642, 1.0, 0.8249), b"A2B0": table})
