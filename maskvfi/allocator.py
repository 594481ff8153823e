"""glibc's allocator, told to keep what it was given."""

from __future__ import annotations

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEPT = 1 << 30  # bytes


def keep_freed_memory() -> None:
    """From now on this process reuses the memory of large tensors instead of giving each back to the system.

    By default glibc maps every block over 32 MiB anew, and the system clears it page by page; docs/speed.md says what
    that costs. Does nothing with another C library, or where the environment has settings for glibc's.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, KEPT)
        mallopt(M_TRIM_THRESHOLD, KEPT)
