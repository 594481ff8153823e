"""Mix still pixels so that their noise is as strong as in the frames that they come from."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from maskvfi.ops.bands import in_bands
from maskvfi.ops.boxes import known_empty

CELL = 8  # px; the noise is measured in cells of this size
# Standard deviation of one frame's noise in 8-bit code values. Below FAINT, which ordinary coding leaves, no noise is
# added; from VISIBLE on its full strength is restored.
FAINT, VISIBLE = 1.0, 2.0
SMALLEST = 1.5  # the variance of noise divided by the smallest variance of a cell and its eight neighbours
# The share of the variance within 2x2 px tells noise from a dissolve. White noise has 0.75, film grain rarely less than
# FINE. Below COARSE the two pictures dissolve, and no noise is added.
COARSE, FINE = 0.1, 0.2
SHIFT = 6  # px; noise is not correlated over this distance
HALO = 4 * CELL  # px; no pixel depends on rows farther away
NUDGE = 0.01  # of a code value, which only decides which way a half is rounded
TINY = 1e-12


def mix_still(
    start: Tensor,
    end: Tensor,
    time: float | Tensor,
    code: float = 1 / 255,
    keep: Tensor | None = None,
    used: Tensor | None = None,
) -> Tensor:
    """Cross-fade still pixels, and keep the strength of their noise.

    The noise of (1-t)*start + t*end is weaker than that of either frame: its variance is (1-t)^2 + t^2 times as large.
    In a film whose every second frame is mixed like this, grain pulses. What is missing is taken from the difference of
    the frames, which is noise of the same kind with twice the variance; a few pixels further on it is independent of
    the noise in the mix. Where both frames have the same value, the result has exactly this value.

    Args:
        start, end: Two frames [...,H,W] that show the same still objects; integers are mixed in float32.
        time: In 0..1.
        code: One 8-bit code value in the frames' unit.
        keep: [...,H,W] in 0..1, 1 where the mix is left as it is.
        used: [...,H,W], 0 where the result is not used, which saves time; None: it is used everywhere.

    Returns:
        [...,H,W], in the range of both frames.
    """
    if start.ndim == 2:
        return mix_still(start[None], end[None], time, code, keep, None if used is None else used[None])[0]

    def mixed(start: Tensor, end: Tensor, keep: Tensor | None, used: Tensor | None) -> tuple[Tensor]:
        return (_mixed(as_float(start), as_float(end), time, code, keep, used),)

    (out,) = in_bands(mixed, (start, end, keep, used), HALO, CELL)
    assert out is not None
    return out


def as_float(plane: Tensor) -> Tensor:
    """Code values as float32; what is a float already stays as it is."""
    return plane if plane.is_floating_point() else plane.to(torch.float32)


def nearer_frame(start: Tensor, end: Tensor, time: float | Tensor) -> Tensor:
    """The frame that is nearer to `time` in 0..1, in the middle the first."""
    if isinstance(time, Tensor):
        return torch.where(time <= 0.5, start, end)
    return start if time <= 0.5 else end


def _mixed(
    start: Tensor,
    end: Tensor,
    time: float | Tensor,
    code: float,
    keep: Tensor | None,
    used: Tensor | None,
) -> Tensor:
    """`mix_still` for a band of the frames."""
    mixed = _nudged(torch.lerp(start, end, time), start, end, time, code, keep)
    slope, rest, variance = _difference(start, end)
    noise = SMALLEST * _smallest(variance)
    share = ((noise / 2 / code**2 - FAINT**2) / (VISIBLE**2 - FAINT**2)).clamp(0, 1)
    if used is not None:  # the share of a cell reaches into those beside it
        share = share * (_largest(_mean(used)) > 0)
    if known_empty(share > 0):  # also where frames are no numbers
        return mixed
    rows, columns = _around(share)
    cells, box = (..., rows, columns), (..., _in_pixels(rows), _in_pixels(columns))
    first, last, part = start[box], end[box], mixed[box]
    slope, rest, variance, noise, share = (x[cells] for x in (slope, rest, variance, noise, share))
    grain = last - first - _repeat(slope, first) * (first + last) / 2 - _repeat(rest, first)
    share = _resize((share * _fine(grain, variance)).sqrt(), first)
    if keep is not None:
        share = share * (1 - keep[box])
    grain = (grain * _resize((noise / (variance + TINY)).sqrt(), first)).roll((SHIFT, SHIFT), (-2, -1))
    noisy = part + (time * (1 - time)) ** 0.5 * share * grain
    low = torch.minimum(start.amin((-2, -1), True), end.amin((-2, -1), True))
    high = torch.maximum(start.amax((-2, -1), True), end.amax((-2, -1), True))
    part.copy_(torch.where(first == last, part, noisy.clamp(low, high)))
    return mixed


def _fine(grain: Tensor, variance: Tensor) -> Tensor:
    """How far each cell's difference is noise and no dissolve, in 0..1, by its share of variance within 2x2 px."""
    within = _mean(grain.square()) - _mean(_mean(grain, 2).square(), CELL // 2)
    return ((_smallest(within / (variance + TINY)) - COARSE) / (FINE - COARSE)).clamp(0, 1)


def _around(share: Tensor) -> tuple[slice, slice]:
    """The rows and columns of the cells that get noise, with two more on every side. The other cells are skipped.

    The noise fades out in the first of the two. It is taken from SHIFT px away, which lies in the second. On a GPU all
    cells are returned: waiting for its answer costs more than computing them.
    """
    if share.device.type != "cpu":
        height, width = share.shape[-2:]
        return slice(0, height), slice(0, width)
    found = (share > 0).flatten(0, -3).any(dim=0)
    rows, columns = (found.any(dim=dim).nonzero() for dim in (1, 0))
    return (
        slice(max(int(rows.min()) - 2, 0), int(rows.max()) + 3),
        slice(max(int(columns.min()) - 2, 0), int(columns.max()) + 3),
    )


def _in_pixels(cells: slice) -> slice:
    return slice(cells.start * CELL, cells.stop * CELL)


def _nudged(
    mixed: Tensor, start: Tensor, end: Tensor, time: float | Tensor, code: float, keep: Tensor | None
) -> Tensor:
    """Move pixels a hair towards the nearer frame, in the middle towards the first, but where `keep` is 1.

    In the middle of a gap half of all small changes end halfway between two code values, and rounding makes noise of
    them. Most of them are made by a codec, which copies what stands still from the frame before.
    """
    nudge = (nearer_frame(start, end, time) - mixed).clamp_(-NUDGE * code, NUDGE * code)
    return mixed + (nudge if keep is None else (1 - keep) * nudge)


def _difference(start: Tensor, end: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Fit end - start = slope * (start + end) / 2 + rest in every cell; what remains is noise.

    Where brightness or contrast changes, as in a fade, the difference is a multiple of the picture and not noise.

    Returns:
        slope, rest and the variance of the noise, one value per cell.
    """
    moments = (start, end, start * start, start * end, end * end)
    mean0, mean1, square0, product, square1 = (_mean(x) for x in moments)
    v00, v01, v11 = square0 - mean0**2, product - mean0 * mean1, square1 - mean1**2
    difference, both, together = v00 + v11 - 2 * v01, (v00 + v11 + 2 * v01) / 4, (v11 - v00) / 2
    slope = together / (both + TINY)
    rest = mean1 - mean0 - slope * (mean0 + mean1) / 2
    return slope, rest, (difference - slope * together).clamp_min(0)


def _mean(image: Tensor, cell: int = CELL) -> Tensor:
    """The means of cells."""
    return F.avg_pool2d(image, cell, ceil_mode=True, count_include_pad=False)


def _largest(cells: Tensor) -> Tensor:
    """The largest value among each cell and its eight neighbours."""
    return F.max_pool2d(cells, 3, 1, 1)


def _smallest(cells: Tensor) -> Tensor:
    """The smallest value among each cell and its eight neighbours: a single spot that changes is no noise."""
    return -_largest(-cells)


def _repeat(cells: Tensor, like: Tensor) -> Tensor:
    """The value of its cell for every pixel of `like`."""
    height, width = like.shape[-2:]
    return cells.repeat_interleave(CELL, -2).repeat_interleave(CELL, -1)[..., :height, :width]


def _resize(cells: Tensor, like: Tensor) -> Tensor:
    """Bilinear interpolation to the height and width of `like`."""
    batch = cells if cells.ndim == 4 else cells[None]
    resized = F.interpolate(batch, size=like.shape[-2:], mode="bilinear", align_corners=False)
    return resized if cells.ndim == 4 else resized[0]
