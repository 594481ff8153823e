"""What a container holds: a stream, or a whole file's chapters and tags, is written and read again to find out."""

from __future__ import annotations

import contextlib
import errno
import itertools
import tempfile
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from maskvfi.errors import MediaError
from maskvfi.video.streams import open_input, url_of

_CANNOT = "cannot hold it"
_PACKETS = 2000  # of the source that are read at most to find the first ones of each stream
_FIRST = 8  # packets of a stream: some of them may be damaged


class ContainerProbe:
    """Finds out which streams of a file a container holds.

    Some containers take any stream and store it so that nobody can tell what it is. So the first packets of a
    stream are written to a file of its own, and what is read from there has to be the same kind of stream.

    Args:
        name: The file with the streams.
        output: The container that is to hold them. It decides the format, and its suffix the variant of the format.
    """

    def __init__(self, name: str, output: OutputContainer) -> None:
        self._name, self._muxer = name, output.format.name
        self._suffix = Path(output.name).suffix
        self._first: dict[int, list[Packet]] | None = None

    def refusal(self, stream: Stream) -> str:
        """Why the container cannot hold a stream; empty if it can."""
        if stream.type == "attachment":
            return "" if self._muxer == "matroska" else _CANNOT
        if stream.type == "video" and self._muxer == "mxf":  # which holds one alone
            return _CANNOT
        with tempfile.TemporaryDirectory() as folder:
            address = url_of(Path(folder) / f"probe{self._suffix}")
            try:
                has_packets = self._write(address, stream)
            except (av.error.FFmpegError, OSError, ValueError) as error:
                if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                    raise MediaError(f"{folder}: no space to try what {self._muxer} can hold") from error
                return _CANNOT
            try:
                with av.open(address, metadata_errors="replace") as found:
                    place = 1 if self._muxer == "mxf" else 0  # after the pictures
                    same = len(found.streams) > place and _is_same(stream, found.streams[place])
                    if same and self._muxer == "avi" and stream.type == "audio" and has_packets:
                        same = _lasts_as_long(self._first_packets()[stream.index], found)
            except (av.error.FFmpegError, OSError, ValueError):
                same = not has_packets  # a made-up packet that cannot be read proves nothing
        return "" if same else _CANNOT

    def _write(self, address: str, stream: Stream) -> bool:
        """Write a file with a stream; returns whether packets of its own are in it."""
        own = self._first_packets().get(stream.index, [])
        with av.open(
            address, "w", format=self._muxer, container_options={"strict": "experimental"}
        ) as container:
            pictures = _add_pictures(container) if self._muxer == "mxf" else None  # holds no sound without
            target = container.add_stream_from_template(stream, opaque=True)
            container.start_encoding()
            if pictures is not None:
                container.mux([*pictures.encode(VideoFrame(64, 64, "yuv420p")), *pictures.encode(None)])
            refused = 0
            for packet in _placed(own) or [_made_up(stream)]:
                packet.stream = target
                try:
                    container.mux(packet)
                except av.error.FFmpegError as error:
                    refused += 1
                    alone = isinstance(error, av.error.InvalidDataError | av.error.PatchWelcomeError)
                    if own and (refused == len(own) or not alone):
                        raise
        return bool(own)

    def _first_packets(self) -> dict[int, list[Packet]]:
        """The first packets of every stream, by the stream's index; those that come late are missing."""
        if self._first is None:
            self._first = {}
            with contextlib.suppress(av.error.FFmpegError, MediaError):
                source, _ = open_input(self._name)
                with source:
                    more = len(source.streams) * _FIRST  # to read once every stream has a packet
                    for packet in itertools.islice(source.demux(), _PACKETS):
                        found = self._first.setdefault(packet.stream.index, [])
                        if packet.size and len(found) < _FIRST:
                            found.append(packet)
                        if len(self._first) == len(source.streams):
                            more -= 1
                        if not more:
                            break
        return self._first


def _add_pictures(container: OutputContainer) -> VideoStream:
    """Add a stream of small pictures to a container."""
    stream = container.add_stream("mpeg2video", rate=25)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    return stream


def _placed(packets: list[Packet]) -> list[Packet]:
    """Copies of packets, each of which comes after the one before, the first one at 0."""
    placed: list[Packet] = []
    for own in packets:
        packet = Packet(bytes(own))
        packet.time_base, packet.duration, packet.is_keyframe = own.time_base, own.duration, True
        begin = packets[0].dts or 0
        after = placed[-1].dts + 1 if placed and placed[-1].dts is not None else 0
        packet.dts = packet.pts = max(after, (own.dts if own.dts is not None else after + begin) - begin)
        placed.append(packet)
    return placed


def _made_up(stream: Stream) -> Packet:
    packet = Packet(bytes(64))
    packet.time_base, packet.pts, packet.dts = stream.time_base or Fraction(1, 1000), 0, 0
    packet.duration, packet.is_keyframe = 1, True
    return packet


def _is_same(stream: Stream, found: Stream) -> bool:
    """Whether a stream has been read as what it was. Of sound only the kind counts: a packet alone tells no more."""
    if stream.type == "audio":
        return found.type == "audio" and found.codec_context is not None
    return (stream.type, _codec(stream)) == (found.type, _codec(found))


def _lasts_as_long(packets: list[Packet], found: InputContainer) -> bool:
    """Whether sound is read again at the pace at which it was written.

    AVI times sound by a count of bytes or packets. A stream of another container may bring a count that is wrong here.
    """
    placed = _placed(packets)
    written = [Fraction(packet.pts or 0) * Fraction(packet.time_base) for packet in placed]
    read = [packet for packet in found.demux(audio=0) if packet.size and packet.pts is not None]
    if len(written) < 2 or not read:
        return True
    longest = max(b - a for a, b in pairwise(written))
    ends = [((packet.pts or 0) + (packet.duration or 0)) * Fraction(packet.time_base) for packet in read]
    length = max(ends) - (read[0].pts or 0) * Fraction(read[0].time_base)
    return abs(length - (written[-1] + longest)) < 1.5 * longest + Fraction(1, 100)


def _codec(stream: Stream) -> str:
    context = stream.codec_context
    return context.name if context is not None else str(getattr(stream, "name", ""))
