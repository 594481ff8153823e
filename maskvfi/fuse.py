"""Still pixels copied, moving pixels warped: two layers and the weight between them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from maskvfi.rife.network import Interpolation
from maskvfi.video.planes import Colour, PixelFormat, mask_to_planes, rgb_to_planes
from maskvfi.warp import backward_warp

SOFTNESS = 0.15  # probability on either side of the threshold over which the layers blend
FALLBACK = 1e-3  # the share of a hidden sample, of 1: it decides only where both are hidden
STATIC_MODES = ("fade", "nearest")


def static_weight(
    probability: Tensor, threshold: float = 0.5, protect: Tensor | None = None, release: Tensor | None = None
) -> Tensor:
    """How far each pixel is copied: 1 above the threshold, 0 below, a smooth step in between.

    probability [B,1,H,W]; protect and release [1,1,H,W] are hand-painted masks (1: always copy, 1: always
    warp) that win over it, release over protect.
    """
    x = ((probability - threshold) / (2 * SOFTNESS) + 0.5).clamp(0, 1)
    weight = x * x * (3 - 2 * x)
    if protect is not None:
        weight = torch.maximum(weight, protect)
    if release is not None:
        weight = torch.minimum(weight, 1 - release)
    return weight


def without_static(moving: Interpolation, img0: Tensor, img1: Tensor, weight: Tensor) -> Interpolation:
    """The moving layer alone: what stands still in front of it or behind it is not dragged along.

    weight [B,1,H,W]: how far each pixel of either frame [B,3,H,W] stands still. A warped sample that lands on such a
    pixel of its frame does not belong to what moves, so its share goes to the other frame's sample; where neither
    frame shows what moves, both keep theirs.
    """
    (sample0, hidden0), (sample1, hidden1) = (
        backward_warp(torch.cat((image, weight), dim=1), flow).split((image.shape[1], 1), dim=1)
        for image, flow in zip((img0, img1), moving.flow.split(2, dim=1), strict=True)
    )
    share0 = moving.blend * (1 - hidden0 + FALLBACK)
    share1 = (1 - moving.blend) * (1 - hidden1 + FALLBACK)
    blend = share0 / (share0 + share1)
    return Interpolation(torch.lerp(sample1, sample0, blend), moving.flow, blend)


def static_layer(start: Tensor, end: Tensor, time: float | Tensor, mode: str = "fade") -> Tensor:
    """What a still pixel shows at `time` in 0..1: (1-t)*start + t*end, or with "nearest" the nearer of the two.

    Where both are equal the result is exactly that value.
    """
    if mode == "nearest":
        return torch.where(torch.as_tensor(time, device=start.device) < 0.5, start, end)
    return torch.lerp(start, end, time)


def fuse_planes(
    start: Sequence[Tensor],
    end: Sequence[Tensor],
    time: float,
    moving: Interpolation | None,
    weight: Tensor | None,
    fmt: PixelFormat,
    colour: Colour,
    mode: str = "fade",
) -> tuple[Tensor, ...]:
    """The frame at `time`, composed in the source's own planes; code values, not yet rounded.

    start, end: planes [h,w] of float32 code values; moving: the network's answer, of a batch of one, or None
    where nothing moves; weight [1,1,H,W] of the still pixels, or None where everything is warped. A still pixel never
    goes through RGB.
    """
    still = tuple(static_layer(a, b, time, mode) for a, b in zip(start, end, strict=True))
    if moving is None:
        return still
    warped = rgb_to_planes(moving.frame, fmt, colour)
    if fmt.alpha:
        alpha0, alpha1 = (
            backward_warp(planes[-1][None, None], flow)
            for planes, flow in zip((start, end), moving.flow.split(2, dim=1), strict=True)
        )
        warped = (*warped, torch.lerp(alpha1, alpha0, moving.blend)[0, 0])
    if weight is None:
        return warped
    weights = mask_to_planes(weight, fmt, colour)
    return tuple(torch.lerp(w, s, k) for w, s, k in zip(warped, still, weights, strict=True))
