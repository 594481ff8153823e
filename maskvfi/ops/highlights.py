"""Colours brighter than white, as floats have them, brought into the range that networks know."""

from __future__ import annotations

import math

import torch
from torch import Tensor

KNEE = 0.75  # colours up to here stay as they are
BRIGHTEST = 64.0  # brighter ones cannot be told from it


def compress_highlights(rgb: Tensor) -> Tensor:
    """Compress what is brighter than KNEE by its logarithm, so that detail in highlights can be told from flat white.

    Args:
        rgb: Of any shape: 0 is black and 1 is white.

    Returns:
        In 0..1: below 0 it is 0, and from BRIGHTEST on 1.
    """
    over = (rgb - KNEE).clamp(0, BRIGHTEST - KNEE) / (1 - KNEE)
    top = math.log1p((BRIGHTEST - KNEE) / (1 - KNEE))
    return torch.where(rgb > KNEE, KNEE + (1 - KNEE) / top * torch.log1p(over), rgb.clamp_min(0))
