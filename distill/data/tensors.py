"""Pictures as tensors, and back."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from distill.arrays import Image


def as_batch(frames: Sequence[Image]) -> Tensor:
    """Frames [H,W,3] of one size as a float tensor [N,3,H,W] in 0..1."""
    return rearrange(torch.from_numpy(np.stack(frames)), "n h w c -> n c h w").float() / 255


def as_picture(image: Tensor) -> Image:
    """An image [1,3,H,W] in 0..1 (clamped) as a picture [H,W,3]."""
    codes = (image.clamp(0, 1) * 255).round().byte()
    picture: Image = rearrange(codes, "1 c h w -> h w c").numpy()
    return picture


def grey(picture: Image) -> Image:
    """An RGB picture [H,W,3] as grey [H,W], uint8."""
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def greys(images: Tensor) -> list[Image]:
    """Images [N,3,H,W] in 0..1 (clamped), on any device, as N grey pictures [H,W], uint8."""
    codes = rearrange((images.clamp(0, 1) * 255).round().byte(), "n c h w -> n h w c")
    return [grey(code) for code in codes.cpu().numpy()]
