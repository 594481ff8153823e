"""A source and another program's version of it: two videos of one film, and how their times belong together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from maskvfi.errors import MediaError
from maskvfi.options import ProtectOptions
from maskvfi.paths import PathLike
from maskvfi.pipeline.clock import Compared, clock_lines, find_clock
from maskvfi.pipeline.ends import open_source_for
from maskvfi.pipeline.still_pixels import FILTER
from maskvfi.timing.alignment import Alignment
from maskvfi.timing.gaps import Gap
from maskvfi.video import Source, SourceInfo
from maskvfi.video.images import is_image_source
from maskvfi.video.orientation import orientation_of, upright_info
from maskvfi.video.pictures import find_pictures
from maskvfi.video.pixel_format import Colour


@dataclass(frozen=True, slots=True)
class Pairing:
    """A source and another program's version of it.

    Attributes:
        source: The source, from its first frame to its last.
        made: The version; its options say which part of it is read.
        clock: How the times of both belong together.
        colour: What the version's code values mean.
        factor: How many times as large the version is.
    """

    source: Compared
    made: Compared
    clock: Alignment
    colour: Colour
    factor: int

    def open_made(self) -> Source:
        """Open the version."""
        return open_source_for(self.made.path, self.made.options)

    def open_source(self) -> Source:
        """Open the source, a second before the part of the version that is read."""
        begin = self._first - self.lead if self.made.options.window[0] else None
        return open_source_for(self.source.path, replace(self.source.options, start=begin))

    @property
    def lead(self) -> Fraction:
        """By how many seconds the source is read from before the part of the version."""
        if not self.made.options.window[0]:
            return Fraction(0)
        begin = max(Fraction(0), self._first - 1)
        if (lasts := self.source.info.duration) is not None:  # at least its last frame is read
            begin = min(begin, max(Fraction(0), lasts - max(Fraction(1), 1 / self.source.info.rate)))
        return self._first - begin

    @property
    def _first(self) -> Fraction:
        """Where the part of the version begins, in seconds after the source's first frame."""
        start = self.made.options.window[0] or Fraction(0)
        return self.source_time(self.made.info.start_time + start) - self.source.info.start_time

    def source_time(self, pts: Fraction) -> Fraction:
        """The source's time of a time of the version, in seconds, each on its own clock."""
        return self.source.info.start_time + self.clock.source_time(pts - self.made.info.start_time)

    def tolerance(self, gap: Gap) -> Fraction:
        """By how many seconds a frame may seem to come before its source frame, since containers round times."""
        ticks = self.source.info.time_base + self.made.info.time_base
        span = Fraction(1) if gap.end is None else (gap.end.pts - gap.start.pts) / 8
        return min(max(ticks, Fraction(1, 1000)), Fraction(1, 400), span)

    def lines(self) -> Iterator[str]:
        """What a person should know of the clock and the size."""
        yield from clock_lines(self.clock, os.fspath(self.made.path))
        if self.factor > 1:
            small, large = (f"{each.info.width}x{each.info.height}" for each in (self.source, self.made))
            yield f"the source is {small}: scaled to {large} ({FILTER})"


def find_pairing(source: PathLike, interpolated: PathLike, options: ProtectOptions) -> Pairing:
    """Find how a source and another program's version of it belong together.

    Args:
        source: The video that the other program was given, or a folder of images.
        interpolated: What it made of it.
        options: How both are decoded. `start` and `end` are times of `interpolated`, `rate` is that of a folder.

    Returns:
        Both, with their clock.

    Raises:
        MediaError: A video cannot be read, `interpolated` was not made from `source`, or its size or orientation does
            not fit.
    """
    of_made = is_image_source(interpolated) and not is_image_source(source)
    whole = replace(options, start=None, end=None, rate=None if of_made else options.rate)
    with open_source_for(source, whole) as reader:
        stored = reader.info
    rate = (options.rate if of_made else None) or _rate_of(interpolated, source, stored)
    made_options = replace(options, interlaced="keep", rate=rate)
    with open_source_for(interpolated, replace(made_options, start=None, end=None)) as reader:
        info = reader.info
    turned = _is_upright_version(stored, info)
    ours = Compared(source, whole, upright_info(stored) if turned else stored, stored if turned else None)
    theirs = Compared(interpolated, made_options, info)
    factor = _scale_of(ours.info, info)
    return Pairing(ours, theirs, *find_clock(ours, theirs), factor)


def _scale_of(source: SourceInfo, made: SourceInfo) -> int:
    """How many times as large the other video is; raises MediaError if that is no whole number."""
    factor = made.width // source.width
    if factor < 1 or (made.width, made.height) != (factor * source.width, factor * source.height):
        raise MediaError(
            f"{made.path}: is {made.width}x{made.height}, which is no whole multiple of the source's "
            f"{source.width}x{source.height}"
        )
    return factor


def _is_upright_version(source: SourceInfo, made: SourceInfo) -> bool:
    """Whether a turned source was stored upright by the other program; raises MediaError if it is turned otherwise."""
    if orientation_of(source) == orientation_of(made):
        return False
    if orientation_of(made) is not None:
        raise MediaError(f"{made.path}: is turned in another way than {source.path}")
    return True


def _rate_of(interpolated: PathLike, source: PathLike, info: SourceInfo) -> Fraction | None:
    """The frame rate of a folder of images, which says nothing of it: a whole multiple of the source's."""
    if not is_image_source(interpolated):
        return None
    count = len(find_pictures(Path(interpolated)))
    before = len(find_pictures(Path(source))) if is_image_source(source) else info.frames_estimate
    if not before:
        raise MediaError(
            f"{os.fspath(interpolated)}: has no times, and {info.path} does not say how many frames it has"
        )
    # New frames stand between source frames alone. Of two source frames this cannot be told.
    if count > 1 and before > 2 and (count - 1) % (before - 1) == 0:
        return info.rate * ((count - 1) // (before - 1))
    return info.rate * max(1, round(count / before))
