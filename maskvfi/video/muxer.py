"""Frames in, a whole file out or nothing: encoded in a thread of its own, with the source's other streams."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TypeVar, cast

import av
from av.codec.context import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from maskvfi.errors import MediaError
from maskvfi.video.audio_stretch import StretchedSound
from maskvfi.video.encoders import (
    Encoding,
    choose_encoding,
    choose_time_base,
    has_fixed_rate,
    loses_aspect_ratio,
)
from maskvfi.video.frames import Frame, SourceInfo
from maskvfi.video.journal import Coded, Journal
from maskvfi.video.pump import Worker
from maskvfi.video.stream_copy import CopiedStreams
from maskvfi.video.streams import url_of
from maskvfi.video.timestamps import Clock

T = TypeVar("T")
_TOLERANCE = 128_000  # bits per second; what PyAV gives a stream, and does not tell
SEGMENT = 120  # frames: from how many on a segment of a journal may end


@dataclass(frozen=True, slots=True)
class _Mark:
    """A place where a segment may end, and what the caller has to know to go on there."""

    state: dict[str, Any]


class VideoWriter:
    """Write frames to `path`; the container follows from its suffix.

    `rate` is the average frame rate the output will have, `codec` and `options` go to the encoder (FFmpeg's
    names: crf, preset, qp, ...). `copy_from` is the file whose other streams, chapters and tags are copied;
    `start` and `end` cut them to the window that was read, and times shift so that it begins at 0.

    Everything is written to a hidden file beside the target, which takes the target's name once it is whole:
    when the `with` block ends well, or on `finish`. Otherwise nothing is left behind. Raises MediaError here,
    before any work, for what can be known here; what could not be kept is named in `warnings`.

    With `slow` other than 1 the frames lie that many times further apart than in `copy_from`: of its streams only
    the sound is kept, stretched alike.

    With `facts` the work can be interrupted and gone on with: they say what the file is made from and how, and a
    `Journal` keeps what is encoded, so that with `resume` the next writer of the same facts begins after the `kept`
    frames that an earlier one left, and its caller after the `state` it was marked with there. Not with encoders
    whose packets are no bytes: then `journal` is None.

    Times are exact in `time_base`, see `choose_time_base`; Matroska rounds each to the nearest 1/1000 s.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | BinaryIO,
        info: SourceInfo,
        *,
        rate: Fraction,
        codec: str = "libx264",
        options: dict[str, str] | None = None,
        copy_from: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        start: Fraction | None = None,
        end: Fraction | None = None,
        queue: int = 4,
        time_base: Fraction | None = None,
        container_format: str | None = None,
        slow: Fraction = Fraction(1),
        facts: Mapping[str, Any] | None = None,
        resume: bool = False,
    ) -> None:
        self._target = _Target(path, overwrite)
        self._name = self._target.name
        self.journal: Journal | None = None
        self._copied: CopiedStreams | StretchedSound | None = None
        self._shape = (info.height, info.width)
        self._durations: dict[int, int] = {}
        self._segment = 0  # frames in the one that is being made
        self._mark: _Mark | None = None
        self._last_dts: int | None = None
        self._apart: list[Coded] | None = None
        self._done = False
        self._encoding = choose_encoding(codec, info, options or {})
        self.warnings = list(self._encoding.warnings)
        try:
            if facts is not None and self._encoding.has_bytes:
                self.journal = self._target.in_journal(facts, resume, overwrite)
            if resume and self.journal is None:
                raise MediaError(f"{self._name}: what is written there cannot be resumed")
            self._container = self._open(container_format)
            muxer = self._container.format.name
            self.time_base = time_base or choose_time_base(info, rate, self._encoding.codec, muxer)
            fixed_rate = has_fixed_rate(self._encoding.codec, muxer)
            self.clock = Clock(self.time_base, None, fixed_rate, gapless=muxer == "yuv4mpegpipe")
            if muxer in ("mp4", "mov"):  # the clock of the edit list, which says when each stream begins
                self._container.container_options["movie_timescale"] = str(self.time_base.denominator)
            self._stream = self._add_picture(info, rate)
            if copy_from is not None:
                if slow == 1:
                    self._copied = CopiedStreams(copy_from, self._container, info.start_time, start, end)
                else:
                    self._copied = StretchedSound(
                        copy_from, self._container, info.start_time, slow, start, end
                    )
                self._copied.copy_picture_tags(self._stream)
                self.clock.shift = self._copied.shift
                self.warnings += self._copied.warnings
            self._start_encoding()
            self._context = self._stream.codec_context
            if self.kept:
                self._go_on()
        except BaseException:
            self._clean_up()
            raise
        self._worker: Worker[Frame | _Mark] = Worker(self._take, queue, "maskvfi-encode")

    @property
    def kept(self) -> int:
        """How many frames are safe: an earlier run left them, or this one would leave them if it stopped now."""
        return self.journal.frames if self.journal is not None else 0

    @property
    def state(self) -> dict[str, Any]:
        """What `mark` was told where the `kept` frames end."""
        return self.journal.state["run"] if self.journal is not None and self.kept else {}

    def mark(self, state: dict[str, Any]) -> None:
        if self.journal is not None:
            self._worker.put(_Mark(state))

    def write(self, frame: Frame) -> None:
        """Queue a frame; frames come in presentation order. Raises what went wrong with an earlier one."""
        self._worker.put(frame)

    @property
    def can_be_joined(self) -> bool:
        """Whether `segment` gives what a journal can keep."""
        return self._encoding.has_bytes

    def begin_apart(self, clock: Mapping[str, Any]) -> None:
        """Before any frame: make not a file but one segment of it, to be joined elsewhere. `clock` is the state of the
        file's clock after the frames before.
        """
        self.clock.go_on(clock)
        if self.clock.at.count:
            self._context = self._new_context()
        self._apart = []

    def segment(self, last: bool) -> list[Coded]:
        """The packets of the segment, for a `Journal`; `last`: the file ends with it. Then there is only `abort`."""
        assert self._apart is not None
        self._worker.finish()
        rest = self._encoded(None)
        if last:
            self._mux_last(rest)
        else:
            self._mux(rest)
        return self._apart

    def finish(self) -> None:
        """Encode what waits, copy the rest of the other streams and give the file its name."""
        if self._done:
            return
        try:
            self._worker.finish()
            if self.clock.at.last is None:
                raise MediaError(f"{self._name}: there are no frames to write")
            if self._segment or not self.kept:
                self._mux_last(self._encoded(None))
            if self._copied is not None:
                self._copied.advance(None)
                self.warnings += [line for line in self._copied.warnings if line not in self.warnings]
            self._call(self._container.close)
        except BaseException:
            self.abort()
            raise
        at = self.clock.at
        if at.moved and not self.clock.fixed_rate:
            self.warnings.append(f"{at.moved} frames were too close in time for the file and were moved")
        if at.off_grid:
            self.warnings.append(f"{at.off_grid} frames are off the constant rate that the file keeps")
        self._done = True
        if self._copied is not None:
            self._copied.close()
        self._target.keep()
        if self.journal is not None:
            self.journal.remove()

    def abort(self) -> None:
        """Stop and leave nothing behind but the frames that are `kept`."""
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
            self.finish()
            return
        self.abort()
        if self.kept:
            kept = f"{self.kept} frames are kept, resume goes on there"
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt(kept) from error
            if isinstance(error, MediaError):
                raise MediaError(f"{error} ({kept})") from error

    def _open(self, container_format: str | None) -> av.container.OutputContainer:
        try:
            return av.open(
                self._target.sink,
                "w",
                format=container_format,
                container_options={"strict": "experimental"},
            )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise MediaError(f"{self._name}: no container format for this name") from error

    def _add_picture(self, info: SourceInfo, rate: Fraction) -> VideoStream:
        encoding, container = self._encoding, self._container
        try:
            stream = container.add_stream(
                encoding.codec, rate=rate.limit_denominator(100_000), options=dict(encoding.options)
            )
        except ValueError as error:
            raise MediaError(f"{self._name}: {container.format.name} cannot hold {encoding.codec}") from error
        assert isinstance(stream, VideoStream)
        self._configure = partial(_configure, info=info, encoding=encoding, time_base=self.time_base)
        self._configure(stream.codec_context)
        stream.time_base = self.time_base
        if info.sample_aspect_ratio != 1 and loses_aspect_ratio(encoding.codec, container.format.name):
            self.warnings.append(
                f"the pixel aspect ratio {info.sample_aspect_ratio} cannot be written: left out"
            )
        if encoding.codec in ("libx265", "hevc_nvenc") and container.format.name in ("mp4", "mov"):
            stream.codec_context.codec_tag = "hvc1"
        if info.display_matrix is not None:
            try:
                stream.set_display_matrix(info.display_matrix)
            except AttributeError:
                self.warnings.append("this PyAV cannot write the rotation: left out")
        return stream

    def _start_encoding(self) -> None:
        try:
            self._container.start_encoding()
        except (av.error.FFmpegError, ValueError) as error:
            reason = str(getattr(error, "strerror", None) or error).lower()
            what = f"{self._container.format.name} with {self._encoding.codec}"
            raise MediaError(f"{self._name}: {what} cannot be written ({reason})") from error
        if unknown := [name for name in self._stream.codec_context.options if name in self._encoding.options]:
            raise MediaError(f"{self._encoding.codec}: has no option {unknown[0]}")

    def _go_on(self) -> None:
        """Write what the journal holds, and be where the run was that left it."""
        assert self.journal is not None
        for coded in self.journal.packets():
            packet = Packet(coded.data)
            packet.pts, packet.dts, packet.duration = coded.pts, coded.dts, coded.duration
            packet.time_base, packet.is_keyframe = self.time_base, coded.key
            self._put_in_order(packet)
            self._mux_one(packet)
        self.clock.go_on(self.journal.state["writer"])
        self._context = self._new_context()

    def _new_context(self) -> VideoCodecContext:
        """An encoder like that of the stream, which knows nothing of the frames before."""
        context = cast(VideoCodecContext, CodecContext.create(self._encoding.codec, "w"))
        own = self._stream.codec_context
        self._configure(context)
        context.framerate, context.options = own.framerate, dict(self._encoding.options)
        context.flags = own.flags
        context.bit_rate, context.bit_rate_tolerance = own.bit_rate or 0, _TOLERANCE
        return context

    def _take(self, item: Frame | _Mark) -> None:
        if isinstance(item, _Mark):
            self._mark = item
            return
        if self._mark is not None and self._segment >= SEGMENT and self.journal is not None:
            self._end_segment(self._mark)
        self._mark = None
        self._encode(item)
        self._segment += 1

    def _end_segment(self, mark: _Mark) -> None:
        assert self.journal is not None
        self._mux(self._encoded(None))
        state = {"run": mark.state, "writer": self.clock.state()}
        self._call(partial(self.journal.close_segment, self.clock.at.count, state))
        self._segment, self._context = 0, self._new_context()

    def _encode(self, frame: Frame) -> None:
        begin, length = self.clock.place(frame.pts, frame.duration)
        self._durations[begin] = length
        if frame.planes[0].shape != self._shape:
            raise ValueError(f"a frame of {frame.planes[0].shape} does not fit a video of {self._shape}")
        picture = self._encoding.picture(frame)
        picture.time_base = self.time_base
        picture.pts = begin
        picture.duration = length
        self._mux(self._encoded(picture))

    def _encoded(self, picture: av.VideoFrame | None) -> list[Packet]:
        return self._call(lambda: self._context.encode(picture))

    def _mux_last(self, packets: list[Packet]) -> None:
        """The rest, of which the last packet lasts until the end of the last frame.

        It need not be the last frame's own: with B-frames an earlier one can be decoded after it, and MP4 takes a
        track's length from the last packet.
        """
        for packet in packets[-1:]:
            if packet.pts is not None and self.clock.at.end is not None:
                self._durations[packet.pts] = self.clock.at.end - packet.pts
        self._mux(packets)

    def _mux(self, packets: list[Packet]) -> None:
        for packet in packets:
            if packet.pts in self._durations:
                packet.duration = self._durations.pop(packet.pts)
            self._put_in_order(packet)
            if self._apart is not None:
                self._apart.append(_coded(packet))
                continue
            if self.journal is not None:
                self._call(partial(self.journal.add, _coded(packet)))
            self._mux_one(packet)

    def _put_in_order(self, packet: Packet) -> None:
        """An encoder that begins anew may date its first packets before the last ones of the encoder before."""
        if packet.dts is not None and self._last_dts is not None and packet.dts <= self._last_dts:
            packet.dts = self._last_dts + 1
        if packet.dts is not None:
            self._last_dts = packet.dts

    def _mux_one(self, packet: Packet) -> None:
        if packet.dts is not None and self._copied is not None:
            self._copied.advance(packet.dts * Fraction(packet.time_base) + self._copied.shift)
        packet.stream = self._stream
        self._call(partial(self._container.mux, packet))

    def _call(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (av.error.FFmpegError, OSError) as error:
            reason = str(getattr(error, "strerror", None) or error).lower()
            raise MediaError(f"{self._name}: writing failed ({reason})") from error

    def _clean_up(self) -> None:
        if self._copied is not None:
            self._copied.close()
        if container := getattr(self, "_container", None):
            with contextlib.suppress(Exception):
                container.close()
        self._target.drop()
        if self.journal is not None:
            self.journal.leave()


def _configure(context: VideoCodecContext, info: SourceInfo, encoding: Encoding, time_base: Fraction) -> None:
    """What every encoder of a file is told."""
    context.width, context.height, context.pix_fmt = info.width, info.height, encoding.pix_fmt
    context.time_base, context.sample_aspect_ratio = time_base, info.sample_aspect_ratio
    colour = encoding.colour
    context.colorspace, context.color_range = colour.matrix_tag, colour.range_tag
    context.color_primaries, context.color_trc = colour.primaries, colour.transfer


def _coded(packet: Packet) -> Coded:
    pts = cast(int, packet.pts)
    dts = pts if packet.dts is None else packet.dts
    return Coded(bytes(packet), pts, dts, packet.duration or 0, packet.is_keyframe)


class _Target:
    """Where the bytes go: a hidden file beside the path until it is whole, or straight into a file object."""

    def __init__(self, path: str | os.PathLike[str] | BinaryIO, overwrite: bool) -> None:
        self.sink: str | BinaryIO
        self._path: Path | None = None
        if not isinstance(path, (str, os.PathLike)):
            self.name = str(getattr(path, "name", "stream"))
            self.sink = path
            return
        self.name = os.fspath(path)
        self._path = Path(path)
        if self._path.is_dir():
            raise MediaError(f"{self.name}: is a folder")
        if self._path.exists() and not overwrite:
            raise MediaError(f"{self.name}: exists already (use overwrite to replace it)")
        if not self._path.parent.is_dir():
            raise MediaError(f"{self.name}: there is no folder {self._path.parent}")
        if not os.access(self._path.parent, os.W_OK):
            raise MediaError(f"{self.name}: no permission to write into {self._path.parent}")
        unique = f".{self._path.stem}.{secrets.token_hex(4)}.partial{self._path.suffix}"
        self._partial = self._path.with_name(unique)
        self.sink = url_of(self._partial)

    def in_journal(self, facts: Mapping[str, Any], resume: bool, overwrite: bool) -> Journal | None:
        """From now on the bytes go to a journal's folder; None where they do not go to a file."""
        if self._path is None:
            return None
        journal = Journal(self._path, facts, resume=resume, overwrite=overwrite)
        self._partial = journal.folder / f"whole{self._path.suffix}"
        self.sink = url_of(self._partial)
        return journal

    def keep(self) -> None:
        if self._path is not None:
            os.replace(self._partial, self._path)

    def drop(self) -> None:
        if self._path is not None:
            self._partial.unlink(missing_ok=True)
