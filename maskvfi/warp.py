"""Backward warping: every output pixel says where in the source it comes from."""

import torch
import torch.nn.functional as F
from torch import Tensor


def backward_warp(image: Tensor, flow: Tensor) -> Tensor:
    """Sample `image` at each pixel's own position plus `flow`.

    image [B,C,H,W] any float type; flow [B,2,H,W] in pixels, x then y. Returns [B,C,H,W] in image's type.
    Positions outside the picture take the border's colour. Coordinates stay float32: in half precision a
    1920-wide grid steps by half a pixel. The grid is clamped here, since MPS samples with zero padding only.
    """
    height, width = flow.shape[-2:]
    ys = torch.linspace(-1, 1, height, device=flow.device)[:, None]
    xs = torch.linspace(-1, 1, width, device=flow.device)[None, :]
    flow = flow.float()
    grid = torch.stack(
        (xs + flow[:, 0] * (2 / max(width - 1, 1)), ys + flow[:, 1] * (2 / max(height - 1, 1))), dim=-1
    ).clamp(-1, 1)
    out = F.grid_sample(image.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    return out.to(image.dtype)
