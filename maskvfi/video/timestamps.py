"""Frame times in ticks: exact where the time base allows it, and always increasing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any

_MAX_OFF_GRID = Fraction(1, 10)  # of a frame: more than a container's own rounding


@dataclass(slots=True)
class Placed:
    """What a clock remembers of the frames that it has placed.

    Attributes:
        count: How many there are.
        last: The first tick of the last one.
        end: The tick at which the last one ends.
        moved: How many were moved because they were not later than the frame before.
        off_grid: How many do not lie on the grid of a constant rate.
        phase: By which part of a tick frames of a fixed rate are late, all of them; None before the first one.
        furthest: By how many seconds the one farthest from its time was moved.
    """

    count: int = 0
    last: int | None = None
    end: int | None = None
    moved: int = 0
    off_grid: int = 0
    phase: float | None = None
    furthest: float = 0.0


@dataclass(slots=True)
class Clock:
    """Places frames on the ticks of a file.

    Attributes:
        tick: Seconds per tick.
        shift: The time of tick 0, in seconds of the source; None for the time of the first frame.
        fixed_rate: Every frame lasts one tick.
        gapless: Every tick has a frame.
        at: The frames that are placed.
    """

    tick: Fraction
    shift: Fraction | None = None
    fixed_rate: bool = False
    gapless: bool = False
    at: Placed = field(default_factory=Placed)

    def place(self, pts: Fraction, duration: Fraction) -> tuple[int, int]:
        """Place the next frame.

        Args:
            pts: When it is shown, in seconds of the source.
            duration: How long, in seconds.

        Returns:
            Its first tick, and for how many ticks it lasts.
        """
        at = self.at
        if self.shift is None:
            self.shift = pts
        exact = (pts - self.shift) / self.tick
        if at.phase is None:
            at.phase = float(exact - round(exact)) if self.fixed_rate else 0.0
        phase = Fraction(at.phase)
        begin = round(exact - phase)
        if self.fixed_rate:
            off = abs(begin + phase - exact) > _MAX_OFF_GRID
            at.off_grid += off or (self.gapless and begin != at.count)
        at.count += 1
        stop = round((pts + duration - self.shift) / self.tick - phase)
        if at.last is not None and begin <= at.last:
            begin = at.last + 1
            at.moved += 1
        shown = at.count - 1 if self.gapless else begin
        at.furthest = max(at.furthest, abs(float((shown - exact) * self.tick)))
        at.last = begin
        at.end = begin + max(1, stop - begin)
        return begin, at.end - begin

    def state(self) -> dict[str, Any]:
        """What `restore` needs, in terms of JSON."""
        return {"at": asdict(self.at), "shift": None if self.shift is None else str(self.shift)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where the clock was that returned this `state`."""
        at = state["at"]
        self.at = Placed(**{"phase": 0.0 if at["count"] else None, **at})  # older runs had no phase
        self.shift = None if state["shift"] is None else Fraction(state["shift"])
