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

from maskvfi.errors import MediaError

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
    bytes than that says, is made again. `frames` and `state` are those of the segments from the beginning up to the
    first that is missing; where several make them at once, later ones may be there already: `numbers` has all.

    Raises MediaError where an earlier run left something that neither `resume` nor `overwrite` allows to touch, where
    facts differ from those of the run that is to be resumed, and while another run is at it.
    """

    def __init__(self, target: Path, facts: Mapping[str, Any], *, resume: bool, overwrite: bool) -> None:
        self.folder = target.with_name(f".{target.name}.unfinished")
        self.frames = 0  # that its segments hold
        self.state: dict[str, Any] = {}  # of the last of them
        self.numbers: set[int] = set()  # of its segments
        self._whole = 0  # segments from the beginning
        self._target = target
        self._open: BinaryIO | None = None
        self._packets: list[tuple[int, int, int, bool, int]] = []
        self._hash = hashlib.sha256()
        manifest: dict[str, Any] = json.loads(json.dumps({"format": FORMAT, **facts}))
        self.folder.mkdir(exist_ok=True)
        self._lock = FileLock(self.folder / LOCK, thread_local=False)  # writers have threads of their own
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise MediaError(f"{target}: another run is making it") from None
        try:
            self._take_over(manifest, resume, overwrite)
            if not self.numbers:
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
        self.numbers.add(self._whole)
        self.frames, self.state, self._whole = frames, state, self._whole + 1
        self._packets, self._hash = [], hashlib.sha256()

    def put(self, number: int, packets: list[Coded], frames: int, state: dict[str, Any]) -> None:
        """A segment that was made elsewhere, in whatever order; `frames` and `state` as `close_segment` has them."""
        data = b"".join(packet.data for packet in packets)
        with self._path(number, "packets").open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        listed = [(p.pts, p.dts, p.duration, p.key, len(p.data)) for p in packets]
        segment = Segment(frames, state, hashlib.sha256(data).hexdigest(), listed)
        _write_whole(self._path(number, "json"), asdict(segment))
        self.numbers.add(number)

    def states(self) -> list[dict[str, Any]]:
        """Of every segment that is there, in order."""
        return [_read(self._path(number, "json"))["state"] for number in sorted(self.numbers)]

    def leave(self) -> None:
        """Stop here; keep the segments, if there are any."""
        if self._open is not None:
            self._open.close()
        self._lock.release()
        if not self.numbers:
            self.remove()

    def remove(self) -> None:
        self._lock.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _take_over(self, facts: dict[str, Any], resume: bool, overwrite: bool) -> None:
        known = _read(self.folder / MANIFEST)
        found = dict(self._segments()) if known else {}
        if not found:
            return
        if not resume:
            if overwrite:
                return
            most = max(segment.frames for segment in found.values())
            raise MediaError(
                f"{self._target}: an earlier run stopped after {most} frames of it "
                "(resume goes on there, overwrite begins anew)"
            )
        for name in sorted({*known, *facts}):
            if known.get(name) != facts.get(name):
                raise MediaError(
                    f"{self._target}: cannot be resumed, {_difference(name, known.get(name), facts.get(name))}"
                )
        self.numbers = set(found)
        while self._whole in found:
            self.frames, self.state = found[self._whole].frames, found[self._whole].state
            self._whole += 1
        kept = (self._path(number, suffix).name for number in found for suffix in ("json", "packets"))
        self._remove_all_but(LOCK, MANIFEST, *kept)

    def _remove_all_but(self, *kept: str) -> None:
        for path in self.folder.iterdir():
            if path.name not in kept:
                path.unlink()

    def _segments(self) -> Iterator[tuple[int, Segment]]:
        """Those that are whole, with their numbers."""
        for index in self.folder.glob("[0-9]*.json"):
            try:
                number = int(index.stem)
                segment = Segment(**_read(index))
                if _sha256(self._path(number, "packets")) == segment.sha256:
                    yield number, segment
            except (TypeError, ValueError, OSError):
                continue

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
