"""Backward warping: the flow of an output pixel points to its place in the source."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

BILINEAR, BICUBIC = "bilinear", "bicubic"  # as torch names them


def backward_warp(
    image: Tensor,
    flow: Tensor,
    rows: Tensor | None = None,
    columns: Tensor | None = None,
    *,
    sampling: str = BILINEAR,
) -> Tensor:
    """Sample `image` at each pixel's own position plus `flow`.

    Outside the picture samples have the value of its border. Coordinates are float32 in any case, since a grid of half
    precision is only accurate to half a pixel at a width of 1920.

    Bilinear samples are means of up to four pixels, so they are blurred wherever motion is no whole number of pixels.
    Bicubic ones (cubic convolution, Keys 1981, with a = -0.75) are hardly blurred. They overshoot at edges, and are
    cut to 0..1. On Apple's mps, where older torch has no cubic samples, all are bilinear.

    Args:
        image: [B,C,H,W], of any float type.
        flow: [B,2,h,w] in px, x then y.
        rows, columns: The pixels [h] and [w] at which the flow is given; None: at all of them.
        sampling: BILINEAR, or BICUBIC for colours in 0..1.

    Returns:
        [B,C,h,w], of image's type.
    """
    height, width = image.shape[-2:]
    ys, xs = (
        torch.linspace(-1, 1, size, dtype=torch.float32, device=flow.device) for size in (height, width)
    )
    if rows is not None and columns is not None:
        ys, xs = ys[rows], xs[columns]
    halves = zip((xs[None], ys[:, None]), flow.float().split(1, dim=1), (width, height), strict=True)
    grid = torch.cat(
        [torch.addcmul(own, half, 2 / _as_float(size - 1, flow).clamp(min=1)) for own, half, size in halves],
        dim=1,
    )
    border = "border"
    if flow.device.type == "mps":  # older torch has zero padding and bilinear samples only
        grid, border, sampling = grid.clamp(-1, 1), "zeros", BILINEAR
    out = _sample(image.float(), grid, sampling, border)
    return (out.clamp_(0, 1) if sampling == BICUBIC else out).to(image.dtype)


def _sample(image: Tensor, grid: Tensor, sampling: str, border: str) -> Tensor:
    """Read `image` [B,C,H,W] at the places `grid` [B,2,h,w], x then y in -1..1."""
    strips = _strips(grid)
    if strips == 1:
        places = grid.permute(0, 2, 3, 1)
        return F.grid_sample(image, places, mode=sampling, padding_mode=border, align_corners=True)
    height = grid.shape[2]
    places = rearrange(F.pad(grid, (0, 0, 0, -height % strips)), "1 xy (n h) w -> n h w xy", n=strips)
    images = image.expand(strips, -1, -1, -1)
    parts = F.grid_sample(images, places, mode=sampling, padding_mode=border, align_corners=True)
    return rearrange(parts, "n c h w -> 1 c (n h) w")[:, :, :height]


def _strips(grid: Tensor) -> int:
    """Into how many strips of rows `grid` [B,2,h,w] is cut.

    On a CPU torch samples every picture of a batch on one core. One picture is therefore sampled as a batch of strips,
    one for each core.
    """
    traced = torch.jit.is_tracing() or torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()
    if traced or grid.device.type != "cpu" or len(grid) > 1 or torch.is_grad_enabled():
        return 1
    return min(torch.get_num_threads(), grid.shape[2])


def _as_float(size: int | Tensor, like: Tensor) -> Tensor:
    """A size as a tensor, so that the tracer of an export does not take it for a constant.

    A number is filled in on the device: a copy from the CPU would wait for everything that a GPU still computes.
    """
    if isinstance(size, Tensor):
        return size.to(like.device, torch.float32)
    return torch.full((), size, dtype=torch.float32, device=like.device)
