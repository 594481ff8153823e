"""Short runs of frames of a clip, of which the ends are given and the others are to be made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from rich.console import Console

from distill.arrays import Image
from distill.data.clips import Clip
from distill.data.frames import decoded, has_cut
from distill.options import TIMES

TOGETHER = 4  # gaps whose masks are computed together, as `maskvfi interpolate` does
STILL = 0.5  # mean change between a run's ends, in code values, under which there is nothing to interpolate

Maker = Callable[["Run"], list[Image]]  # a run -> the frames between its ends


@dataclass(frozen=True, slots=True)
class Run:
    """A short run of frames, of which the ends are given.

    Attributes:
        truth: Consecutive RGB frames [H,W,3].
        given: What a mask sees at once: every times-th frame of the clip around the run, with the two ends of the run.
        gap: Where in `given` the run's first frame lies.
    """

    truth: list[Image]
    given: list[Image]
    gap: int

    def made(self, maker: Maker) -> list[Image]:
        """The run with the frames between its ends as they are made."""
        return [self.truth[0], *maker(self), self.truth[-1]]


def moving_runs(clip: Clip, count: int, times: int = TIMES) -> Iterator[Run]:
    """Short runs of frames in which something moves, evenly spread over a clip.

    Args:
        clip: The video.
        count: How many, at most.
        times: Gaps in a run.

    Yields:
        times + 1 consecutive frames, and those given.
    """
    last, most = clip.frames - 1, max(clip.frames - times, 0)
    ends = sorted({int(place) for place in np.linspace(times, last, min(count, most))})
    given = {end: _given(end, times, clip.frames) for end in ends}
    needed = {number for end in ends for number in (*range(end - times, end + 1), *given[end])}
    kept: dict[int, Image] = {}
    for number, frame in decoded(clip.path, needed):
        kept[number] = np.ascontiguousarray(frame[..., ::-1])
        while ends and number >= max(ends[0], given[ends[0]][-1]):
            end = ends.pop(0)
            yield from _moving_run(kept, end, times, given[end])
            first = min((given[each][0] for each in ends), default=last)
            kept = {each: kept[each] for each in kept if each >= first}
    for end in ends:  # the video ends before the length that it states
        if all(each in kept for each in range(end - times, end + 1)):
            yield from _moving_run(kept, end, times, [each for each in given[end] if each in kept])
        else:
            Console(stderr=True).print(
                f"{clip.path}: frame {end} cannot be read, left out", markup=False, soft_wrap=True
            )


def _moving_run(kept: Mapping[int, Image], end: int, times: int, given: list[int]) -> Iterator[Run]:
    """The run that ends at a frame, if something moves in it and it has no cut."""
    truth = [kept[each] for each in range(end - times, end + 1)]
    moves = float(cv2.absdiff(truth[0], truth[-1]).mean()) > STILL
    if moves and not has_cut(truth):
        yield Run(truth, [kept[each] for each in given], given.index(end - times))


def _given(end: int, times: int, frames: int) -> list[int]:
    """The frames that a mask sees of a clip from which every times-th frame is kept: the gap that ends here is the
    second of `TOGETHER`, or another one where the clip begins or ends."""
    kept = list(range(end % times, frames, times))
    first = max(min(kept.index(end) - 2, len(kept) - TOGETHER - 1), 0)
    return kept[first : first + TOGETHER + 1]
