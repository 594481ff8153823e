"""The priority of the process, which an encoder may raise."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def kept_priority() -> Iterator[None]:
    """Give threads that become real-time in the block their ordinary priority again.

    SVT-AV1 makes the thread that opens it, and those it starts, real-time (SCHED_FIFO) wherever it may, as for root in
    a container. Such threads let no others run, and a small machine stands still.
    """
    if sys.platform != "linux" or (before := os.sched_getscheduler(0)) == os.SCHED_FIFO:
        yield
        return
    try:
        yield
    finally:
        for thread in Path("/proc/self/task").iterdir():
            with suppress(OSError):  # it may have ended
                if os.sched_getscheduler(int(thread.name)) == os.SCHED_FIFO:
                    os.sched_setscheduler(int(thread.name), before, os.sched_param(0))
