"""Where there is anything to compute: boxes around what moves."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch.nn.functional as F
from torch import Tensor

MARGIN = 64  # px around what moves, for flow to see what it moves against
CELL = 16  # px; how finely what moves is looked up
SPARE = 4  # squares of the network's multiple that are computed for nothing rather than in a box of their own
WORTH = 0.8  # share of the picture from which on one box, all of it, is cheaper than several


@dataclass(frozen=True, slots=True)
class Box:
    """Rows top to bottom and columns left to right of a picture, ends excluded."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def area(self) -> int:
        return (self.bottom - self.top) * (self.right - self.left)

    def of(self, planes: Tensor, log2: tuple[int, int] = (0, 0)) -> Tensor:
        """The box's part of planes [...,H,W], whose samples lie 2^log2 (x, y) px apart."""
        x, y = log2
        rows = slice(self.top >> y, -(-self.bottom >> y))
        return planes[..., rows, self.left >> x : -(-self.right >> x)]

    def union(self, other: Box) -> Box:
        return Box(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )


def moving_boxes(weight: Tensor, multiple: int) -> list[Box]:
    """Boxes that hold every pixel which is not wholly copied, with MARGIN around it; none overlap.

    weight [B,1,H,W]: how far each pixel is copied, 1 being wholly; a batch shares its boxes. Their sides lie at
    multiples of `multiple`, where the network's own grid lies (and of CELL), or at the picture's rim.
    """
    step = CELL * -(-multiple // CELL)
    height, width = weight.shape[-2:]
    moves = (weight < 1).any(dim=0, keepdim=True).float()
    near = F.max_pool2d(moves, CELL, ceil_mode=True)
    reach = -(-MARGIN // CELL)
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
    if sum(box.area for box in boxes) > WORTH * height * width:
        return [Box(0, 0, height, width)]
    return boxes


def _merged(boxes: list[Box], spare: int) -> list[Box]:
    """The same area in fewer boxes, `spare` px more at most for each that is saved; none overlap."""
    boxes = list(boxes)
    index = 0
    while index < len(boxes):
        for other in range(len(boxes)):
            both = boxes[index].union(boxes[other])
            if other != index and both.area <= boxes[index].area + boxes[other].area + spare:
                boxes = [box for k, box in enumerate(boxes) if k not in (index, other)] + [both]
                index = -1
                break
        index += 1
    return boxes
