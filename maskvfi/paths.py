"""Files: written whole or not at all, never over another one unasked, and where the user's own are kept."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskvfi.errors import MediaError, reason

PathLike = str | os.PathLike[str]


def partial_path(target: Path) -> Path:
    """A hidden name beside `target`, with its suffix, under which it grows until it is whole."""
    return target.with_name(f".{target.stem}.{secrets.token_hex(4)}.partial{target.suffix}")


@contextmanager
def written_whole(target: PathLike, *, durable: bool = False) -> Iterator[Path]:
    """Give a path to write to, which replaces `target` when the block ends well and is gone when it does not.

    Args:
        target: The file to make; what lies there is replaced.
        durable: Wait until the bytes are on the disk, so that the file also survives a power cut.

    Raises:
        MediaError: The file cannot be written; the message names it and the cause.
    """
    path = Path(target)
    partial = partial_path(path)
    try:
        yield partial
        if durable:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise MediaError(f"{os.fspath(target)}: cannot be written ({reason(error)})") from error
    finally:
        partial.unlink(missing_ok=True)


def check_target(target: PathLike, overwrite: bool) -> Path:
    """The path of a file that is going to be written.

    Raises:
        MediaError: It exists and overwrite is not set, it is a folder, or its folder is missing or read-only.
    """
    name, path = os.fspath(target), Path(target)
    if path.is_dir():
        raise MediaError(f"{name}: is a folder")
    if path.exists() and not overwrite:
        raise MediaError(f"{name}: exists already, and overwrite is not set")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise MediaError(f"{name}: there is no folder {path.parent}")
    if not os.access(folder, os.W_OK):
        raise MediaError(f"{name}: no permission to write into {path.parent}")
    return path


def cache_folder() -> Path:
    """The folder for what can be made or fetched again: MASKVFI_HOME, or the platform's cache."""
    if home := os.environ.get("MASKVFI_HOME"):
        return Path(home)
    if sys.platform == "win32":
        caches = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        caches = Path.home() / "Library" / "Caches"
    else:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "maskvfi"
