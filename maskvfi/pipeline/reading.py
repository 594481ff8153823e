"""The frames of a source as gaps: cuts and repeats found, damage noted, progress told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from maskvfi.errors import MediaError
from maskvfi.options import OptionGroup, Options
from maskvfi.pipeline.report import Report
from maskvfi.timing.gaps import Gap, split
from maskvfi.timing.scenes import SceneWatcher, Watched
from maskvfi.timing.timeline import Timeline
from maskvfi.video import Frame, SourceInfo

# Called with the number of frames read, and the total number if that is known.
Progress = Callable[[int, "int | None"], None]
# Called with a frame before it is written, and the video that it belongs to.
OnFrame = Callable[[Frame, SourceInfo], None]


def gaps_of(
    frames: Iterator[Frame],
    info: SourceInfo,
    timeline: Timeline,
    options: OptionGroup,
    result: Report,
    progress: Progress | None = None,
) -> Iterator[Gap]:
    """Divide the frames of a source into gaps.

    Args:
        frames: The source's frames.
        info: What is known of the source.
        timeline: At which times there are output frames.
        options: How cuts, repeats and damage are treated, if they say so; else by default.
        result: Counts frames, cuts and repeats, and gets the damage, while the gaps are read.
        progress: Called with the number of frames read and the total number, which is None if unknown.

    Returns:
        The gaps, in the order of time.

    Raises:
        MediaError: While iterating, if the source cannot be read or has no frames.
    """
    how = options.as_group(Options)
    watcher = SceneWatcher(info, how.scene_cut)
    readable = frames if how.strict else until_damage(frames, result)
    watched = _counting(watcher.watch(readable), result, info.frames_estimate, progress)
    return split(
        _at_least_one(watched, info.path),
        timeline,
        resolve=how.duplicates == "resolve",
        loop=how.loop,
    )


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
