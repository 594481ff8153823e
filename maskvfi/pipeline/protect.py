"""protect(): still pixels of a source put back into the frames that another program made from it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from maskvfi.errors import MediaError, OptionError
from maskvfi.models.blend import Blend
from maskvfi.options import ProtectOptions
from maskvfi.paths import PathLike
from maskvfi.pipeline.clock import Compared, clock_lines, find_clock
from maskvfi.pipeline.ends import open_sink_for, open_source_for, refuse_same_file
from maskvfi.pipeline.fingerprint import facts_of, fingerprint
from maskvfi.pipeline.reading import OnFrame, Progress, gaps_of, timed, until_damage
from maskvfi.pipeline.report import Report, check_report, files_of, write_report
from maskvfi.pipeline.still_pixels import FILTER, StillPixels
from maskvfi.synthesis.copied import Copied
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.synthesis.painted import read_painted_masks
from maskvfi.synthesis.renderer import Renderer
from maskvfi.timing.gaps import Gap
from maskvfi.timing.timeline import ByFactor
from maskvfi.video import Frame, Sink, Source, SourceInfo
from maskvfi.video.images import is_image_source
from maskvfi.video.kept import others_in
from maskvfi.video.open import PIPE
from maskvfi.video.orientation import orientation_of, upright_frame, upright_info
from maskvfi.video.pictures import find_pictures

OUT_OF_STEP = Fraction(1, 50)  # seconds by which sound may be out of step at the end before it is stretched


def protect(
    source: PathLike,
    interpolated: PathLike,
    target: PathLike,
    *,
    options: ProtectOptions | None = None,
    overwrite: bool = False,
    resume: bool = False,
    report: PathLike | None = None,
    progress: Progress | None = None,
    watch: OnFrame | None = None,
    **fields: Any,
) -> Report:
    """Put still pixels of a source back into another program's version of it at a higher frame rate.

    Every frame of that version finds the two source frames around it by time. Where the mask says that a pixel stands
    still, it is composed from the source, in the version's own pixel format; every other pixel stays exactly as it is.
    Frames over a cut of the source stay as they are. No interpolation network is loaded.

    Args:
        source: The video that the other program was given, or a folder of images.
        interpolated: What it made of it, at any rate: of the same size, or of 2, 3 ... times the width and height.
        target: A video file, a folder of images or "-".
        options: The options; see `maskvfi.ProtectOptions`. `start` and `end` are times of `interpolated`. `rate` is
            that of the folder of images; of the source if both are folders.
        overwrite: Replace a target that exists.
        resume: Continue an interrupted run of the same inputs and options; begin anew if there is none.
        report: A path to write the report to, as JSON.
        progress: Called with the number of source frames read and the total number, which is None if unknown.
        watch: Called with every frame before it is written, and the size, pixel format and colours that it has.
        **fields: Options by name, which replace those in `options`.

    Returns:
        What was done. Its warnings say by how much the clocks differ, and where the other streams come from.

    Raises:
        MediaError, WeightsError, OptionError: As `interpolate` does, and if `interpolated` was not made from `source`.
    """
    options = ProtectOptions.of(options, fields)
    if options.mask is None and options.protect is None:
        raise OptionError("there is nothing to put back: mask is off")
    for path in (source, interpolated):
        if os.fspath(path) == PIPE:
            raise OptionError("both videos are read twice: neither can be a pipe")
        refuse_same_file(path, target)
    if report is not None:
        check_report(report, (source, interpolated, *files_of(options)), target)
    run = _Protection(source, interpolated, target, options, progress, watch)
    with ExitStack() as stack:
        run.open(stack)
        with run.open_sink(overwrite, resume) as sink:
            run.render(sink)
        result = run.finish(sink)
    if report is not None:
        write_report(result, report)
    return result


class _Protection:
    """One call of `protect`, step by step."""

    def __init__(
        self,
        source: PathLike,
        interpolated: PathLike,
        target: PathLike,
        options: ProtectOptions,
        progress: Progress | None,
        watch: OnFrame | None,
    ) -> None:
        self._source, self._interpolated, self._target = source, interpolated, target
        self._options, self._progress, self._watch = options, progress, watch
        self._began = time.perf_counter()
        self._waits = {"read": 0.0, "write": 0.0}
        self._fuse = 0.0
        self._said: list[str] = []
        self._outside = self._unlike = 0
        self.result = Report.begin(source, target, options)

    def open(self, stack: ExitStack) -> None:
        """Open both videos, find the clock of the second one, and load the mask network."""
        options = self._options
        of_made = is_image_source(self._interpolated) and not is_image_source(self._source)
        asked = options.rate if of_made else None
        self._whole = replace(options, start=None, end=None, rate=None if of_made else options.rate)
        with open_source_for(self._source, self._whole) as source:
            self._stored = source.info
        rate = asked or _rate_of(self._interpolated, self._source, self._stored)
        self._made_options = replace(options, interlaced="keep", rate=rate)
        with open_source_for(self._interpolated, replace(self._made_options, start=None, end=None)) as made:
            self._made_length = made.info.duration
        self._made: Source = stack.enter_context(open_source_for(self._interpolated, self._made_options))
        self._upright = _is_upright_version(self._stored, self._made.info)
        self.info = upright_info(self._stored) if self._upright else self._stored
        self._factor = _scale_of(self.info, self._made.info)
        self._clock, colour = find_clock(
            Compared(
                self._source,
                self._whole,
                self.info,
                self.info.duration,
                self._stored if self._upright else None,
            ),
            Compared(self._interpolated, self._made_options, self._made.info, self._made_length),
        )
        self._said += clock_lines(self._clock, os.fspath(self._interpolated))
        if self._factor > 1:
            small, large = (f"{info.width}x{info.height}" for info in (self.info, self._made.info))
            self._say(f"the source is {small}: scaled to {large} ({FILTER})")
        begin = None
        start, _ = options.window
        if start:
            first = self._source_time(self._made.info.start_time + start)
            begin = max(Fraction(0), first - self.info.start_time - 1)
        self._reader: Source = stack.enter_context(
            open_source_for(self._source, replace(self._whole, start=begin))
        )
        interpolator = Interpolator.from_options(options, vfi=Blend(), runtime="torch")
        interpolator.paint(*read_painted_masks(options, self.info))
        self._interpolator = interpolator
        self._renderer = Renderer(interpolator, self.info)
        self._still_pixels = StillPixels(interpolator, self.info, self._made.info, colour, self._factor)
        self.result.computed_by(interpolator)

    def open_sink(self, overwrite: bool, resume: bool) -> Sink:
        """Open the target, and choose where the other streams come from."""
        info, options, copy_from = self._made.info, self._options, self._interpolated
        self._shift, slow = Fraction(0), Fraction(1)
        ours, theirs = others_in(self._source), others_in(self._interpolated)
        names = os.fspath(self._source), os.fspath(self._interpolated)
        if ours and (not theirs or ("sound" in ours and "sound" not in theirs)):
            copy_from, left_out, of = self._source, theirs, names[1]
            lacks = "sound" if "sound" in ours else " and no ".join(ours)
            self._say(f"{names[1]}: has no {lacks}: the other streams are those of {names[0]}")
            self._shift = info.start_time - self._source_time(info.start_time)
            info = replace(info, start_time=info.start_time - self._shift)
            options, slow = self._on_source_clock()
        else:
            left_out, of = [each for each in ours if each not in theirs], names[0]
        if left_out:
            self._say(f"{of}: its {' and '.join(left_out)}: left out")
        facts = facts_of(self._source, self._options, self._interpolator.computed_by, self.result.weights)
        facts["interpolated"] = fingerprint(self._interpolated)
        return open_sink_for(
            self._target, info, info.rate, options, copy_from, facts, overwrite, resume, slow
        )

    def _on_source_clock(self) -> tuple[ProtectOptions, Fraction]:
        """The options, start and end at the pace of the source's clock, and how many times longer its streams last.

        Both are counted from the first frame of the other video, which is where the copied streams begin.
        """
        pace = 1 + self._clock.drift
        start, end = (None if at is None else at / pace for at in self._options.window)
        options = replace(self._options, start=start, end=end)
        apart = abs(self._clock.drift) * (self._made_length or 0)
        return options, pace if apart > OUT_OF_STEP else Fraction(1)

    def render(self, sink: Sink) -> None:
        """Write every frame of the other video, except those that an earlier run has written."""
        result, renderer = self.result, self._renderer
        if sink.kept:
            result.resumed_at = sink.kept
            renderer.state = sink.state
            self._outside, self._unlike = sink.state["outside"], sink.state["unlike"]
        damage = Report("", "")
        made = iter(self._made) if self._options.strict else until_damage(iter(self._made), damage)
        frames = _Ahead(timed(made, self._waits), self._source_time)
        source: Iterator[Frame] = iter(self._reader)
        if self._upright:
            source = (upright_frame(frame, self._stored) for frame in source)
        gaps = gaps_of(
            timed(source, self._waits), self.info, ByFactor(1), self._options, result, self._progress
        )
        for group in renderer.groups(gaps):
            self._render_group(group, frames, sink)
            sink.mark(self._state())
            if frames.ended:
                break
        for frame in frames.until(None):
            self._write(sink, frame, outside=True)
        if result.damage:
            self._say(f"{result.damage}; frames after that are left as they are")
        result.damage = damage.damage

    def _render_group(self, group: list[Gap], frames: _Ahead, sink: Sink) -> None:
        copied: dict[int, Copied | None] | None = None
        for number, gap in enumerate(group):
            for frame in frames.until(gap.start.pts - self._tolerance(gap)):
                self._write(sink, frame, outside=True)
            if gap.end is None:
                last = gap.start.pts + gap.start.duration + self._tolerance(gap)
                for frame in frames.until(last):
                    self._write(sink, frame)
                return
            counted = False
            for frame in frames.until(gap.end.pts - self._tolerance(gap)):
                if self.result.frames_out < self.result.resumed_at or gap.cut:
                    self._write(sink, frame)
                    continue
                if copied is None:
                    copied = {n: found for n, (_, found) in enumerate(self._renderer.masks(group))}
                self._write(sink, self._put(gap, copied[number], frame, counted))
                counted = True

    def _put(self, gap: Gap, copied: Copied | None, frame: Frame, counted: bool) -> Frame:
        """The frame with the still pixels of its gap."""
        assert gap.end is not None
        began = time.perf_counter()
        passed = self._source_time(frame.pts) - gap.start.pts
        at = Fraction(0)
        if passed >= self._tolerance(gap):
            at = min(passed / (gap.end.pts - gap.start.pts), Fraction(1))
        copied = copied or self._still_pixels.everything
        if not counted:
            self._renderer.count(float(copied.weight.mean()))
        made = self._still_pixels.put(gap, copied, frame, float(at))
        self._unlike += made is None
        self._fuse += time.perf_counter() - began
        return frame if made is None else made

    def _write(self, sink: Sink, frame: Frame, outside: bool = False) -> None:
        self.result.frames_out += 1
        if self.result.frames_out <= self.result.resumed_at:
            return
        self._outside += outside
        if self._watch is not None:
            self._watch(frame, self._made.info)
        since = time.perf_counter()
        sink.write(replace(frame, pts=frame.pts - self._shift) if self._shift else frame)
        self._waits["write"] += time.perf_counter() - since

    def finish(self, sink: Sink) -> Report:
        """Complete the report."""
        result = self.result
        self._reader.close()  # it may not have come to its end, and warns now of what it has changed
        if self._outside:
            self._say(f"{self._outside} frames lie outside of the source's time and are left as they are")
        if self._unlike:
            self._say(f"{self._unlike} frames look unlike the source at their time and are left as they are")
        lines = [*self._reader.warnings, *self._made.warnings, *self._said, *sink.warnings]
        result.warnings = list(dict.fromkeys([*lines, *self._renderer.warnings]))
        result.seconds = {**self._waits, "fuse": self._fuse}
        result.complete(self._renderer, self._began)
        return result

    def _state(self) -> dict[str, Any]:
        return self._renderer.state | {"outside": self._outside, "unlike": self._unlike}

    def _say(self, line: str) -> None:
        self._said.append(line)

    def _source_time(self, pts: Fraction) -> Fraction:
        """The source's time of a time of the other video, each on its own clock."""
        return self.info.start_time + self._clock.source_time(pts - self._made.info.start_time)

    def _tolerance(self, gap: Gap) -> Fraction:
        """By how much a frame may seem to come before its source frame, since containers round times."""
        ticks = self.info.time_base + self._made.info.time_base
        span = Fraction(1) if gap.end is None else (gap.end.pts - gap.start.pts) / 8
        return min(max(ticks, Fraction(1, 1000)), Fraction(1, 400), span)


class _Ahead:
    """The frames of a video, taken up to a time."""

    def __init__(self, frames: Iterator[Frame], source_time: Callable[[Fraction], Fraction]) -> None:
        self._frames, self._source_time = frames, source_time
        self._next: Frame | None = next(frames, None)

    @property
    def ended(self) -> bool:
        """Whether there are no more."""
        return self._next is None

    def until(self, end: Fraction | None) -> Iterator[Frame]:
        """The next frames whose time on the source's clock is before `end`; None for all that are left."""
        while self._next is not None and (end is None or self._source_time(self._next.pts) < end):
            frame, self._next = self._next, next(self._frames, None)
            yield frame


def _scale_of(source: SourceInfo, made: SourceInfo) -> int:
    """How many times as large the other video is; raises MediaError if that is no whole number."""
    factor = made.width // source.width
    if factor < 1 or (made.width, made.height) != (factor * source.width, factor * source.height):
        raise MediaError(
            f"{made.path}: is {made.width}x{made.height}, which is no whole multiple of the source's "
            f"{source.width}x{source.height}"
        )
    return factor


def _is_upright_version(source: SourceInfo, made: SourceInfo) -> bool:
    """Whether a turned source was stored upright by the other program; raises MediaError if it is turned otherwise."""
    if orientation_of(source) == orientation_of(made):
        return False
    if orientation_of(made) is not None:
        raise MediaError(f"{made.path}: is turned in another way than {source.path}")
    return True


def _rate_of(interpolated: PathLike, source: PathLike, info: SourceInfo) -> Fraction | None:
    """The frame rate of a folder of images, which says nothing of it: a whole multiple of the source's."""
    if not is_image_source(interpolated):
        return None
    count = len(find_pictures(Path(interpolated)))
    before = len(find_pictures(Path(source))) if is_image_source(source) else info.frames_estimate
    if not before:
        raise MediaError(
            f"{os.fspath(interpolated)}: has no times, and {info.path} does not say how many frames it has"
        )
    return info.rate * max(1, round(count / before))
