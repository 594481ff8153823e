"""Published weights: fetched from the first mirror that has them, checked, and kept under their name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO
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

from maskvfi.errors import WeightsError
from maskvfi.paths import written_whole
from maskvfi.version import __version__
from maskvfi.weights.catalogue import SOURCES, Mirror, Source, find_source
from maskvfi.weights.load import convert_weights
from maskvfi.weights.locate import find_weights, list_weights, own_folder
from maskvfi.weights.read import MAX_BYTES, sha256

ATTEMPTS = 3  # at one mirror
PATIENCE = 30.0  # seconds without a byte
PIECE = 1 << 18  # bytes read at once
RECORD = "sha256.json"

Progress = Callable[[int, "int | None"], None]


@dataclass(frozen=True, slots=True)
class Fetched:
    """Weights in the user's folder. news is what happened, in words; url and sha256 are the download's."""

    path: Path
    news: str
    url: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A weights file, its SHA-256, and what that says about it."""

    name: str
    sha256: str
    finding: str


def get_weights(name: str, progress: Progress = lambda done, total: None) -> Fetched:
    """Make the published weights of a RIFE version ("rife-4.25", "4.25") loadable under its name.

    They are taken from the user's folder where they are whole, else downloaded, converted and recorded there.
    progress is told the bytes received and their number, if known. Raises WeightsError when no mirror has them, when
    what came is not what was published or came before, or when MASKVFI_OFFLINE or HF_HUB_OFFLINE forbids to ask.
    """
    try:
        source = find_source(name)
    except ValueError as error:
        raise WeightsError(str(error)) from None
    folder = own_folder()
    path, record = folder / f"{source.name}.safetensors", _Record(folder)
    if path.exists():
        if path.name not in record.known:
            raise WeightsError(f"{path}: exists, and was not downloaded by maskvfi; move it away to download")
        if record.known[path.name] == sha256(path):
            return Fetched(path, "was there already")
    _refuse_offline(source)
    causes = []
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
    """Compare weights, or all that have a name, with the hashes that were recorded or published.

    Raises WeightsError at the end, naming the files that are not what they were.
    """
    paths = [file.path for file in list_weights()] if name is None else [find_weights(name)]
    record = _Record(own_folder())
    published = {mirror.sha256: (source, mirror) for source in SOURCES for mirror in source.mirrors}
    damaged = []
    for path in paths:
        digest = sha256(path)
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
    if damaged:
        raise WeightsError(
            f"{', '.join(damaged)}: not what was downloaded; `maskvfi weights get` fetches it again"
        )


def download(
    url: str, target: Path, expected: str = "", progress: Progress = lambda done, total: None
) -> str:
    """Fetch `url` to `target`, which appears only when it is whole, and give its SHA-256.

    An interrupted download is taken up where it stopped: in later runs if `expected` can prove the result, else in
    this one if the server can tell versions of the file apart. Raises WeightsError, naming url and cause, for any
    answer that is not the file.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise WeightsError(f"{url}: not an http or https address")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    etag, cause = "", ""
    for _ in range(ATTEMPTS):
        begun = part.stat().st_size if part.exists() and (expected or etag) else 0
        try:
            with _opener().open(_request(url, begun, etag), timeout=PATIENCE) as answer:
                etag = answer.headers.get("ETag", "")
                etag = "" if etag.startswith("W/") else etag
                _receive(url, answer, part, begun, progress)
        except KeyboardInterrupt:
            kept = f"what came is kept in {part}, and the same command goes on" if expected else ""
            raise KeyboardInterrupt(kept) from None
        except HTTPError as error:
            error.close()
            cause = f"{error.code} {error.reason}".partition("\n")[0]
            if error.code != 416:
                break
            part.unlink(missing_ok=True)  # it is longer than the file
            continue
        except (URLError, HTTPException, OSError) as error:
            cause = " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
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


def _get_from(mirror: Mirror, source: Source, path: Path, record: _Record, progress: Progress) -> Fetched:
    expected = mirror.sha256 or record.known.get(mirror.url, "")
    place = source.mirrors.index(mirror)
    raw = path.parent / "downloads" / f"{source.name}.{place}{mirror.suffix}"
    made = raw.with_name(path.name)
    try:
        digest = download(mirror.url, raw, expected, progress)
        convert_weights(
            raw, made, source.version, overwrite=True,
            converted_from=mirror.url, source_sha256=digest, licence=source.licence,
        )  # fmt: skip
        record.add({mirror.url: digest, path.name: sha256(made)})
        os.replace(made, path)
        for left in raw.parent.glob(f"{source.name}.[0-9]*.part"):  # by mirrors that broke off
            left.unlink()
    except WeightsError as error:
        raise WeightsError(str(error).replace(str(raw), mirror.url)) from None
    finally:
        raw.unlink(missing_ok=True)
        made.unlink(missing_ok=True)
        with suppress(OSError):
            raw.parent.rmdir()
    news = (
        "as published" if mirror.sha256 else "as before" if expected else "recorded, nobody has published it"
    )
    return Fetched(path, f"downloaded; SHA-256 {news}", mirror.url, digest)


class _Record:
    """The hashes of what was downloaded, by address, and of what was made of it, by file name."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / RECORD
        self.known: dict[str, str] = {}
        if self._path.exists():
            try:
                self.known = dict(json.loads(self._path.read_text(encoding="utf-8")))
            except (ValueError, TypeError):
                raise WeightsError(f"{self._path}: not a record of hashes; remove it to begin anew") from None

    def add(self, hashes: dict[str, str]) -> None:
        self.known |= hashes
        with written_whole(self._path) as partial:
            partial.write_text(json.dumps(self.known, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _refuse_offline(source: Source) -> None:
    for name in ("MASKVFI_OFFLINE", "HF_HUB_OFFLINE"):
        value = os.environ.get(name, "")
        if value.lower() in ("1", "true", "yes", "on"):
            raise WeightsError(
                f"{source.name}: not in {own_folder()}, and {name}={value} forbids to download it"
            )


def _request(url: str, begun: int, etag: str) -> Request:
    """Asks for all of `url`, or for what follows `begun` bytes if it is still the version that etag marks."""
    headers = {"User-Agent": f"maskvfi/{__version__}", "Accept-Encoding": "identity"}
    if begun:
        headers |= {"Range": f"bytes={begun}-"} | ({"If-Range": etag} if etag else {})
    return Request(url, headers=headers)


def _receive(url: str, answer: HTTPResponse, part: Path, begun: int, progress: Progress) -> None:
    """Append an answer to `part`, or begin it anew where the server did not go on.

    Raises OSError where the answer ends early, WeightsError where it is not a file of weights.
    """
    if answer.headers.get_content_type() == "text/html":
        raise WeightsError(f"{url}: a web page came instead of a file")
    if answer.status != 206:
        begun = 0
    elif not answer.headers.get("Content-Range", "").startswith(f"bytes {begun}-"):
        part.unlink(missing_ok=True)
        raise OSError("another part came than was asked for")
    length = answer.headers.get("Content-Length", "")
    done, total = begun, begun + int(length) if length.isdigit() else None
    with open(part, "ab" if begun else "wb") as file:
        while max(done, total or 0) <= MAX_BYTES and (piece := answer.read1(PIECE)):
            file.write(piece)
            done += len(piece)
            progress(done, total)
    if max(done, total or 0) > MAX_BYTES:
        part.unlink()
        raise WeightsError(f"{url}: larger than any network")
    if total is not None and done < total:
        raise OSError(f"the connection ended after {done} of {total} bytes")


class _SafeRedirects(HTTPRedirectHandler):
    """Follows redirects, but never from an encrypted address to an open one."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise URLError(f"redirected to {newurl}, which is not encrypted")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> OpenerDirector:
    """What opens http and https addresses, and no others."""
    opener = OpenerDirector()
    for handler in (
        ProxyHandler, HTTPHandler, HTTPSHandler, _SafeRedirects, HTTPDefaultErrorHandler, HTTPErrorProcessor,
        UnknownHandler,
    ):  # fmt: skip
        opener.add_handler(handler())
    return opener
