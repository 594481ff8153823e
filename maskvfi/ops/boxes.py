"""Boxes around moving pixels: the parts of the picture that the network computes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

MARGIN = 32  # px around moving pixels, which the network needs as context for its flow
CELL = 16  # px; the grid on which moving pixels are found
SPARE = 4  # squares of the boxes' grid that may be computed in addition, if merging two boxes saves one box
WHOLE_SHARE = 0.8  # of the picture; boxes that cover more are replaced by the whole picture, which is cheaper


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of a picture, in px.

    Attributes:
        top, left: The first row and column.
        bottom, right: Those after the last.
    """

    top: int
    left: int
    bottom: int
    right: int

    @property
    def area(self) -> int:
        """In px."""
        return (self.bottom - self.top) * (self.right - self.left)

    def of(self, planes: Tensor, log2: tuple[int, int] = (0, 0)) -> Tensor:
        """Cut the box out of a plane.

        Args:
            planes: [...,H,W].
            log2: The samples' distance is 2^x and 2^y px, as in subsampled chroma.

        Returns:
            A view [...,h,w].
        """
        x, y = log2
        rows = slice(self.top >> y, -(-self.bottom >> y))
        return planes[..., rows, self.left >> x : -(-self.right >> x)]

    def places(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """The numbers of the box's rows and columns, on a device."""
        rows, columns = (self.top, self.bottom), (self.left, self.right)
        return torch.arange(*rows, device=device), torch.arange(*columns, device=device)

    def overlaps(self, other: Box) -> bool:
        """Whether the boxes share pixels."""
        rows = max(self.top, other.top) < min(self.bottom, other.bottom)
        return rows and max(self.left, other.left) < min(self.right, other.right)

    def union(self, other: Box) -> Box:
        """The smallest box that contains both."""
        return Box(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )


def known_empty(mask: Tensor) -> bool:
    """Whether a mask on the CPU has no pixel set; False on a GPU, where waiting for the answer costs too much."""
    return mask.device.type == "cpu" and not mask.any()


def moving_boxes(weight: Tensor, multiple: int, margin: int = MARGIN) -> list[Box]:
    """Find boxes that contain every pixel that is not copied entirely, with a margin around it.

    Args:
        weight: [B,1,H,W] in 0..1, how far each pixel is copied. A batch shares its boxes.
        multiple: In px; the sides of boxes lie at multiples of it and of CELL, as the network's grid does, or at the
            picture's border.
        margin: In px, rounded up to cells of CELL px.

    Returns:
        Boxes that do not overlap; none if all pixels are copied.
    """
    step = CELL * -(-multiple // CELL)
    height, width = weight.shape[-2:]
    moves = (weight < 1).any(dim=0, keepdim=True).float()
    near = F.max_pool2d(moves, CELL, ceil_mode=True)
    reach = -(-margin // CELL)
    near = F.max_pool2d(near, 2 * reach + 1, 1, reach)
    cells = F.max_pool2d(near, step // CELL, ceil_mode=True)[0, 0].byte().cpu().numpy()
    _, _, found, _ = cv2.connectedComponentsWithStats(cells, connectivity=8)
    boxes = [
        Box(
            top * step,
            left * step,
            min((top + h) * step, height),
            min((left + w) * step, width),
        )
        for left, top, w, h, _ in np.asarray(found[1:]).tolist()
    ]
    boxes = _merged(boxes, SPARE * step**2)
    if sum(box.area for box in boxes) > WHOLE_SHARE * height * width:
        return [Box(0, 0, height, width)]
    return boxes


def _merged(boxes: list[Box], spare: int) -> list[Box]:
    """Merge boxes where that adds at most `spare` px, and where they overlap."""
    while (pair := _to_merge(boxes, spare)) is not None:
        boxes = [box for box in boxes if box not in pair] + [pair[0].union(pair[1])]
    return boxes


def _to_merge(boxes: list[Box], spare: int) -> tuple[Box, Box] | None:
    """The first two boxes that overlap, or that can be one box with at most `spare` px more."""
    for first, second in combinations(boxes, 2):
        if first.overlaps(second) or first.union(second).area <= first.area + second.area + spare:
            return first, second
    return None
