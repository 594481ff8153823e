"""The times of output frames, in exact Fractions of a second, so that nothing drifts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from maskvfi.errors import OptionError
from maskvfi.options import MAX_RATIO, TimeOptions, parse_rate


@dataclass(frozen=True, slots=True)
class Slot:
    """The time of one output frame.

    Attributes:
        pts: When it is shown, in seconds.
        duration: For how long, in seconds.
    """

    pts: Fraction
    duration: Fraction


class Timeline(Protocol):
    """The output frames of one stream, asked for gap by gap in the order of time."""

    def gap(self, start: Fraction, end: Fraction) -> Iterator[Slot]:
        """The output frames with start <= pts < end, between two source frames at these times in seconds."""
        ...

    def tail(self, start: Fraction, duration: Fraction) -> Iterator[Slot]:
        """The output frames of the last source frame, shown at `start` for `duration` seconds."""
        ...


class ByFactor:
    """k-1 new frames in every gap, evenly spaced: n frames become (n-1)*k+1, and VFR stays VFR."""

    def __init__(self, factor: int) -> None:
        """Set the factor.

        Args:
            factor: k, at least 1.

        Raises:
            OptionError: It is no whole number of at least 1.
        """
        if factor != int(factor) or factor < 1:
            raise OptionError(f"factor must be a whole number of at least 1, not {factor}")
        self.factor = int(factor)

    def gap(self, start: Fraction, end: Fraction) -> Iterator[Slot]:
        step = (end - start) / self.factor
        return (Slot(start + j * step, step) for j in range(self.factor))

    def tail(self, start: Fraction, duration: Fraction) -> Iterator[Slot]:
        return iter((Slot(start, duration),))


class ByRate:
    """An even grid of `rate` frames per second from the first frame to the end of the last one."""

    def __init__(self, rate: Fraction | int | str) -> None:
        """Set the rate.

        Args:
            rate: Frames per second, a number or text such as "60000/1001".

        Raises:
            OptionError: It is no positive number.
        """
        self.rate = parse_rate(rate)
        self._origin: Fraction | None = None
        self._next = 0

    def gap(self, start: Fraction, end: Fraction) -> Iterator[Slot]:
        if self._origin is None:
            self._origin = start
        while (pts := self._origin + self._next / self.rate) < end:
            self._next += 1
            yield Slot(pts, 1 / self.rate)

    def tail(self, start: Fraction, duration: Fraction) -> Iterator[Slot]:
        """As `Timeline.tail`; the last frame ends where the source does."""
        end = start + duration
        for slot in self.gap(start, end):
            yield Slot(slot.pts, min(slot.duration, end - slot.pts))


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
            f"the output would have more than {MAX_RATIO} frames for each source frame, or fewer than 1/{MAX_RATIO}"
        )
    return timeline, rate


def _timeline(options: TimeOptions, source: Fraction) -> tuple[Timeline, Fraction]:
    slow = options.stretch
    if options.fps is not None:
        by_rate = ByRate(Fraction(options.fps))
        return by_rate, by_rate.rate
    if options.factor is None and slow.denominator != 1:
        return ByRate(source), source
    by_factor = ByFactor(options.factor or (2 if options.slow is None else int(slow)))
    return by_factor, source * by_factor.factor / slow
