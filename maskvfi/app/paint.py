"""What a visitor paints over a frame: layers of two colours, and the masks that they mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

Layers = Sequence[np.ndarray]  # RGBA uint8 [h,w,4]
PROTECT, RELEASE = (0, 110, 255), (255, 60, 60)  # the RGB colours of the brush
SAME_SHAPE = 0.02  # by how much width / height may differ, since small pictures are rounded


def fits(layers: Layers, width: int, height: int) -> bool:
    """Whether layers were painted over a picture of the same shape, or there are none.

    Args:
        layers: RGBA uint8 [h,w,4].
        width, height: The size of the picture in px.
    """
    return all(
        abs(layer.shape[1] * height - layer.shape[0] * width) <= SAME_SHAPE * layer.shape[0] * width
        for layer in layers
    )


def masks_of(layers: Layers, width: int, height: int) -> dict[str, np.ndarray]:
    """The masks that layers mean. Each opaque pixel belongs to the nearer of the two colours.

    Args:
        layers: RGBA uint8 [h,w,4].
        width, height: The size of the masks in px.

    Returns:
        "protect" and "release", float32 [height,width], each 0 or 1; what is not painted is left out.
    """
    masks = {name: np.zeros((height, width), np.float32) for name in ("protect", "release")}
    for layer in layers:
        colour, opaque = layer[..., :3].astype(int), layer[..., 3] > 127
        far, near = (np.abs(colour - ink).sum(axis=-1) for ink in (PROTECT, RELEASE))
        for name, where in (("protect", opaque & (far <= near)), ("release", opaque & (far > near))):
            scaled = cv2.resize(where.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST)
            masks[name] = np.maximum(masks[name], scaled)
    return {name: mask for name, mask in masks.items() if mask.any()}


def write_masks(layers: Layers, width: int, height: int, folder: Path) -> dict[str, Path]:
    """Write the masks as pictures.

    Args:
        layers, width, height: As `masks_of` takes them.
        folder: Where the pictures go.

    Returns:
        The pictures by the name of the option that takes them.
    """
    written = {}
    for name, mask in masks_of(layers, width, height).items():
        written[name] = folder / f"{name}.png"
        cv2.imwrite(str(written[name]), (mask * 255).astype(np.uint8))
    return written


def moved(layers: Layers, right: int, down: int) -> list[np.ndarray]:
    """Move what is painted; what leaves the picture is lost.

    Args:
        layers: RGBA uint8 [h,w,4].
        right, down: By how many px; negative is left and up.

    Returns:
        New layers of the same size.
    """
    shift = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return [cv2.warpAffine(layer, shift, layer.shape[1::-1], flags=cv2.INTER_NEAREST) for layer in layers]
