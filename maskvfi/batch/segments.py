"""A video in parts that are made apart: where they begin, and the making of one.

A part is a segment as the journal of an unbroken run would have it. What the parts of a video share (cuts, repeats,
times, which gaps are looked at together) is found by `survey`, which decodes the video once and needs no network; so a
part is made from its own frames alone, wherever that is.
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
from maskvfi.pipeline.fingerprint import facts_of
from maskvfi.pipeline.run import Report, choose_timeline, gaps_of, open_sink_for, open_source_for
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.synthesis.painted import read_painted_masks
from maskvfi.synthesis.renderer import Renderer, groups_of
from maskvfi.timing.gaps import Gap, stretched
from maskvfi.timing.timeline import Slot, Timeline
from maskvfi.video import Frame, Source, SourceInfo, VideoWriter
from maskvfi.video.journal import Coded
from maskvfi.video.timestamps import Clock


@dataclass(frozen=True, slots=True)
class Span:
    """A gap without its pictures: its frames are named by their times."""

    start: Fraction
    end: Fraction | None
    cut: bool
    slots: tuple[tuple[Slot, Fraction], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One segment of the output.

    Attributes:
        number: Its place in the output.
        groups: Its gaps, those together whose masks are made together.
        checksums: Of the source frames it needs, by time in seconds.
        frames: How many output frames there are up to its end.
        begin, end: The state of the output's clock before and after it.
        at_once: How many px are computed at once, since frames from other tiles differ in their last bits.
        last: The output ends with it.
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
        """Output frames in it."""
        return self.frames - int(self.begin["at"]["count"])


@dataclass(frozen=True, slots=True)
class Made:
    """A part's packets; what was copied and computed in it (a `Tally`), and the seconds that each stage took."""

    number: int
    packets: list[Coded]
    tally: dict[str, Any]
    seconds: dict[str, float]
    warnings: list[str] = field(default_factory=list)


def survey(
    source: Path, suffix: str, options: Options, computed_by: Mapping[str, Any], least: int
) -> Iterator[dict[str, Any] | Part | Report]:
    """First the facts that the output depends on (as `facts_of` has them), then its parts, last what was met.

    Args:
        source: The video.
        suffix: The output's.
        options: How.
        computed_by: What computes it: device, precision, runtime, weights, and at_once, in px.
        least: From how many output frames on a part may end.

    Raises:
        MediaError, OptionError: As `interpolate` does.
    """
    weights = computed_by["weights"]
    met = Report(str(source), "", weights=weights)
    met.device, met.precision, met.runtime = (
        computed_by[name] for name in ("device", "precision", "runtime")
    )
    since = perf_counter()
    with _opened(source, options) as (reader, timeline, rate):
        info = reader.info
        clock = _clock(source, suffix, info, rate, options)
        how = {name: computed_by[name] for name in ("device", "precision", "runtime", "at_once")}
        yield facts_of(source, options, how, weights) | {"made by": "batch"}
        frames = stretched(reader, info.start_time, options.stretch)
        gaps = gaps_of(frames, info, timeline, options, met)
        yield from _last_marked(_parts(groups_of(gaps, info), clock, least, computed_by["at_once"]))
        met.frames_out = clock.at.count
        met.warnings = reader.warnings
    met.seconds = {"survey": perf_counter() - since}
    yield met


def make(source: Path, suffix: str, part: Part, options: Options, interpolator: Interpolator) -> Made:
    """Render and encode one part of a video.

    Its frames are read from a key frame before it; where they are not those that the survey saw (some files promise key
    frames that are none), from the beginning.
    """
    try:
        return _make(source, suffix, part, options, interpolator, seek=True)
    except _OtherFrames:
        return _make(source, suffix, part, options, interpolator, seek=False)


def join(
    source: Path, target: Path, options: Options, facts: Mapping[str, Any], overwrite: bool
) -> list[str]:
    """Make the file whose parts all lie in the journal beside `target`, which nobody holds, with the other streams.

    Returns warnings; raises MediaError.
    """
    with _opened(source, options) as (reader, _, rate):
        with _writer(
            target, reader.info, rate, options, copy_from=source, facts=facts, overwrite=overwrite
        ) as writer:
            pass
        return writer.warnings


class _OtherFrames(Exception):
    """What was decoded is not what the survey saw."""


def _make(
    source: Path, suffix: str, part: Part, options: Options, interpolator: Interpolator, seek: bool
) -> Made:
    since, waited = perf_counter(), 0.0
    with _opened(source, options) as (reader, _, rate), tempfile.TemporaryDirectory() as folder:
        info = reader.info
        interpolator.paint(*read_painted_masks(options, info))
        interpolator.at_once = part.at_once
        renderer = Renderer(interpolator, info, options.on_cut)
        shown = _Shown(source, options, part, info, seek)
        writer = _writer(Path(folder) / f"part{suffix}", info, rate, options)
        try:
            writer.begin_apart(part.begin)
            for group in part.groups:
                for frame in renderer.render([shown.gap(span) for span in group]):
                    before = perf_counter()
                    writer.write(frame)
                    waited += perf_counter() - before
            before = perf_counter()
            packets = writer.segment(part.last)
            waited += perf_counter() - before
        finally:
            writer.abort()
            shown.close()
    seconds = {"read": shown.seconds, "write": waited, **renderer.seconds, "total": perf_counter() - since}
    return Made(part.number, packets, asdict(renderer.tally), seconds, renderer.warnings)


class _Shown:
    """The source frames of a part, asked for in the order of its gaps."""

    def __init__(self, source: Path, options: Options, part: Part, info: SourceInfo, seek: bool) -> None:
        self.seconds = 0.0
        self._source, self._options, self._part, self._info, self._seek = source, options, part, info, seek
        self._reader: Source | None = None
        self._read: Fraction | None = None  # the time of the last frame
        self._frames: Iterator[Frame] = iter(())
        self._kept: list[Frame] = []  # the last two asked for

    def gap(self, span: Span) -> Gap:
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
        if self._read is None or pts < self._read:  # a loop ends with the first frame
            self._begin(pts)
        found: Frame | None = None
        with suppress(MediaError):
            found = next((frame for frame in self._frames if frame.pts >= pts), None)
        if found is None or found.pts != pts or _checksum(found) != self._part.checksums[pts]:
            if self._seek:
                raise _OtherFrames
            raise MediaError(f"{self._info.path}: gave other frames when it was read again")
        self._read = pts
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
    """The clock of the output.

    It follows from the container and the copied streams. Opening a writer, which is closed again at once, also refuses
    what cannot be written or joined before any work.
    """
    with tempfile.TemporaryDirectory() as folder:
        writer = _writer(Path(folder) / f"out{suffix}", info, rate, options, copy_from=source)
        writer.abort()
    return writer.clock


def _parts(groups: Iterable[list[Gap]], clock: Clock, least: int, at_once: int) -> Iterator[Part]:
    """Cut as a writer with a journal cuts: before the first frame after a group with which a segment is long enough."""
    spans: list[tuple[Span, ...]] = []
    checksums: dict[Fraction, int] = {}
    number, length, begin = 0, 0, clock.state()
    for group in groups:
        slots = [slot for gap in group for slot, _ in gap.slots]
        if length >= least and slots:
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


def _last_marked(parts: Iterator[Part]) -> Iterator[Part]:
    before = next(parts)
    for part in parts:
        yield before
        before = part
    yield replace(before, last=True)


@contextmanager
def _opened(source: Path, options: Options) -> Iterator[tuple[Source, Timeline, Fraction]]:
    """A reader of what options ask for of the source, the output times and their average rate."""
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
