"""What is encoded of a file that is not whole yet, in segments on the disk, so that another run can continue it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, cast

from av.packet import Packet
from filelock import FileLock, Timeout

from maskvfi.errors import MediaError, reason
from maskvfi.paths import hidden_path, real_path, sha256, written_whole

FORMAT = 1
MANIFEST, LOCK = "manifest.json", "lock"
HASH = 64  # hexadecimal digits of SHA-256


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """A packet of the encoder, with times in ticks of the file's clock.

    Attributes:
        data: The bytes.
        pts: When its frame is shown.
        dts: When it is decoded.
        duration: How long its frame is shown.
        key: Whether it is a key frame.
    """

    data: bytes
    pts: int
    dts: int
    duration: int
    key: bool

    @classmethod
    def of(cls, packet: Packet) -> EncodedPacket:
        """What a journal keeps of a packet."""
        pts = cast(int, packet.pts)
        dts = pts if packet.dts is None else packet.dts
        return cls(bytes(packet), pts, dts, packet.duration or 0, packet.is_keyframe)

    def to_packet(self, time_base: Fraction) -> Packet:
        """A packet to be muxed; `time_base` is seconds per tick."""
        packet = Packet(self.data)
        packet.pts, packet.dts, packet.duration = self.pts, self.dts, self.duration
        packet.time_base, packet.is_keyframe = time_base, self.key
        return packet


@dataclass(frozen=True, slots=True)
class Segment:
    """The index of a segment: frames that were encoded without regard to those before and after.

    Attributes:
        frames: How many frames the file has up to the segment's end.
        state: What a run needs to know to continue after it.
        sha256: The hash of the packets' bytes, which lie in a file beside the index.
        packets: pts, dts, duration, key and size in bytes of each packet.
    """

    frames: int
    state: dict[str, Any]
    sha256: str
    packets: list[tuple[int, int, int, bool, int]]


class Journal:
    """The hidden folder beside a target in which its segments are kept.

    The folder holds a manifest with the facts, and for every segment a file of packets and an index. The index is
    written when all packets are on the disk. A segment without an index, or whose packets have another hash than the
    index says, is made again.

    One run makes the segments one after another, with `add` and `close_segment`. Several workers can make them in any
    order; then `put` stores each one.

    Args:
        target: The file that is being made.
        facts: What the output depends on, in terms of JSON. A run can be resumed only with equal facts.
        resume: Keep the segments of an earlier run.
        overwrite: Remove the segments of an earlier run, where `resume` is not set or they do not fit.

    Attributes:
        folder: The hidden folder.
        frames: How many frames there are from the beginning of the file to the first missing segment.
        state: The state after those frames.
        numbers: The numbers of all segments, also of those after a missing one.
        replaced: Why an earlier run's segments were removed although `resume` is set; else empty.

    Raises:
        MediaError: An earlier run left segments and neither `resume` nor `overwrite` is set, the facts differ from
            those of the run to be resumed, another run is making the file, or its folder cannot be written.
    """

    def __init__(self, target: Path, facts: Mapping[str, Any], *, resume: bool, overwrite: bool) -> None:
        self.folder = _folder(target)
        self.frames = 0
        self.state: dict[str, Any] = {}
        self.numbers: set[int] = set()
        self.replaced = ""
        self._whole = 0  # how many segments there are before the first missing one
        self._target = target
        self._open: BinaryIO | None = None
        self._packets: list[tuple[int, int, int, bool, int]] = []
        self._hash = hashlib.sha256()
        manifest: dict[str, Any] = json.loads(json.dumps({"format": FORMAT, **facts}))
        self._lock = FileLock(self.folder / LOCK, thread_local=False)  # writers have threads of their own
        try:
            self._lock_folder()
            self._take_over(manifest, resume, overwrite)
            if not self.numbers:
                self._remove_all_but(LOCK)
                _write(self.folder / MANIFEST, manifest)
        except BaseException:
            if self._lock.is_locked:
                self._lock.release()
                if not any(self._segments()):
                    shutil.rmtree(self.folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                self.folder.rmdir()  # if it is empty: Ctrl-C may have come before the lock
            raise

    def _lock_folder(self) -> None:
        try:
            self.folder.mkdir(exist_ok=True)
            self._lock.acquire(blocking=False)
        except Timeout:
            raise MediaError(f"{self._target}: another run is making it") from None
        except OSError as error:
            raise MediaError(f"{self._target}: cannot be written ({reason(error)})") from error

    def packets(self) -> Iterator[EncodedPacket]:
        """The packets of the first `frames` frames, in the order of the encoder."""
        for number in range(self._whole):
            segment = Segment(**_read(self._path(number, "json")))
            with self._path(number, "packets").open("rb") as file:
                for pts, dts, duration, key, size in segment.packets:
                    yield EncodedPacket(file.read(size), pts, dts, duration, key)

    def add(self, packet: EncodedPacket) -> None:
        """Add a packet to the segment that is being made."""
        if self._open is None:
            self._open = self._path(self._whole, "packets").open("wb")
        self._open.write(packet.data)
        self._hash.update(packet.data)
        self._packets.append((packet.pts, packet.dts, packet.duration, packet.key, len(packet.data)))

    def close_segment(self, frames: int, state: dict[str, Any]) -> None:
        """Make the added packets a segment that survives a power cut.

        Args:
            frames: How many frames the file has up to here.
            state: What a run needs to know to continue here, in terms of JSON.
        """
        assert self._open is not None
        self._open.flush()
        os.fsync(self._open.fileno())
        self._open.close()
        self._open = None
        segment = Segment(frames, state, self._hash.hexdigest(), self._packets)
        _write(self._path(self._whole, "json"), asdict(segment))
        self.numbers.add(self._whole)
        self.frames, self.state, self._whole = frames, state, self._whole + 1
        self._packets, self._hash = [], hashlib.sha256()

    def put(self, number: int, packets: list[EncodedPacket], frames: int, state: dict[str, Any]) -> None:
        """Store a segment that was made elsewhere.

        Args:
            number: Its place among the segments, from 0.
            packets: Its packets.
            frames: How many frames the file has up to its end.
            state: What a run needs to know to continue after it, in terms of JSON.

        Raises:
            MediaError, OSError: It cannot be written.
        """
        data = b"".join(packet.data for packet in packets)
        with self._path(number, "packets").open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        listed = [(p.pts, p.dts, p.duration, p.key, len(p.data)) for p in packets]
        segment = Segment(frames, state, hashlib.sha256(data).hexdigest(), listed)
        _write(self._path(number, "json"), asdict(segment))
        self.numbers.add(number)

    def keep(self, number: int, frames: int) -> bool:
        """Whether an earlier run left a segment up to whose end the file has so many frames; another is dropped."""
        kept = number in self.numbers and _read(self._path(number, "json")).get("frames") == frames
        if not kept:
            self.drop(number)
        return kept

    def drop(self, number: int) -> None:
        """Forget a segment."""
        self.numbers.discard(number)
        self._path(number, "json").unlink(missing_ok=True)

    def states(self) -> list[dict[str, Any]]:
        """The states of all segments, in their order."""
        return [_read(self._path(number, "json"))["state"] for number in sorted(self.numbers)]

    def close(self) -> None:
        """Stop, and keep the segments if there are any."""
        self._release()
        if not self.numbers:
            self.remove()

    def remove(self) -> None:
        """Remove the folder: the file is whole."""
        self._release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _release(self) -> None:
        if self._open is not None:
            self._open.close()
        self._lock.release()

    def _take_over(self, facts: dict[str, Any], resume: bool, overwrite: bool) -> None:
        """Find the segments of an earlier run, and keep them if `resume` is set."""
        known = _read(self.folder / MANIFEST)
        found = dict(self._segments())
        if not found:
            return
        if not known and not overwrite:
            raise MediaError(
                f"{self._target}: what an earlier run left cannot be resumed, {MANIFEST} in {self.folder} is damaged "
                "(overwrite begins anew)"
            )
        if not resume:
            if overwrite:
                return
            done = max(segment.frames for segment in found.values())
            raise MediaError(
                f"{self._target}: an earlier run stopped after {done} frames of it "
                "(resume goes on there, overwrite begins anew)"
            )
        for name in sorted({*known, *facts}):
            if known.get(name) != facts.get(name):
                why = f"cannot be resumed, {_difference(name, known.get(name), facts.get(name))}"
                if overwrite:
                    self.replaced = f"what an earlier run left {why}: begun anew"
                    return
                raise MediaError(f"{self._target}: {why} (overwrite begins anew)")
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
        """The segments that are complete, with their numbers."""
        for index in self.folder.glob("[0-9]*.json"):
            try:
                number = int(index.stem)
                segment = Segment(**_read(index))
                if sha256(self._path(number, "packets")) == segment.sha256:
                    yield number, segment
            except (TypeError, ValueError, OSError):
                continue

    def _path(self, number: int, suffix: str) -> Path:
        return self.folder / f"{number:05d}.{suffix}"


def kept_facts(target: Path) -> dict[str, Any]:
    """The facts of the run that left segments of `target`; empty where none did."""
    return _read(_folder(target) / MANIFEST)


def _folder(target: Path) -> Path:
    path = real_path(target)
    return hidden_path(path, ".unfinished")


def _difference(name: str, old: Any, new: Any) -> str:
    """How a fact differs, in words; of a fact with parts, the first part that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        part = next(key for key in sorted({*old, *new}) if old.get(key) != new.get(key))
        return _difference(f"{name}: {part}", old.get(part), new.get(part))
    if all(isinstance(each, str) and len(each) >= HASH for each in (old, new)):
        return f"{name} was another one"
    return f"{name} was {old} and is {new}"


def _read(path: Path) -> dict[str, Any]:
    """The values of a JSON file; empty where it is missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, values: dict[str, Any]) -> None:
    with written_whole(path, durable=True) as partial:
        partial.write_text(json.dumps(values), encoding="utf-8")
