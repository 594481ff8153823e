"""The frames of a gap, made in the source's own planes; each source frame is looked at once."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from maskvfi.ops.tiles import MIN_PIXELS
from maskvfi.synthesis.compose import MovingTile, VideoLayout, compose
from maskvfi.synthesis.interpolator import Interpolator, PreparedGap, View
from maskvfi.timing.gaps import Gap
from maskvfi.video import Frame, MediaError, SourceInfo
from maskvfi.video.planes import planes_to_rgb, quantise, to_tensors

T = TypeVar("T")
MAX_GAPS = 4  # whose masks are made in one pass, if they are no more than
MAX_PIXELS = 5_000_000  # together


@dataclass(slots=True)
class Looked:
    """A source frame on the device: its planes as code values, and as the networks see it."""

    frame: Frame
    planes: tuple[Tensor, ...]
    view: View


@dataclass(slots=True)
class Tally:
    """Over the gaps that could be interpolated: their number, and sums of how much of each was copied and computed."""

    gaps: int = 0
    static: float = 0.0
    computed: float = 0.0


class Renderer:
    """Renders gaps of one source and counts what it did: `tally`, and `seconds`, the time spent per stage.

    Where the device runs out of memory it goes on in smaller tiles, with a line in `warnings`.
    """

    def __init__(self, interpolator: Interpolator, info: SourceInfo, on_cut: str = "hold") -> None:
        self._interpolator, self._info, self._on_cut = interpolator, info, on_cut
        interpolator.vfi.expect(info.height, info.width, interpolator.scale)
        self._layout = VideoLayout(info.format, info.colour)
        self._looked: list[Looked] = []
        self._together = _together(info)
        self.tally = Tally()
        self.warnings: list[str] = []
        self._ready: tuple[Gap, int, PreparedGap] | None = None
        self.seconds: dict[str, float] = defaultdict(float)

    @property
    def device(self) -> torch.device:
        return self._interpolator.device

    @property
    def state(self) -> dict[str, Any]:
        """What a run that goes on from here has to know, in terms of JSON: the tally, and how much is computed at
        once, since frames from smaller tiles are not bit by bit those from larger ones.
        """
        return {"tally": asdict(self.tally), "at_once": self._interpolator.at_once}

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        self.tally, self._interpolator.at_once = Tally(**state["tally"]), state["at_once"]

    def groups(self, gaps: Iterable[Gap]) -> Iterator[list[Gap]]:
        """The gaps of a stream, those together whose masks are made together (`groups_of`)."""
        return groups_of(gaps, self._info)

    def render(self, group: list[Gap]) -> Iterator[Frame]:
        """The output frames of gaps that are looked at together."""
        for gap, weight in self._masked(group):
            yield from self.frames(gap, weight)

    def masks(self, gaps: Iterable[Gap]) -> Iterator[tuple[Gap, Tensor | None]]:
        """Every gap, and how far each of its pixels is copied, [1,1,H,W]; None where there is no mask, or no need."""
        for group in self.groups(gaps):
            yield from self._masked(group)

    def _masked(self, group: list[Gap]) -> Iterator[tuple[Gap, Tensor | None]]:
        if _needs_no_mask(group[0]):
            yield group[0], None
            return
        frames = [group[0].start, *(gap.end for gap in group if gap.end is not None)]
        views = [self._look(frame).view for frame in frames]
        with self._stage("mask"):
            weights = self._in_memory(lambda: self._interpolator.weights(views))
        yield from zip(group, weights, strict=True)

    def frames(self, gap: Gap, weight: Tensor | None) -> Iterator[Frame]:
        """The output frames of a gap with that mask. A frame at time 0 is the source's own, untouched."""
        if gap.end is None or (gap.cut and self._on_cut == "hold") or _identical(gap.start, gap.end):
            if gap.end is not None and not gap.cut:
                self._count(1.0, 0.0)
            for slot, _ in gap.slots:
                yield replace(gap.start, pts=slot.pts, duration=slot.duration)
            return
        counted = gap.cut
        for slot, t in gap.slots:
            if t == 0:
                yield replace(gap.start, pts=slot.pts, duration=slot.duration)
                continue
            planes = self._in_memory(partial(self._between, gap, weight, float(t)))
            if not counted:
                self._count(*self._shares(gap, weight))
                counted = True
            yield Frame(planes, self._info.format, slot.pts, slot.duration)

    def _between(self, gap: Gap, weight: Tensor | None, time: float) -> tuple[np.ndarray, ...]:
        """The planes of the frame at `time`."""
        assert gap.end is not None
        start, end = self._look(gap.start), self._look(gap.end)
        moving: Iterator[MovingTile] = iter(())
        if not gap.cut:
            with self._stage("network"):
                prepared = self._prepared(gap, weight, start.view, end.view)
            moving = self._interpolator.moving(prepared, time)
        with self._stage("fuse"):
            composed = compose(
                start.planes,
                end.planes,
                time,
                self._timed(moving),
                None if gap.cut else weight,
                self._layout,
                self._interpolator.static,
                self._interpolator.protect,
            )
            return quantise(composed, self._info.format)

    def _prepared(self, gap: Gap, weight: Tensor | None, start: View, end: View) -> PreparedGap:
        """What the network needs at every time of the gap, made once for tiles of a size."""
        size = self._interpolator.at_once
        if self._ready is None or self._ready[0] is not gap or self._ready[1] != size:
            boxes = self._interpolator.boxes(weight)
            self._ready = gap, size, self._interpolator.gap(start, end, weight, boxes)
        return self._ready[2]

    def _shares(self, gap: Gap, weight: Tensor | None) -> tuple[float, float]:
        """Of the picture, what is copied and what the network computes."""
        if weight is None:
            return 0.0, 1.0
        pixels = weight.shape[-2] * weight.shape[-1]
        return float(weight.mean()), sum(box.area for box in self._interpolator.boxes(weight)) / pixels

    def _in_memory(self, work: Callable[[], T]) -> T:
        """What `work` returns, in smaller tiles if the device has no memory for those it would take."""
        while True:
            try:
                return work()
            except torch.OutOfMemoryError as error:
                self._ready = None
                if self._interpolator.at_once <= MIN_PIXELS:
                    raise MediaError(
                        f"{self._info.path}: {self._interpolator.device} has too little memory for its frames"
                    ) from error
                most = min(self._interpolator.at_once, self._info.width * self._info.height)
                self._interpolator.at_once = max(MIN_PIXELS, most // 2)
                line = f"{self._interpolator.device} was short of memory: frames are computed in tiles"
                self.warnings = [line]
                torch.cuda.empty_cache()

    def _count(self, static: float, computed: float) -> None:
        self.tally.gaps += 1
        self.tally.static += static
        self.tally.computed += computed

    def _look(self, frame: Frame) -> Looked:
        for known in self._looked:
            if known.frame.planes is frame.planes:
                return known
        with self._stage("convert"):
            planes = to_tensors(frame.planes, self._interpolator.device)
            view = self._interpolator.view(planes_to_rgb(planes, frame.format, self._info.colour))
        looked = Looked(frame, planes, view)
        self._looked = [*self._looked[-self._together :], looked]
        return looked

    def _timed(self, moving: Iterator[MovingTile]) -> Iterator[MovingTile]:
        while True:
            with self._stage("network"):
                found = next(moving, None)
            if found is None:
                return
            yield found

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """What goes by inside counts for `name`, but for what counts for a stage inside it."""
        began, others = time.perf_counter(), sum(self.seconds.values())
        try:
            yield
        finally:
            inside = sum(self.seconds.values()) - others
            self.seconds[name] += time.perf_counter() - began - inside


def groups_of(gaps: Iterable[Gap], info: SourceInfo) -> Iterator[list[Gap]]:
    """The gaps of a stream, those together whose masks are made together.

    Up to MAX_GAPS neighbouring gaps are looked at in one pass, so that the mask of a subtitle holds from gap to
    gap; that is also how far the stream is read ahead.
    """
    group: list[Gap] = []
    for gap in gaps:
        alone = _needs_no_mask(gap)
        if group and (alone or len(group) == _together(info) or gap.start is not group[-1].end):
            yield group
            group = []
        if alone:
            yield [gap]
        else:
            group.append(gap)
    if group:
        yield group


def _together(info: SourceInfo) -> int:
    return max(1, min(MAX_GAPS, MAX_PIXELS // (info.width * info.height)))


def _needs_no_mask(gap: Gap) -> bool:
    return gap.end is None or gap.cut or _identical(gap.start, gap.end)


def _identical(a: Frame, b: Frame) -> bool:
    return all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))
