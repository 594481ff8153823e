"""Where videos lie: here, or anywhere that fsspec reaches (s3://, gcs://, hdfs://, memory:// ...)."""

from __future__ import annotations

import hashlib
import posixpath
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from maskvfi.errors import MediaError, reason
from maskvfi.paths import cache_folder


def storage_of(place: str) -> tuple[Any, str]:
    """fsspec's file system and the path in it. Raises MediaError where it cannot be reached."""
    with asking(place, "reached"):
        found: tuple[Any, str] = fsspec.core.url_to_fs(place)
    return found


def local_path(place: str) -> Path | None:
    """The path of what lies on this machine's own disks."""
    if "://" not in place:
        return Path(place).absolute()
    storage, path = storage_of(place)
    return Path(path) if isinstance(storage, LocalFileSystem) else None


def exists(place: str) -> bool:
    if path := local_path(place):
        return path.exists()
    storage, inside = storage_of(place)
    with asking(place, "reached"):
        return bool(storage.exists(inside))


@contextmanager
def fetched(place: str) -> Iterator[Path]:
    """A path where it can be read: its own, or that of a copy which is gone afterwards. Raises MediaError."""
    if path := local_path(place):
        yield path
        return
    storage, inside = storage_of(place)
    with tempfile.TemporaryDirectory(prefix="maskvfi-") as folder:
        copy = Path(folder) / posixpath.basename(inside)
        with asking(place, "fetched"):
            storage.get_file(inside, str(copy))
        yield copy


def workshop(place: str) -> Path:
    """Where a file for `place` grows: there if it is here, else in a folder of the cache that is the same next time."""
    if path := local_path(place):
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
    folder = cache_folder() / "batch" / hashlib.sha256(place.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder / posixpath.basename(storage_of(place)[1])


def deliver(made: Path, place: str) -> None:
    """Bring a whole file to `place`, if it is not there: under another name, and then renamed. Raises MediaError."""
    if local_path(place):
        return
    storage, inside = storage_of(place)
    folder, name = posixpath.split(inside)
    partial = posixpath.join(folder, f".{secrets.token_hex(4)}.partial.{name}")
    try:
        with asking(place, "written"):
            with suppress(NotImplementedError):
                storage.makedirs(folder, exist_ok=True)
            storage.put_file(str(made), partial)
            storage.mv(partial, inside)
    except MediaError:
        with suppress(Exception):
            storage.rm_file(partial)
        raise
    made.unlink()
    with suppress(OSError):
        made.parent.rmdir()


@contextmanager
def asking(place: str, what: str) -> Iterator[None]:
    """Whatever a file system raises, and each raises its own, becomes a MediaError in one line."""
    try:
        yield
    except FileNotFoundError as error:
        raise MediaError(f"{place}: no such file") from error
    except Exception as error:
        raise MediaError(f"{place}: cannot be {what} ({reason(error)})") from error
