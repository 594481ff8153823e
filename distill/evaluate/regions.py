"""The parts of a picture around what stands still, in which made frames are measured."""

from __future__ import annotations

import cv2
import numpy as np

from distill.arrays import Bools

RING = 12  # px around what stands still


def regions_of(inside: Bools) -> dict[str, Bools]:
    """The pixels [H,W] inside what stands still, in the ring of RING px around it, and elsewhere."""
    reach = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RING + 1,) * 2)
    wide = cv2.dilate(inside.astype(np.uint8), reach) > 0
    return {"inside": inside, "ring": wide & ~inside, "elsewhere": ~wide}
