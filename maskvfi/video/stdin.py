"""Standard input as a source that can be stopped."""

from __future__ import annotations

import contextlib
import os
import select
import sys

from maskvfi.errors import MediaError

PATIENCE = 0.1  # seconds between two looks at whether to stop


class StandardInput:
    """Reads standard input, and can be told to end.

    A thread that waits for a silent pipe could not be joined, and FFmpeg swallows a Ctrl-C that comes while it reads.

    Attributes:
        interrupted: Whether Ctrl-C came while something was read.
        count: How many bytes were read.

    Raises:
        MediaError: Standard input is closed.
    """

    name = "<stdin>"

    def __init__(self) -> None:
        if sys.stdin is None:
            raise MediaError("-: standard input is closed")
        self._file = sys.stdin.buffer
        self._descriptor: int | None = None
        with contextlib.suppress(OSError):  # a file object in its place has none
            self._descriptor = sys.stdin.fileno()
        self._stopped = False
        self.interrupted = False
        self.count = 0

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes; none at the end, or after `stop`."""
        found = self._wait(size)
        self.count += len(found)
        return found

    def _wait(self, size: int) -> bytes:
        try:
            if self._descriptor is None:
                return self._file.read(size)
            while not self._stopped:
                # Windows does not wait for pipes in this way.
                if sys.platform == "win32" or select.select([self._descriptor], [], [], PATIENCE)[0]:
                    return os.read(self._descriptor, size)
        except KeyboardInterrupt:
            self.interrupted = True
        return b""

    def stop(self) -> None:
        """Let all reads end, also one that waits."""
        self._stopped = True
