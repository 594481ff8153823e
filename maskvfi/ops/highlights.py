"""Colours brighter than white, as floats have them, brought into the range that networks know."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

KNEE = 0.75  # colours up to here stay as they are
MOST = 64.0  # brighter colours cannot be told from it


def brightest_of(planes: Iterable[NDArray[np.floating]]) -> float | None:
    """The brightest finite colour of planes, at least 1; None if all their colours are in 0..1."""
    low, high = 0.0, 1.0
    for plane in planes:
        ends = float(plane.min()), float(plane.max())
        if not (math.isfinite(ends[0]) and math.isfinite(ends[1])):
            finite = plane[np.isfinite(plane)]
            ends = float(finite.min(initial=0)), float(finite.max(initial=0))
        low, high = min(low, ends[0]), max(high, ends[1])
    return high if high > 1 or low < 0 else None


def compress_highlights(rgb: Tensor, brightest: float) -> Tensor:
    """Compress what is brighter than KNEE by its logarithm, so that detail in highlights can be told from flat white.

    Args:
        rgb: Of any shape: 0 is black and 1 is white.
        brightest: What becomes 1: the brightest colour, at least 1 and at most MOST.

    Returns:
        In 0..1; what is below 0 is 0.
    """
    top = (min(max(brightest, 1.0), MOST) - KNEE) / (1 - KNEE)
    over = ((rgb - KNEE) / (1 - KNEE)).clamp(0, top)
    compressed = KNEE + (1 - KNEE) / math.log1p(top) * torch.log1p(over)
    return torch.where(rgb > KNEE, compressed, rgb.clamp_min(0))
