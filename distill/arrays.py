"""Names for the NumPy arrays that pictures, masks and measurements are held in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = np.ndarray  # a picture, uint8 [H,W,3], RGB unless a function says BGR
Floats = np.ndarray  # float32 or float64
Bools = NDArray[np.bool_]
Rng = np.random.Generator


def quantised(picture: Floats) -> Image:
    """A picture in code values, rounded to whole ones and clipped to 0..255."""
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)
