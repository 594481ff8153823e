"""OpenCV's dense inverse search: a classical flow, as teacher and baseline."""

from __future__ import annotations

import cv2
import numpy as np

from distill.arrays import Floats, Image

MIN_SIDE = 32  # px; smaller pictures are padded with their edges, since DIS needs some room


def search(start: Image, end: Image) -> Floats:
    """Flow between two grey pictures by DIS (Kroeger et al., ECCV 2016), with OpenCV's medium preset.

    Args:
        start, end: Grey pictures of one size, uint8 [H,W], from 1x1 px up.

    Returns:
        [2,H,W] in px, float32, x then y: where each pixel of `start` lies in `end`, less where it is.
    """
    height, width = start.shape
    rims = (0, max(MIN_SIDE - height, 0), 0, max(MIN_SIDE - width, 0))
    if any(rims):
        start, end = (cv2.copyMakeBorder(x, *rims, cv2.BORDER_REPLICATE) for x in (start, end))
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow: Floats = dis.calc(np.ascontiguousarray(start), np.ascontiguousarray(end), None)
    return flow[:height, :width].transpose(2, 0, 1)
