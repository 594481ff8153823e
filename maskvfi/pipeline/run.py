"""interpolate(): a video in, a smoother one out."""

from __future__ import annotations

import os
import time
from typing import Any

from maskvfi.options import Options
from maskvfi.paths import PathLike
from maskvfi.pipeline.ends import (
    default_target,
    open_sink_for,
    open_source_for,
    refuse_existing_file,
    refuse_same_file,
)
from maskvfi.pipeline.fingerprint import facts_of
from maskvfi.pipeline.reading import OnFrame, Progress, gaps_of, timed
from maskvfi.pipeline.report import Report, check_report, files_of, write_report
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.synthesis.painted import with_painted_masks
from maskvfi.synthesis.renderer import Renderer
from maskvfi.timing.gaps import stretched
from maskvfi.timing.timeline import choose_timeline
from maskvfi.video import Sink, Source
from maskvfi.video.images import is_image_target
from maskvfi.video.open import PIPE


def interpolate(
    source: PathLike,
    target: PathLike | None = None,
    *,
    options: Options | None = None,
    overwrite: bool = False,
    resume: bool = False,
    report: PathLike | None = None,
    progress: Progress | None = None,
    watch: OnFrame | None = None,
    interpolator: Interpolator | None = None,
    **fields: Any,
) -> Report:
    """Raise the frame rate of a video; pixels that stand still are copied, the rest is warped.

    Args:
        source: A video file, a folder of images or "-" (yuv4mpegpipe on stdin).
        target: A video file, a folder of images or "-"; beside the source by default.
        options: The options; see `maskvfi.Options`.
        overwrite: Replace a target that exists.
        resume: Continue an interrupted run of the same input and options; begin anew if there is none.
        report: A path to write the report to, as JSON.
        progress: Called with the number of frames read and the total number, which is None if unknown.
        watch: Called with every frame before it is written, and the size, pixel format and colours that it has.
        interpolator: What makes the frames, for programs that keep networks loaded; it must have been made from the
            same options. By default it is made from them here.
        **fields: Options by name, which replace those in `options`.

    Returns:
        What was done.

    Raises:
        MediaError, WeightsError, OptionError: The message is one line that names the cause, and there is no output.
            The finished segments of a video file are kept beside it, for `resume`.
    """
    options = Options.of(options, fields)
    run = _Interpolation(source, target, options, progress, watch, interpolator)
    if target is not None:
        refuse_same_file(source, target)
        if not resume:
            refuse_existing_file(target, overwrite)
    read = (source, *files_of(options))
    if report is not None:
        check_report(report, read, target)
    with open_source_for(source, options) as reader:
        run.open(reader)
        if report is not None and target is None:
            check_report(report, read, run.target)
        with open_sink_for(
            run.target, reader.info, run.rate, options, source, run.facts, overwrite, resume
        ) as sink:
            run.render(reader, sink)
        run.result.warnings = [*reader.warnings, *sink.warnings, *run.renderer.warnings]
    result = run.finish()
    if report is not None:
        write_report(result, report)
    return result


class _Interpolation:
    """One call of `interpolate`, step by step."""

    def __init__(
        self,
        source: PathLike,
        target: PathLike | None,
        options: Options,
        progress: Progress | None,
        watch: OnFrame | None,
        interpolator: Interpolator | None,
    ) -> None:
        self._interpolator, self._watch = interpolator, watch
        self._source, self._asked_target, self._options, self._progress = source, target, options, progress
        self._began = time.perf_counter()
        self._waits = {"read": 0.0, "write": 0.0}
        self.facts: dict[str, Any] | None = None  # what the output depends on; None if it cannot be resumed

    def open(self, reader: Source) -> None:
        """Load the networks, and choose the output's times and name."""
        options, info = self._options, reader.info
        self.timeline, self.rate = choose_timeline(options, info.rate)
        target = self._asked_target
        if target is None:
            target = default_target(self._source, self.rate / info.rate, options.stretch)
            refuse_same_file(self._source, target)
        self.target = target
        interpolator = with_painted_masks(
            self._interpolator or Interpolator.from_options(options), options, info
        )
        self.renderer = Renderer(interpolator, info, options.on_cut)
        self.result = Report.begin(self._source, target, options)
        self.result.note_device(interpolator)
        pipes = PIPE in (os.fspath(self._source), os.fspath(target))
        if not pipes and not is_image_target(target):
            self.facts = facts_of(self._source, options, interpolator.computed_by, self.result.weights)

    def render(self, reader: Source, sink: Sink) -> None:
        """Render the output's frames, except those that an earlier run has made."""
        info, result = reader.info, self.result
        frames = stretched(reader, info.start_time, self._options.stretch)
        gaps = gaps_of(timed(frames, self._waits), info, self.timeline, self._options, result, self._progress)
        if sink.kept:
            result.resumed_at = sink.kept
            self.renderer.state = sink.state
        for group in self.renderer.groups(gaps):
            result.frames_out += sum(len(gap.slots) for gap in group)
            if result.frames_out <= result.resumed_at:
                continue
            for frame in self.renderer.render(group):
                if self._watch is not None:
                    self._watch(frame, info)
                since = time.perf_counter()
                sink.write(frame)
                self._waits["write"] += time.perf_counter() - since
            sink.mark(self.renderer.state)

    def finish(self) -> Report:
        """Complete the report."""
        self.result.seconds = self._waits
        self.result.complete(self.renderer, self._began)
        return self.result
