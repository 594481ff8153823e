"""Frames that are too large for the memory, in overlapping tiles that blend into each other."""

from __future__ import annotations

import sys
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from maskvfi.ops.boxes import Box
from maskvfi.options import OFF

MARGIN = 64  # px of context at a border between tiles; more than around boxes, since things move across it
BYTES_PER_PIXEL = 700  # per pixel that the largest network needs while it computes
MAX_TILE_BYTES = 3 << 29  # 1.5 GiB, that a tile may need on the CPU, where larger ones are no faster
MEMORY_SHARE = 0.5  # of a GPU's free memory that a tile may need
MIN_PIXELS = 512 * 512  # of a tile
LARGE_FRAME = 4096 * 2304  # px; frames over this fill much of the memory themselves


class Tile(NamedTuple):
    """A part of the picture.

    Attributes:
        box: Where it is.
        top, left: How many px at its top and left overlap earlier tiles, over which it fades in.
    """

    box: Box
    top: int = 0
    left: int = 0

    def share(self, like: Tensor) -> Tensor:
        """How far each of its pixels replaces those of earlier tiles.

        Args:
            like: A tensor on the wanted device.

        Returns:
            [h,w] in 0..1.
        """
        rows, columns = (
            ((torch.arange(side, device=like.device) + 0.5) / max(overlap, 0.5)).clamp(max=1)
            for side, overlap in (
                (self.box.bottom - self.box.top, self.top),
                (self.box.right - self.box.left, self.left),
            )
        )
        return rows[:, None] * columns


def pixels_at_once(device: torch.device, tile: int | str = "auto") -> int:
    """The number of px that may be computed at once.

    Args:
        device: Where they are computed.
        tile: "auto": by the free memory; "off": no limit; a number: the side of a square tile in px.
    """
    if tile == OFF:
        return sys.maxsize
    if isinstance(tile, int):
        return tile * tile
    available = MAX_TILE_BYTES
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What torch keeps for reuse is free too.
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        available = int(free * MEMORY_SHARE)
    return max(MIN_PIXELS, available // BYTES_PER_PIXEL)


def tiles(box: Box, max_pixels: int, multiple: int = 1) -> list[Tile]:
    """Divide a box into tiles that overlap by at least 2*MARGIN px.

    Args:
        box: What is divided.
        max_pixels: Of a tile, unless its shorter side is 4*MARGIN or less, or it cannot be divided further: no part is
            shorter than a multiple and the margins.
        multiple: In px; tiles begin at multiples of it from the box's corner. They end there too, if it divides
            2*MARGIN, or at the box's border.

    Returns:
        The tiles, row by row.
    """
    height, width = box.bottom - box.top, box.right - box.left
    if box.area <= max_pixels:
        return [Tile(box)]
    rows, columns = 1, 1
    while True:
        across, down = _cut(width, columns, multiple), _cut(height, rows, multiple)
        largest = max(b - a for a, b in across), max(b - a for a, b in down)
        small = min(largest) <= 4 * MARGIN or max(largest) <= multiple + 2 * MARGIN
        if largest[0] * largest[1] <= max_pixels or small:
            break
        if largest[0] > largest[1]:
            columns += 1
        else:
            rows += 1
    return [
        Tile(
            Box(box.top + top, box.left + left, box.top + bottom, box.left + right),
            max(0, down[y - 1][1] - top) if y else 0,
            max(0, across[x - 1][1] - left) if x else 0,
        )
        for (y, (top, bottom)), (x, (left, right)) in product(enumerate(down), enumerate(across))
    ]


def _cut(side: int, count: int, multiple: int) -> list[tuple[int, int]]:
    """Divide `side` px into up to `count` parts that overlap, of one length (the last less than `multiple` shorter).

    What a runtime compiles or keeps for one size then serves all of them.
    """
    if count == 1:
        return [(0, side)]
    step = -(-(side - 2 * MARGIN) // count // multiple) * multiple
    length = step + 2 * MARGIN
    last = -(-(side - length) // multiple) * multiple
    return [(begin, begin + length) for begin in range(0, last, step)] + [(last, side)]
