"""Still pixels copied, moving pixels warped: two layers and the weight between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from maskvfi.noise import mix_still
from maskvfi.regions import Box
from maskvfi.rife.network import Interpolation, Motion
from maskvfi.tiles import Tile
from maskvfi.video.planes import Colour, PixelFormat, mask_to_planes, rgb_to_planes
from maskvfi.warp import backward_warp

FEATHER = 0.15  # probability on either side of the threshold over which the layers blend
FALLBACK = 1e-3  # the share of a hidden sample, of 1: it decides only where both are hidden
STATIC_MODES = ("fade", "nearest")


class Moving(NamedTuple):
    """What the network says of one tile of the picture."""

    tile: Tile
    made: Interpolation


def static_weight(
    probability: Tensor,
    threshold: float = 0.5,
    feather: float = FEATHER,
    protect: Tensor | None = None,
    release: Tensor | None = None,
) -> Tensor:
    """How far each pixel is copied: 1 above the threshold, 0 below, a smooth step of `feather` to either side between.

    probability [B,1,H,W]; protect and release [1,1,H,W] are hand-painted masks (1: always copy, 1: always
    warp) that win over it, release over protect.
    """
    x = ((probability - threshold) / max(2 * feather, 1e-6) + 0.5).clamp(0, 1)
    weight = x * x * (3 - 2 * x)
    if protect is not None:
        weight = torch.maximum(weight, protect)
    if release is not None:
        weight = torch.minimum(weight, 1 - release)
    return weight


def without_static(
    motion: Motion, img0: Tensor, img1: Tensor, time: Tensor, weight: Tensor, box: Box | None = None
) -> Interpolation:
    """The moving layer alone: what stands still in front of it or behind it is not dragged along.

    motion [B,_,h,w]: what the network says of `time` [B,1,1,1], in `box` or in the whole frames [B,3,H,W]; weight
    [B,1,H,W]: how far each pixel of either frame stands still. A warped sample that lands on such a pixel of its frame
    does not belong to what moves, so its share goes to the other frame's sample; where neither frame shows what
    moves, both keep theirs. Two samples of which one is hidden must differ, which is no reason to doubt the other.
    """
    at: tuple[Tensor, ...] = ()
    if box is not None:
        at = tuple(
            torch.arange(*ends, device=img0.device) for ends in ((box.top, box.bottom), (box.left, box.right))
        )
    (sample0, hidden0), (sample1, hidden1) = (
        backward_warp(torch.cat((image, weight), dim=1), half, *at).split((image.shape[1], 1), dim=1)
        for image, half in zip((img0, img1), motion.flow.split(2, dim=1), strict=True)
    )
    share0 = motion.blend * (1 - hidden0 + FALLBACK)
    share1 = (1 - motion.blend) * (1 - hidden1 + FALLBACK)
    blend, doubt = share0 / (share0 + share1), motion.doubt
    frame = torch.lerp(sample1, sample0, blend)
    if doubt is not None:
        doubt = doubt * (1 - hidden0) * (1 - hidden1)
        shown = (img0, img1) if box is None else (box.of(img0), box.of(img1))
        frame = torch.lerp(frame, torch.lerp(*shown, time), doubt)
    return Interpolation(frame, motion.flow, blend, doubt)


def static_layer(
    start: Tensor,
    end: Tensor,
    time: float | Tensor,
    mode: str = "fade",
    code: float = 1 / 255,
    protect: Tensor | None = None,
) -> Tensor:
    """What still pixels [...,H,W] show at `time` in 0..1: (1-t)*start + t*end, or with "nearest" the nearer of the two.

    Where both are equal the result is exactly that value. Heavy noise is not mixed whole, but for where `protect` is 1
    (`mix_still`, whose unit `code` is).
    """
    if mode == "nearest":
        return torch.where(torch.as_tensor(time, device=start.device) < 0.5, start, end)
    return mix_still(start, end, time, code, protect)


def fuse_planes(
    start: Sequence[Tensor],
    end: Sequence[Tensor],
    time: float,
    moving: Iterable[Moving],
    weight: Tensor | None,
    fmt: PixelFormat,
    colour: Colour,
    mode: str = "fade",
    protect: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """The frame at `time`, composed in the source's own planes; code values, not yet rounded.

    start, end: planes [h,w] of float32 code values; moving: the network's answers, of a batch of one, wherever
    something moves, tile by tile; weight [1,1,H,W] of the still pixels, or None where everything moves or, over a cut,
    nothing is known of either; protect [1,1,H,W]: as in `static_layer`. A still pixel never goes through RGB.
    """
    if weight is None:
        weights, still = None, tuple(torch.lerp(a, b, time) for a, b in zip(start, end, strict=True))
    else:
        weights, code = (
            mask_to_planes(weight, fmt, colour),
            1 / 255 if fmt.depth == 32 else 2.0 ** (fmt.depth - 8),
        )
        kept = (None,) * len(weights) if protect is None else mask_to_planes(protect, fmt, colour)
        still = tuple(
            static_layer(a, b, time, mode, code, keep) for a, b, keep in zip(start, end, kept, strict=True)
        )
    out = tuple(plane.clone() for plane in still)
    chroma, full = fmt.log2_chroma, (0, 0)
    shifts = [full, chroma, chroma][: fmt.colour_planes] + [full] * fmt.alpha
    for tile, made in moving:
        warped, box = rgb_to_planes(made.frame, fmt, colour), tile.box
        if fmt.alpha:
            rows, columns = (
                torch.arange(*ends, device=made.flow.device)
                for ends in ((box.top, box.bottom), (box.left, box.right))
            )
            alpha0, alpha1 = (
                backward_warp(planes[-1][None, None], flow, rows, columns)
                for planes, flow in zip((start, end), made.flow.split(2, dim=1), strict=True)
            )
            alpha = torch.lerp(alpha1, alpha0, made.blend)[0, 0]
            if made.doubt is not None:
                alpha = torch.lerp(alpha, box.of(torch.lerp(start[-1], end[-1], time)), made.doubt[0, 0])
            warped = (*warped, alpha)
        for index, (plane, log2) in enumerate(zip(warped, shifts, strict=True)):
            copied = None if weights is None else box.of(weights[index], log2)
            place(box.of(out[index], log2), plane, copied, box.of(still[index], log2), tile, log2)
    return out


def place(
    out: Tensor,
    moving: Tensor,
    weight: Tensor | None,
    still: Tensor,
    tile: Tile,
    log2: tuple[int, int] = (0, 0),
) -> None:
    """Put a tile where it belongs, `out`: both layers by the weight of the still one (None: none of it), all [...,h,w].

    log2 as `Box.of` has it.
    """
    composed = moving if weight is None else torch.lerp(moving, still, weight)
    if tile.top or tile.left:
        share = tile.share(out)[:: 1 << log2[1], :: 1 << log2[0]]
        composed = torch.lerp(out, composed, share)
    out.copy_(composed)
