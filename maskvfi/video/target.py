"""Where the bytes of a video file go until it is whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from maskvfi.errors import MediaError
from maskvfi.paths import PathLike, check_target, move_into_place, not_in_place, partial_path
from maskvfi.video.journal import Journal
from maskvfi.video.streams import url_of


class Target:
    """A hidden file that takes the target's name when it is whole, or a file object that is written directly.

    Args:
        path: The path of the file to make, or an open file object.
        overwrite: Replace a file that exists.

    Attributes:
        name: What messages call it.
        sink: What `av.open` takes: FFmpeg's address of the hidden file, or the file object.

    Raises:
        MediaError: The file exists and `overwrite` is not set, or its folder cannot be written.
    """

    def __init__(self, path: PathLike | BinaryIO, overwrite: bool) -> None:
        self.sink: str | BinaryIO
        self._path: Path | None = None
        self._overwrite = overwrite
        if isinstance(path, (str, os.PathLike)):
            self.name = os.fspath(path)
            self._path = check_target(path, overwrite)
            self._write_to(partial_path(self._path))
        else:
            self.name = str(getattr(path, "name", "stream"))
            self.sink = path

    def open_journal(self, facts: Mapping[str, Any], resume: bool) -> Journal | None:
        """Open the target's journal; from now on the hidden file lies in the journal's folder.

        Args:
            facts: What the output depends on.
            resume: Continue with the segments of an earlier run.

        Returns:
            The journal; None for a file object, which has none.

        Raises:
            MediaError: The journal of an earlier run is in the way, see `Journal`.
        """
        if self._path is None:
            return None
        journal = Journal(self._path, facts, resume=resume, overwrite=self._overwrite)
        self._write_to(journal.folder / f"whole{self._path.suffix}")
        return journal

    @property
    def hidden(self) -> Path | None:
        """The hidden file; None for a file object."""
        return None if self._path is None else self._partial

    def publish(self) -> None:
        """Rename the finished file to the target, once the disk has it: its segments may be deleted then.

        Raises:
            MediaError: It cannot have it, or another program has made such a file and `overwrite` is not set. The file
                stays, under the hidden name that the message says.
        """
        if self._path is None:
            return
        with self._partial.open("rb+") as file:  # Windows syncs only what may be written
            os.fsync(file.fileno())
        beside = partial_path(self._path)  # out of the journal's folder, where a resumed run would remove it
        os.replace(self._partial, beside)
        try:
            move_into_place(beside, self._path, self._overwrite)
        except OSError as error:
            raise MediaError(not_in_place(self.name, beside, error)) from error

    def discard(self) -> None:
        """Remove the hidden file."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._partial.unlink(missing_ok=True)

    def _write_to(self, path: Path) -> None:
        self._partial = path
        self.sink = url_of(path)
