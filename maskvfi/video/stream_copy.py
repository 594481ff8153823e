"""Everything of a source but its video: the other streams, chapters and tags, copied or stretched in time."""

from __future__ import annotations

import contextlib
import errno
import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.format import Flags
from av.packet import Packet
from av.stream import Discard, Stream
from av.subtitles.stream import SubtitleStream

from maskvfi.errors import MediaError, reason
from maskvfi.paths import PathLike
from maskvfi.video.audio_stretch import BEGIN_AT_0, StretchedTrack
from maskvfi.video.clock_jumps import demux_continuous, may_jump
from maskvfi.video.container_probe import ContainerProbe
from maskvfi.video.kept import Wanted
from maskvfi.video.streams import is_cover, open_input, picture_stream, rate_of, start_of
from maskvfi.video.timecode import moved_timecode

_TEXT_CODEC = {
    **dict.fromkeys(("mp4", "mov", "ipod", "3gp"), "mov_text"),
    "matroska": "subrip",
    "webm": "webvtt",
}
_STYLED = ("ass", "ssa")  # subtitles that lose much as plain text
_OWN_TAGS = {
    *("encoder", "duration", "major_brand", "minor_version", "compatible_brands", "vendor_id", "bps"),
    "alpha_mode",
}
_LATE = Fraction(3, 100)  # seconds by which sound may begin too early where it has no times
_PRIMING = Fraction(1, 10)  # seconds that a decoder of sound may need before the first sample that is heard
_OWN_PREFIXES = ("_statistics", "number_of_", "bps-", "duration-")
_MOST_IN_MP4 = 255  # frames per second of a time code: it has a byte for them
_SEEK_BACK = 30  # seconds: a subtitle that is shown when the window begins may have begun that long before


@dataclass
class _Route:
    """Where the packets of a source stream go.

    Attributes:
        target: The stream of the output.
        converts: Whether they are subtitles to be encoded again.
        last: The decoding time of the last one, in ticks.
        moved: Whether the time of any was moved to keep the order.
        damaged: Whether any was left out, since it cannot be read.
    """

    target: Stream
    converts: bool = False
    last: int | None = None
    moved: bool = False
    damaged: bool = False


class CopiedStreams:
    """The other streams of a file: set up in the output first, then muxed step by step as the video advances.

    Output time is source time minus `shift`; in slow motion, all distances from `picture_start` grow by `slow` before
    that. Sound that the output cannot hold is encoded again, other streams are left out; `warnings` names each.

    Args:
        path: The file to copy from.
        output: The container to mux into.
        picture_start: The time of the source's first frame, in seconds.
        start: Where the window to copy begins, in seconds from `picture_start`.
        end: Where it ends, in the same seconds.
        rate: The output's frames per second, for time codes; by default the source's.
        slow: How many times longer the output lasts. Sound is then stretched at the same pitch, and encoded again.

    Attributes:
        warnings: What is left out or changed, one line each.
        wanted: What the output is given beside pictures and packets.
        shift: The time of the source, stretched if it is, at which the output begins, in seconds.

    Raises:
        MediaError: The file cannot be read.
    """

    def __init__(
        self,
        path: PathLike,
        output: OutputContainer,
        picture_start: Fraction,
        start: Fraction | None = None,
        end: Fraction | None = None,
        rate: Fraction | None = None,
        slow: Fraction = Fraction(1),
    ) -> None:
        self.warnings: list[str] = []
        self._rate = rate
        self._output = output
        self._source, self._name = open_input(path)
        self._probe = ContainerProbe(self._name, output)
        try:
            self._picture = picture_stream(self._source, self._name)
            self._origin, self._slow = picture_start, slow
            self._first = picture_start + start if start else None
            self._last = None if end is None else picture_start + end
            self._begin = self._natural_start() if self._first is None else self._first
            self.shift = self._stretched(self._begin)
            self._tracks: dict[int, StretchedTrack] = {}
            chapters = self._copy_tags()
            self._routes = dict(self._set_up_streams())
            self._packets = self._demux()
            self._pending: Packet | None = None
            streams = [(stream.type, stream.metadata, stream.disposition) for stream in output.streams]
            self.wanted = Wanted(dict(output.metadata), streams, chapters)
        except BaseException:
            self._source.close()
            raise

    def advance(self, until: Fraction | None) -> None:
        """Mux packets up to a time.

        Args:
            until: Output time plus `shift`, in seconds; None for all that is left.

        Raises:
            MediaError: The output does not take a packet.
        """
        while (packet := self._pending or next(self._packets, None)) is not None:
            self._pending = packet
            if until is not None and self._stretched(_time_of(packet)) > until:
                return
            self._pending = None
            index = packet.stream.index
            if index in self._routes:
                self._mux(packet, self._routes[index])
            elif lost := self._tracks[index].take(packet, self._begin, self._last):
                line = f"{_named(packet.stream)} {lost}"
                self._warn_once(line)
        if until is None:
            for track in self._tracks.values():
                track.finish()
            self._tracks.clear()

    def close(self) -> None:
        """Close the source."""
        self._packets.close()  # it refers to this object, and would keep what both hold
        self._source.close()

    def copy_picture_tags(self, target: Stream) -> None:
        """Copy language, title and disposition of the source's video stream."""
        target.metadata.update(self._tags(self._picture.metadata))
        target.disposition = self._picture.disposition

    def _stretched(self, time: Fraction) -> Fraction:
        """The output time plus `shift` of a time of the source, in seconds."""
        return self._origin + (time - self._origin) * self._slow

    def _natural_start(self) -> Fraction:
        """The time of the source at which the output of a whole file begins, as FFmpeg chooses it.

        A file that begins late begins at 0. What lies before 0 (audio priming) stays there, but the video never begins
        before 0.
        """
        starts = [start_of(s) for s in self._source.streams if s.start_time is not None and not is_cover(s)]
        return min(self._origin, max(Fraction(0), min(starts, default=Fraction(0))))

    def _tags(self, tags: dict[str, str]) -> dict[str, str]:
        """The tags to write: none that a muxer writes about itself, and the time code that the output begins at."""
        kept = {
            key: value
            for key, value in tags.items()
            if key.lower() not in _OWN_TAGS and not key.lower().startswith(_OWN_PREFIXES)
            if not (key.lower() == "software" and value.startswith("Lavf"))  # the muxer of an AVI
        }
        for key in [key for key in kept if key.lower() == "timecode"]:
            rate = rate_of(self._picture) or Fraction(25)
            start = Fraction(0) if self._first is None else self._first - self._origin
            moved = moved_timecode(kept[key], rate, self._rate or rate, start)
            muxer = self._output.format.name
            if moved is None or (muxer in ("mp4", "mov") and round(self._rate or rate) > _MOST_IN_MP4):
                del kept[key]
                line = f"the time code {tags[key]} cannot be written at the new frame rate: left out"
                self._warn_once(line)
            else:
                kept[key] = moved
        return kept

    def _copy_tags(self) -> int:
        """Copy the tags of the file, and its chapters, cut to the window; returns how many chapters there are."""
        self._output.metadata.update(self._tags(self._source.metadata))
        chapters = []
        for chapter in self._source.chapters():
            tick = Fraction(chapter["time_base"] or Fraction(1, 1000))
            begin, stop = chapter["start"] * tick, chapter["end"] * tick
            begin = max(begin, self._begin)
            stop = stop if self._last is None else min(stop, self._last)
            if stop > begin:
                start, end = (_ticks(self._stretched(time) - self.shift, tick) for time in (begin, stop))
                chapters.append({**chapter, "start": start, "end": end})
        if chapters:
            self._output.set_chapters(chapters)  # type: ignore[arg-type]
        return len(chapters)

    def _set_up_streams(self) -> Iterator[tuple[int, _Route]]:
        for stream in self._source.streams:
            if stream is self._picture or self._is_chapter_track(stream):
                self._ignore(stream)
                continue
            if beside := self._beside_avif(stream):
                self.warnings.append(f"stream {stream.index} ({beside} of the AVIF) is left out")
                self._ignore(stream)
                continue
            route, refusal = None, ""
            if self._slow == 1 or not isinstance(stream, AudioStream):
                route, refusal = self._set_up(stream)
            if isinstance(stream, AudioStream) and route is None:
                anew = self._encode_again(stream, bool(refusal))
                if refusal and not anew:
                    codec = self._tracks[stream.index].codec
                    self.warnings.append(
                        f"{_named(stream)} is encoded again with {codec}: {self._output.format.name} {refusal}"
                    )
                refusal = anew
            if stream.index in self._tracks:
                continue
            if refusal:
                what = _named(stream)
                self.warnings.append(f"{what} is left out: {self._output.format.name} {refusal}")
            if route is None:
                self._ignore(stream)
                continue
            yield stream.index, route

    def _encode_again(self, stream: AudioStream, refused: bool) -> str:
        """Set up a track for a sound stream; returns why the output cannot hold it, empty if it can."""
        try:
            track = StretchedTrack(stream, self._output, self._slow, refused)
        except (av.error.FFmpegError, ValueError):
            return "cannot hold it"
        if track.lost:
            self.warnings.append(f"{_named(stream)} {track.lost}")
        self._tracks[stream.index] = track
        self._copy_stream_tags(stream, track.target)
        return ""

    def _set_up(self, stream: Stream) -> tuple[_Route | None, str]:
        """Where the packets of a stream go, if it has any, and why the output cannot hold it; empty if it can."""
        muxer = self._output.format.name
        if is_cover(stream) and muxer == "matroska":
            self._attach_cover(stream)
            return None, ""
        refusal = self._probe.refusal(stream)
        if muxer in BEGIN_AT_0 and stream.type == "audio" and start_of(stream) - self._begin > _LATE:
            refusal = "lets no sound begin late"  # with silence before it, it does
        if not refusal:
            target = self._output.add_stream_from_template(stream, opaque=True)
            self._copy_stream_tags(stream, target)
            return (_Route(target) if stream.type != "attachment" else None), ""
        codec = _TEXT_CODEC.get(muxer)
        decodable = stream.codec_context is not None
        if isinstance(stream, SubtitleStream) and codec and decodable and stream.codec_context.codec.text_sub:
            stream.codec_context.open(strict=False)
            converted = self._output.add_stream(codec)
            assert isinstance(converted, SubtitleStream)
            converted.codec_context.subtitle_header = stream.codec_context.subtitle_header
            if stream.codec_context.name in _STYLED:
                what = _named(stream)
                self.warnings.append(f"{what} is written as {codec}: its styles and positions are left out")
            self._copy_stream_tags(stream, converted)
            return _Route(converted, converts=True), ""
        return None, refusal

    def _warn_once(self, line: str) -> None:
        if line not in self.warnings:
            self.warnings.append(line)

    def _copy_stream_tags(self, stream: Stream, target: Stream) -> None:
        tags = self._tags(stream.metadata)
        if self._output.format.name in ("mp4", "mov") and "title" in tags:
            tags["handler_name"] = tags["title"]  # what players show there
        target.metadata.update(tags)
        target.disposition = stream.disposition

    def _attach_cover(self, stream: Stream) -> None:
        """Attach cover art, as Matroska keeps it (RFC 9559 section 21)."""
        with contextlib.closing(open_input(self._name)[0]) as again:
            packet = next((p for p in again.demux(again.streams[stream.index]) if p.size), None)
        if packet is None:
            self._warn_once("a cover has no data: left out")
            return
        kind = {"mjpeg": "jpeg"}.get(stream.codec_context.name, stream.codec_context.name)
        name = stream.metadata.get("filename", f"cover.{'jpg' if kind == 'jpeg' else kind}")
        self._output.add_attachment(name, stream.metadata.get("mimetype", f"image/{kind}"), bytes(packet))

    def _is_chapter_track(self, stream: Stream) -> bool:
        """Whether it is a track of chapter titles or time codes (QuickTime); the muxer writes both from tags.

        FFmpeg discards the packets of a track of titles, once it has made chapters of them, and of no other track.
        """
        return stream.type == "data" and (
            stream.discard == Discard.all
            or ("timecode" in stream.metadata and "timecode" in self._picture.metadata)
        )

    def _beside_avif(self, stream: Stream) -> str:
        """What a stream is beside the pictures of an AVIF sequence; empty for another one."""
        if self._source.metadata.get("major_brand", "") not in ("avif", "avis") or stream.type != "video":
            return ""
        return "the still picture" if stream.frames == 1 else "the alpha channel"

    def _ignore(self, stream: Stream) -> None:
        if not may_jump(self._source):  # a jump may be seen first in the picture
            with contextlib.suppress(AttributeError):
                stream.discard = Discard.all

    def _demux(self) -> Generator[Packet, None, None]:
        """The packets of the window; a second video stream begins with a key frame."""
        wanted = [self._source.streams[index] for index in (*self._routes, *self._tracks)]
        if not wanted:
            return
        if self._first is not None and self._first > _SEEK_BACK and not may_jump(self._source):
            with contextlib.suppress(av.error.FFmpegError):
                self._source.seek(int((self._first - _SEEK_BACK) * 1_000_000))
        started = {i for i in self._routes if self._source.streams[i].type != "video"}
        try:
            for packet in demux_continuous(self._source, wanted, self._picture, []):
                index = packet.stream.index
                if self._last is not None and packet.size and _time_of(packet) > self._last + 10:
                    return
                if index in self._tracks:
                    if self._last is None or _time_of(packet) < self._last + 1:
                        yield packet
                elif is_cover(packet.stream) and packet.size:
                    packet.pts = packet.dts = 0
                    yield packet
                elif self._is_copied(packet) and (index in started or packet.is_keyframe):
                    started.add(index)
                    yield packet
        except av.error.FFmpegError as error:
            self.warnings.append(f"{self._name}: reading its other streams stopped early ({reason(error)})")

    def _is_copied(self, packet: Packet) -> bool:
        """Whether a packet belongs to the window; a subtitle that lies partly in it is cut to it."""
        if not packet.size or (packet.pts is None and packet.dts is None):
            return False
        # An edit list hides it, which other containers do not have. Pictures may need hidden ones.
        hidden = packet.is_discard and packet.stream.type != "video"
        if hidden and _time_of(packet) < self._begin - _PRIMING:
            return False
        tick = Fraction(packet.time_base)
        begin = (packet.pts if packet.pts is not None else packet.dts or 0) * tick
        if packet.stream.type == "subtitle" and packet.duration:
            stop = begin + packet.duration * tick
            cut = begin if self._first is None else max(begin, self._first)
            end = stop if self._last is None else min(stop, self._last)
            if (cut, end) != (begin, stop) and end > cut:
                packet.pts = packet.dts = math.ceil(cut / tick)
                packet.duration = _ticks(end - cut, tick)
            return end > cut
        return (self._first is None or begin >= self._first) and (self._last is None or begin < self._last)

    def _mux(self, packet: Packet, route: _Route) -> None:
        stream = packet.stream
        try:
            if route.converts:
                packet = self._convert(packet, route)
                if not packet.size:  # a pause between lines: not every container has a subtitle without text
                    return
            if not is_cover(packet.stream):
                self._move(packet)
                self._keep_order(packet, route)
            packet.stream = route.target
            self._output.mux(packet)
        except (av.error.InvalidDataError, av.error.PatchWelcomeError):  # of this packet alone
            if not route.damaged:
                self.warnings.append(f"{_named(stream)} is damaged: parts are left out")
            route.damaged = True
        except av.error.FFmpegError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise  # the writer names its file
            what = f"{_describe(route.target)} cannot be copied"
            raise MediaError(f"{self._name}: {what} ({reason(error)})") from error

    def _move(self, packet: Packet) -> None:
        """Give the packet its output time."""
        tick = Fraction(packet.time_base)
        for name in ("pts", "dts"):
            if (stamp := getattr(packet, name)) is not None:
                setattr(packet, name, _ticks(self._stretched(stamp * tick) - self.shift, tick))
        if packet.duration and self._slow != 1:
            packet.duration = round(packet.duration * self._slow)

    def _keep_order(self, packet: Packet, route: _Route) -> None:
        """Move a time that is not later than the one before, as recordings may have; containers refuse such streams."""
        if packet.dts is None:
            return
        own = Fraction(packet.time_base)
        # Once its header is written, the file's tick is known.
        target = Fraction(route.target.time_base or own)
        if target < own:  # packets may be closer than the source's ticks tell, as those of TrueHD in Matroska
            packet.pts = None if packet.pts is None else _ticks(packet.pts * own, target)
            packet.dts, packet.duration = (
                _ticks(packet.dts * own, target),
                _ticks((packet.duration or 0) * own, target),
            )
            packet.time_base = own = target
        tick = max(own, target)
        may_be_equal = self._output.format.flags & cast(int, Flags.ts_nonstrict.value)
        apart = 0 if may_be_equal or packet.stream.type == "subtitle" else 1
        if route.last is not None and _ticks(packet.dts * own, tick) < _ticks(route.last * own, tick) + apart:
            if not route.moved:
                what = _named(packet.stream)
                self.warnings.append(f"{what} has times out of order: they were moved")
            route.moved = True
            packet.dts = route.last + apart * math.ceil(tick / own)
            packet.pts = None if packet.pts is None else max(packet.pts, packet.dts)
        route.last = packet.dts

    def _convert(self, packet: Packet, route: _Route) -> Packet:
        """A subtitle in the target's codec."""
        assert isinstance(packet.stream, SubtitleStream)
        assert isinstance(route.target, SubtitleStream)
        subtitles = packet.stream.decode2(packet)
        written = route.target.codec_context.encode_subtitle(subtitles) if subtitles else Packet(b"")
        written.stream = packet.stream
        written.time_base = packet.time_base
        written.pts, written.dts, written.duration = packet.pts, packet.pts, packet.duration
        return written


def _named(stream: Stream) -> str:
    return f"stream {stream.index} ({_describe(stream)})"


def _describe(stream: Stream) -> str:
    context = stream.codec_context
    name = context.name if context is not None else stream.metadata.get("filename", "")
    return f"{stream.type} {name}".strip()


def _time_of(packet: Packet) -> Fraction:
    """When a packet is to be muxed, in seconds of the source; cover art comes before everything."""
    if is_cover(packet.stream):
        return Fraction(-1)
    stamp = packet.dts if packet.dts is not None else packet.pts
    return (stamp or 0) * Fraction(packet.time_base)


def _ticks(seconds: Fraction, tick: Fraction) -> int:
    return round(seconds / tick)
