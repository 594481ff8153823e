"""A video made in parts: finding the parts, making one, and joining all of them.

A part is one segment of the journal of an uninterrupted run. `survey` decodes the video once, without any network, and
finds what depends on more than one part: cuts, repeats, times, and which masks are computed together. Any machine can
then make a part from the source frames of this part alone.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from maskvfi.errors import MediaError
from maskvfi.options import Options
from maskvfi.pipeline.ends import open_sink_for, open_source_for
from maskvfi.pipeline.fingerprint import facts_of
from maskvfi.pipeline.reading import gaps_of
from maskvfi.pipeline.report import Report
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.synthesis.painted import read_painted_masks
from maskvfi.synthesis.renderer import Renderer, groups_of
from maskvfi.timing.gaps import Gap, stretched
from maskvfi.timing.timeline import Slot, Timeline, choose_timeline
from maskvfi.video import Frame, Source, SourceInfo, VideoWriter
from maskvfi.video.journal import EncodedPacket
from maskvfi.video.timestamps import Clock


@dataclass(frozen=True, slots=True)
class Span:
    """A gap without its frames.

    Attributes:
        start, end: The times of its source frames in seconds; end is None after the last frame.
        cut: Whether a new scene begins at end.
        slots: The output frames, each with its time inside the gap, 0..1.
    """

    start: Fraction
    end: Fraction | None
    cut: bool
    slots: tuple[tuple[Slot, Fraction], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One segment of the output.

    Attributes:
        number: Its position in the output, from 0.
        groups: Its gaps; the masks of a group are computed together.
        checksums: The checksums of the source frames that it needs, by time in seconds.
        frames: The number of output frames up to its end.
        begin, end: The state of the output's clock before and after it.
        at_once: The largest tile in px, since frames from other tiles differ in their last bits.
        last: Whether it is the last part.
    """

    number: int
    groups: tuple[tuple[Span, ...], ...]
    checksums: dict[Fraction, int]
    frames: int
    begin: dict[str, Any]
    end: dict[str, Any]
    at_once: int
    last: bool = False

    @property
    def length(self) -> int:
        """The number of output frames in it."""
        return self.frames - int(self.begin["at"]["count"])


@dataclass(frozen=True, slots=True)
class PartResult:
    """A part that has been made.

    Attributes:
        number: The position of the part in the output.
        packets: The encoded packets.
        tally: A `Tally` by field: how much was copied and computed.
        seconds: Seconds by stage.
        warnings: As the renderer has them.
    """

    number: int
    packets: list[EncodedPacket]
    tally: dict[str, Any]
    seconds: dict[str, float]
    warnings: list[str] = field(default_factory=list)


def survey(
    source: Path, suffix: str, options: Options, computed_by: Mapping[str, Any], min_frames: int
) -> Iterator[dict[str, Any] | Part | Report]:
    """Decode a video once and divide the output into parts.

    Args:
        source: The video.
        suffix: The suffix of the output.
        options: The options.
        computed_by: What the parts are made with, by name: `Interpolator.computed_by`, weights and at_once (px).
        min_frames: The least number of output frames in a part, except the last one.

    Yields:
        First the facts that the output depends on (`facts_of`), then every part, last a report of what was found.

    Raises:
        MediaError, OptionError: As `interpolate` does.
    """
    weights = computed_by["weights"]
    report = Report(str(source), "", weights=weights)
    report.device, report.precision, report.runtime = (
        computed_by[name] for name in ("device", "precision", "runtime")
    )
    spent, since = 0.0, perf_counter()
    with _opened(source, options) as (reader, timeline, rate):
        info = reader.info
        clock = _clock(source, suffix, info, rate, options)
        computed = {name: value for name, value in computed_by.items() if name != "weights"}
        yield facts_of(source, options, computed, weights) | {"made by": "batch"}
        frames = stretched(reader, info.start_time, options.stretch)
        gaps = gaps_of(frames, info, timeline, options, report)
        for part in _mark_last(_parts(groups_of(gaps, info), clock, min_frames, computed_by["at_once"])):
            spent += perf_counter() - since
            yield part  # whoever takes the parts may be in no hurry
            since = perf_counter()
        report.frames_out = clock.at.count
        report.warnings = reader.warnings
    report.seconds = {"survey": spent + perf_counter() - since}
    yield report


def make(source: Path, suffix: str, part: Part, options: Options, interpolator: Interpolator) -> PartResult:
    """Render and encode one part of a video.

    Reading starts at a key frame before the part. Some files mark key frames that are none; if the checksums of the
    decoded frames differ from the survey's, the file is read from its beginning.

    Args:
        source: The video.
        suffix: The suffix of the output.
        part: The part, from `survey`.
        options: The options, as the survey had them.
        interpolator: Makes the frames.

    Returns:
        The packets, and what was done.

    Raises:
        MediaError: The video cannot be read, or gives other frames than before.
    """
    try:
        return _make(source, suffix, part, options, interpolator, seek=True)
    except _FramesDiffer:
        return _make(source, suffix, part, options, interpolator, seek=False)


def join(
    source: Path, target: Path, options: Options, facts: Mapping[str, Any], overwrite: bool
) -> list[str]:
    """Join all parts to a file, together with the source's other streams.

    Args:
        source: The video.
        target: The file to write. All parts are in the journal beside it, which must not be open.
        options: The options, as the survey had them.
        facts: What the output depends on, from `survey`.
        overwrite: Replace a target that exists.

    Returns:
        Warnings: what could not be kept of the input.

    Raises:
        MediaError: A file cannot be read or written.
    """
    with _opened(source, options) as (reader, _, rate):
        with _writer(
            target, reader.info, rate, options, copy_from=source, facts=facts, overwrite=overwrite
        ) as writer:
            pass
        return writer.warnings


class _FramesDiffer(Exception):
    """The decoded frames differ from those that the survey decoded."""


def _make(
    source: Path, suffix: str, part: Part, options: Options, interpolator: Interpolator, seek: bool
) -> PartResult:
    since, waited = perf_counter(), 0.0
    with _opened(source, options) as (reader, _, rate), tempfile.TemporaryDirectory() as folder:
        info = reader.info
        interpolator.paint(*read_painted_masks(options, info))
        interpolator.at_once = part.at_once
        renderer = Renderer(interpolator, info, options.on_cut)
        frames_of_part = _PartFrames(source, options, part, info, seek)
        writer = _writer(Path(folder) / f"part{suffix}", info, rate, options)
        try:
            writer.begin_apart(part.begin)
            for group in part.groups:
                for frame in renderer.render([frames_of_part.gap(span) for span in group]):
                    before = perf_counter()
                    writer.write(frame)
                    waited += perf_counter() - before
            before = perf_counter()
            packets = writer.segment(part.last)
            waited += perf_counter() - before
        finally:
            writer.abort()
            frames_of_part.close()
    seconds = {
        "read": frames_of_part.seconds,
        "write": waited,
        **renderer.seconds,
        "total": perf_counter() - since,
    }
    return PartResult(part.number, packets, asdict(renderer.tally), seconds, renderer.warnings)


class _PartFrames:
    """Reads the source frames of a part, in the order of its gaps."""

    def __init__(self, source: Path, options: Options, part: Part, info: SourceInfo, seek: bool) -> None:
        self.seconds = 0.0
        self._source, self._options, self._part, self._info, self._seek = source, options, part, info, seek
        self._reader: Source | None = None
        self._last_pts: Fraction | None = None  # the time of the last frame that was read
        self._frames: Iterator[Frame] = iter(())
        self._kept: list[Frame] = []  # the frames of the last gap

    def gap(self, span: Span) -> Gap:
        """Read the frames of a span."""
        since = perf_counter()
        start = self._at(span.start)
        end = None if span.end is None else self._at(span.end)
        self._kept = [start] if end is None else [start, end]
        self.seconds += perf_counter() - since
        return Gap(start, end, span.cut, span.slots)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def _at(self, pts: Fraction) -> Frame:
        for frame in self._kept:
            if frame.pts == pts:
                return frame
        if self._last_pts is None or pts < self._last_pts:  # a loop ends with the first frame
            self._begin(pts)
        found: Frame | None = None
        with suppress(MediaError):
            found = next((frame for frame in self._frames if frame.pts >= pts), None)
        if found is None or found.pts != pts or _checksum(found) != self._part.checksums[pts]:
            if self._seek:
                raise _FramesDiffer
            raise MediaError(f"{self._info.path}: gave other frames when it was read again")
        self._last_pts = pts
        return found

    def _begin(self, pts: Fraction) -> None:
        self.close()
        origin, stretch = self._info.start_time, self._options.stretch
        options = replace(self._options, start=(pts - origin) / stretch) if self._seek else self._options
        self._reader = open_source_for(self._source, options)
        self._frames = stretched(self._reader, origin, stretch)


def _checksum(frame: Frame) -> int:
    found = 0
    for plane in frame.planes:
        found = zlib.crc32(np.ascontiguousarray(plane).data, found)
    return found


def _clock(source: Path, suffix: str, info: SourceInfo, rate: Fraction, options: Options) -> Clock:
    """The clock of the output, which depends on the container and the copied streams.

    A writer is opened and closed again for it. That also refuses targets that cannot be written or joined, before
    any frame is computed.
    """
    with tempfile.TemporaryDirectory() as folder:
        writer = _writer(Path(folder) / f"out{suffix}", info, rate, options, copy_from=source)
        writer.abort()
    return writer.clock


def _parts(groups: Iterable[list[Gap]], clock: Clock, min_frames: int, at_once: int) -> Iterator[Part]:
    """Divide groups of gaps into parts of at least `min_frames` output frames, as a writer divides its segments."""
    spans: list[tuple[Span, ...]] = []
    checksums: dict[Fraction, int] = {}
    number, length, begin = 0, 0, clock.state()
    for group in groups:
        slots = [slot for gap in group for slot, _ in gap.slots]
        if length >= min_frames and slots:
            yield Part(number, tuple(spans), checksums, clock.at.count, begin, clock.state(), at_once)
            spans, checksums, number, length, begin = [], {}, number + 1, 0, clock.state()
        for slot in slots:
            clock.place(slot.pts, slot.duration)
        length += len(slots)
        for gap in group:
            for frame in (gap.start, gap.end):
                if frame is not None and frame.pts not in checksums:
                    checksums[frame.pts] = _checksum(frame)
        spans.append(tuple(_span(gap) for gap in group))
    yield Part(number, tuple(spans), checksums, clock.at.count, begin, clock.state(), at_once)


def _span(gap: Gap) -> Span:
    return Span(gap.start.pts, None if gap.end is None else gap.end.pts, gap.cut, gap.slots)


def _mark_last(parts: Iterator[Part]) -> Iterator[Part]:
    before = next(parts)
    for part in parts:
        yield before
        before = part
    yield replace(before, last=True)


@contextmanager
def _opened(source: Path, options: Options) -> Iterator[tuple[Source, Timeline, Fraction]]:
    """Open the source. Yields its reader, the output's timeline and average frame rate."""
    with open_source_for(source, options) as reader:
        timeline, rate = choose_timeline(options, reader.info.rate)
        yield reader, timeline, rate


def _writer(
    target: Path,
    info: SourceInfo,
    rate: Fraction,
    options: Options,
    copy_from: Path | None = None,
    facts: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> VideoWriter:
    sink = open_sink_for(
        target, info, rate, options, copy_from, facts, overwrite=overwrite, resume=facts is not None
    )
    if not isinstance(sink, VideoWriter) or not sink.can_be_joined:
        sink.abort()
        raise MediaError(f"{info.path}: batch cannot join what is written for {target.suffix or 'a folder'}")
    return sink
