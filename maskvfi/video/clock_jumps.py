"""One clock for containers whose clock may jump: recordings that were joined, in MPEG-TS, VOB and others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

from av.container import Container, InputContainer
from av.format import Flags
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

_BACK = Fraction(1, 10)  # seconds: a decoding time that lies further back is a jump of the clock
_LEAP = 10  # seconds: one that lies further ahead of all streams is a jump too
_SKEW = 1  # second: streams of one recording may be stored that far apart
_MAX_HELD = 500  # packets of other streams that wait until the picture jumps as well


def may_jump(container: Container) -> bool:
    """Whether the container's format allows its clock to jump; seeking by time is then unreliable."""
    return bool(container.format.flags & cast(int, Flags.ts_discont.value))


def demux_continuous(
    container: InputContainer, streams: Sequence[Stream], picture: VideoStream, jumps: list[Fraction]
) -> Iterator[Packet]:
    """Demux with timestamps that stay continuous when the container's clock jumps.

    After a jump one offset holds for all streams: the picture goes on without a gap, and sound stays in time with it.
    Streams are stored a little apart, so each takes the new offset when its own timestamps jump. A timestamp that jumps
    and then comes back is damaged: it is replaced by the time at which the packet before ends.

    Args:
        container: Read from its beginning.
        streams: Whose packets are wanted.
        picture: The stream whose jump decides.
        jumps: Gets the time of each jump, in seconds.

    Yields:
        The wanted packets, in the order of the file.
    """
    if not may_jump(container):
        yield from _packets(container, streams)
        return
    wanted = {stream.index for stream in streams}
    clock = _Clock(picture.index, jumps)
    for packet in _packets(container, container.streams):
        for placed in clock.take(packet):
            if placed.stream.index in wanted:
                yield placed


def _packets(container: InputContainer, streams: Iterable[Stream]) -> Iterator[Packet]:
    """The packets of streams that were found when the container was opened.

    PyAV 18.1 raises IndexError where another stream appears later, as sound does in a DVD; it can go on after that.
    """
    known, flushed = list(streams), set()
    while True:
        try:
            for packet in container.demux(known):
                if packet.size or packet.stream.index not in flushed:
                    yield packet
                if not packet.size:
                    flushed.add(packet.stream.index)
            return
        except IndexError:
            continue


@dataclass(slots=True)
class _Place:
    """Where a stream is: the recording, and the last decoding time and the next one, in seconds of that recording."""

    recording: int = 0
    last: Fraction | None = None
    next: Fraction | None = None


class _Clock:
    """Decides for every packet whether its stream goes on, its time is damaged, or a new recording begins.

    A packet that strays is held: one of the picture until the next one, others until their stream comes back, the
    picture jumps, or too many wait.
    """

    def __init__(self, picture: int, jumps: list[Fraction]) -> None:
        self._picture, self._jumps = picture, jumps
        self._offsets = [Fraction(0)]  # of each recording, in seconds
        self._reached: list[Fraction | None] = [None]  # how far each was read, in its own seconds
        self._places: dict[int, _Place] = {}
        self._held: list[Packet] = []
        self._doubtful: Packet | None = None  # of the picture: it strays, and the next one says why

    def take(self, packet: Packet) -> Iterator[Packet]:
        """The packets that are ready, with their new times."""
        place = self._places.setdefault(packet.stream.index, _Place())
        if packet.stream.index != self._picture:
            yield from self._take_other(packet, place)
            return
        if self._doubtful is not None:
            doubtful, self._doubtful = self._doubtful, None
            if _comes_back([doubtful], packet, place):
                _follow(doubtful, place)
            yield from self._take_picture(doubtful, place)
        if packet.size and _strays(packet, place):
            self._doubtful = packet
        else:
            yield from self._take_picture(packet, place)

    def _take_picture(self, packet: Packet, place: _Place) -> Iterator[Packet]:
        if self._held and (not packet.size or len(self._held) >= _MAX_HELD or self._caught_up()):
            yield from self._release(mend=not packet.size)  # the picture does not jump
        if not self._starts_recording(packet, place):
            yield self._placed(packet, place)
            return
        self._begin_recording(packet, place)
        held, self._held = self._held, []
        yield self._placed(packet, place)
        for other in held:
            yield self._placed(other, self._places[other.stream.index])

    def _take_other(self, packet: Packet, place: _Place) -> Iterator[Packet]:
        same = [other for other in self._held if other.stream.index == packet.stream.index]
        if self._held and (not packet.size or _comes_back(same, packet, place)):
            yield from self._release(mend=True)
        elif len(self._held) >= _MAX_HELD:
            yield from self._release(mend=False)
        if self._held or self._runs_ahead(packet, place) or self._starts_recording(packet, place):
            self._held.append(packet)
        else:
            yield self._placed(packet, place)

    def _release(self, mend: bool) -> Iterator[Packet]:
        """The packets that waited. With `mend`, those that stray follow the one before them."""
        held, self._held = self._held, []
        for packet in held:
            place = self._places[packet.stream.index]
            if mend and _strays(packet, place):
                _follow(packet, place)
            self._advance(packet)
            yield self._moved(packet)

    def _runs_ahead(self, packet: Packet, place: _Place) -> bool:
        """Whether sound is farther ahead of all that was read than streams are stored apart."""
        reached = self._reached[place.recording]
        if packet.dts is None or reached is None or place.next is None or packet.stream.type != "audio":
            return False
        newest = place.recording == len(self._offsets) - 1  # else it may have come to a later one
        return newest and packet.dts * Fraction(packet.time_base) > reached + _SKEW

    def _caught_up(self) -> bool:
        """Whether the picture has come to where held sound runs ahead, as after a pause of the sound."""
        first = self._held[0]
        place = self._places[first.stream.index]
        reached = self._reached[place.recording]
        if first.dts is None or reached is None or place.next is None:
            return False
        return place.next < first.dts * Fraction(first.time_base) <= reached + _SKEW

    def _placed(self, packet: Packet, place: _Place) -> Packet:
        if place.recording < len(self._offsets) - 1 and self._has_changed(packet, place):
            place.recording = len(self._offsets) - 1
        self._advance(packet)
        return self._moved(packet)

    def _starts_recording(self, packet: Packet, place: _Place) -> bool:
        """Whether the packet is the first one of a new recording."""
        return place.recording == len(self._offsets) - 1 and self._jumps_here(packet, place)

    def _jumps_here(self, packet: Packet, place: _Place) -> bool:
        if packet.dts is None or place.last is None or packet.stream.type not in ("audio", "video"):
            return False
        time, reached = packet.dts * Fraction(packet.time_base), self._reached[place.recording]
        return time < place.last - _BACK or (reached is not None and time > reached + _LEAP)

    def _has_changed(self, packet: Packet, place: _Place) -> bool:
        """Whether a stream that is still in an earlier recording has come to the newest one."""
        stamp = packet.dts if packet.dts is not None else packet.pts
        before, now = self._reached[place.recording], self._reached[-1]
        if stamp is None or before is None or now is None:
            return False
        time = stamp * Fraction(packet.time_base)
        return self._jumps_here(packet, place) or abs(time - now) < abs(time - before) - _SKEW

    def _begin_recording(self, packet: Packet, place: _Place) -> None:
        assert packet.dts is not None
        assert place.next is not None
        goes_on = place.next + self._offsets[place.recording]
        self._offsets.append(goes_on - packet.dts * Fraction(packet.time_base))
        self._reached.append(None)
        stamp = packet.dts if packet.pts is None else packet.pts
        self._jumps.append(stamp * Fraction(packet.time_base) + self._offsets[-1])
        place.recording = len(self._offsets) - 1

    def _advance(self, packet: Packet) -> None:
        if packet.dts is None or packet.stream.type not in ("audio", "video"):
            return
        tick, place = Fraction(packet.time_base), self._places[packet.stream.index]
        place.last, place.next = packet.dts * tick, (packet.dts + (packet.duration or 0)) * tick
        reached = self._reached[place.recording]
        self._reached[place.recording] = place.next if reached is None else max(reached, place.next)

    def _moved(self, packet: Packet) -> Packet:
        offset = self._offsets[self._places[packet.stream.index].recording]
        if offset:
            ticks = round(offset / Fraction(packet.time_base))
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        return packet


def _strays(packet: Packet, place: _Place) -> bool:
    """Whether a packet is not where its stream goes on."""
    if packet.dts is None or place.next is None:
        return False
    return abs(packet.dts * Fraction(packet.time_base) - place.next) > _BACK


def _comes_back(strayed: Sequence[Packet], packet: Packet, place: _Place) -> bool:
    """Whether a packet goes on where its stream was before the packets that strayed, and times went back for it."""
    stamps = [other.dts for other in (*strayed, packet)]
    if not strayed or stamps[0] is None or stamps[-1] is None or place.last is None or place.next is None:
        return False
    tick = Fraction(packet.time_base)
    first, time = stamps[0] * tick, stamps[-1] * tick
    expected = place.next + sum(other.duration or 0 for other in strayed) * tick
    return (first < place.last or time < first) and abs(time - expected) < abs(first - place.next) / 2


def _follow(packet: Packet, place: _Place) -> None:
    """Move a packet to where its stream goes on."""
    assert packet.dts is not None
    assert place.next is not None
    moved = round(place.next / Fraction(packet.time_base)) - packet.dts
    packet.dts += moved
    packet.pts = None if packet.pts is None else packet.pts + moved
