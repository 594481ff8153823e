"""Find the clock of a video that another program made from a source, by comparing small pictures of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

MAX_SHIFT = 2.0  # seconds by which the clocks may differ, beside a drift
MAX_DRIFT = 0.06  # a film sped up for PAL has 0.043
NEAR = 0.25  # seconds around the common shift in which each window looks for its own
# A frame counts as an unchanged source frame if it differs from it by less than this share of the difference
# between that and the source's next frame.
EXACT = 0.15
MOTION = 1.0  # 8-bit code values; frames that differ less say nothing of the time
SLACK = 0.002  # seconds: what containers round
UNLIKE = 4.0  # 8-bit code values; that much coding, scaling and sharpening may change
ALIKE = 0.5  # the least correlation of the changes of both videos over time
CHANGE = 1.5  # 8-bit code values; less change over time is not compared


@dataclass(frozen=True, slots=True)
class Samples:
    """Small pictures of consecutive frames of a video.

    Attributes:
        times: When they are shown, in seconds after the video's first frame, [N], increasing.
        pictures: Their pixels in 8-bit code values, [N,D] float32.
    """

    times: np.ndarray
    pictures: np.ndarray


@dataclass(frozen=True, slots=True)
class Alignment:
    """How the times of a video relate to those of its source, each counted from the first frame.

    A source frame at time T is shown at T * (1 + drift) + offset.

    Attributes:
        offset: In seconds.
        drift: The relative difference of the clocks' speed.
        difference: How much the pictures differ at equal times, the median of root mean squares in 8-bit code values.
        motion: How much neighbouring source frames differ, in the same unit.
        likeness: The correlation of the changes over time; 1 where the source does not change, or one of the videos is
            a single frame.
    """

    offset: Fraction
    drift: Fraction
    difference: float
    motion: float
    likeness: float

    @property
    def same_film(self) -> bool:
        """Whether the video was made from the source."""
        return self.difference <= max(UNLIKE, self.motion) and self.likeness >= ALIKE

    def source_time(self, time: Fraction) -> Fraction:
        """The source's time, in seconds after its first frame, of a time of the video, counted in the same way."""
        return (time - self.offset) / (1 + self.drift)


def align(windows: Sequence[tuple[Samples, Samples]], ratio: float = 1.0) -> Alignment:
    """Find the clock of a video.

    Where source frames are found unchanged, a line through their times gives offset and drift. Otherwise the offset is
    the shift at which the videos differ least.

    Args:
        windows: Samples of the source and of the video, from one part or more of both. The video's reach farther.
        ratio: The video's duration divided by the source's.

    Returns:
        The alignment that fits best, also where the videos have nothing in common.
    """
    pairs = [_Pair(*window) for window in windows]
    drifts = (
        [0.0, ratio - 1] if abs(ratio - 1) * _span(pairs) > SLACK and abs(ratio - 1) < MAX_DRIFT else [0.0]
    )
    drift, shift, _ = min((_common_shift(pairs, each) for each in drifts), key=lambda found: found[2])
    matches = [
        match for pair in pairs for match in pair.matches(pair.best_shift(drift, shift, NEAR)[0], drift)
    ]
    offset = shift
    if len(matches) >= 3:
        offset, drift = _line(np.array(matches), drift)
    elif abs(shift) < SLACK:
        offset = 0.0
    errors = np.concatenate([pair.errors(np.array([offset]), drift)[0] for pair in pairs])
    return Alignment(
        Fraction(offset).limit_denominator(100_000),
        Fraction(drift).limit_denominator(10_000_000),
        _median(errors),
        _median(np.concatenate([pair.steps for pair in pairs])),
        min((pair.likeness(offset, drift) for pair in pairs), default=1.0),
    )


class _Pair:
    """A window of both videos, with the distances between all their pictures."""

    def __init__(self, source: Samples, made: Samples) -> None:
        self.source, self.made = source, made
        a, b = source.pictures, made.pictures
        squares = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * (a @ b.T)
        self._squares = np.maximum(squares / a.shape[1], 0)  # [N,M] mean square differences
        self._made_steps = np.square(np.diff(b, axis=0)).mean(1)
        self.steps = np.sqrt(np.square(np.diff(a, axis=0)).mean(1))  # [N-1]

    def errors(self, shifts: np.ndarray, drift: float) -> np.ndarray:
        """How much every source picture differs from the video at its time, [shifts,N]; NaN where there is none."""
        times = self.made.times
        at = self.source.times[None] * (1 + drift) + shifts[:, None]
        inside = (at > times[0] - SLACK) & (at < times[-1] + SLACK)
        at = at.clip(times[0], times[-1])
        before = (np.searchsorted(times, at, "right") - 1).clip(0, max(len(times) - 2, 0))
        after = np.minimum(before + 1, len(times) - 1)
        gap = np.maximum(times[after] - times[before], 1e-9)
        share = ((at - times[before]) / gap).clip(0, 1)
        rows = np.arange(len(self.source.times))[None]
        step = self._made_steps[before] if len(times) > 1 else 0
        squares = (1 - share) * self._squares[rows, before] + share * self._squares[rows, after]
        squares = np.maximum(squares - share * (1 - share) * step, 0)
        return np.where(inside, np.sqrt(squares), np.nan)

    def best_shift(self, drift: float, around: float, reach: float) -> tuple[float, float]:
        """The shift at which the pictures differ least, near another one, and how much they differ there."""
        return _best([self], drift, around, reach)

    def matches(self, shift: float, drift: float) -> list[tuple[float, float]]:
        """(source time, video time) in seconds of every source frame that the video holds unchanged."""
        found = []
        times, steps = self.source.times, self.steps
        for k, time in enumerate(times):
            near = [steps[j] for j in (k - 1, k) if 0 <= j < len(steps)]
            gaps = [times[j + 1] - times[j] for j in (k - 1, k) if 0 <= j < len(steps)]
            if not near or min(near) < MOTION:
                continue
            at = time * (1 + drift) + shift
            first, last = np.searchsorted(self.made.times, (at - max(gaps), at + max(gaps)))
            if first == last:
                continue
            best = first + int(np.argmin(self._squares[k, first:last]))
            if np.sqrt(self._squares[k, best]) < EXACT * min(near):
                found.append((float(time), float(self.made.times[best])))
        return found

    def likeness(self, offset: float, drift: float) -> float:
        """The correlation of the changes of both videos over time; 1 where one of them has no change to compare."""
        times = self.made.times
        if min(len(times), len(self.source.times)) < 2:
            return 1.0
        at = self.source.times * (1 + drift) + offset
        inside = (at > times[0] - SLACK) & (at < times[-1] + SLACK)
        nearest = np.abs(times[None] - at[:, None]).argmin(1)
        if inside.sum() < 2:
            return 0.0
        a, b = self.source.pictures[inside], self.made.pictures[nearest[inside]]
        a, b = a - a.mean(0), b - b.mean(0)
        strength = float(np.sqrt(np.square(a).mean()))
        if strength < CHANGE:
            return 1.0
        return float((a * b).sum() / max(np.sqrt(np.square(a).sum() * np.square(b).sum()), 1e-9))


def _common_shift(pairs: Sequence[_Pair], drift: float) -> tuple[float, float, float]:
    """The drift, the shift at which all windows together differ least, and how much they differ there."""
    return (drift, *_best(pairs, drift, 0.0, MAX_SHIFT))


def _best(pairs: Sequence[_Pair], drift: float, around: float, reach: float) -> tuple[float, float]:
    """The best shift, and the mean difference at it. Of shifts that are as good, the one nearest to `around`."""
    gaps = [np.diff(pair.made.times) for pair in pairs if len(pair.made.times) > 1]
    step = float(np.median(np.concatenate(gaps))) / 4 if gaps else reach
    count = min(int(reach / max(step, 1e-3)), 2000)
    shifts = around + np.linspace(-reach, reach, 2 * count + 1) if count else np.array([around])
    errors = np.concatenate([pair.errors(shifts, drift) for pair in pairs], axis=1)
    enough = (~np.isnan(errors)).mean(1) >= 0.5
    if not enough.any():
        return around, float("inf")
    costs = np.full(len(shifts), np.inf)
    costs[enough] = np.nanmean(errors[enough], axis=1)
    good = costs <= costs.min() * 1.02 + 0.02
    best = int(np.argmin(np.where(good, np.abs(shifts - around), np.inf)))
    return float(shifts[best]), float(costs[best])


def _line(matches: np.ndarray, drift: float) -> tuple[float, float]:
    """Offset and drift of a line through most of the matches; small ones count as zero."""
    here, there = matches[:: max(1, len(matches) // 300)].T
    late = there - here
    first, second = np.triu_indices(len(here), 1)
    far = np.abs(here[second] - here[first]) > 0.25 * np.ptp(here)
    slope = drift
    if far.any():
        slope = float(np.median((late[second] - late[first])[far] / (here[second] - here[first])[far]))
    slope = 0.0 if abs(slope) * np.ptp(here) < 2 * SLACK else slope
    offset = float(np.median(late - slope * here))
    return (0.0 if abs(offset) < SLACK else offset), slope


def _span(pairs: Sequence[_Pair]) -> float:
    return max((float(pair.source.times[-1]) for pair in pairs), default=0.0)


def _median(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else float("inf") if len(values) else 0.0
