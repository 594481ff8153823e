"""How often a codec copies blocks of still things exactly, so that no network would be needed to find them.

python -m benchmarks.equal_blocks --clips CLIPS [--frames 60]
"""

from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from distill.data.clips import find_clips
from maskvfi.video import open_source

BLOCK = 32  # px
MARGIN = 2  # blocks that a network has to see around what it decides


def main(
    clips: Annotated[Path, typer.Option(help="A folder of videos.")],
    frames: Annotated[int, typer.Option(help="Frames per clip.")] = 60,
) -> None:
    """Print which share of blocks is equal in both frames of a gap, and what is left for a network."""
    table = Table("clip", "equal", "left with a margin", "left in one box")
    for clip in track(find_clips(clips), console=Console(stderr=True)):
        found = []
        with open_source(clip.path) as reader:
            for before, after in pairwise(islice(reader, frames)):
                changed = _changed_blocks(before.planes[0], after.planes[0])
                grown = cv2.dilate(changed, np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8))
                found.append((1 - changed.mean(), grown.mean(), _box_share(grown)))
        if found:
            table.add_row(clip.path.name, *(f"{share:.0%}" for share in np.mean(found, axis=0)))
    Console(width=100).print(table)


def _changed_blocks(before: NDArray[np.generic], after: NDArray[np.generic]) -> NDArray[np.uint8]:
    """[h,w], 1 for every whole block of the luma planes in which a pixel differs."""
    rows, columns = (size // BLOCK for size in before.shape)
    differ = (before != after)[: rows * BLOCK, : columns * BLOCK]
    return differ.reshape(rows, BLOCK, columns, BLOCK).any((1, 3)).astype(np.uint8)


def _box_share(blocks: NDArray[np.uint8]) -> float:
    """The share of the picture that the smallest box around all changed blocks has."""
    rows, columns = (np.flatnonzero(blocks.any(axis)) for axis in (1, 0))
    if not len(rows):
        return 0.0
    return float((np.ptp(rows) + 1) * (np.ptp(columns) + 1) / blocks.size)


if __name__ == "__main__":
    typer.run(main)
