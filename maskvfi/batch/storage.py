"""Access to videos on this machine and anywhere that fsspec reaches (s3://, gcs://, hdfs://, memory://, ...)."""

from __future__ import annotations

import hashlib
import os
import posixpath
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem, make_path_posix

from maskvfi.errors import MediaError, reason
from maskvfi.paths import cache_folder


def storage_of(place: str) -> tuple[Any, str]:
    """Find the file system of a place.

    Args:
        place: A path or an address.

    Returns:
        fsspec's file system, and the path in it.

    Raises:
        MediaError: The file system cannot be reached.
    """
    if "://" not in place:  # fsspec would read x::y.mp4 as an address
        return LocalFileSystem(), make_path_posix(place)
    with file_system_errors(place, "reached"):
        found: tuple[Any, str] = fsspec.core.url_to_fs(place)
    return found


def local_path(place: str) -> Path | None:
    """The absolute path of a place on this machine; None for other places.

    Args:
        place: A path or an address.
    """
    if "://" not in place:
        return Path(place).absolute()
    storage, path = storage_of(place)
    return Path(path) if isinstance(storage, LocalFileSystem) else None


def exists(place: str) -> bool:
    """Whether there is a file at a place.

    Args:
        place: A path or an address.

    Raises:
        MediaError: The file system cannot be reached.
    """
    if path := local_path(place):
        return path.exists()
    storage, inside = storage_of(place)
    with file_system_errors(place, "reached"):
        return bool(storage.exists(inside))


@contextmanager
def fetched(place: str) -> Iterator[Path]:
    """Give a local path of a video, copied if necessary, for the length of the block.

    Args:
        place: The path or address of the video.

    Yields:
        The video's own path if it is on this machine, else the path of a temporary copy.

    Raises:
        MediaError: The video cannot be fetched.
    """
    if path := local_path(place):
        yield path
        return
    storage, inside = storage_of(place)
    with tempfile.TemporaryDirectory(prefix="maskvfi-") as folder:
        copy = Path(folder) / posixpath.basename(inside)
        with file_system_errors(place, "fetched"):
            storage.get_file(inside, str(copy))
        try:
            yield copy
        except MediaError as error:
            raise MediaError(named_by_place(str(error), copy, place)) from error


def named_by_place(line: str, path: Path, place: str) -> str:
    """A line about a temporary copy of a video, with the name of the video's place instead."""
    return line.replace(str(path), place)


def work_path(place: str) -> Path:
    """The local path at which the file for a place is written.

    Args:
        place: Where the whole file goes.

    Returns:
        The place itself if it is on this machine, else a path in the cache folder. A place always gets the same path,
        so that an interrupted batch finds its segments.
    """
    if path := local_path(place):
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
    folder = cache_folder() / "batch" / hashlib.sha256(place.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder / posixpath.basename(storage_of(place)[1])


@contextmanager
def restored_on_error(folder: Path) -> Iterator[None]:
    """Put a folder back if the block removes it and then fails.

    Until the block ends its files have a second name outside of the folder's parent, so no copies are made where the
    disk knows hard links.

    Args:
        folder: The folder, which has files only.
    """
    aside = folder.parent.with_name(f"{folder.parent.name}.aside")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(folder, aside, copy_function=_link)
    try:
        yield
    except BaseException:
        if not folder.exists():
            aside.rename(folder)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _link(file: str, name: str) -> None:
    try:
        os.link(file, name)
    except OSError:
        shutil.copy2(file, name)


def deliver(path: Path, place: str, overwrite: bool) -> None:
    """Move a finished file to its place, unless it was written there.

    Args:
        path: The file, at the path that `work_path` returned.
        place: Where it belongs. It is uploaded under another name and then renamed.
        overwrite: Replace a file that has come to be there meanwhile.

    Raises:
        MediaError: It cannot be written there; then the file stays, and the message says where. Or another batch has
            made it meanwhile.
    """
    if local_path(place):
        return
    try:
        made_meanwhile = not overwrite and exists(place)
        if not made_meanwhile:
            _upload(path, place, overwrite)
    except MediaError as error:
        raise MediaError(f"{error}; the whole film is {path}") from error
    path.unlink()
    with suppress(OSError):
        path.parent.rmdir()
    if made_meanwhile:
        raise MediaError(f"{place}: exists already, and overwrite is not set")


def _upload(path: Path, place: str, overwrite: bool) -> None:
    """Copy a file to other storage, where its name appears once it is whole."""
    storage, inside = storage_of(place)
    folder, name = posixpath.split(inside)
    partial = posixpath.join(folder, f".{secrets.token_hex(4)}.partial.{name}")
    try:
        with file_system_errors(place, "written"):
            with suppress(NotImplementedError):
                storage.makedirs(folder, exist_ok=True)
            storage.put_file(str(path), partial)
        if exists(place) and not overwrite:
            raise MediaError(f"{place}: exists already, and overwrite is not set")
        with file_system_errors(place, "written"):
            storage.mv(partial, inside)
    except MediaError:
        with suppress(Exception):
            storage.rm_file(partial)
        raise


@contextmanager
def file_system_errors(place: str, what: str) -> Iterator[None]:
    """Turn any exception that a file system raises in the block into a MediaError of one line.

    Every file system of fsspec has exceptions of its own.

    Args:
        place: The path or address that the message names.
        what: What cannot be done with it: "read", "written", ...

    Raises:
        MediaError: The block raised something.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise MediaError(f"{place}: no such file") from error
    except Exception as error:
        raise MediaError(f"{place}: cannot be {what} ({reason(error)})") from error
