"""Keeps freed memory in the process, on Linux with glibc; elsewhere it does nothing.

By default glibc gives the pages of every large tensor back to the kernel and faults them in again at the next step:
29,000 page faults per step of the tutorial's model, costing two thirds of its speed.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h


def keep_memory() -> None:
    """Have malloc keep what is freed. Call it before the first tensor is made."""
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(_M_MMAP_THRESHOLD, 32 << 20)
    mallopt(_M_TRIM_THRESHOLD, (2 << 30) - 1)
    mallopt(_M_TOP_PAD, 256 << 20)
