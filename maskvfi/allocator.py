"""glibc's allocator, told to keep what it was given."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEPT = 1 << 30  # bytes
LARGEST = 32 << 20  # bytes: up to here glibc keeps blocks by itself, once it has seen some


def keep_freed_memory() -> None:
    """From now on this process reuses the memory of large tensors instead of giving each back to the system.

    By default glibc maps every block over 32 MiB anew, and the system clears it page by page; docs/speed.md says what
    that costs. Does nothing with another C library, or where the environment has settings for glibc's.
    """
    import_module("torch")  # which sets thresholds of its own while it is imported
    _set(KEPT, KEPT)


@contextmanager
def freeing() -> Iterator[None]:
    """glibc as it comes while the block lasts, and keeping afterwards."""
    _set(LARGEST, 2 * LARGEST)
    try:
        yield
    finally:
        keep_freed_memory()


def _set(mapped: int, trimmed: int) -> None:
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, mapped)
        mallopt(M_TRIM_THRESHOLD, trimmed)
