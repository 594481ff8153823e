"""Renders the frames of a gap in the source's own planes. Each source frame is converted and encoded once."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from maskvfi.allocator import keep_for_frames
from maskvfi.errors import short_of_memory
from maskvfi.ops.highlights import brightest_of
from maskvfi.ops.tiles import LARGE_FRAME, MIN_PIXELS
from maskvfi.synthesis.compose import MovingTile, compose
from maskvfi.synthesis.copied import Copied
from maskvfi.synthesis.interpolator import Interpolator, PreparedGap, View
from maskvfi.synthesis.layouts import VideoLayout
from maskvfi.timing.gaps import Gap
from maskvfi.video import Frame, MediaError, SourceInfo
from maskvfi.video.planes import (
    opacity_of,
    over_backdrop,
    planes_to_rgb,
    quantise,
    replace_non_finite,
    to_tensors,
)

T = TypeVar("T")
Painted = Callable[[Gap], tuple[Tensor | None, Tensor | None]]  # protect and release for a gap
MAX_GAPS = 4  # the most gaps whose masks are computed in one pass
MAX_PIXELS = 5_000_000  # the most pixels of these gaps together


@dataclass(slots=True)
class LoadedFrame:
    """A source frame on the device.

    Attributes:
        frame: The frame as it was decoded.
        planes: Its planes as code values, finite where they are floats.
        view: The frame in RGB, for the networks.
    """

    frame: Frame
    planes: tuple[Tensor, ...]
    view: View


@dataclass(slots=True)
class Tally:
    """Counts over the gaps that are not cuts.

    Attributes:
        gaps: The number of those that got new frames, and of those between equal frames.
        static: The sum of the shares of each picture that were copied.
        computed: The sum of the shares of each picture that the interpolation network computed.
    """

    gaps: int = 0
    static: float = 0.0
    computed: float = 0.0


class Renderer:
    """Renders the gaps of one source. If the device runs out of memory, it continues in smaller tiles.

    Args:
        interpolator: Makes the frames; its tile size may be reduced.
        info: The size in px, pixel format and colours of the source.
        on_cut: "hold" repeats the earlier frame over a cut, "blend" fades to the next one.

    Attributes:
        tally: How much was copied and computed.
        seconds: Seconds by stage.
    """

    def __init__(self, interpolator: Interpolator, info: SourceInfo, on_cut: str = "hold") -> None:
        self._interpolator, self._info, self._on_cut = interpolator, info, on_cut
        interpolator.vfi.expect(info.height, info.width, interpolator.scale)
        keep_for_frames(small=info.width * info.height <= LARGE_FRAME)
        self._layout = VideoLayout(info.format, info.colour)
        self._loaded: list[LoadedFrame] = []
        self._group_size = group_size(info.width, info.height)
        self.tally = Tally()
        self._short_of_memory = False
        self._not_finite = 0  # pixels of source frames
        self._brightest: float | None = None
        self._counted: Fraction | None = None  # the last source frame whose pixels were counted
        self._ready: tuple[Gap, int, PreparedGap] | None = None
        self.seconds: dict[str, float] = defaultdict(float)

    @property
    def device(self) -> torch.device:
        """The device that computes."""
        return self._interpolator.device

    @property
    def warnings(self) -> list[str]:
        """A line if tiles had to be made smaller, and one if pixels of source frames are not finite numbers."""
        lines = []
        if self._short_of_memory:
            lines.append(f"{self.device} was short of memory: frames are computed in tiles")
        if self._not_finite:
            lines.append(
                f"{self._info.path}: {self._not_finite} pixels are not finite numbers: replaced in new frames"
            )
        return lines

    @property
    def state(self) -> dict[str, Any]:
        """What a resumed run needs to continue from here, as JSON types.

        It is the tally, what is warned of, and the tile size: frames from smaller tiles differ in their last bits.
        """
        return {
            "tally": asdict(self.tally),
            "at_once": self._interpolator.at_once,
            "short_of_memory": self._short_of_memory,
            "not_finite": self._not_finite,
        }

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        self.tally, self._interpolator.at_once = Tally(**state["tally"]), state["at_once"]
        self._short_of_memory = state.get("short_of_memory", False)  # older runs do not say
        self._not_finite = state.get("not_finite", 0)

    @property
    def brightest(self) -> float | None:
        """The brightest colour of the frames that are rendered together; None if all their colours are in 0..1."""
        return self._brightest

    @brightest.setter
    def brightest(self, brightest: float | None) -> None:
        if brightest != self._brightest:  # the networks have to see the frames anew
            self._brightest, self._loaded = brightest, []

    def groups(self, gaps: Iterable[Gap]) -> Iterator[list[Gap]]:
        """Group the gaps whose masks are computed together, see `groups_of`."""
        return groups_of(gaps, self._info)

    def render(self, group: list[Gap]) -> Iterator[Frame]:
        """Render a group of gaps.

        Args:
            group: One of `groups`.

        Yields:
            The output frames, in the order of time.

        Raises:
            MediaError: The device has too little memory even for the smallest tiles.
        """
        made = any(0 < t < 1 for gap in group for _, t in gap.slots)
        for gap, copied in self._masked(group) if made else ((gap, None) for gap in group):
            yield from self.frames(gap, copied)

    def masks(
        self, gaps: Iterable[Gap], painted: Painted | None = None
    ) -> Iterator[tuple[Gap, Copied | None]]:
        """Compute the masks of gaps.

        Args:
            gaps: In the order of time.
            painted: Gives a gap the masks that are painted for it, which the interpolator then has until the next gap;
                by default it keeps those that it has.

        Yields:
            Every gap, and how its pixels are copied. None without a mask, over a cut, at the end, and between equal
            frames.
        """
        for group in self.groups(gaps):
            yield from self._masked(group, painted)

    def _masked(
        self, group: list[Gap], painted: Painted | None = None
    ) -> Iterator[tuple[Gap, Copied | None]]:
        interpolator = self._interpolator
        if _needs_no_mask(group[0]):
            if painted is not None:
                interpolator.paint(*painted(group[0]))
            yield group[0], None
            return
        views = self.views([group[0].start, *(gap.end for gap in group if gap.end is not None)])
        with self._stage("mask"):
            masks = self._within_memory(lambda: interpolator.masks(views))
        for view in views[:-1]:  # the next group begins with the last one
            view.features = None
        copied: Sequence[Copied | None] = ()
        for place, gap in enumerate(group):
            if painted is not None:
                interpolator.paint(*painted(gap))
            if painted is not None or not copied:
                with self._stage("mask"):
                    copied = self._within_memory(lambda: interpolator.decide(masks, views))
            yield gap, copied[place]

    def views(self, frames: Sequence[Frame]) -> list[View]:
        """Load frames onto the device, as the networks see them: together, since highlights are compressed alike.

        Args:
            frames: Of the source.

        Returns:
            What the interpolator takes.
        """
        self._ready = None  # it keeps frames of those before
        self.brightest = _brightest(frames)
        return self._within_memory(lambda: [self._load(frame).view for frame in frames])

    def frames(self, gap: Gap, copied: Copied | None) -> Iterator[Frame]:
        """Render one gap. A frame at time 0 or 1 is the source's own, untouched.

        Args:
            gap: The gap.
            copied: How its pixels are copied; None if none is.

        Yields:
            The output frames, in the order of time.
        """
        if gap.end is None:  # the stream ends, and the encoder needs memory for what it still holds
            self._loaded, self._ready = [], None
        if gap.end is None or (gap.cut and self._on_cut == "hold") or _identical(gap.start, gap.end):
            if gap.end is not None and not gap.cut:
                self.count(1.0)
            for slot, _ in gap.slots:
                yield replace(gap.start, pts=slot.pts, duration=slot.duration)
            return
        counted = gap.cut
        for slot, t in gap.slots:
            if t in (0, 1):
                own = gap.end if t else gap.start
                yield replace(own, pts=slot.pts, duration=slot.duration)
                continue
            planes = self._within_memory(partial(self._between, gap, copied, float(t)))
            if not counted:
                assert self._ready is not None
                static = 0.0 if copied is None else float(copied.weight.mean())
                self.count(static, self._ready[2].computed)
                counted = True
            origin = (gap.start if 2 * t < 1 else gap.end).origin
            yield Frame(planes, self._info.format, slot.pts, slot.duration, origin=origin)

    def _between(self, gap: Gap, copied: Copied | None, time: float) -> tuple[np.ndarray, ...]:
        """The planes of the frame at `time`."""
        assert gap.end is not None
        copied = None if gap.cut else copied
        start, end = self._load(gap.start), self._load(gap.end)
        moving: Iterator[MovingTile] = iter(())
        if not gap.cut:
            with self._stage("network"):
                weight = None if copied is None else copied.weight
                prepared = self._prepared(gap, weight, start.view, end.view)
            moving = self._interpolator.moving(prepared, time)
        with self._stage("fuse"):
            composed = compose(
                start.planes,
                end.planes,
                time,
                self._timed(moving),
                copied,
                self._layout,
                self._interpolator.static,
                self._interpolator.protect,
            )
            return quantise(composed, self._info.format)

    def _prepared(self, gap: Gap, weight: Tensor | None, start: View, end: View) -> PreparedGap:
        """The prepared gap. It is computed once, and again only if the tile size has changed."""
        size = self._interpolator.at_once
        if self._ready is None or self._ready[0] is not gap or self._ready[1] != size:
            boxes = self._interpolator.boxes(weight)
            self._ready = gap, size, self._interpolator.gap(start, end, weight, boxes)
        return self._ready[2]

    def _within_memory(self, work: Callable[[], T]) -> T:
        """Return what `work` returns. If the device is out of memory, try again with smaller tiles."""
        while True:
            try:
                return work()
            except (MemoryError, RuntimeError) as error:
                if not short_of_memory(error):
                    raise
                self._ready = None
                if self._interpolator.at_once <= MIN_PIXELS:
                    raise MediaError(
                        f"{self._info.path}: {self._interpolator.device} has too little memory for its frames"
                    ) from error
                pixels = min(self._interpolator.at_once, self._info.width * self._info.height)
                self._interpolator.at_once = max(MIN_PIXELS, pixels // 2)
                self._short_of_memory = True
                torch.cuda.empty_cache()

    def count(self, static: float, computed: float = 0.0) -> None:
        """Count a gap in the tally.

        Args:
            static: The share of its picture that stands still.
            computed: The share that the interpolation network computed.
        """
        self.tally.gaps += 1
        self.tally.static += static
        self.tally.computed += computed

    def _load(self, frame: Frame) -> LoadedFrame:
        for known in self._loaded:
            if known.frame.planes is frame.planes:
                return known
        self._loaded = self._loaded[-self._group_size :]
        with self._stage("convert"):
            planes, replaced = replace_non_finite(to_tensors(frame.planes, self._interpolator.device))
            if self._counted is None or frame.pts > self._counted:
                self._counted = frame.pts
                self._not_finite += replaced
            rgb = planes_to_rgb(planes, frame.format, self._info.colour)
            seen = over_backdrop(rgb, opacity_of(planes, frame.format))
            translucent = frame.format.alpha and bool(frame.planes[-1].min() < frame.format.white)
            view = self._interpolator.view(seen, translucent, self._brightest)
        loaded = LoadedFrame(frame, planes, view)
        self._loaded.append(loaded)
        return loaded

    def _timed(self, moving: Iterator[MovingTile]) -> Iterator[MovingTile]:
        while True:
            with self._stage("network"):
                tile = next(moving, None)
            if tile is None:
                return
            yield tile

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """Add the time spent in the block to a stage, except the time of stages inside the block."""
        began, others = time.perf_counter(), sum(self.seconds.values())
        try:
            yield
        finally:
            inside = sum(self.seconds.values()) - others
            self.seconds[name] += time.perf_counter() - began - inside


def groups_of(gaps: Iterable[Gap], info: SourceInfo) -> Iterator[list[Gap]]:
    """Group the gaps whose masks are computed together.

    Up to MAX_GAPS neighbouring gaps form a group, so that the mask of a subtitle is steady from gap to gap. The stream
    is read ahead by one group.

    Args:
        gaps: In the order of time.
        info: The source; groups of large frames are smaller.

    Yields:
        The groups. A cut, the end, or a gap between equal frames is a group of its own.
    """
    group: list[Gap] = []
    for gap in gaps:
        alone = _needs_no_mask(gap)
        if group and (
            alone or len(group) == group_size(info.width, info.height) or gap.start is not group[-1].end
        ):
            yield group
            group = []
        if alone:
            yield [gap]
        else:
            group.append(gap)
    if group:
        yield group


def group_size(width: int, height: int) -> int:
    """The most gaps between frames of this size in px whose masks are computed together."""
    return max(1, min(MAX_GAPS, MAX_PIXELS // (width * height)))


def _needs_no_mask(gap: Gap) -> bool:
    return gap.end is None or gap.cut or _identical(gap.start, gap.end)


def _brightest(frames: Sequence[Frame]) -> float | None:
    """What `brightest_of` says of frames; None for pixel formats that end at white."""
    if not frames[0].format.is_float:
        return None
    return brightest_of(plane for frame in frames for plane in frame.planes[: frame.format.colour_planes])


def _identical(a: Frame, b: Frame) -> bool:
    return all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))
