"""A video file from frames, with the other streams of its source: whole, or not there at all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from maskvfi.errors import MediaError, OptionError, StoppedError, reason, short_of_memory
from maskvfi.paths import PathLike
from maskvfi.video.animation import FOR_EVER, loop_option, set_last_duration
from maskvfi.video.encoders import (
    SHORTEST_OF_GIF,
    choose_encoding,
    choose_time_base,
    has_fixed_rate,
    loses_aspect_ratio,
    stated_rate,
    without_b_frames,
)
from maskvfi.video.frames import Frame, SourceInfo
from maskvfi.video.icc import is_srgb
from maskvfi.video.journal import EncodedPacket, Journal
from maskvfi.video.kept import Wanted, lost_in
from maskvfi.video.orientation import keeps_rotation, upright_frame, upright_info
from maskvfi.video.priority import kept_priority
from maskvfi.video.pump import Worker
from maskvfi.video.segment_encoder import SegmentEncoder, configure
from maskvfi.video.stream_copy import CopiedStreams
from maskvfi.video.streams import is_cover
from maskvfi.video.target import Target
from maskvfi.video.timestamps import Clock

T = TypeVar("T")
_QUICKTIME = "com.apple.quicktime."
SEGMENT = 120  # frames: a journal's segment has at least that many


@dataclass(frozen=True, slots=True)
class _Mark:
    """A place where a segment may end, and what the caller needs to know to continue there."""

    state: dict[str, Any]


class VideoWriter:
    """Write frames to a video file; a thread encodes them.

    The container follows from the suffix. Where it cannot say how the picture is turned, frames are written upright.
    Everything goes to a hidden file beside the target, which takes the target's name when it is whole: when the `with`
    block ends well, or on `finish`. Otherwise nothing is left behind.

    Times are exact in `time_base`, see `choose_time_base`; Matroska rounds each to the nearest 1/1000 s.

    With `facts` the work can be interrupted and resumed: a `Journal` beside the target keeps the encoded segments. A
    writer that is opened with the same facts and `resume` has the first `kept` frames already; the next frame to write
    is the one after them. Encoders whose packets are more than bytes cannot be resumed: then `journal` is None.

    Args:
        path: The file to make, or an open file object.
        info: What is known of the source of the frames.
        rate: The average frame rate of the output, in frames per second.
        codec: FFmpeg's name of the encoder.
        options: The encoder's options, by FFmpeg's names (crf, preset, qp, ...).
        pix_fmt: FFmpeg's name of the pixel format to write; chosen by default, see `choose_encoding`.
        copy_from: The file whose other streams, chapters and tags are copied.
        overwrite: Replace a file that exists.
        start: Where the frames begin, in seconds from the first frame of `copy_from`; its streams are cut to that, and
            the output begins at 0.
        end: Where the frames end, in the same seconds.
        queue: How many frames may wait for the encoder.
        container_format: FFmpeg's name of the container; by default the suffix decides.
        slow: How many times longer the output lasts than `copy_from`; its other streams are stretched with it.
        facts: What the output depends on, in terms of JSON.
        resume: Continue where an earlier writer with the same facts stopped; begin if there was none.

    Attributes:
        warnings: What could not be kept, one line each.
        time_base: Seconds per tick of the output.
        clock: The ticks of the frames so far.
        journal: What keeps the segments, or None.
        encoding: The encoder, and how a frame becomes what it takes.

    Raises:
        MediaError: The output cannot be written. What can be known before the first frame is raised here.
        OptionError: The encoder is unknown or does not have one of `options`.
    """

    def __init__(
        self,
        path: PathLike | BinaryIO,
        info: SourceInfo,
        *,
        rate: Fraction,
        codec: str = "libx264",
        options: dict[str, str] | None = None,
        pix_fmt: str | None = None,
        copy_from: PathLike | None = None,
        overwrite: bool = False,
        start: Fraction | None = None,
        end: Fraction | None = None,
        queue: int = 4,
        container_format: str | None = None,
        slow: Fraction = Fraction(1),
        facts: Mapping[str, Any] | None = None,
        resume: bool = False,
    ) -> None:
        self._target = Target(path, overwrite)
        self._name = self._target.name
        self.journal: Journal | None = None
        self._copied: CopiedStreams | None = None
        self._mark: _Mark | None = None
        self._apart: list[EncodedPacket] | None = None
        self._done = False
        self._turned = None if keeps_rotation(self._name) else info
        info = info if self._turned is None else upright_info(info)
        self._info = info
        self.encoding = choose_encoding(codec, info, options or {}, pix_fmt)
        self.warnings = list(self.encoding.warnings)
        try:
            if facts is not None and self.encoding.has_bytes:
                self._open_journal(facts, resume)
            if resume and self.journal is None:
                raise MediaError(f"{self._name}: what is written there cannot be resumed")
            self._container = self._open(container_format)
            muxer = self._container.format.name
            if muxer in ("avi", "mxf"):
                self.encoding = without_b_frames(self.encoding)
            self.warnings += _limits(muxer, info, rate)
            self.time_base = choose_time_base(info, rate, self.encoding.codec, muxer)
            fixed_rate = has_fixed_rate(self.encoding.codec, muxer)
            self.clock = Clock(self.time_base, None, fixed_rate, gapless=muxer in ("yuv4mpegpipe", "mxf"))
            self._container.container_options.update(_muxer_options(muxer, info, self.time_base))
            self._stream = self._add_stream(info, rate)
            if copy_from is not None:
                self._copy_streams(copy_from, info.start_time, start, end, rate, slow)
            if self._has_quicktime_tags_alone(muxer):
                self._container.container_options["movflags"] = "use_metadata_tags"  # keeps tags of any name
            self._start_encoding()
            self._encoder = SegmentEncoder(self._stream.codec_context, info, self.encoding, self.clock)
            if self.journal is not None and self.kept:
                self._resume(self.journal)
        except BaseException:
            self._clean_up()
            raise
        self._worker: Worker[Frame | _Mark] = Worker(self._take, queue, "maskvfi-encode")

    @property
    def kept(self) -> int:
        """How many frames the journal has: those of an earlier writer, and those of this one that are safe by now."""
        return self.journal.frames if self.journal is not None else 0

    @property
    def state(self) -> dict[str, Any]:
        """What `mark` was given after the last of the `kept` frames."""
        return self.journal.state["run"] if self.journal is not None and self.kept else {}

    @property
    def can_be_joined(self) -> bool:
        """Whether segments can be made apart and joined in a journal."""
        return self.encoding.has_bytes

    def write(self, frame: Frame) -> None:
        """Queue the next frame in the order of presentation.

        Raises:
            MediaError: An earlier frame could not be written.
        """
        self._worker.put(frame if self._turned is None else upright_frame(frame, self._turned))

    def mark(self, state: dict[str, Any]) -> None:
        """Allow a segment to end after the last written frame.

        Args:
            state: What the caller needs to continue after that frame, in terms of JSON.
        """
        if self.journal is not None:
            self._worker.put(_Mark(state))

    def begin_apart(self, clock: Mapping[str, Any]) -> None:
        """Make one segment of the file only; call it before the first frame.

        Args:
            clock: The state of the file's clock after the frames before the segment, see `Clock.state`.
        """
        self.clock.restore(clock)
        if self.clock.at.count:
            self._encoder.begin_segment()
        self._apart = []

    def segment(self, last: bool) -> list[EncodedPacket]:
        """End the segment that `begin_apart` began; after that, call nothing but `abort`.

        Args:
            last: The file ends with this segment.

        Returns:
            Its packets, as `Journal.put` takes them.

        Raises:
            MediaError: A frame could not be encoded.
        """
        assert self._apart is not None
        self._worker.finish()
        self._write(self._call(self._encoder.end_file if last else self._encoder.end_segment))
        return self._apart

    def finish(self) -> None:
        """Encode what waits, copy the rest of the other streams, and rename the finished file to the target.

        Raises:
            MediaError: Something could not be written, or there were no frames.
        """
        if self._done:
            return
        try:
            self._worker.finish()
            if self.clock.at.last is None:
                raise MediaError(f"{self._name}: there are no frames to write")
            if self._encoder.frames or not self.kept:
                self._write(self._call(self._encoder.end_file))
            if self._copied is not None:
                self._call(partial(self._copied.advance, None))
                self.warnings += [line for line in self._copied.warnings if line not in self.warnings]
            self._call(self._container.close)
            self._call(self._end_last_frame)
            self._warn_of_moved_frames()
            if self._copied is not None:
                self._copied.close()
                self.warnings += self._lost(self._copied.wanted)
            self._call(self._target.publish)
        except BaseException:
            self.abort()
            raise
        self._done = True
        if self.journal is not None:
            self.journal.remove()

    def abort(self) -> None:
        """Stop, and leave nothing behind but the `kept` frames."""
        if not self._done:
            self._done = True
            self._worker.cancel()
            self._clean_up()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self.finish()
            except BaseException as stop:
                self._raise_with_kept(stop)
                raise
            return
        self.abort()
        self._raise_with_kept(error)

    def _raise_with_kept(self, error: BaseException) -> None:
        """If frames of a stopped run are kept, raise the error again with a line that says how many."""
        if not self.kept or self.journal is None or not self.journal.folder.is_dir():
            return
        kept = f"{self.kept} frames are kept, resume goes on there"
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(kept) from error
        if isinstance(error, MediaError):
            raise StoppedError(f"{error} ({kept})") from error
        if short_of_memory(error):
            raise MemoryError(f"{reason(error)}; {kept}") from error

    def _open_journal(self, facts: Mapping[str, Any], resume: bool) -> None:
        self.journal = self._target.open_journal(facts, resume)
        if self.journal is not None and self.journal.replaced:
            self.warnings.append(self.journal.replaced)

    def _open(self, container_format: str | None) -> OutputContainer:
        try:
            container = av.open(
                self._target.sink,
                "w",
                format=container_format,
                container_options={"strict": "experimental"},
            )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise MediaError(f"{self._name}: no container format for this name") from error
        name = container.format.name
        if name == "image2":
            container.close()
            raise MediaError(
                f"{self._name}: is one picture, not a video; a folder (out/) or a pattern (out/%06d.png) takes many"
            )
        if container.format.no_file:
            container.close()
            raise MediaError(
                f"{self._name}: {name} needs many files, and only one is written; a .mp4 can be split afterwards"
            )
        return container

    def _add_stream(self, info: SourceInfo, rate: Fraction) -> VideoStream:
        """The container's video stream with its encoder context, which is not open yet."""
        encoding, container = self.encoding, self._container
        try:
            stream = container.add_stream(
                encoding.codec,
                rate=stated_rate(rate.limit_denominator(100_000) or rate),
                options=dict(encoding.options),
            )
        except ValueError as error:
            raise MediaError(f"{self._name}: {container.format.name} cannot hold {encoding.codec}") from error
        assert isinstance(stream, VideoStream)
        configure(stream.codec_context, info, encoding, self.clock)
        stream.time_base = self.time_base
        if info.sample_aspect_ratio != 1 and loses_aspect_ratio(encoding.codec, container.format.name):
            self.warnings.append(
                f"the pixel aspect ratio {info.sample_aspect_ratio} cannot be written: left out"
            )
        if encoding.codec in ("libx265", "hevc_nvenc") and container.format.name in ("mp4", "mov"):
            stream.codec_context.codec_tag = "hvc1"
        if info.display_matrix is not None and self._turned is not None:
            self.warnings.append(
                f"{container.format.name} keeps no rotation by this angle: written as it is stored"
            )
        elif info.display_matrix is not None:
            try:
                stream.set_display_matrix(info.display_matrix)
            except AttributeError:
                self.warnings.append("this PyAV cannot write the rotation: left out")
        return stream

    def _copy_streams(
        self,
        copy_from: PathLike,
        picture_start: Fraction,
        start: Fraction | None,
        end: Fraction | None,
        rate: Fraction,
        slow: Fraction,
    ) -> None:
        self._copied = CopiedStreams(copy_from, self._container, picture_start, start, end, rate, slow)
        self._copied.copy_picture_tags(self._stream)
        self.clock.shift = self._copied.shift
        self.warnings += self._copied.warnings

    def _has_quicktime_tags_alone(self, muxer: str) -> bool:
        """Whether the tags are those of QuickTime; covers and titles are lost where tags of any name are kept."""
        names, container = {*self._container.metadata}, self._container
        plain = names & {"title", "artist", "album", "comment"} or any(map(is_cover, container.streams))
        return muxer in ("mp4", "mov") and not plain and any(name.startswith(_QUICKTIME) for name in names)

    def _start_encoding(self) -> None:
        """Write the container's header, which opens the encoder."""
        try:
            with kept_priority():
                self._container.start_encoding()
        except (av.error.FFmpegError, ValueError) as error:
            what = f"{self._container.format.name} with {self.encoding.description}"
            raise MediaError(f"{self._name}: {what} cannot be written ({reason(error)})") from error
        if unknown := [name for name in self._stream.codec_context.options if name in self.encoding.options]:
            where = "" if unknown[0] in ("crf", "preset") else "encoder_options: "
            raise OptionError(f"{where}{self.encoding.codec} has no option {unknown[0]}")

    def _resume(self, journal: Journal) -> None:
        """Mux the packets of the journal, and continue after them."""
        for coded in journal.packets():
            packet = coded.to_packet(self.time_base)
            self._encoder.keep_order(packet)
            self._mux(packet)
        self.clock.restore(journal.state["writer"])
        self._encoder.begin_segment()

    def _take(self, item: Frame | _Mark) -> None:
        """What the thread does with a frame or a mark. A segment ends when the frame after its last mark comes."""
        if isinstance(item, _Mark):
            self._mark = item
            return
        if self._mark is not None and self._encoder.frames >= SEGMENT and self.journal is not None:
            self._end_segment(self.journal, self._mark)
        self._mark = None
        self._write(self._call(partial(self._encoder.encode, item)))

    def _end_segment(self, journal: Journal, mark: _Mark) -> None:
        self._write(self._call(self._encoder.end_segment))
        state = {"run": mark.state, "writer": self.clock.state()}
        self._call(partial(journal.close_segment, self.clock.at.count, state))

    def _write(self, packets: list[Packet]) -> None:
        """Keep the packets of a segment that is made apart; else mux them, after the journal has them."""
        for packet in packets:
            if self._apart is not None:
                self._apart.append(EncodedPacket.of(packet))
                continue
            if self.journal is not None:
                self._call(partial(self.journal.add, EncodedPacket.of(packet)))
            self._mux(packet)

    def _mux(self, packet: Packet) -> None:
        """Mux a video packet, after the packets of other streams that come before it."""
        if packet.dts is not None and self._copied is not None:
            until = packet.dts * Fraction(packet.time_base) + self._copied.shift
            self._call(partial(self._copied.advance, until))
        packet.stream = self._stream
        self._call(partial(self._container.mux, packet))

    def _end_last_frame(self) -> None:
        """Let the last frame of an animated picture last as long as it should."""
        at, file = self.clock.at, self._target.hidden
        if file is not None and at.end is not None and at.last is not None:
            set_last_duration(file, self._container.format.name, (at.end - at.last) * self.clock.tick)

    def _warn_of_moved_frames(self) -> None:
        at = self.clock.at
        if at.moved and not self.clock.fixed_rate:
            self.warnings.append(
                f"{at.moved} frames were too close in time for the file and were moved, by up to {at.furthest:.3f} s"
            )
        if at.off_grid:
            self.warnings.append(
                f"{at.off_grid} frames are off the constant rate that the file keeps, by up to "
                f"{at.furthest:.3f} s; an even rate (fps) or another container keeps them in step"
            )

    def _lost(self, wanted: Wanted) -> list[str]:
        """What the whole file has not kept of its source."""
        if self._target.hidden is None:
            return []
        muxer = self._container.format.name
        found = lost_in(self._target.hidden, muxer, wanted, self._info, self.encoding.colour)
        return [line for line in found if line not in self.warnings]

    def _call(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (av.error.FFmpegError, OSError) as error:
            raise MediaError(f"{self._name}: writing failed ({reason(error)})") from error

    def _clean_up(self) -> None:
        if self._copied is not None:
            self._copied.close()
        if container := getattr(self, "_container", None):
            with contextlib.suppress(Exception):
                container.close()
        self._target.discard()
        if self.journal is not None:
            self.journal.close()


def _limits(muxer: str, info: SourceInfo, rate: Fraction) -> list[str]:
    """Warnings of what a container cannot keep or show."""
    lines = []
    if info.profile and not is_srgb(info.profile):
        lines.append("a video keeps no ICC profile: left out, colours may look different")
    if muxer == "gif" and 1 / rate < SHORTEST_OF_GIF:
        lines.append(f"browsers show a GIF of more than {1 / SHORTEST_OF_GIF} frames a second slowly")
    if muxer in ("matroska", "webm") and rate > 1000:
        lines.append("Matroska counts milliseconds: of over 1000 frames a second some share a time")
    return lines


def _muxer_options(muxer: str, info: SourceInfo, time_base: Fraction) -> dict[str, str]:
    """The options of a container: how often it plays, and the ticks in which it says when each stream begins."""
    options = loop_option(muxer, FOR_EVER if info.plays is None else info.plays)
    if muxer in ("mp4", "mov"):
        options["movie_timescale"] = str(time_base.denominator)
    return options
