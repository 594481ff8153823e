"""From flow to labels: what stands still over a whole gap, what moves, and where nobody can tell."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

from distill.clips import Image

Floats = np.ndarray  # float32
Bools = np.ndarray  # bool

STATIC_BELOW = 0.3  # px per gap
MOVING_ABOVE = 0.8  # px per gap
NOISE = 4.0  # code values of 255


def dis_labels(frames: Sequence[Image]) -> tuple[Bools, Bools]:
    """Static and unsure pixels, both [N-1,H,W], of every gap between N real frames [H,W,3].

    DIS flow is measured in both directions. Static: both flows under STATIC_BELOW and the frames alike at
    zero motion. Moving: both over MOVING_ABOVE and the flow explains the frame better than zero motion does.
    All else is unsure; so is a flat place, where motion cannot be seen, unless everything around it is still.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    shape = (len(frames) - 1, *greys[0].shape)
    static, unsure = np.zeros(shape, bool), np.zeros(shape, bool)
    for gap, (a, b) in enumerate(pairwise(greys)):
        speed = [np.hypot(*np.moveaxis(search.calc(p, q, None), 2, 0)) for p, q in ((a, b), (b, a))]
        difference = cv2.blur(cv2.absdiff(a, b).astype(np.float32), (5, 5))
        texture = cv2.blur(
            cv2.morphologyEx(a, cv2.MORPH_GRADIENT, np.ones((3, 3))).astype(np.float32), (7, 7)
        )
        alike = difference < NOISE
        still = (np.maximum(*speed) < STATIC_BELOW) & alike
        moves = (np.minimum(*speed) > MOVING_ABOVE) & (difference > 1.5 * NOISE)
        seen_still = still & (texture > 2 * NOISE)
        moved_near = cv2.dilate(moves.astype(np.uint8), np.ones((31, 31))) > 0
        flat_still = alike & (texture <= 2 * NOISE) & ~moved_near & _near(seen_still)
        static[gap] = seen_still | flat_still
        unsure[gap] = ~static[gap] & ~moves
    return static, unsure


def _near(mask: Bools, reach: int = 61) -> Bools:
    return cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach))) > 0
