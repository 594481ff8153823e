"""The times of a file's frames in ticks: exact where they can be, strictly growing always."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

_OFF_GRID = Fraction(1, 10)  # of a frame: more than a container's own rounding


@dataclass(slots=True)
class Placed:
    """What is to be known of the frames before: their number, their last ticks, how many were moved or lie off the
    grid of a constant rate.
    """

    count: int = 0
    last: int | None = None
    end: int | None = None
    moved: int = 0
    off_grid: int = 0


@dataclass(slots=True)
class Clock:
    """Puts frames on ticks of `tick` seconds, counted from `shift` (None: from the first frame).

    fixed_rate: a tick is a frame; gapless: and every tick has one.
    """

    tick: Fraction
    shift: Fraction | None = None
    fixed_rate: bool = False
    gapless: bool = False
    at: Placed = field(default_factory=Placed)

    def place(self, pts: Fraction, duration: Fraction) -> tuple[int, int]:
        """The next frame's first tick, and for how many it lasts; pts and duration are seconds."""
        at = self.at
        if self.shift is None:
            self.shift = pts
        exact = (pts - self.shift) / self.tick
        begin = round(exact)
        if self.fixed_rate:
            at.off_grid += abs(begin - exact) > _OFF_GRID or (self.gapless and begin != at.count)
        at.count += 1
        stop = round((pts + duration - self.shift) / self.tick)
        if at.last is not None and begin <= at.last:
            begin = at.last + 1
            at.moved += 1
        at.last = begin
        at.end = begin + max(1, stop - begin)
        return begin, at.end - begin

    def state(self) -> dict[str, Any]:
        """Where it stands, in terms of JSON."""
        return {"at": asdict(self.at), "shift": None if self.shift is None else str(self.shift)}

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Stand where a clock stood that gave `state`."""
        self.at = Placed(**state["at"])
        self.shift = None if state["shift"] is None else Fraction(state["shift"])
