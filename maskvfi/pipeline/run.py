"""interpolate(): a video in, a smoother one out."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from maskvfi.errors import MediaError, OptionError
from maskvfi.options import (
    MAX_RATIO,
    DecodeOptions,
    EncodeOptions,
    FrameOptions,
    MaskOptions,
    Options,
    TimeOptions,
)
from maskvfi.paths import PathLike, check_target, written_whole
from maskvfi.pipeline.fingerprint import facts_of
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.synthesis.painted import painted
from maskvfi.synthesis.renderer import Renderer
from maskvfi.timing.gaps import Gap, split, stretched
from maskvfi.timing.scenes import SceneWatcher, Watched
from maskvfi.timing.timeline import ByFactor, ByRate, Timeline
from maskvfi.video import Frame, Sink, Source, SourceInfo, open_sink, open_source
from maskvfi.video.images import is_image_source
from maskvfi.video.pictures import folder_of
from maskvfi.weights.locate import find_weights, name_of
from maskvfi.weights.read import sha256

PIPE = "-"
Progress = Callable[[int, "int | None"], None]
Watch = Callable[[Frame, SourceInfo], None]


@dataclass(slots=True)
class Report:
    """What a run did.

    Attributes:
        input, output: The paths.
        frames_in, frames_out: How many frames were read and written.
        cuts, duplicates: How many scene cuts and repeated frames were found.
        static_share: The share of pixels that were copied, 0..1, as a mean over all gaps that are not cuts.
        computed_share: The share of the picture that the interpolation network computed, 0..1, over the same gaps.
        seconds: Seconds by stage; read and write are the time spent waiting for decoder and encoder.
        peak_memory_bytes: The most memory in use: on the device with CUDA, else of the process.
        device, runtime, precision: What computed the frames.
        weights: Name, path and SHA-256 of each weights file.
        warnings: One line for everything of the input that was not kept, or was done differently than asked.
        resumed_at: How many output frames an earlier run had made.
        damage: Why the input could not be read to its end; empty if it could.
    """

    input: str
    output: str
    frames_in: int = 0
    frames_out: int = 0
    cuts: int = 0
    duplicates: int = 0
    static_share: float = 0.0
    computed_share: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    peak_memory_bytes: int = 0
    device: str = ""
    runtime: str = ""
    precision: str = ""
    weights: list[dict[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    resumed_at: int = 0
    damage: str = ""

    def to_dict(self) -> dict[str, Any]:
        """All attributes by name, as JSON types."""
        return asdict(self)


def interpolate(
    source: PathLike,
    target: PathLike | None = None,
    *,
    options: Options | None = None,
    overwrite: bool = False,
    resume: bool = False,
    report: PathLike | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
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
    run = _Run(source, target, options, progress, watch, interpolator)
    if report is not None:
        check_report(report, (source,), target)
    with open_source_for(source, options) as reader:
        run.open(reader)
        with open_sink_for(
            run.target, reader.info, run.rate, options, source, run.facts, overwrite, resume
        ) as sink:
            run.render(reader, sink)
        run.result.warnings = [*reader.warnings, *sink.warnings, *run.renderer.warnings]
    result = run.finish()
    if report is not None:
        write_report(result, report)
    return result


def check_report(report: PathLike, sources: Iterable[PathLike], target: PathLike | None) -> None:
    """Refuse a report that cannot be written, or is one of the videos.

    Args:
        report: Where it will be written.
        sources, target: The videos; target is None if it has no name yet.

    Raises:
        MediaError: It is refused.
    """
    check_target(report, overwrite=True)
    if any(same_file(report, source) for source in sources) or (
        target is not None and Path(report) == Path(target)
    ):
        raise MediaError(f"{os.fspath(report)}: cannot be both the report and a video")


def write_report(result: Report, report: PathLike) -> None:
    """Write a report as JSON.

    Args:
        result: The report.
        report: The file; one that exists is replaced.

    Raises:
        MediaError: It cannot be written.
    """
    with written_whole(report) as partial:
        partial.write_text(json.dumps(result.to_dict(), indent=2) + "\n", encoding="utf-8")


class _Run:
    """One call of `interpolate`, step by step."""

    def __init__(
        self,
        source: PathLike,
        target: PathLike | None,
        options: Options,
        progress: Progress | None,
        watch: Watch | None,
        interpolator: Interpolator | None,
    ) -> None:
        self._interpolator, self._watch = interpolator, watch
        self._source, self._asked_target, self._options, self._progress = source, target, options, progress
        self._began = time.perf_counter()
        self._waits = {"read": 0.0, "write": 0.0}
        self.facts: dict[str, Any] | None = None  # what the output depends on; None for a pipe

    def open(self, reader: Source) -> None:
        """Load the networks, and choose the output's times and name."""
        options, info = self._options, reader.info
        self.timeline, self.rate = choose_timeline(options, info.rate)
        target = self._asked_target
        if target is None:
            target = default_target(self._source, self.rate / info.rate, options.stretch)
        self.target = target
        refuse_itself(self._source, target)
        interpolator = painted(self._interpolator or Interpolator.from_options(options), options, info)
        self.renderer = Renderer(interpolator, info, options.on_cut)
        self.result = Report(os.fspath(self._source), os.fspath(target), weights=weights_of(options))
        self.result.device, self.result.precision = str(interpolator.device), interpolator.precision
        self.result.runtime = interpolator.runtime
        if os.fspath(self._source) != PIPE:
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
        measured(self.result, self.renderer, self._began)
        return self.result


def measured(result: Report, renderer: Renderer, began: float) -> None:
    """Complete a report by what a renderer counted.

    Args:
        result: The report; it may have seconds of other stages already.
        renderer: What made the frames or masks.
        began: When, by `time.perf_counter`.
    """
    tally = renderer.tally
    result.static_share = tally.static / max(tally.gaps, 1)
    result.computed_share = tally.computed / max(tally.gaps, 1)
    result.seconds = {**result.seconds, **renderer.seconds, "total": time.perf_counter() - began}
    result.peak_memory_bytes = peak_memory(renderer.device)


def open_source_for(source: PathLike, options: DecodeOptions) -> Source:
    """Open a source for reading.

    Args:
        source: A video file, a folder of images or "-".
        options: Which part of it is read, and how.

    Returns:
        A reader of its frames.

    Raises:
        MediaError: It cannot be read.
        OptionError: The decoding device is unknown.
    """
    return open_source(
        source,
        start=options.start,  # type: ignore[arg-type]
        end=options.end,  # type: ignore[arg-type]
        rate=options.rate,  # type: ignore[arg-type]
        hwaccel=options.hwaccel,
        interlaced=options.interlaced,
        strict=options.strict,
    )


def open_sink_for(
    target: PathLike,
    info: SourceInfo,
    rate: Fraction,
    options: EncodeOptions,
    copy_from: PathLike | None = None,
    facts: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    resume: bool = False,
) -> Sink:
    """Open a target for writing.

    Args:
        target: A video file, a folder of images or "-".
        info: The source's size, pixel format and times.
        rate: The average number of output frames per second.
        options: How frames are encoded. If they have `DecodeOptions` and `TimeOptions` too, these say which part of the
            other streams is copied.
        copy_from: The file whose other streams, chapters and tags are copied.
        facts: What the output depends on (`facts_of`); without them it cannot be resumed.
        overwrite: Replace a target that exists.
        resume: Continue an interrupted run.

    Returns:
        A writer of frames.

    Raises:
        MediaError: The target cannot be written, or not be resumed.
        OptionError: The encoder is unknown or refuses its options.
    """
    if facts is None and resume:
        raise MediaError("a pipe cannot be read again: only a file can be resumed")
    cut = options if isinstance(options, DecodeOptions) else DecodeOptions()
    return open_sink(
        target,
        info,
        rate=rate,
        codec=options.codec,
        options=options.for_encoder,
        pix_fmt=options.pix_fmt,
        copy_from=copy_from,
        overwrite=overwrite,
        start=cut.start,  # type: ignore[arg-type]
        end=cut.end,  # type: ignore[arg-type]
        slow=options.stretch if isinstance(options, TimeOptions) else Fraction(1),
        facts=facts,
        resume=resume,
    )


def gaps_of(
    frames: Iterator[Frame],
    info: SourceInfo,
    timeline: Timeline,
    options: Options,
    result: Report,
    progress: Progress | None = None,
) -> Iterator[Gap]:
    """Divide the frames of a source into gaps.

    Args:
        frames: The source's frames.
        info: What is known of the source.
        timeline: At which times there are output frames.
        options: How cuts, repeats and damage are treated.
        result: Counts frames, cuts and repeats, and gets the damage, while the gaps are read.
        progress: Called with the number of frames read and the total number, which is None if unknown.

    Returns:
        The gaps, in the order of time.

    Raises:
        MediaError: While iterating, if the source cannot be read or has no frames.
    """
    watcher = SceneWatcher(info, options.scene_cut)
    readable = frames if options.strict else until_damage(frames, result)
    watched = _counting(watcher.watch(readable), result, info.frames_estimate, progress)
    return split(
        _at_least_one(watched, info.path),
        timeline,
        resolve=options.duplicates == "resolve",
        loop=options.loop,
    )


def choose_timeline(options: TimeOptions, source: Fraction) -> tuple[Timeline, Fraction]:
    """Choose the times of the output frames.

    Args:
        options: Factor, frame rate or slow motion.
        source: The source's frames per second.

    Returns:
        The timeline, and the output's average number of frames per second.

    Raises:
        OptionError: There would be more than MAX_RATIO output frames for a source frame, or the other way round.
    """
    timeline, rate = _timeline(options, source)
    slow = options.stretch
    if not 1 / MAX_RATIO <= rate * slow / source <= MAX_RATIO or not slow >= 1 / MAX_RATIO:
        raise OptionError(
            f"more than {MAX_RATIO} frames for one, or one for more than {MAX_RATIO}, is not for video"
        )
    return timeline, rate


def _timeline(options: TimeOptions, source: Fraction) -> tuple[Timeline, Fraction]:
    slow = options.stretch
    if options.fps is not None:
        by_rate = ByRate(Fraction(options.fps))
        return by_rate, by_rate.rate
    if options.factor is None and slow.denominator != 1:
        return ByRate(source), source
    by_factor = ByFactor(options.factor or (2 if slow == 1 else int(slow)))
    return by_factor, source * by_factor.factor / slow


def default_target(source: PathLike, faster: Fraction, slow: Fraction) -> Path:
    """Name an output beside its source: clip.mp4 becomes clip_2x.mp4, or clip_slow4x.mp4; shots/%04d.png is shots.

    Args:
        source: The input.
        faster: Output frames per second divided by the source's.
        slow: The output's duration divided by the source's.

    Returns:
        The path.

    Raises:
        OptionError: The source is a pipe.
    """
    if os.fspath(source) == PIPE:
        raise OptionError("an output must be named when the input is a pipe")
    path = Path(source)
    if is_image_source(path):
        path = folder_of(path).resolve()
    label = f"slow{float(slow):g}x" if slow != 1 else f"{float(faster):.4g}x"
    return path.with_name(
        f"{path.name if path.is_dir() else path.stem}_{label}{'' if path.is_dir() else path.suffix}"
    )


def peak_memory(device: torch.device) -> int:
    """Measure the most memory that this process has used so far.

    Args:
        device: With CUDA its memory is measured, else the process's resident memory.

    Returns:
        Bytes; 0 on Windows, where it is not measured.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def weights_of(options: MaskOptions) -> list[dict[str, str]]:
    """Name, path and SHA-256 of the weights that the options name."""
    names = (options.vfi if isinstance(options, FrameOptions) else None, options.mask)
    paths = [find_weights(name) for name in names if name is not None]
    return [{"name": name_of(path), "path": str(path), "sha256": sha256(path)} for path in paths]


def refuse_itself(source: PathLike, target: PathLike) -> None:
    """Check that a target is not what it is made from.

    Raises:
        MediaError: It is.
    """
    if same_file(folder_of(source), folder_of(target)):
        raise MediaError(f"{os.fspath(target)}: is the input itself")


def same_file(a: PathLike, b: PathLike) -> bool:
    """Whether two paths name one file or folder that exists."""
    return Path(a).exists() and Path(b).exists() and Path(a).samefile(b)


def _counting(
    frames: Iterable[Watched], result: Report, total: int | None, progress: Progress | None
) -> Iterator[Watched]:
    for watched in frames:
        result.frames_in += 1
        result.cuts += watched.cut
        result.duplicates += watched.duplicate
        if progress:
            progress(result.frames_in, total)
        yield watched


def _at_least_one(frames: Iterator[Watched], name: str) -> Iterator[Watched]:
    """The same frames; raises MediaError if there are none."""
    first = next(frames, None)
    if first is None:
        raise MediaError(f"{name}: no frames between start and end")
    yield first
    yield from frames


def until_damage(frames: Iterator[Frame], result: Report) -> Iterator[Frame]:
    """Take the frames before the damage of a source.

    Args:
        frames: The source's frames.
        result: Gets the damage.

    Yields:
        The frames that can be read.

    Raises:
        MediaError: There are none.
    """
    count = 0  # result.frames_in is behind: cuts are found some frames ahead
    try:
        for frame in frames:
            count += 1
            yield frame
    except MediaError as error:
        if not count:
            raise
        result.damage = str(error)


def timed(frames: Iterator[Frame], waits: dict[str, float]) -> Iterator[Frame]:
    """The same frames; the seconds spent waiting for them are added to `waits["read"]`."""
    while True:
        since = time.perf_counter()
        frame = next(frames, None)
        waits["read"] += time.perf_counter() - since
        if frame is None:
            return
        yield frame
