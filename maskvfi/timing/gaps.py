"""Divide a stream of source frames into gaps: two frames, and the output frames between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from maskvfi.timing.scenes import Watched
from maskvfi.timing.timeline import Slot, Timeline
from maskvfi.video import Frame

MAX_HELD = 16  # gaps without output frames that are kept for the masks of their neighbours
MAX_RUN = 4  # repeats of a drawing that count as animation timing; more are a pause, which is kept


@dataclass(frozen=True, slots=True)
class Gap:
    """Two neighbouring frames and the output frames from the first up to the second.

    Attributes:
        start: The first frame.
        end: The second one; None after the last frame of the stream.
        cut: Whether a new scene begins at `end`, so that nothing is interpolated.
        slots: The output frames, each with its time inside the gap, 0..1.
    """

    start: Frame
    end: Frame | None
    cut: bool
    slots: tuple[tuple[Slot, Fraction], ...]


def split(
    frames: Iterable[Watched], timeline: Timeline, *, resolve: bool = False, loop: bool = False
) -> Iterator[Gap]:
    """Divide a stream into gaps.

    Args:
        frames: In the order of time.
        timeline: Which output frames there are.
        resolve: Take a run of repeated frames as one long gap, so that animation on twos or threes moves evenly.
        loop: Close the clip with a gap from its last frame to its first.

    Yields:
        The gaps, in the order of time. Of a long row without output frames only the first MAX_HELD are given. The last
        output frame ends where the stream does.
    """
    end = Fraction(0)

    def noted() -> Iterator[Watched]:
        nonlocal end
        for watched in frames:
            end = watched.frame.pts + watched.frame.duration
            yield watched

    # A gap whose last output frame outlasts it, and the gaps after it without output frames.
    held: list[Gap] = []
    for gap in _divided(noted(), timeline, resolve, loop):
        if gap.slots:
            yield from held
            held = []
        if not held and not _outlasted(gap):
            yield gap
        elif len(held) <= MAX_HELD:
            held.append(gap)
    yield from (_ending(gap, end) for gap in held)


def _divided(frames: Iterable[Watched], timeline: Timeline, resolve: bool, loop: bool) -> Iterator[Gap]:
    """The gaps of a stream, whose last output frame may be longer than the stream."""
    first: Frame | None = None
    run: list[Frame] = []
    paused = False
    for watched in frames:
        first = first or watched.frame
        repeat = resolve and watched.duplicate
        if run and repeat and not paused and len(run) <= MAX_RUN:
            run.append(watched.frame)
            continue
        if repeat:
            yield from _plain([*run, watched.frame], timeline)
        elif run:
            yield _gap(run, watched.frame, watched.cut, timeline)
        paused = repeat
        run = [watched.frame]
    if first is None:
        return
    last = run[-1]
    if loop and first is not last:  # the drawing at the seam moves on evenly as well
        seam = replace(first, pts=last.pts + last.duration)
        yield replace(_gap(run, seam, False, timeline), end=first)
    else:
        yield from _plain(run, timeline)
        slots = tuple((slot, Fraction(0)) for slot in timeline.tail(last.pts, last.duration))
        yield Gap(last, None, False, slots)


def stretched(frames: Iterable[Frame], origin: Fraction, slow: Fraction) -> Iterator[Frame]:
    """Stretch the times of frames.

    Args:
        frames: In the order of time.
        origin: The time that stays, in seconds.
        slow: The factor by which all distances from it grow.

    Returns:
        The same frames with new times and durations.
    """
    return (
        replace(frame, pts=origin + (frame.pts - origin) * slow, duration=frame.duration * slow)
        for frame in frames
    )


def _outlasted(gap: Gap) -> bool:
    """Whether the last output frame of a gap is shown beyond its end."""
    if gap.end is None or not gap.slots:
        return False
    last = gap.slots[-1][0]
    return last.pts + last.duration > gap.end.pts


def _ending(gap: Gap, end: Fraction) -> Gap:
    """A gap whose output frames last until `end` at most."""
    slots = ((Slot(slot.pts, min(slot.duration, end - slot.pts)), t) for slot, t in gap.slots)
    return replace(gap, slots=tuple(slots))


def _gap(run: list[Frame], end: Frame, cut: bool, timeline: Timeline) -> Gap:
    """One gap from the first frame of a run, over its repeats, to `end`."""
    start = run[0]
    span = end.pts - start.pts
    slots = (slot for a, b in pairwise([*run, end]) for slot in timeline.gap(a.pts, b.pts))
    return Gap(start, end, cut, tuple((slot, (slot.pts - start.pts) / span) for slot in slots))


def _plain(run: list[Frame], timeline: Timeline) -> Iterator[Gap]:
    """A gap between every two frames of a run."""
    return (_gap([a], b, False, timeline) for a, b in pairwise(run))
