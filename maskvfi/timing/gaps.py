"""A stream of source frames into gaps: two frames, and the output frames that lie between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from maskvfi.timing.scenes import Watched
from maskvfi.timing.timeline import Slot, Timeline
from maskvfi.video import Frame

LONGEST_RUN = 4  # repeats of one drawing that still are animation timing; more is a pause, and stays one


@dataclass(frozen=True, slots=True)
class Gap:
    """Two neighbouring frames and the output frames from the first up to the second.

    Every slot comes with its time t in 0..1 inside the gap. end is None after the last frame; nothing is
    interpolated where cut is set.
    """

    start: Frame
    end: Frame | None
    cut: bool
    slots: tuple[tuple[Slot, Fraction], ...]


def split(
    frames: Iterable[Watched], timeline: Timeline, *, resolve: bool = False, loop: bool = False
) -> Iterator[Gap]:
    """The gaps of a stream, in order, each once.

    resolve takes runs of repeated frames as one long gap, so that motion on twos or threes becomes even;
    loop closes the clip from its last frame to its first.
    """
    first: Frame | None = None
    run: list[Frame] = []
    paused = False
    for watched in frames:
        first = first or watched.frame
        repeat = resolve and watched.duplicate
        if run and repeat and not paused and len(run) <= LONGEST_RUN:
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
    yield from _plain(run, timeline)
    last = run[-1]
    if loop and first is not last:
        end = last.pts + last.duration
        slots = tuple((slot, (slot.pts - last.pts) / last.duration) for slot in timeline.gap(last.pts, end))
        yield Gap(last, first, False, slots)
    else:
        slots = tuple((slot, Fraction(0)) for slot in timeline.tail(last.pts, last.duration))
        yield Gap(last, None, False, slots)


def stretched(frames: Iterable[Frame], origin: Fraction, slow: Fraction) -> Iterator[Frame]:
    """The same frames, `slow` times as far apart, counted from `origin`."""
    return (
        replace(frame, pts=origin + (frame.pts - origin) * slow, duration=frame.duration * slow)
        for frame in frames
    )


def _gap(run: list[Frame], end: Frame, cut: bool, timeline: Timeline) -> Gap:
    start = run[0]
    span = end.pts - start.pts
    slots = (slot for a, b in pairwise([*run, end]) for slot in timeline.gap(a.pts, b.pts))
    return Gap(start, end, cut, tuple((slot, (slot.pts - start.pts) / span) for slot in slots))


def _plain(run: list[Frame], timeline: Timeline) -> Iterator[Gap]:
    return (_gap([a], b, False, timeline) for a, b in pairwise(run))
