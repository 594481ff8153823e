"""protect(): still pixels of a source put back into the frames that another program made from it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from maskvfi.errors import OptionError
from maskvfi.models.blend import Blend
from maskvfi.options import ProtectOptions
from maskvfi.paths import PathLike
from maskvfi.pipeline.ends import open_sink_for, refuse_existing_file, refuse_same_file
from maskvfi.pipeline.fingerprint import facts_of, fingerprint
from maskvfi.pipeline.pairing import Pairing, find_pairing
from maskvfi.pipeline.reading import OnFrame, Progress, gaps_of, timed, until_damage
from maskvfi.pipeline.report import Report, check_report, files_of, write_report
from maskvfi.pipeline.still_pixels import StillPixels
from maskvfi.synthesis.copied import Copied
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.synthesis.painted import with_painted_masks
from maskvfi.synthesis.renderer import Renderer
from maskvfi.timing.gaps import Gap
from maskvfi.timing.timeline import ByFactor
from maskvfi.video import Frame, Sink, Source, SourceInfo
from maskvfi.video.images import is_image_target
from maskvfi.video.kept import others_in
from maskvfi.video.open import PIPE

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
    interpolator: Interpolator | None = None,
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
        interpolator: Holds the mask network, for programs that keep networks loaded; its interpolation network is not
            used. It must have been made from the same options. By default one is made from them here.
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
    if not resume:
        refuse_existing_file(target, overwrite)
    if report is not None:
        check_report(report, (source, interpolated, *files_of(options)), target)
    result = Report.begin(source, target, options)
    began = time.perf_counter()
    pairing = find_pairing(source, interpolated, options)
    interpolator = with_painted_masks(
        interpolator or Interpolator.from_options(options, vfi=Blend(), runtime="torch"),
        options,
        pairing.source.info,
    )
    result.note_device(interpolator)
    facts = None  # what the output depends on, if it can be resumed
    if os.fspath(target) != PIPE and not is_image_target(target):
        facts = facts_of(source, options, interpolator.computed_by, result.weights)
        facts["interpolated"] = fingerprint(interpolated)
    streams = _choose_streams(pairing, options)
    with pairing.open_made() as made, pairing.open_source() as reader:
        run = _Protection(pairing, interpolator, made.info, streams.shift, options, result, progress, watch)
        with open_sink_for(
            target,
            streams.on_their_clock(made.info),
            made.info.rate,
            streams.options,
            streams.copy_from,
            facts,
            overwrite,
            resume,
            streams.slow,
        ) as sink:
            run.render(reader, made, sink)
    lines = [*reader.warnings, *made.warnings, *pairing.lines(), *streams.lines, *run.lines(), *sink.warnings]
    run.complete(lines, began)
    if report is not None:
        write_report(result, report)
    return result


@dataclass(frozen=True, slots=True)
class _Streams:
    """Which of both videos the sound, subtitles and other streams are copied from.

    Attributes:
        copy_from: Its path.
        options: The options; start and end at the pace of that video's clock.
        shift: Seconds by which that video's clock is behind.
        slow: How many times longer its streams last in the output.
        lines: What a person should know of it.
    """

    copy_from: PathLike
    options: ProtectOptions
    shift: Fraction
    slow: Fraction
    lines: list[str]

    def on_their_clock(self, made: SourceInfo) -> SourceInfo:
        """What is known of the output, which has the size and pixel format of `made`."""
        return replace(made, start_time=made.start_time - self.shift) if self.shift else made


def _choose_streams(pairing: Pairing, options: ProtectOptions) -> _Streams:
    """Take the streams of the other video, or those of the source if the other one has none or no sound."""
    source, made = pairing.source, pairing.made
    names = os.fspath(source.path), os.fspath(made.path)
    ours, theirs = others_in(source.path), others_in(made.path)
    if not ours or (theirs and ("sound" in theirs or "sound" not in ours)):
        lost = [each for each in ours if each not in theirs]
        return _Streams(made.path, options, Fraction(0), Fraction(1), _left_out(names[0], lost))
    lacks = "sound" if "sound" in ours else " and no ".join(ours)
    line = f"{names[1]}: has no {lacks}: the other streams are those of {names[0]}"
    # Start and end are counted from the first frame of the other video, which is where the copied streams begin.
    pace = 1 + pairing.clock.drift
    start, end = (None if at is None else at / pace for at in options.window)
    apart = abs(pairing.clock.drift) * (made.info.duration or 0)
    return _Streams(
        source.path,
        replace(options, start=start, end=end),
        made.info.start_time - pairing.source_time(made.info.start_time),
        pace if apart > OUT_OF_STEP else Fraction(1),
        [line, *_left_out(names[1], theirs)],
    )


def _left_out(name: str, streams: list[str]) -> list[str]:
    return [f"{name}: its {' and '.join(streams)}: left out"] if streams else []


class _Protection:
    """The frames of one call of `protect`."""

    def __init__(
        self,
        pairing: Pairing,
        interpolator: Interpolator,
        made: SourceInfo,
        shift: Fraction,
        options: ProtectOptions,
        result: Report,
        progress: Progress | None,
        watch: OnFrame | None,
    ) -> None:
        self._pairing, self._made, self._shift = pairing, made, shift
        self._options, self._progress, self._watch = options, progress, watch
        self.result = result
        info = pairing.source.info
        self._renderer = Renderer(interpolator, info)
        self._still_pixels = StillPixels(interpolator, info, made, pairing.colour, pairing.factor)
        self._seconds = {"read": 0.0, "write": 0.0, "fuse": 0.0}
        self._outside = self._unlike = 0
        self._damage = ""  # of the source

    def render(self, reader: Source, made: Source, sink: Sink) -> None:
        """Write every frame of the other video, except those that an earlier run has written."""
        result, renderer, pairing = self.result, self._renderer, self._pairing
        if sink.kept:
            result.resumed_at = sink.kept
            renderer.state = sink.state
            self._outside, self._unlike = sink.state["outside"], sink.state["unlike"]
        damage = Report("", "")
        theirs = iter(made) if self._options.strict else until_damage(iter(made), damage)
        frames = _Ahead(timed(theirs, self._seconds), pairing.source_time)
        ours = timed(map(pairing.source.upright, reader), self._seconds)
        gaps = gaps_of(ours, self._window(), ByFactor(1), self._options, result, self._progress)
        for group in renderer.groups(gaps):
            self._render_group(group, frames, sink)
            sink.mark(renderer.state | {"outside": self._outside, "unlike": self._unlike})
            if frames.ended:
                break
        for frame in frames.until(None):
            self._write(sink, frame, outside=True)
        reader.close()  # it may not have come to its end, and warns now of what it has changed
        self._damage, result.damage = result.damage, damage.damage

    def _window(self) -> SourceInfo:
        """What is known of the source, with the number of frames of the part that the other video covers."""
        info, length = self._pairing.source.info, self._made.duration
        if length is None or info.frames_estimate is None:
            return info
        count = round((length + self._pairing.lead) * info.rate) + 1
        return replace(info, frames_estimate=min(info.frames_estimate, count))

    def _render_group(self, group: list[Gap], frames: _Ahead, sink: Sink) -> None:
        copied: dict[int, Copied | None] | None = None
        for number, gap in enumerate(group):
            tolerance = self._pairing.tolerance(gap)
            for frame in frames.until(gap.start.pts - tolerance):
                self._write(sink, frame, outside=True)
            if gap.end is None:
                for frame in frames.until(gap.start.pts + gap.start.duration + tolerance):
                    self._write(sink, frame)
                return
            counted = False
            for frame in frames.until(gap.end.pts - tolerance):
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
        passed = self._pairing.source_time(frame.pts) - gap.start.pts
        at = Fraction(0)
        if passed >= self._pairing.tolerance(gap):
            at = min(passed / (gap.end.pts - gap.start.pts), Fraction(1))
        copied = copied or self._still_pixels.everything
        if not counted:
            self._renderer.count(float(copied.weight.mean()))
        made = self._still_pixels.put(gap, copied, frame, float(at))
        self._unlike += made is None
        self._seconds["fuse"] += time.perf_counter() - began
        return frame if made is None else made

    def _write(self, sink: Sink, frame: Frame, outside: bool = False) -> None:
        self.result.frames_out += 1
        if self.result.frames_out <= self.result.resumed_at:
            return
        self._outside += outside
        if self._watch is not None:
            self._watch(frame, self._made)
        since = time.perf_counter()
        sink.write(replace(frame, pts=frame.pts - self._shift) if self._shift else frame)
        self._seconds["write"] += time.perf_counter() - since

    def lines(self) -> Iterator[str]:
        """What a person should know of frames that were left as they are."""
        if self._damage:
            yield f"{self._damage}; frames after that are left as they are"
        if self._outside:
            yield f"{self._outside} frames lie outside of the source's time and are left as they are"
        if self._unlike:
            yield f"{self._unlike} frames look unlike the source at their time and are left as they are"

    def complete(self, lines: list[str], began: float) -> None:
        """Complete the report with all lines, of a run that began at `began` by `time.perf_counter`."""
        self.result.warnings = list(dict.fromkeys([*lines, *self._renderer.warnings]))
        self.result.seconds = self._seconds
        self.result.complete(self._renderer, began)


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
