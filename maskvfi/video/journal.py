"""A file that is not whole yet: what is encoded of it, in segments, so that another run can go on from there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from .errors import MediaError

FORMAT = 1
MANIFEST, LOCK = "manifest.json", "lock"


@dataclass(frozen=True, slots=True)
class Coded:
    """A packet as the encoder gave it, times in ticks of the writer's clock."""

    data: bytes
    pts: int
    dts: int
    duration: int
    key: bool


@dataclass(frozen=True, slots=True)
class Segment:
    """Some frames that were encoded on their own, without regard to those before and after.

    frames: how many there are from the beginning of the file up to its end; state: what a run has to know to go on
    there; sha256 of the packets' bytes, which lie in a file beside this; packets: pts, dts, duration, key and size of
    each.
    """

    frames: int
    state: dict[str, Any]
    sha256: str
    packets: list[tuple[int, int, int, bool, int]]


class Journal:
    """The hidden folder beside `target` in which it grows.

    `facts` say what it is made from and how: whoever goes on must say the same. It holds a manifest with them, and
    for every segment its packets and, once they are all on the disk, an index; a segment without one, or with other
    bytes than that says, is made again, and so are those after it.

    Raises MediaError where an earlier run left something that neither `resume` nor `overwrite` allows to touch, where
    facts differ from those of the run that is to be resumed, and while another run is at it.
    """

    def __init__(self, target: Path, facts: Mapping[str, Any], *, resume: bool, overwrite: bool) -> None:
        self.folder = target.with_name(f".{target.name}.unfinished")
        self.frames = 0  # that its segments hold
        self.state: dict[str, Any] = {}  # of the last of them
        self._whole = 0  # segments
        self._target = target
        self._open: BinaryIO | None = None
        self._packets: list[tuple[int, int, int, bool, int]] = []
        self._hash = hashlib.sha256()
        manifest: dict[str, Any] = json.loads(json.dumps({"format": FORMAT, **facts}))
        self.folder.mkdir(exist_ok=True)
        self._lock = FileLock(self.folder / LOCK)
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise MediaError(f"{target}: another run is making it") from None
        try:
            self._take_over(manifest, resume, overwrite)
            if not self._whole:
                self._remove_all_but(LOCK)
                _write_whole(self.folder / MANIFEST, manifest)
        except BaseException:
            self._lock.release()
            raise

    def packets(self) -> Iterator[Coded]:
        """Those of all segments, in order."""
        for number in range(self._whole):
            segment = Segment(**_read(self._path(number, "json")))
            with self._path(number, "packets").open("rb") as file:
                for pts, dts, duration, key, size in segment.packets:
                    yield Coded(file.read(size), pts, dts, duration, key)

    def add(self, packet: Coded) -> None:
        """One more of the segment that is being made."""
        if self._open is None:
            self._open = self._path(self._whole, "packets").open("wb")
        self._open.write(packet.data)
        self._hash.update(packet.data)
        self._packets.append((packet.pts, packet.dts, packet.duration, packet.key, len(packet.data)))

    def close_segment(self, frames: int, state: dict[str, Any]) -> None:
        """What was added is a segment, on the disk for good; `frames` are done by now."""
        assert self._open is not None
        self._open.flush()
        os.fsync(self._open.fileno())
        self._open.close()
        self._open = None
        segment = Segment(frames, state, self._hash.hexdigest(), self._packets)
        _write_whole(self._path(self._whole, "json"), asdict(segment))
        self.frames, self.state, self._whole = frames, state, self._whole + 1
        self._packets, self._hash = [], hashlib.sha256()

    def leave(self) -> None:
        """Stop here; keep the segments, if there are any."""
        if self._open is not None:
            self._open.close()
        self._lock.release()
        if not self._whole:
            self.remove()

    def remove(self) -> None:
        self._lock.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _take_over(self, facts: dict[str, Any], resume: bool, overwrite: bool) -> None:
        known = _read(self.folder / MANIFEST)
        whole, last = 0, None
        for segment in self._whole_segments() if known else ():
            whole, last = whole + 1, segment
        if last is None:
            return
        if not resume:
            if overwrite:
                return
            raise MediaError(
                f"{self._target}: an earlier run stopped after {last.frames} frames of it "
                "(resume goes on there, overwrite begins anew)"
            )
        for name in sorted({*known, *facts}):
            if known.get(name) != facts.get(name):
                raise MediaError(
                    f"{self._target}: cannot be resumed, {_difference(name, known.get(name), facts.get(name))}"
                )
        self.frames, self.state, self._whole = last.frames, last.state, whole
        self._remove_all_but(
            LOCK,
            MANIFEST,
            *(self._path(n, suffix).name for n in range(whole) for suffix in ("json", "packets")),
        )

    def _remove_all_but(self, *kept: str) -> None:
        for path in self.folder.iterdir():
            if path.name not in kept:
                path.unlink()

    def _whole_segments(self) -> Iterator[Segment]:
        for number in range(len(list(self.folder.iterdir()))):
            index = _read(self._path(number, "json"))
            try:
                segment = Segment(**index)
                if _sha256(self._path(number, "packets")) != segment.sha256:
                    return
            except (TypeError, OSError):
                return
            yield segment

    def _path(self, number: int, suffix: str) -> Path:
        return self.folder / f"{number:05d}.{suffix}"


def _difference(name: str, old: Any, new: Any) -> str:
    """In words; of facts that have parts, the first part that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        part = next(key for key in sorted({*old, *new}) if old.get(key) != new.get(key))
        return _difference(f"{name}: {part}", old.get(part), new.get(part))
    return f"{name} was {old} and is {new}"


def _sha256(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def _read(path: Path) -> dict[str, Any]:
    """What a JSON file says; nothing where it is missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_whole(path: Path, values: dict[str, Any]) -> None:
    """All of it or nothing, whatever happens meanwhile."""
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(values, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
