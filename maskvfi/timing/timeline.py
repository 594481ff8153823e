"""Which output frame at which time: Fractions of a second only, so that nothing ever drifts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from maskvfi.errors import OptionError
from maskvfi.options import parse_rate


@dataclass(frozen=True, slots=True)
class Slot:
    """One output frame: shown at `pts` for `duration`, both in seconds."""

    pts: Fraction
    duration: Fraction


class Timeline(Protocol):
    """Output times, asked for gap by gap; each gap is half open, so every time belongs to one gap only."""

    def gap(self, start: Fraction, end: Fraction) -> Iterator[Slot]:
        """The output frames with start <= time < end, between two neighbouring source frames."""
        ...

    def tail(self, start: Fraction, duration: Fraction) -> Iterator[Slot]:
        """The output frames of the last source frame, which lasts for `duration`."""
        ...


class ByFactor:
    """k-1 new frames in every gap, evenly: n frames become (n-1)*k+1, and variable timing stays variable."""

    def __init__(self, factor: int) -> None:
        """Raises OptionError unless factor is a whole number of at least 1."""
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
        """Raises OptionError unless rate is a positive number, or text such as "60000/1001"."""
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
        """The last of them is cut where the source ends."""
        end = start + duration
        for slot in self.gap(start, end):
            yield Slot(slot.pts, min(slot.duration, end - slot.pts))
