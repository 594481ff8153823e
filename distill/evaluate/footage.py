"""A clip as material for benchmarks: textures for moving layers, and short runs of real frames."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from distill.arrays import Image, Rng
from distill.data.clips import CUT, find_clips

RUN = 5  # frames


class Footage:
    """RGB squares out of one clip: textures of 1.4 `size` px, of which there are `len()`, and runs of frames.

    Attributes:
        runs: Each of RUN neighbouring frames of `size` px without a cut between them, at the clip's own resolution or
            at half of it, mostly where something moves.
    """

    def __init__(self, path: Path, size: int, rng: Rng, textures: int = 6, runs: int = 8) -> None:
        """Read a clip.

        Args:
            path: The video.
            size: Side of a frame in a run, in px.
            rng: Chooses the crops.
            textures, runs: How many to take, at most.

        Raises:
            ValueError: No frame could be read.
        """
        total = int(cv2.VideoCapture(os.fspath(path)).get(cv2.CAP_PROP_FRAME_COUNT))
        still = {int(k) for k in np.linspace(0, total - 1, textures)}
        starts = [int(k) for k in np.linspace(0, max(total - RUN, 0), runs)]
        frames = dict(_decode(path, still | {start + k for start in starts for k in range(RUN)}))
        self._pictures = [_texture(frames[k], size * 7 // 5) for k in sorted(still) if k in frames]
        if not self._pictures:
            raise ValueError(f"{path}: no frame could be read")
        found = ([frames[k] for k in range(start, start + RUN) if k in frames] for start in starts)
        self.runs = [_crop(run, size, rng) for run in found if len(run) == RUN and not _cut(run)]

    def __len__(self) -> int:
        return len(self._pictures)

    def frames(self, index: int) -> Sequence[Image]:
        """Texture number `index`, as `Textures` has it."""
        return [self._pictures[index]]


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
        yield number, clip.path.name, Footage(clip.path, size, np.random.default_rng((seed, number)))


def _decode(path: Path, wanted: set[int]) -> Iterator[tuple[int, Image]]:
    """The wanted frames of a video, with their numbers."""
    video = cv2.VideoCapture(os.fspath(path))
    for number in range(max(wanted) + 1):
        if not video.grab():
            return
        if number in wanted and (frame := video.retrieve()[1]) is not None:
            yield number, frame[..., ::-1]


def _texture(frame: Image, size: int) -> Image:
    """The upper right square of a frame whose shorter side is made `size` px long."""
    factor = size / min(frame.shape[:2]) + 1e-3
    return np.ascontiguousarray(
        cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)[:size, -size:]
    )


def _crop(run: list[Image], size: int, rng: Rng) -> list[Image]:
    """The one of four random crops that moves most."""
    height, width = run[0].shape[:2]
    factor = 0.5 if min(height, width) >= 2 * size and rng.random() < 0.5 else 1.0
    factor = max(factor, size / min(height, width) + 1e-3) if min(height, width) < size else factor
    if factor != 1:
        run = [cv2.resize(f, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) for f in run]
    height, width = run[0].shape[:2]
    change = cv2.absdiff(run[0], run[-1]).mean(axis=2)
    corners = [(int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))) for _ in range(4)]
    y, x = max(corners, key=lambda at: float(change[at[0] : at[0] + size, at[1] : at[1] + size].mean()))
    return [np.ascontiguousarray(frame[y : y + size, x : x + size]) for frame in run]


def _cut(run: list[Image]) -> bool:
    """Whether there is a cut inside a run."""
    thumbs = [cv2.resize(f, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32) / 255 for f in run]
    return any(float(np.abs(b - a).mean()) > CUT for a, b in pairwise(thumbs))
