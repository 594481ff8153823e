"""Denoise still pixels: the difference of two frames shows how much noise there is."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CELL = 4  # px; noisy pixels are moved towards the mean of their cell
STRENGTH = 0.7  # how far; resampling removes about as much of the noise of warped pixels
FLOOR = 2.0  # standard deviation in 8-bit code values; weaker noise, as in ordinary video, is left unchanged
# `_largest` and `_noise` take extremes of nine cells. Of pure noise the largest variance of nine cells is about twice
# the smallest one of nine larger cells.
EXTREMES = 2.0
TINY = 1e-12


def mix_still(
    start: Tensor, end: Tensor, time: float | Tensor, code: float = 1 / 255, keep: Tensor | None = None
) -> Tensor:
    """Cross-fade still pixels with less noise.

    A local Wiener filter (Lee 1980): each pixel of (1-t)*start + t*end is moved towards the mean of its cell, by the
    share of noise in the variance there. The variance of the noise is half that of the frames' difference, times
    (1-t)^2 + t^2. Edges and texture are kept, since the variance in their cell or a neighbouring one is high. Where
    both frames have the same value, the result has exactly this value.

    Args:
        start, end: Two frames [...,H,W] that show the same still objects.
        time: In 0..1.
        code: One 8-bit code value in the frames' unit.
        keep: [...,H,W] in 0..1, 1 where all noise is kept.

    Returns:
        [...,H,W].
    """
    if start.ndim == 2:
        return mix_still(start[None], end[None], time, code, keep)[0]
    cells = [_mean(x, CELL) for x in (start, end, start * start, start * end, end * end)]
    mean0, mean1, v00, v01, v11 = _moments(cells)
    mean = torch.lerp(mean0, mean1, time)
    variance = _largest((1 - time) ** 2 * v00 + 2 * time * (1 - time) * v01 + time**2 * v11)
    noise = (_noise(cells) / 2 - (FLOOR * code) ** 2).clamp_min(0) * ((1 - time) ** 2 + time**2)
    share = STRENGTH * (EXTREMES * _resize(noise, mean) / (variance + TINY)).clamp(max=1)
    mixed, share = torch.lerp(start, end, time), _resize(share, start)
    if keep is not None:
        share = share * (1 - keep)
    return torch.where(start == end, mixed, torch.lerp(mixed, _resize(mean, start), share))


def _noise(cells: list[Tensor]) -> Tensor:
    """Variance of the noise in the frames' difference, in cells of twice the side.

    In a fade, or wherever contrast changes, the difference is a multiple of the picture. So the part of the difference
    that is linear in the frames' mean is removed. The smallest of neighbouring cells counts, since a single spot that
    changes, or the edge of a moving object, is no noise.
    """
    _, _, v00, v01, v11 = _moments([_mean(x, 2) for x in cells])
    difference, both, together = v00 + v11 - 2 * v01, (v00 + v11 + 2 * v01) / 4, (v11 - v00) / 2
    return -_largest(-(difference - together.square() / (both + TINY)))


def _moments(cells: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Means and (co)variances from the means of both frames, of their squares and of their product."""
    mean0, mean1, square0, product, square1 = cells
    return mean0, mean1, square0 - mean0**2, product - mean0 * mean1, square1 - mean1**2


def _mean(image: Tensor, cell: int) -> Tensor:
    """The means of cells."""
    return F.avg_pool2d(image, cell, ceil_mode=True, count_include_pad=False)


def _largest(cells: Tensor) -> Tensor:
    """The largest value among each cell and its eight neighbours."""
    return F.max_pool2d(cells, 3, 1, 1)


def _resize(cells: Tensor, like: Tensor) -> Tensor:
    """Bilinear interpolation to the height and width of `like`."""
    batch = cells if cells.ndim == 4 else cells[None]
    resized = F.interpolate(batch, size=like.shape[-2:], mode="bilinear", align_corners=False)
    return resized if cells.ndim == 4 else resized[0]
