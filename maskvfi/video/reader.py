"""Frames of planes with exact times from a video file, decoded in a thread of their own."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterator
from fractions import Fraction
from typing import BinaryIO

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from maskvfi.errors import MediaError
from maskvfi.paths import PathLike
from maskvfi.video.animation import is_short_gif, plays_of
from maskvfi.video.clock_jumps import demux_continuous, may_jump
from maskvfi.video.completeness import Completeness
from maskvfi.video.constant_rate import Grid, find_grid, rate_of_first, rounded_rates
from maskvfi.video.frames import Frame, SourceInfo, shortest_rest
from maskvfi.video.hdr import HdrMetadata
from maskvfi.video.icc import read_profile
from maskvfi.video.matroska import is_short
from maskvfi.video.pixel_format import (
    MATRIX_OF_TAG,
    RANGE_FULL,
    UNSPECIFIED,
    Colour,
    PixelFormat,
    is_unspecified,
)
from maskvfi.video.pixels import planar_name, planes_of
from maskvfi.video.pump import ReadAhead
from maskvfi.video.side_data import described, display_matrix
from maskvfi.video.stdin import StandardInput
from maskvfi.video.streams import (
    alpha_decoder,
    chroma_siting,
    cropping,
    has_times,
    matroska_header,
    open_input,
    picture_stream,
    rate_of,
    start_of,
)
from maskvfi.video.uniform import UniformFrames

_MATRIX_NAMES = {
    8: "YCgCo",
    10: "BT.2020 constant luminance",
    11: "YDzDx",
    12: "chromaticity-derived",
    14: "ICtCp",
}
_LARGEST_HEAD = 1 << 24  # bytes of an animated PNG in which its ICC profile is looked for
_NO_TIMESTAMPS = 0x80  # AVFMT_NOTIMESTAMPS: a flag of formats whose packets have no times
_MAX_LAST_DURATION = 10  # seconds: a longer one is taken for a wrong length of the track


class VideoReader(ReadAhead[Frame]):
    """Read a video: `info` is there at once, iterating gives the frames in the order of presentation.

    Args:
        path: A file, an address or an open file object.
        start: Give only frames from here on, in seconds from the first frame.
        end: Give only frames before this time, in seconds from the first frame.
        queue: How many decoded frames may wait.
        container_format: FFmpeg's name of the container; by default FFmpeg finds out.
        hwaccel: The device that decodes where it can, one of `streams.HWACCELS`; software by default.
        rate: Frames per second of a raw stream, which has no times; by default what the stream states.
        interlaced: What is done with interlaced frames, one of `options.INTERLACED`.

    Attributes:
        info: What is known of the video.
        warnings: What is odd about the file but does no harm, one line each.

    Raises:
        MediaError: The file cannot be read; also raised while iterating.
        OptionError: There is no such `hwaccel`.
    """

    def __init__(
        self,
        path: PathLike | BinaryIO | StandardInput,
        *,
        start: Fraction | None = None,
        end: Fraction | None = None,
        queue: int = 4,
        container_format: str | None = None,
        hwaccel: str | None = None,
        rate: Fraction | None = None,
        interlaced: str = "auto",
    ) -> None:
        super().__init__(queue)
        self.warnings: list[str] = []
        self._source = path
        self._opened_as = container_format, hwaccel
        self._start, self._end = start, end
        self._jumps: list[Fraction] = []  # when the container's clock jumps
        # A frame with the container's side data, where another decoder reads alpha and knows nothing of them.
        self._tagged: av.VideoFrame | None = None
        self._container, self._name = open_input(path, *self._opened_as)
        try:
            self._stream = picture_stream(self._container, self._name)
            self._completeness = self._nothing_read()
            self._decoded = self._decode()
            self._first = self._first_frame()
            self._raw_rate = self._choose_raw_rate(rate)
            self._uniform = UniformFrames(self._name, self._first, interlaced, self.warnings)
            self._interlaced = interlaced
            self._grid = self._find_grid()
            self.info = self._describe(self._first)
            self._held = shortest_rest(self.info.rate)
        except BaseException:
            self._container.close()
            raise
        if hwaccel and not self._stream.codec_context.is_hwaccel:
            self.warnings.append(f"{self._name}: {hwaccel} cannot decode it here; decoded in software")

    def close(self) -> None:
        """Stop decoding and close the file."""
        if isinstance(self._source, StandardInput):
            self._source.stop()
        super().close()
        self._decoded.close()  # it refers to the reader, and would keep the decoder's threads alive
        self._container.close()

    def _frames(self) -> Generator[Frame, None, None]:
        """The frames between start and end; warns of damage then, and raises MediaError if the file is cut off."""
        try:
            ended = yield from self._window()
        finally:  # also if nobody reads on
            self._note_jumps()
            self.warnings += self._completeness.damage(self._jumps)
        if ended and (loss := self._loss_at_end()):
            raise MediaError(loss)

    def _window(self) -> Generator[Frame, None, bool]:
        """The frames between start and end, and whether the file ends there.

        The duration of a frame is the time to the next one. A frame that is held for long when the window begins is
        shown from there on.
        """
        origin = self.info.start_time
        first_time = origin + (self._start or 0)
        end_time = None if self._end is None else origin + self._end
        waiting: tuple[av.VideoFrame, Fraction] | None = None
        before: tuple[av.VideoFrame, Fraction] | None = None  # the last one that begins before the window
        gap = 1 / self.info.rate
        for native, pts in self._timed(first_time):
            if pts < first_time:
                before = native, pts
                continue
            if waiting is None and before and pts - first_time > self._held:
                waiting = before[0], first_time
            if waiting is not None:
                gap = pts - waiting[1]
                yield self._frame(*waiting, gap)
            waiting = None
            if end_time is not None and pts >= end_time:
                return False
            waiting = native, pts
        if waiting is not None:
            yield self._frame(*waiting, self._last_duration(*waiting) or gap)
        elif before is not None:
            native, pts = before
            rest = pts + (self._last_duration(native, pts) or gap) - first_time
            if rest > self._held:
                yield self._frame(native, first_time, rest)
        return True

    def _loss_at_end(self) -> str | None:
        length = None
        if isinstance(self._source, StandardInput):
            length = self._source.count
        elif self._is_file():
            length = os.path.getsize(self._name)
        return self._completeness.loss_at_end(self._jumps, self.info.rate, length)

    def _last_duration(self, native: av.VideoFrame, pts: Fraction) -> Fraction | None:
        """The duration of the last frame: up to the end of the track, or else the frame's own.

        With B-frames, MP4 has no durations of frames.
        """
        if self._raw_rate:
            return None
        if self._stream.duration and not self._jumps and not self._loss_at_end():
            end = start_of(self._stream) + self._stream.duration * self._time_base()
            rest = (self._grid.exact(end) if self._grid is not None else end) - pts
            if 0 < rest <= _MAX_LAST_DURATION:
                return rest
        if not native.duration:
            return None
        end = pts + native.duration * self._tick(native)
        return (self._grid.exact(end) if self._grid is not None else end) - pts

    def _frame(self, native: av.VideoFrame, pts: Fraction, duration: Fraction) -> Frame:
        if self._end is not None:
            duration = min(duration, self.info.start_time + self._end - pts)
        fmt = self.info.format
        return Frame(planes_of(native)[: fmt.colour_planes + fmt.alpha], fmt, pts, duration, native)

    def _timed(self, first_time: Fraction) -> Iterator[tuple[av.VideoFrame, Fraction]]:
        """Every decoded frame from a key frame at or before `first_time`, with strictly increasing times."""
        rate = self.info.rate
        previous: Fraction | None = None
        repaired = 0
        frames = self._stamped(first_time)
        waiting = next(frames, None)
        try:
            while waiting is not None:
                (native, pts), waiting = waiting, None
                if pts is None:
                    pts = previous + 1 / rate if previous is not None else self.info.start_time
                elif previous is not None and pts <= previous:
                    repaired += 1
                    waiting = next(frames, None)
                    after = None if waiting is None else waiting[1]
                    room = 1 / rate if after is None else after - previous
                    # Half-way to the next frame. Where that is no later either, so little later that the one after it
                    # is not passed; but where times stay far behind, half a frame later each.
                    step = self._tick(native) if -1 / rate < room <= 0 else 1 / (2 * rate)
                    pts = previous + (min(1 / rate, room) / 2 if room > 0 else step)
                previous = pts
                yield native, pts
                waiting = waiting or next(frames, None)
        finally:  # the frames that are wanted may end before
            if repaired:
                self.warnings.append(
                    f"{self._name}: {repaired} frames did not come after the one before; their times were moved"
                )

    def _stamped(self, first_time: Fraction) -> Iterator[tuple[av.VideoFrame, Fraction | None]]:
        """Every decoded frame with its time in the file, if it has one."""
        for number, native in enumerate(self._uniform.of(self._from(first_time))):
            pts = None if native.pts is None else native.pts * self._tick(native)
            if self._raw_rate:
                pts = self.info.start_time + number / self._raw_rate
            elif pts is not None and self._grid is not None:
                pts = self._grid.exact(pts)
            yield native, pts

    def _from(self, first_time: Fraction) -> Iterator[av.VideoFrame]:
        """Decoded frames, after a seek if that saves work and lands at or before `first_time`."""
        if first_time > self.info.start_time + 2 and self._first.pts is not None and self._can_seek():
            # A deinterlaced frame depends on the one before it.
            keeps = self._interlaced == "keep" or not self._first.interlaced_frame
            found = self._seek(first_time if keeps else first_time - 1)
            if found is not None:
                yield found
                yield from self._decoded
                return
        yield self._first
        yield from self._decoded

    def _can_seek(self) -> bool:
        if self._is_raw():
            return False
        if isinstance(self._source, (str, os.PathLike)):
            return True
        seekable = getattr(self._source, "seekable", None)
        return bool(seekable and seekable())

    def _is_file(self) -> bool:
        return isinstance(self._source, (str, os.PathLike)) and os.path.isfile(self._source)

    def _seek(self, first_time: Fraction) -> av.VideoFrame | None:
        """Seek, and return the first frame there. If it lies after `first_time`, rewind the file and return None."""
        self._decoded.close()
        try:
            if may_jump(self._container):
                self._open_again()
                self._decoded = self._decode(first_time)
            else:
                self._container.seek(int(first_time / self._time_base()), stream=self._stream)
                self._completeness.note_seek()
                self._decoded = self._decode()
            found = next(self._decoded, None)
            if found and found.pts is not None and found.pts * self._tick(found) <= first_time:
                return found
        except (av.error.FFmpegError, MediaError, OverflowError):
            pass
        self._decoded.close()
        self._open_again()
        self._decoded = self._decode()
        self._first = self._first_frame()
        return None

    def _open_again(self) -> None:
        self._container.close()
        if isinstance(self._source, StandardInput):
            raise MediaError(f"{self._name}: a pipe cannot be read twice")
        if not isinstance(self._source, (str, os.PathLike)):
            self._source.seek(0)
        self._container, _ = open_input(self._source, *self._opened_as)
        self._stream = picture_stream(self._container, self._name)
        self._jumps, self._completeness = [], self._nothing_read()

    def _nothing_read(self) -> Completeness:
        path, short = self._source, False
        if isinstance(path, (str, os.PathLike)) and os.path.isfile(path):  # a named pipe is not opened twice
            short = is_short(path) or is_short_gif(path)
        return Completeness(self._name, self._stream, short)

    def _first_frame(self) -> av.VideoFrame:
        first = next(self._decoded, None)
        if first is None:
            raise self._completeness.no_frame_error()
        return first

    def _packets(self, first_time: Fraction | None) -> Iterator[Packet]:
        """The picture's packets; those before the last key frame that is not after `first_time` are skipped."""
        packets = demux_continuous(self._container, [self._stream], self._stream, self._jumps)
        waiting: list[Packet] = []
        if first_time is None:
            yield from packets
            return
        for packet in packets:
            time = None if packet.pts is None else packet.pts * Fraction(packet.time_base)
            if packet.is_keyframe and time is not None and time <= first_time:
                waiting.clear()
            waiting.append(packet)
            if time is not None and time >= first_time:
                break
        yield from waiting
        yield from packets

    def _decode(self, first_time: Fraction | None = None) -> Generator[av.VideoFrame, None, None]:
        """Frames in the decoder's order, from a key frame at or before `first_time`.

        After the first frame, pictures that damage has broken are shown as they are: the next key frame may be far.
        Those before it lack what they refer to, as after a seek into an open group of pictures.
        """
        decoder = alpha_decoder(self._stream)
        context = decoder or self._stream.codec_context
        context.flags &= ~Flags.output_corrupt
        try:
            for packet in self._packets(first_time):
                if packet.size:
                    self._completeness.note_packet(packet)
                try:
                    if decoder and self._tagged is None:
                        self._tagged = next(iter(packet.decode()), None)
                    frames = decoder.decode(packet if packet.size else None) if decoder else packet.decode()
                except av.error.FFmpegError as error:
                    self._completeness.note_undecodable(error)
                    continue
                for frame in frames:
                    context.flags |= Flags.output_corrupt
                    if not has_times(self._stream):
                        frame.pts = frame.dts
                    self._completeness.note_frame(
                        frame, None if frame.pts is None else frame.pts * self._tick(frame)
                    )
                    yield frame
        except av.error.FFmpegError as error:
            self._completeness.note_undecodable(error)
        yield from self._last_frames()
        self._completeness.note_end()

    def _last_frames(self) -> Iterator[av.VideoFrame]:
        """The frames that the decoder's threads still hold after damage at the end, since PyAV does not flush them.

        They are decoded again by a single thread, which holds none back. They are lost where the file cannot be opened
        again, as on a failing disk.
        """
        last = self._completeness.unfinished
        if last is None or self._jumps or not self._is_file():
            return
        try:
            container, _ = open_input(self._source, self._opened_as[0])
        except MediaError:
            return
        with container:
            stream = picture_stream(container, self._name)
            stream.thread_type = "NONE"
            for frame in _decoded_from(container, stream, int(last / self._time_base())):
                time = None if frame.pts is None else frame.pts * self._tick(frame)
                if time is not None and time > last:
                    self._completeness.note_frame(frame, time)
                    yield frame

    def _note_jumps(self) -> None:
        if self._jumps:
            places = ", ".join(f"{float(time - self.info.start_time):.3f} s" for time in self._jumps)
            self.warnings.append(
                f"{self._name}: its clock jumps at {places}, as in joined recordings: what follows goes on there"
            )

    def _is_raw(self) -> bool:
        """Whether the file is a stream without a container, which has no times, or pictures one after the other."""
        raw = self._container.format
        return bool(raw.flags & _NO_TIMESTAMPS) or raw.name.endswith("_pipe")

    def _find_grid(self) -> Grid | None:
        """The even times that the container has rounded; looked for in files alone, which can be read twice."""
        if self._raw_rate or self._first.pts is None or not self._is_file():
            return None
        if not rounded_rates(self._stream):
            return None
        container, _ = open_input(self._source, self._opened_as[0])
        with container:
            start = self._first.pts * self._tick(self._first)
            return find_grid(container, picture_stream(container, self._name), start)

    def _choose_raw_rate(self, asked: Fraction | None) -> Fraction | None:
        """The constant rate at which a raw stream without times is shown; None if frames have times."""
        if not self._is_raw():
            if asked is not None:
                self.warnings.append(f"{self._name}: the rate is not used, its frames have times")
            return None
        if asked is None and not self._stream.codec_context.framerate:
            stated = self._stream.guessed_rate or 25
            self.warnings.append(
                f"{self._name}: states no frame rate: shown at {float(stated):g} per second; rate sets another"
            )
        return asked or (self._stream.guessed_rate if self._first.pts is None else None)

    def _describe(self, first: av.VideoFrame) -> SourceInfo:
        stream, context = self._stream, self._stream.codec_context
        fmt = self._format(first)
        stated = stream.guessed_rate
        if not self._is_raw():
            measured = None if stream.average_rate else self._measured_rate()
            stated = measured or rate_of(stream)
        rate = self._raw_rate or Fraction(stated or 25)
        length, frames = self._extent(rate)
        pts, tagged = first.pts, self._tagged or first
        return SourceInfo(
            path=self._name,
            width=first.width,
            height=first.height,
            format=fmt,
            colour=self._colour(first, fmt),
            rate=rate,
            time_base=1 / rate if self._raw_rate else self._time_base(),
            start_time=start_of(stream) if pts is None or self._raw_rate else pts * self._tick(first),
            sample_aspect_ratio=Fraction(stream.sample_aspect_ratio or 1),
            display_matrix=display_matrix(tagged),
            frames_estimate=frames,
            duration=length,
            has_audio=bool(self._container.streams.audio),
            codec=context.name,
            hdr=HdrMetadata.of_frame(tagged),
            profile=self._profile(),
            plays=plays_of(self._name) if self._is_file() else None,
            described=described(tagged),
        )

    def _measured_rate(self) -> Fraction | None:
        """The rate of the first frames, where nothing states one, as in WebM that a browser has recorded."""
        if not self._is_file():
            return None
        container, _ = open_input(self._source, self._opened_as[0])
        with container:
            return rate_of_first(container, picture_stream(container, self._name))

    def _format(self, first: av.VideoFrame) -> PixelFormat:
        name = planar_name(first.format.name)
        if name is None:
            raise MediaError(f"{self._name}: pixel format {first.format.name} is not supported")
        # Codecs of old games and screens have no transparent colour.
        opaque = self._stream.codec_context.name not in ("png", "apng")
        if first.format.name == "pal8" and opaque and planes_of(first)[-1].min() == 255:
            name = "gbrp"
        return PixelFormat.parse(name)

    def _extent(self, rate: Fraction) -> tuple[Fraction | None, int | None]:
        """The seconds and the number of frames that are read, as the file states them; None where it does not."""
        length = self._length(self._stream)
        if not self._start and self._end is None:
            return length, self._stream.frames or (round(length * rate) if length else None)
        stop = min((t for t in (self._end, length) if t is not None), default=None)
        if stop is None:
            return None, None
        length = max(Fraction(0), stop - (self._start or 0))
        return length, math.ceil(length * rate)

    def _colour(self, first: av.VideoFrame, fmt: PixelFormat) -> Colour:
        context = self._stream.codec_context
        matrix = first.colorspace if first.colorspace != UNSPECIFIED else context.colorspace
        full = first.format.name.startswith("yuvj")
        if fmt.family == "yuv" and matrix in _MATRIX_NAMES:
            self.warnings.append(f"{self._name}: the matrix {_MATRIX_NAMES[matrix]} is only approximated")
        if self._stream.metadata.get("alpha_mode") == "1" and not fmt.alpha:
            self.warnings.append(
                f"{self._name}: FFmpeg's {context.name} decoder does not read its alpha channel"
            )
        header = matroska_header(self._stream)
        if cut := cropping(header):
            sides = ", ".join(f"{px} px {side}" for side, px in cut.items())
            self.warnings.append(f"{self._name}: players leave out {sides}; the whole picture is written")
        siting = chroma_siting(header)
        if siting is None and (full or context.name in ("mjpeg", "mpeg1video")):
            siting = "center"
        return Colour.from_tags(
            fmt,
            first.height,
            matrix_tag=matrix if matrix in MATRIX_OF_TAG or matrix in _MATRIX_NAMES else UNSPECIFIED,
            range_tag=RANGE_FULL if full else first.color_range or context.color_range,
            primaries=_tag(first.color_primaries, context.color_primaries),
            transfer=_tag(first.color_trc, context.color_trc),
            siting=siting,
        )

    def _profile(self) -> bytes:
        """The ICC profile of an animated PNG; empty for others."""
        if self._stream.codec_context.name != "apng" or not self._is_file():
            return b""
        with open(self._name, "rb") as file:
            return read_profile(file.read(_LARGEST_HEAD), "png")

    def _length(self, stream: VideoStream) -> Fraction | None:
        if stream.duration:
            return stream.duration * self._time_base()
        return Fraction(self._container.duration, 1_000_000) if self._container.duration else None

    def _time_base(self) -> Fraction:
        return Fraction(self._stream.time_base or Fraction(1, 90000))

    def _tick(self, frame: av.VideoFrame) -> Fraction:
        return Fraction(frame.time_base or self._time_base())


def _decoded_from(container: InputContainer, stream: VideoStream, ticks: int) -> Iterator[av.VideoFrame]:
    """What can be decoded of a stream, from the key frame before a time in its ticks on."""
    try:
        container.seek(ticks, stream=stream)
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.error.FFmpegError:
                continue
    except av.error.FFmpegError:
        return


def _tag(of_frame: int, of_stream: int) -> int:
    return of_stream if is_unspecified(of_frame) else of_frame
