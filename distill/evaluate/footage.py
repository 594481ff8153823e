"""A clip as material for benchmarks: textures for moving layers, and short runs of real frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from distill.arrays import Image, Rng
from distill.data.clips import Clip, find_clips
from distill.data.frames import (
    at_least,
    cropped,
    decoded,
    has_cut,
    liveliest,
    random_squares,
    sometimes_halved,
)

RUN = 5  # frames
TRIES = 300


class Footage:
    """RGB squares out of one clip: textures of 1.4 `size` px, of which there are `len()`, and runs of frames.

    Attributes:
        runs: Each of RUN neighbouring frames of `size` px without a cut between them, at the clip's own resolution or
            at half of it, mostly where something moves.
    """

    def __init__(self, clip: Clip, size: int, rng: Rng, textures: int = 6, runs: int = 8) -> None:
        """Read a clip.

        Args:
            clip: The video.
            size: Side of a frame in a run, in px.
            rng: Chooses the crops.
            textures, runs: How many to take, at most.

        Raises:
            ValueError: No frame could be read.
        """
        still = {int(k) for k in np.linspace(0, clip.frames - 1, textures)}
        starts = [int(k) for k in np.linspace(0, max(clip.frames - RUN, 0), runs)]
        wanted = still | {start + k for start in starts for k in range(RUN)}
        frames = {number: frame[..., ::-1] for number, frame in decoded(clip.path, wanted)}
        self._pictures = [_texture(frames[k], size * 7 // 5) for k in sorted(still) if k in frames]
        if not self._pictures:
            raise ValueError(f"{clip.path}: no frame could be read")
        found = ([frames[k] for k in range(start, start + RUN) if k in frames] for start in starts)
        self.runs = [_crop(run, size, rng) for run in found if len(run) == RUN and not has_cut(run)]

    def __len__(self) -> int:
        return len(self._pictures)

    def frames(self, index: int) -> Sequence[Image]:
        """Texture number `index`, as `Textures` has it."""
        return [self._pictures[index]]


class TooFlat(ValueError):
    """A clip in which no motion shows: none of TRIES attempts at a composite gave one that can be judged."""


def footages(clips: Path, size: int, seed: int) -> Iterator[tuple[int, str, Footage]]:
    """Read the clips of a folder, one after another.

    Args:
        clips: The folder.
        size: Side of a frame, in px.
        seed: Equal seeds choose equal crops.

    Yields:
        A clip's number, its name and its footage.

    Raises:
        ValueError: The folder holds no video, or one that cannot be read.
    """
    for number, clip in enumerate(find_clips(clips)):
        yield number, clip.path.name, Footage(clip, size, np.random.default_rng((seed, number)))


def _texture(frame: Image, size: int) -> Image:
    """The upper right square of a frame whose shorter side is made `size` px long."""
    factor = size / min(frame.shape[:2]) + 1e-3
    return np.ascontiguousarray(
        cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)[:size, -size:]
    )


def _crop(run: list[Image], size: int, rng: Rng) -> list[Image]:
    """The one of some random crops that moves most."""
    frames = [at_least(frame, size, cv2.INTER_AREA) for frame in sometimes_halved(run, size, rng)]
    square, _ = liveliest(random_squares(frames, size, rng))
    return cropped(frames, square)
