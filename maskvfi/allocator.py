"""Settings of glibc's memory allocator, so that a process keeps freed memory for its next large tensors."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEPT = 1 << 30  # bytes: blocks up to this size are reused, and so much free memory is kept
LARGEST = 32 << 20  # bytes: glibc raises its own mmap threshold up to this
_keeps = False  # whether this process was told to keep freed memory


def keep_freed_memory() -> None:
    """Make this process reuse the memory of freed large tensors instead of returning it to the system.

    By default glibc maps every block over 32 MiB anew, and the system clears it page by page; docs/speed.md has the
    cost. Has no effect with another C library, or if an environment variable begins with MALLOC_.
    """
    global _keeps
    _keeps = True
    import_module("torch")  # sets thresholds of its own when it is imported
    _set(KEPT, KEPT)


def keep_for_frames(small: bool) -> None:
    """Keep freed memory while frames are small, and return it to the system for large ones, which need all of it.

    Has no effect before `keep_freed_memory`.

    Args:
        small: Whether the frames are small enough for keeping freed memory.
    """
    if _keeps:
        _set(*((KEPT, KEPT) if small else (LARGEST, 2 * LARGEST)))


@contextmanager
def freeing() -> Iterator[None]:
    """Use glibc's default thresholds inside the block, and keep freed memory again after it."""
    _set(LARGEST, 2 * LARGEST)
    try:
        yield
    finally:
        keep_freed_memory()


def _set(mmap_threshold: int, trim_threshold: int) -> None:
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, mmap_threshold)
        mallopt(M_TRIM_THRESHOLD, trim_threshold)
