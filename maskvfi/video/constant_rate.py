"""The constant frame rate behind times that a container has rounded, as Matroska does to milliseconds."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer
from av.video.stream import VideoStream

_LOOKED_AT = 32  # packets
_FEWEST_TICKS = 8  # in a frame; of fewer nobody can say whether times are even


@dataclass(frozen=True, slots=True)
class Grid:
    """Evenly spaced times.

    Attributes:
        start: The first one, in seconds.
        rate: How many there are in a second.
        tick: By how many seconds a rounded time may be off.
    """

    start: Fraction
    rate: Fraction
    tick: Fraction

    def exact(self, time: Fraction) -> Fraction:
        """The time on the grid that was rounded to `time`; this itself if it lies further away."""
        near = self.start + round((time - self.start) * self.rate) / self.rate
        return near if abs(near - time) <= self.tick else time


def rounded_rates(stream: VideoStream) -> list[Fraction]:
    """The rates that a stream states and that its ticks cannot hold, so that times of them are rounded."""
    tick = Fraction(stream.time_base or 1)
    rates = [Fraction(rate) for rate in (stream.guessed_rate, stream.average_rate) if rate]
    return [rate for rate in rates if tick * rate * _FEWEST_TICKS <= 1 and 1 / (tick * rate) % 1 != 0]


def find_grid(container: InputContainer, stream: VideoStream, start: Fraction) -> Grid | None:
    """Look at the first packets of a video.

    Args:
        container: The video, opened for this; it is read.
        stream: The stream of its pictures.
        start: The time of the first frame, in seconds.

    Returns:
        The grid that all their times lie on; None if there is none, or the container's ticks are too coarse to tell.
    """
    tick = Fraction(stream.time_base or 1)
    times = _first_times(container, stream)
    for rate in rounded_rates(stream):
        grid = Grid(start, rate, tick)
        if times and all((grid.exact(time) - start) * grid.rate % 1 == 0 for time in times):
            return grid
    return None


def rate_of_first(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """The rate of the first frames of a video.

    Args:
        container: The video, opened for this; it is read.
        stream: The stream of its pictures.

    Returns:
        Frames per second; None if there are fewer than two.
    """
    times = sorted(_first_times(container, stream))
    if len(times) < 2 or times[-1] == times[0]:
        return None
    return ((len(times) - 1) / (times[-1] - times[0])).limit_denominator(1001)


def _first_times(container: InputContainer, stream: VideoStream) -> list[Fraction]:
    """The times in seconds of the first packets of a video, in the order of the file."""
    times: list[Fraction] = []
    with contextlib.suppress(av.error.FFmpegError):
        for packet in container.demux(stream):
            if packet.size and packet.pts is not None and not packet.is_discard:
                times.append(packet.pts * Fraction(packet.time_base))
            if len(times) == _LOOKED_AT:
                break
    return times
