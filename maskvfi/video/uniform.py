"""Frames of one size and pixel format, without interlacing, from a stream that changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
from av.filter import Graph

from maskvfi.errors import MediaError, reason
from maskvfi.video.pixel_format import RANGE_FULL, RANGE_LIMITED
from maskvfi.video.pixels import planar_name

# swscale's number for a matrix tag of ITU-T H.273.
_SCALER_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}


class UniformFrames:
    """Makes frames like the first one: others are scaled and converted, colours too, interlaced ones deinterlaced.

    Frames that are as the first one pass untouched.

    Args:
        name: What messages call the stream.
        first: The first frame of the stream.
        interlaced: "auto" deinterlaces the frames that are flagged interlaced and look so, "deinterlace" all, "keep"
            none.
        warnings: Gets a line for each kind of change, when no more frames are asked for.
    """

    def __init__(self, name: str, first: av.VideoFrame, interlaced: str, warnings: list[str]) -> None:
        self._name, self._first, self._interlaced, self._warnings = name, first, interlaced, warnings
        self._flagged = 0
        self._changed = 0
        self._scaled = 0
        self._other = ""  # the first frame that was scaled
        self._coloured = 0

    def of(self, frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """Make frames uniform.

        Args:
            frames: In the order of time.

        Yields:
            As many frames.

        Raises:
            MediaError: FFmpeg cannot deinterlace or scale a frame.
        """
        try:
            yield from self._uniform(frames)
        except av.error.FFmpegError as error:
            raise MediaError(
                f"{self._name}: a frame cannot be deinterlaced or scaled ({reason(error)})"
            ) from error
        finally:
            self._warn()

    def _uniform(self, frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        deinterlacer: _Deinterlacer | None = None
        for number, frame in enumerate(frames):
            self._flagged += frame.interlaced_frame
            if deinterlacer is not None and deinterlacer.kind != _kind(frame):
                yield from self._counted(deinterlacer.flush())
                deinterlacer = None
            wanted = self._interlaced == "deinterlace" or frame.interlaced_frame
            if deinterlacer is None and wanted and self._interlaced != "keep":
                deinterlacer = _Deinterlacer(frame, every=self._interlaced == "deinterlace")
            if _kind(frame) != _kind(self._first):
                self._other = self._other or f"frame {number} is {_kind(frame)}"
                self._scaled += 1
            self._coloured += bool(_to_colours_of(self._first, frame))
            if deinterlacer is None:
                yield self._like_first(frame)
            else:
                yield from self._counted(deinterlacer.push(frame))
        if deinterlacer is not None:
            yield from self._counted(deinterlacer.flush())

    def _warn(self) -> None:
        """Say what was changed."""
        if self._flagged and self._interlaced == "keep":
            self._warnings.append(
                f"{self._name}: {self._flagged} frames are flagged interlaced and were kept as they are"
            )
        if self._flagged and self._interlaced == "auto":
            self._warnings.append(
                f"{self._name}: of {self._flagged} frames that are flagged interlaced, {self._changed} look so and "
                'were deinterlaced; interlaced="keep" leaves all as they are, "deinterlace" deinterlaces all'
            )
        if self._coloured:
            self._warnings.append(
                f"{self._name}: {self._coloured} frames of another matrix or range were converted to those of the first"
            )
        if self._scaled:
            self._warnings.append(
                f"{self._name}: {self._other}: {self._scaled} frames were scaled or "
                f"converted to {_kind(self._first)}, as the first one is"
            )

    def _counted(self, frames: Iterable[tuple[av.VideoFrame, bool]]) -> Iterator[av.VideoFrame]:
        for frame, changed in frames:
            self._changed += changed
            yield self._like_first(frame)

    def _like_first(self, frame: av.VideoFrame) -> av.VideoFrame:
        first = self._first
        same_size = (frame.width, frame.height) == (first.width, first.height)
        colours = _to_colours_of(first, frame)
        if same_size and planar_name(frame.format.name) == planar_name(first.format.name) and not colours:
            return frame
        return frame.reformat(
            first.width, first.height, first.format.name, interpolation="BICUBIC", **colours
        )


class _Deinterlacer:
    """FFmpeg's bwdif: one frame for each frame, made of it and its neighbours.

    Progressive pictures are often flagged interlaced. Those that FFmpeg's idet does not find interlaced are left alone:
    it is undecided where nothing moves, and where text scrolls.

    Args:
        first: The first frame.
        every: Deinterlace all frames, however they are flagged and look.
    """

    def __init__(self, first: av.VideoFrame, every: bool) -> None:
        self.kind = _kind(first)
        self._every = every
        self._waiting: deque[av.VideoFrame] = deque()
        self._graph = graph = Graph()
        source = graph.add_buffer(
            width=first.width,
            height=first.height,
            format=first.format,
            time_base=first.time_base or Fraction(1, 90000),
        )
        bwdif = graph.add("bwdif", mode="send_frame", deint="all" if every else "interlaced")
        graph.link_nodes(source, graph.add("idet"), bwdif, graph.add("buffersink")).configure()

    def push(self, frame: av.VideoFrame) -> Iterator[tuple[av.VideoFrame, bool]]:
        """Take a frame; yields the frames that are ready, and whether each was deinterlaced."""
        self._waiting.append(frame)
        self._graph.push(frame)
        return self._ready()

    def flush(self) -> Iterator[tuple[av.VideoFrame, bool]]:
        """Yield the rest."""
        self._graph.push(None)
        return self._ready()

    def _ready(self) -> Iterator[tuple[av.VideoFrame, bool]]:
        while True:
            try:
                made = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(made, av.VideoFrame)
            frame = self._waiting.popleft()
            looks = made.metadata.get("lavfi.idet.multiple.current_frame")
            changed = self._every or (frame.interlaced_frame and looks in ("tff", "bff"))
            yield (made if changed else frame), changed


def _to_colours_of(first: av.VideoFrame, frame: av.VideoFrame) -> dict[str, int]:
    """How code values of a frame become those of the first one, as `reformat` takes it; empty if they mean the same.

    What a frame does not state is as in the first one. A first frame that states no range has the limited one.
    """
    if any(each.format.is_rgb or len(each.format.components) < 3 for each in (first, frame)):
        return {}
    ours, theirs = (_SCALER_MATRIX.get(each.colorspace) for each in (first, frame))
    full = _is_full(first) or False
    other_matrix = None not in (ours, theirs) and ours != theirs
    if not other_matrix and _is_full(frame) in (None, full):
        return {}
    ranges = {True: RANGE_FULL, False: RANGE_LIMITED}
    told = {"src_color_range": ranges[_is_full(frame) or False], "dst_color_range": ranges[full]}
    if other_matrix:
        assert ours is not None
        assert theirs is not None
        told |= {"src_colorspace": theirs, "dst_colorspace": ours}
    return told


def _is_full(frame: av.VideoFrame) -> bool | None:
    """Whether code values have the full range; None if the frame does not say."""
    if frame.format.name.startswith("yuvj"):
        return True
    return {RANGE_LIMITED: False, RANGE_FULL: True}.get(frame.color_range)


def _kind(frame: av.VideoFrame) -> str:
    return f"{frame.width}x{frame.height} {frame.format.name}"
