"""Output files that appear only when they are complete, checks before writing, hashes, and the cache folder."""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from maskvfi.errors import MediaError, reason

PathLike = str | os.PathLike[str]
LONGEST_NAME = 255  # bytes of a file's name that file systems take
# By which the videos of a folder are known.
VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".vob"),
    *(".wmv", ".asf", ".flv", ".f4v", ".ogv", ".ogm", ".3gp", ".3g2", ".mxf", ".gif", ".apng"),
    *(".dv", ".m2v", ".y4m", ".h264", ".hevc", ".divx", ".rm", ".rmvb"),
)


def partial_path(target: Path) -> Path:
    """A hidden temporary path beside `target`, with the same suffix."""
    return hidden_path(target.with_suffix(""), f".{secrets.token_hex(4)}.partial{target.suffix}")


def hidden_path(target: Path, tail: str) -> Path:
    """The path `.NAME` + `tail` beside a target. A name that would be too long for that is cut, and gets its hash."""
    name, room = os.fsencode(target.name), LONGEST_NAME - len(os.fsencode(f".{tail}"))
    if len(name) > room:
        digest = hashlib.sha256(name).hexdigest()[:8]
        name = os.fsencode(name[: room - 9].decode("utf-8", "ignore") + f"-{digest}")
    return target.with_name(f".{os.fsdecode(name)}{tail}")


def real_path(target: PathLike) -> Path:
    """The path itself, or the file or folder that it names as a symbolic link."""
    return Path(os.path.realpath(target)) if os.path.islink(target) else Path(target)


def same_file(a: PathLike, b: PathLike) -> bool:
    """Whether two paths name one file or folder that exists."""
    return Path(a).exists() and Path(b).exists() and Path(a).samefile(b)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def move_into_place(partial: Path, target: Path, overwrite: bool) -> None:
    """Rename a finished file to its target path.

    Args:
        partial: The file, in the same folder.
        target: Its new path.
        overwrite: Replace a file that exists.

    Raises:
        FileExistsError: Something exists there, and `overwrite` is not set.
        OSError: It cannot have that name.
    """
    if overwrite:
        os.replace(partial, target)
        return
    try:
        os.link(partial, target)  # unlike a rename it never replaces anything
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        target.open("xb").close()
        try:
            os.replace(partial, target)
        except OSError:
            target.unlink()  # the empty one
            raise
    else:
        partial.unlink()


def not_in_place(name: str, partial: Path, error: OSError) -> str:
    """The message for a finished result that could not be renamed to its target: the cause, and where it is kept."""
    exists = isinstance(error, FileExistsError)
    why = "exists by now, and overwrite is not set" if exists else f"cannot be written ({reason(error)})"
    return f"{name}: {why}; the whole result is kept as {partial}"


@contextmanager
def written_whole(target: PathLike, *, durable: bool = False, overwrite: bool = True) -> Iterator[Path]:
    """Write a file completely or not at all.

    Args:
        target: The file to write. Of a symbolic link, the file that it names.
        durable: Wait until the bytes are on the disk, so that the file also survives a power cut.
        overwrite: Replace a file that exists.

    Yields:
        A temporary path to write to. It becomes `target` if the block succeeds, and is deleted if it fails.

    Raises:
        MediaError: The file cannot be written; the message names it and the cause.
    """
    path = real_path(target)
    partial = partial_path(path)
    try:
        yield partial
        if durable:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
        move_into_place(partial, path, overwrite)
    except OSError as error:
        raise MediaError(f"{os.fspath(target)}: cannot be written ({reason(error)})") from error
    finally:
        partial.unlink(missing_ok=True)


def check_target(target: PathLike, overwrite: bool) -> Path:
    """Check that a file can be written.

    Args:
        target: The file.
        overwrite: Whether an existing file may be replaced.

    Returns:
        Its path; of a symbolic link, the path of the file that it names.

    Raises:
        MediaError: It exists and overwrite is not set, it is a folder or a device, or its folder is missing or
            read-only.
    """
    name, path = os.fspath(target), real_path(target)
    if path.is_dir():
        raise MediaError(f"{name}: is a folder")
    if path.exists() and not path.is_file():
        raise MediaError(f"{name}: is no file that can be replaced")
    if path.exists() and not overwrite:
        raise MediaError(f"{name}: exists already, and overwrite is not set")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise MediaError(f"{name}: there is no folder {path.parent}")
    if not os.access(folder, os.W_OK):
        raise MediaError(f"{name}: no permission to write into {path.parent}")
    return path


def cache_folder() -> Path:
    """The folder for files that can be made or downloaded again: MASKVFI_HOME, else the platform's cache folder."""
    if named := os.environ.get("MASKVFI_HOME"):
        return Path(named)
    try:
        home = Path.home()
    except RuntimeError:  # a user without one, as in some containers; others set HOME=/ for these
        home = Path(os.sep)
    if sys.platform == "win32":
        caches = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        caches = home / "Library" / "Caches"
    else:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return caches / "maskvfi"
