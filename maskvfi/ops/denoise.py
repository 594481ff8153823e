"""Noise of what stands still: two frames say how much there is, and a frame between them need not keep it all."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CELL = 4  # px: the neighbourhood to whose mean a noisy pixel is drawn
STRENGTH = 0.7  # how far; warped pixels beside it lose about as much of their noise by being resampled
FLOOR = 2.0  # deviation in 8-bit code values: what cameras and codecs leave in ordinary video is left alone
EXTREMES = (
    2.0  # of pure noise, the largest of nine variances is about twice the least of nine of larger cells
)
TINY = 1e-12


def mix_still(
    start: Tensor, end: Tensor, time: float | Tensor, code: float = 1 / 255, keep: Tensor | None = None
) -> Tensor:
    """(1-t)*start + t*end with less noise, of two frames [...,H,W] that show the same still things; time in 0..1.

    A local Wiener filter (Lee 1980) draws each pixel of the mix to the mean of its cell by the share that noise has in
    the variance there: half the noise of the frames' difference, times (1-t)^2 + t^2. Edges and texture, whose variance
    in a cell or beside it is high, stay. Where both frames have the same value the result has it too.
    code: what an 8-bit code value is in the frames' unit; keep [...,H,W]: 1 where all noise is kept.
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
    """Variance of the frames' difference, in cells of twice the side, of what is no change of light.

    A fade, or anything else that only gains or loses contrast, differs by a multiple of itself: the line that fits the
    difference to the frames' mean is taken out. The least of neighbouring cells counts, since a spot
    that changes alone, or the rim of something that moves, is no noise.
    """
    _, _, v00, v01, v11 = _moments([_mean(x, 2) for x in cells])
    difference, both, together = v00 + v11 - 2 * v01, (v00 + v11 + 2 * v01) / 4, (v11 - v00) / 2
    return -_largest(-(difference - together.square() / (both + TINY)))


def _moments(cells: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Means and (co)variances from the means of both frames, of their squares and of their product."""
    mean0, mean1, square0, product, square1 = cells
    return mean0, mean1, square0 - mean0**2, product - mean0 * mean1, square1 - mean1**2


def _mean(image: Tensor, cell: int) -> Tensor:
    return F.avg_pool2d(image, cell, ceil_mode=True, count_include_pad=False)


def _largest(cells: Tensor) -> Tensor:
    """The largest value among each cell and its eight neighbours."""
    return F.max_pool2d(cells, 3, 1, 1)


def _resize(cells: Tensor, like: Tensor) -> Tensor:
    """Bilinear interpolation to the height and width of `like`."""
    batch = cells if cells.ndim == 4 else cells[None]
    resized = F.interpolate(batch, size=like.shape[-2:], mode="bilinear", align_corners=False)
    return resized if cells.ndim == 4 else resized[0]
