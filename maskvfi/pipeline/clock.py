"""The clock of a video that another program made from a source: found by comparing small pictures of both."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from maskvfi.errors import MediaError
from maskvfi.options import DecodeOptions
from maskvfi.paths import PathLike
from maskvfi.pipeline.ends import open_source_for
from maskvfi.pipeline.still_pixels import SMALL
from maskvfi.timing.alignment import Alignment, Samples, align
from maskvfi.timing.scenes import thumbnail
from maskvfi.video import Frame, SourceInfo
from maskvfi.video.orientation import upright_frame
from maskvfi.video.pixel_format import Colour, is_unspecified

# Seconds: what is compared of a short film, and of each part of a long one.
WHOLE, WINDOW = Fraction(12), Fraction(4)
REACH = Fraction(3)  # seconds that are read of the other video around a window
SMALL_OFFSET = Fraction(1, 200)  # seconds: a smaller offset is not worth a line

Spans = list[tuple[Fraction | None, Fraction | None]]


@dataclass(frozen=True, slots=True)
class Compared:
    """One of the two videos.

    Attributes:
        path: Where it is.
        options: How it is decoded.
        info: What is known of all of it, as it is compared.
        stored: What is known of it as it is stored, if its frames have to be turned upright; else None.
    """

    path: PathLike
    options: DecodeOptions
    info: SourceInfo
    stored: SourceInfo | None = None

    def upright(self, frame: Frame) -> Frame:
        """A frame as it is compared."""
        return frame if self.stored is None else upright_frame(frame, self.stored)


def find_clock(source: Compared, made: Compared) -> tuple[Alignment, Colour]:
    """Find the clock and the colours of a video that was made from another one.

    Args:
        source: The video that the other program was given.
        made: What it made of it. If the matrix of its colours has no tag, it may be the source's.

    Returns:
        How the times of both belong together, and the meaning of the code values of `made`.

    Raises:
        MediaError: A video cannot be read, or `made` was not made from `source`.
    """
    lasts = source.info.duration, made.info.duration
    ratio = float(lasts[1] / lasts[0]) if lasts[0] and lasts[1] else 1.0
    windows = _windows(min((each for each in lasts if each), default=WHOLE), Fraction(ratio))
    colours = [made.info.colour]
    both_yuv = made.info.format.family == source.info.format.family == "yuv"
    if both_yuv and is_unspecified(made.info.colour.matrix_tag):
        colours.append(replace(made.info.colour, matrix=source.info.colour.matrix))
    ours = [_samples(source, [source.info.colour], *span)[0] for span in windows[0]]
    theirs = [_samples(made, colours, *span) for span in windows[1]]
    found = []
    for number, colour in enumerate(colours):
        pairs = [(mine, their[number]) for mine, their in zip(ours, theirs, strict=True)]
        pairs = [pair for pair in pairs if all(len(samples.times) for samples in pair)]
        found.append((align(pairs, ratio), colour))
    clock, colour = min(found, key=lambda each: each[0].difference)
    if not clock.same_film:
        raise MediaError(
            f"{os.fspath(made.path)}: was not made from {os.fspath(source.path)}: at equal times the pictures "
            f"differ by {min(clock.difference, 255):.0f} of 255, and their changes are "
            f"{max(clock.likeness, 0):.0%} alike"
        )
    return clock, colour


def clock_lines(clock: Alignment, name: str) -> Iterator[str]:
    """What a person should know of the clock of the video `name`."""
    if abs(clock.offset) >= SMALL_OFFSET:
        way = "later" if clock.offset > 0 else "earlier"
        yield f"{name}: its frames are shown {abs(float(clock.offset)):.3f} s {way} than the source's"
    if clock.drift:
        way = "slow" if clock.drift > 0 else "fast"
        yield f"{name}: its clock is {abs(float(clock.drift)):.3%} {way} against the source's"


def _windows(duration: Fraction, ratio: Fraction) -> tuple[Spans, Spans]:
    """The parts that are compared, in seconds from the first frame: of the source, and of the other video."""
    if duration <= WHOLE:
        return [(None, WHOLE + REACH)], [(None, WHOLE + 2 * REACH)]
    starts = (Fraction(0), (duration - WINDOW) / 2, duration - WINDOW)
    stretch = ratio if abs(ratio - 1) < Fraction(6, 100) else Fraction(1)
    return (
        [(start, start + WINDOW) for start in starts],
        [(max(Fraction(0), start * stretch - REACH), start * stretch + WINDOW + REACH) for start in starts],
    )


def _samples(
    video: Compared, colours: Sequence[Colour], start: Fraction | None, end: Fraction | None
) -> list[Samples]:
    """Small pictures of the frames of a part, once for each meaning that their code values may have."""
    times: list[float] = []
    pictures: list[list[np.ndarray]] = [[] for _ in colours]
    for at, frame in _frames(video, start, end):
        times.append(float(at))
        for each, colour in zip(pictures, colours, strict=True):
            each.append(thumbnail(video.upright(frame), colour, SMALL).reshape(-1))
    return [Samples(np.array(times), np.array(each, np.float32)) for each in pictures]


def _frames(
    video: Compared, start: Fraction | None, end: Fraction | None
) -> Iterator[tuple[Fraction, Frame]]:
    """Frames of a part, with their times after the first frame; those before the damage, if it is damaged."""
    how = replace(video.options, start=start, end=end, interlaced="keep", strict=False)
    with open_source_for(video.path, how) as reader:
        try:
            for frame in reader:
                yield frame.pts - reader.info.start_time, frame
        except MediaError:
            return
