"""interpolate(): a video in, a smoother one out."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from maskvfi import hub
from maskvfi.fuse import FEATHER
from maskvfi.gaps import Gap, split, stretched
from maskvfi.interpolator import Interpolator
from maskvfi.painted import read_painted_mask
from maskvfi.provenance import facts_of
from maskvfi.render import Renderer, Tally
from maskvfi.scenes import SceneWatcher, Watched
from maskvfi.video import Frame, MediaError, SourceInfo, VideoWriter, open_sink, open_source
from maskvfi.video.timeline import ByFactor, ByRate, Timeline, parse_rate

PathLike = str | os.PathLike[str]
Progress = Callable[[int, int | None], None]
DUPLICATES = ("keep", "resolve")
MOST = 1000  # frames in place of one
NOT_HOW = (
    "source",
    "target",
    "overwrite",
    "resume",
    "report",
    "progress",
)  # nothing in the frames depends on them


@dataclass(slots=True)
class Report:
    """What a run did. static_share is the mean share of copied pixels, computed_share the share of pictures
    for which the interpolation network ran, both over the gaps that are no cut; seconds are per stage, where
    read and write are the time spent waiting for decoder and encoder, which run beside the rest. resumed_at is the
    number of frames that an earlier run had made, damage what ended the input early, if anything did."""

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
        return asdict(self)


def interpolate(
    source: PathLike,
    target: PathLike | None = None,
    *,
    factor: int | None = None,
    fps: Fraction | float | str | None = None,
    slow: Fraction | float | str | None = None,
    loop: bool = False,
    vfi: PathLike = hub.DEFAULT_VFI,
    mask: PathLike | None = hub.DEFAULT_STATIC,
    protect: PathLike | None = None,
    release: PathLike | None = None,
    threshold: float = 0.5,
    feather: float = FEATHER,
    static: str = "fade",
    scene_cut: str | float = "auto",
    on_cut: str = "hold",
    duplicates: str = "keep",
    scale: float = 1.0,
    tile: int | str = "auto",
    ensemble: bool = False,
    start: float | Fraction | None = None,
    end: float | Fraction | None = None,
    rate: Fraction | float | str | None = None,
    device: str = "auto",
    precision: str = "auto",
    runtime: str = "auto",
    hwaccel: str | None = None,
    codec: str | None = None,
    crf: float | None = None,
    options: dict[str, str] | None = None,
    overwrite: bool = False,
    resume: bool = False,
    strict: bool = False,
    report: PathLike | None = None,
    progress: Progress | None = None,
) -> Report:
    """Raise the frame rate of a video; pixels that stand still are copied, the rest is warped.

    source, target: a video file, a folder of images or "-" (yuv4mpegpipe); target is beside source by default.
    factor: k-1 new frames in every gap (default 2), or fps: an even grid of that rate.
    slow: stretch time by this factor and keep the frame rate. loop: close the clip from last frame to first.
    vfi, mask: names or paths of weights; mask=None is plain RIFE.
    threshold: from which probability a pixel counts as still; feather: how far to either side of it copied and warped
    are mixed. protect, release: pictures whose white is always copied, or always warped.
    static: "fade" cross-fades still pixels, with less of a heavy noise; "nearest" copies the nearer frame's.
    scene_cut: "auto", "off" or a threshold; on_cut: "hold" the earlier frame or "blend" over it.
    duplicates: "keep", or "resolve" repeated frames into even motion.
    scale, ensemble: as `IFNet.forward` has them. tile: "auto", "off" or the side in px of what is computed at once.
    start, end: seconds from the first frame, start <= time < end. rate: frames per second of an image folder.
    device, precision, runtime: as `Interpolator` has them. hwaccel: a device that decodes a video, if it can: "cuda",
    "qsv", "vaapi", "videotoolbox" ... as FFmpeg calls it.
    codec (FFmpeg's name of it), crf, options: for the encoder. overwrite: replace a target that exists.
    resume: go on where an earlier run of the same input and options stopped, whatever stopped it; begin if none did.
    strict: an input that cannot be read to its end is an error; otherwise what was read makes the output, and the
    report's `damage` says so.
    report: also write the report there, as JSON. progress: called with frames read, and their number if known.

    Raises MediaError, WeightsError or ValueError with one line that names the cause; then there is no output. What is
    done of a video file is kept beside it when it is interrupted after some hundred frames, for `resume`.
    """
    how = {name: value for name, value in locals().items() if name not in NOT_HOW}
    began = time.perf_counter()
    begin, stop, stretch = window(start, end, slow)
    with open_source(
        source, start=begin, end=stop, rate=None if rate is None else parse_rate(rate), hwaccel=hwaccel
    ) as reader:
        info = reader.info
        timeline, out_rate = choose_timeline(factor, fps, stretch, info.rate)
        if target is None:
            target = default_target(source, out_rate / info.rate, stretch)
        _refuse_same_file(source, target)
        interpolator = Interpolator(
            vfi,
            mask,
            device,
            precision,
            runtime=runtime,
            scale=scale,
            ensemble=ensemble,
            threshold=threshold,
            feather=feather,
            tile=tile,
            static=static,
            protect=read_painted_mask(protect, info) if protect is not None else None,
            release=read_painted_mask(release, info) if release is not None else None,
        )
        renderer = Renderer(interpolator, info, on_cut)
        result = Report(os.fspath(source), os.fspath(target), weights=weights_of(vfi, mask))
        result.device, result.precision = str(interpolator.device), interpolator.precision
        result.runtime = interpolator.runtime
        facts = None
        if os.fspath(source) != "-":
            facts = facts_of(source, how, interpolator.computed_by, result.weights)
        waits = {"read": 0.0, "write": 0.0}
        gaps = gaps_of(
            _waiting(stretched(reader, info.start_time, stretch), waits),
            info,
            timeline,
            result,
            scene_cut=scene_cut,
            duplicates=duplicates,
            loop=loop,
            strict=strict,
            progress=progress,
        )
        if facts is None and resume:
            raise MediaError("a pipe cannot be read again: only a file can be resumed")
        with open_sink(
            target,
            info,
            rate=out_rate,
            codec=codec,
            options=encoder_options(crf, options),
            carry=source,
            slow=stretch,
            overwrite=overwrite,
            start=begin,
            end=stop,
            facts=facts,
            resume=resume,
        ) as sink:
            journaled = sink if isinstance(sink, VideoWriter) and sink.journal is not None else None
            if journaled is not None and journaled.kept:
                result.resumed_at = journaled.kept
                renderer.tally = Tally(**journaled.state)
            for group in renderer.groups(gaps):
                result.frames_out += sum(len(gap.slots) for gap in group)
                if result.frames_out <= result.resumed_at:
                    continue
                for frame in renderer.render(group):
                    since = time.perf_counter()
                    sink.write(frame)
                    waits["write"] += time.perf_counter() - since
                if journaled is not None:
                    journaled.mark(asdict(renderer.tally))
        result.warnings = [*reader.warnings, *sink.warnings, *renderer.warnings]
    result.static_share = renderer.tally.static / max(renderer.tally.gaps, 1)
    result.computed_share = renderer.tally.computed / max(renderer.tally.gaps, 1)
    result.seconds = {**waits, **renderer.seconds, "total": time.perf_counter() - began}
    result.peak_memory_bytes = peak_memory(interpolator.device)
    if report is not None:
        Path(report).write_text(json.dumps(result.to_dict(), indent=2) + "\n", encoding="utf-8")
    return result


def gaps_of(
    frames: Iterator[Frame],
    info: SourceInfo,
    timeline: Timeline,
    result: Report,
    *,
    scene_cut: str | float,
    duplicates: str,
    loop: bool,
    strict: bool,
    progress: Progress | None = None,
) -> Iterator[Gap]:
    """The gaps of a source, as `interpolate`'s options have them; what is met on the way is counted in `result`.

    Raises ValueError at once for a wrong option, MediaError while iterating.
    """
    if duplicates not in DUPLICATES:
        raise ValueError(f"duplicates must be one of {', '.join(DUPLICATES)}, not {duplicates!r}")
    watcher = SceneWatcher(info, scene_cut)
    readable = frames if strict else _until_damage(frames, result)
    watched = _counting(watcher.watch(readable), result, info.frames_estimate, progress)
    return split(_some(watched, info.path), timeline, resolve=duplicates == "resolve", loop=loop)


def window(
    start: float | Fraction | None, end: float | Fraction | None, slow: Fraction | float | str | None
) -> tuple[Fraction | None, Fraction | None, Fraction]:
    """`interpolate`'s start, end and slow as exact numbers. Raises ValueError for a wrong one."""
    return (
        _seconds(start, "start"),
        _seconds(end, "end"),
        Fraction(1) if slow is None else _positive(slow, "slow"),
    )


def encoder_options(crf: float | None, options: dict[str, str] | None) -> dict[str, str]:
    return ({} if crf is None else {"crf": f"{crf:g}"}) | (options or {})


def choose_timeline(
    factor: int | None, fps: Fraction | float | str | None, slow: Fraction, source: Fraction
) -> tuple[Timeline, Fraction]:
    """The output times and their average rate, for a source of that many frames per second.

    Raises ValueError when factor and fps are both given, or wrong, or ask for more than `MOST` frames (or fewer than
    one for as many) in place of each of the source's.
    """
    timeline, rate = _timeline(factor, fps, slow, source)
    if not 1 / MOST <= rate * slow / source <= MOST or not slow >= 1 / MOST:
        raise ValueError(f"more than {MOST} frames for one, or one for more than {MOST}, is not for video")
    return timeline, rate


def _timeline(
    factor: int | None, fps: Fraction | float | str | None, slow: Fraction, source: Fraction
) -> tuple[Timeline, Fraction]:
    if factor is not None and fps is not None:
        raise ValueError("give a factor or a frame rate, not both")
    if fps is not None:
        by_rate = ByRate(parse_rate(fps))
        return by_rate, by_rate.rate
    if factor is None and slow.denominator != 1:
        return ByRate(source), source
    by_factor = ByFactor(factor if factor is not None else 2 if slow == 1 else int(slow))
    return by_factor, source * by_factor.factor / slow


def default_target(source: PathLike, faster: Fraction, slow: Fraction) -> Path:
    """Beside the source: clip.mp4 becomes clip_2x.mp4, or clip_slow4x.mp4. Raises ValueError for a pipe."""
    if os.fspath(source) == "-":
        raise ValueError("an output must be named when the input is a pipe")
    path = Path(source)
    label = f"slow{float(slow):g}x" if slow != 1 else f"{float(faster):.4g}x"
    return path.with_name(
        f"{path.name if path.is_dir() else path.stem}_{label}{'' if path.is_dir() else path.suffix}"
    )


def peak_memory(device: torch.device) -> int:
    """The most memory this process has held: on the card for CUDA, else resident; 0 where the system hides it."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _refuse_same_file(source: PathLike, target: PathLike) -> None:
    if Path(source).exists() and Path(target).exists() and Path(source).samefile(target):
        raise MediaError(f"{os.fspath(target)}: is the input itself")


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


def _some(frames: Iterator[Watched], name: str) -> Iterator[Watched]:
    """The frames; MediaError if there are none."""
    first = next(frames, None)
    if first is None:
        raise MediaError(f"{name}: no frames between start and end")
    yield first
    yield from frames


def _until_damage(frames: Iterator[Frame], result: Report) -> Iterator[Frame]:
    """The frames up to where the input cannot be read any more; if there are none, the error."""
    try:
        yield from frames
    except MediaError as error:
        if not result.frames_in:
            raise
        result.damage = str(error)


def _waiting(frames: Iterator[Frame], waits: dict[str, float]) -> Iterator[Frame]:
    while True:
        since = time.perf_counter()
        frame = next(frames, None)
        waits["read"] += time.perf_counter() - since
        if frame is None:
            return
        yield frame


def weights_of(vfi: PathLike, mask: PathLike | None) -> list[dict[str, str]]:
    paths = [hub.find_weights(name) for name in (vfi, mask) if name is not None]
    return [{"name": hub.name_of(path), "path": str(path), "sha256": hub.sha256(path)} for path in paths]


def _seconds(value: float | Fraction | None, name: str) -> Fraction | None:
    if value is None:
        return None
    if value < 0:
        raise ValueError(f"{name} must not be negative, not {value}")
    return Fraction(str(value))


def _positive(value: Fraction | float | str, name: str) -> Fraction:
    try:
        exact = Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"{name} must be a number, not {value!r}") from None
    if exact <= 0:
        raise ValueError(f"{name} must be positive, not {value}")
    return exact
