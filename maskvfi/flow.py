"""Flow by calculation alone: coarse to fine, from both frames straight to the time between them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from maskvfi.warp import backward_warp

LEVELS = 6  # halvings of the frame; the coarsest sees motion of some 6 * 2^LEVELS px
FINEST = 1  # the level at which it ends; learnt blocks go on from there
WARPS, SWEEPS = 3, 16  # per level: linearisations, and exchanges with the neighbours after each
SMOOTHNESS = 3e-3
TRUST = 0.01  # a residual, of 1, from which on a pixel counts less and less
FARTHEST = 2.0  # px that one linearisation may move


@torch.no_grad()
def calculated_flow(img0: Tensor, img1: Tensor, time: Tensor) -> Tensor:
    """Flow [B,4,h,w] in px, from `time` to img0 and to img1, of motion that is straight and even, 2^FINEST px apart.

    img0, img1 [B,3,H,W] in 0..1, time [B,1,1,1]; float32; h and w are H and W over 2^FINEST, rounded up. Lucas and
    Kanade's equations, robust, over 5x5 px, joined to the neighbours as Horn and Schunck's are (Bruhn, Weickert,
    Schnoerr, IJCV 2005), with both frames warped to `time`, so that nothing has to be carried there from either frame.
    """
    pyramid = [(img0, img1)]
    for _ in range(LEVELS):
        pyramid.append(tuple(F.avg_pool2d(image, 2, ceil_mode=True) for image in pyramid[-1]))  # type: ignore[arg-type]
    motion = torch.zeros_like(pyramid[-1][0][:, :2])
    for start, end in reversed(pyramid[FINEST:]):
        motion = _enlarged(motion, start)
        for _ in range(WARPS):
            motion = motion + _step(start, end, motion, time).clamp(-FARTHEST, FARTHEST)
    motion = motion * 2**FINEST
    return torch.cat((-time * motion, (1 - time) * motion), dim=1)


def _step(start: Tensor, end: Tensor, motion: Tensor, time: Tensor) -> Tensor:
    """How much further everything moves [B,2,h,w], by the frames' linearisation around `motion`."""
    u, v = motion.split(1, dim=1)
    warped0, warped1 = backward_warp(start, -time * motion), backward_warp(end, (1 - time) * motion)
    change = warped1 - warped0
    x, y = _slopes((1 - time) * warped1 + time * warped0)
    weight = TRUST / (change.square().mean(dim=1, keepdim=True) + TRUST * TRUST).sqrt()
    products = [
        (p * q).mean(dim=1, keepdim=True) for p, q in ((x, x), (x, y), (y, y), (x, change), (y, change))
    ]
    xx, xy, yy, xt, yt = _mean(weight * torch.cat(products, dim=1), 5).split(1, dim=1)
    xx, yy = xx + SMOOTHNESS, yy + SMOOTHNESS
    area = xx * yy - xy * xy
    a, b, c = yy / area, -xy / area, xx / area  # the inverse of [[xx,xy],[xy,yy]]
    # motion + step solves u = inverse * (SMOOTHNESS * mean(u) + pull), which Jacobi's sweeps approach.
    pull_x, pull_y = (xx - SMOOTHNESS) * u + xy * v - xt, xy * u + (yy - SMOOTHNESS) * v - yt
    own_x, own_y = a * pull_x + b * pull_y, b * pull_x + c * pull_y
    a, b, c = SMOOTHNESS * a, SMOOTHNESS * b, SMOOTHNESS * c
    moved = motion
    for _ in range(SWEEPS):
        around_x, around_y = F.avg_pool2d(moved, 3, 1, 1, count_include_pad=False).split(1, dim=1)
        x = torch.addcmul(own_x, a, around_x).addcmul_(b, around_y)
        y = torch.addcmul(own_y, b, around_x).addcmul_(c, around_y)
        moved = torch.cat((x, y), dim=1)
    return moved - motion


def _slopes(image: Tensor) -> tuple[Tensor, Tensor]:
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    return (
        (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2,
        (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2,
    )


def _mean(x: Tensor, size: int) -> Tensor:
    return F.avg_pool2d(F.pad(x, (size // 2,) * 4, mode="replicate"), size, 1)


def _enlarged(motion: Tensor, like: Tensor) -> Tensor:
    """A coarser level's motion at the size of `like`, in its pixels."""
    if motion.shape[-2:] == like.shape[-2:]:
        return motion
    return 2 * F.interpolate(motion, like.shape[-2:], mode="bilinear", align_corners=False)
