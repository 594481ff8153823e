"""Frames out of videos: decoding, the cuts between them, and squares in which something moves."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from distill.arrays import Floats, Image, Rng

CUT = 0.10  # mean change of a thumbnail from one frame to the next, of 1, above which there is a cut
SQUARES = 4  # places that are looked at before one is taken

Square = tuple[slice, slice]  # its rows and its columns


def decoded(path: Path, wanted: Collection[int]) -> Iterator[tuple[int, Image]]:
    """Decode some frames of a video.

    Args:
        path: The video.
        wanted: The numbers of the frames, from 0.

    Yields:
        The number of a frame and the frame, BGR [H,W,3], in order. The first frame that cannot be decoded ends it.
    """
    video = cv2.VideoCapture(os.fspath(path))
    for number in range(max(wanted, default=-1) + 1):
        if not video.grab():
            return
        if number in wanted:
            found, frame = video.retrieve()
            if not found:
                return
            yield number, frame


def thumbnail(frame: Image) -> Floats:
    """A frame at 32x32 px, in 0..1."""
    return cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def change(before: Floats, after: Floats) -> float:
    """The mean difference of two neighbouring frames' thumbnails; above CUT there is a cut between the frames."""
    return float(np.abs(after - before).mean())


def has_cut(run: list[Image]) -> bool:
    """Whether there is a cut inside a run of frames."""
    return any(change(*pair) > CUT for pair in pairwise(map(thumbnail, run)))


def sometimes_halved(frames: list[Image], size: int, rng: Rng) -> list[Image]:
    """Frames of one size, in one half of the cases at half that size, if a square of `size` px still fits in."""
    if min(frames[0].shape[:2]) >= 2 * size and rng.random() < 0.5:
        return [cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for frame in frames]
    return frames


def at_least(picture: Image, size: int, interpolation: int = cv2.INTER_LINEAR) -> Image:
    """The picture, enlarged if a side is shorter than `size` px."""
    factor = size / min(picture.shape[:2])
    if factor <= 1:
        return picture
    return cv2.resize(picture, None, fx=factor + 1e-3, fy=factor + 1e-3, interpolation=interpolation)


def random_squares(frames: list[Image], size: int, rng: Rng) -> list[tuple[Square, float]]:
    """SQUARES random squares of `size` px, and how much each moves: the mean difference of its first and last frame."""
    height, width = frames[0].shape[:2]
    difference = cv2.absdiff(frames[0], frames[-1]).mean(axis=2)
    corners = [
        (int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))) for _ in range(SQUARES)
    ]
    squares = [(slice(y, y + size), slice(x, x + size)) for y, x in corners]
    return [(square, float(difference[square].mean())) for square in squares]


def liveliest(squares: list[tuple[Square, float]]) -> tuple[Square, float]:
    """The one of `random_squares` that moves most."""
    return max(squares, key=lambda each: each[1])


def cropped(frames: list[Image], square: Square) -> list[Image]:
    """What a square shows of each frame."""
    return [np.ascontiguousarray(frame[square]) for frame in frames]
