"""Small things that pass over still ground, such as a mouse pointer.

A thing that moves further than its own size leaves no trace half-way: both frames show still ground there, which the
mask copies, and the thing would be missing in the new frame.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from maskvfi.models.base import Motion
from maskvfi.ops.boxes import Box, known_empty
from maskvfi.ops.warp import backward_warp
from maskvfi.synthesis.compose import Samples

CELL = 16  # px
NEAR = 3  # cells to either side
CALM = 0.5  # share of copied pixels near a place, above which what moves there is small
ALIKE = 32 / 255  # the largest difference of one colour between both frames' samples of a thing
SEEN = 24 / 255  # the smallest difference from the ground by which a thing is seen
SAME_GROUND = 32 / 255  # the largest difference between the ground under a thing and that where it was
RIM = 2  # px around a thing, over the same ground
FEWEST = 6  # pixels of a thing in a square that reaches RIM px; fewer are the outline of something that moves a little


def calm_cells(weight: Tensor) -> Tensor:
    """Where little moves, so that what moves is a small thing.

    Args:
        weight: [B,1,H,W] in 0..1, how far each pixel is copied.

    Returns:
        [B,1,h,w] bool, one value for every CELLxCELL px.
    """
    still = F.avg_pool2d((weight > 0.5).to(weight.dtype), CELL, ceil_mode=True)
    return F.avg_pool2d(still, 2 * NEAR + 1, 1, NEAR, count_include_pad=False) > CALM


def passing_things(
    motion: Motion,
    samples: Samples,
    img0: Tensor,
    img1: Tensor,
    weight: Tensor,
    calm: Tensor,
    box: Box,
    protect: Tensor | None = None,
) -> Tensor | None:
    """Find the copied pixels over which a small thing passes at the new frame's time.

    Both flows lead from there to what moves, both show the same colour, and this is not the colour of the ground. What
    the thing has left and what it is going to cover look like the ground between. So a thing stays behind letters and
    lines that are clearly seen on what is beside them. A box has to contain all of the thing's way.

    Args:
        motion: The network's motion at the new frame's time, in `box`.
        samples: What it reads, as `compose.warped_samples` returns it.
        img0, img1: Whole frames [B,3,H,W], RGB in 0..1.
        weight: [B,1,H,W] in 0..1, how far each pixel is copied.
        calm: What `calm_cells` returns for it.
        box: The part of the picture.
        protect: [1,1,H,W], over 0 where nothing may pass.

    Returns:
        [B,1,h,w], 1 on such pixels, else 0; None where a CPU finds none.
    """
    if known_empty(calm):
        return None
    rows, columns = box.places(weight.device)
    open_to = calm[..., rows[:, None] // CELL, columns // CELL] & (box.of(weight) > 0)
    if protect is not None:
        open_to = open_to & (box.of(protect) == 0)
    thing = open_to & (samples.hidden0 < 0.5) & (samples.hidden1 < 0.5)
    if known_empty(thing):
        return None
    ground = (box.of(img0) + box.of(img1)) / 2
    thing &= _alike(samples.colour0, samples.colour1, ALIKE)
    thing &= ~_alike((samples.colour0 + samples.colour1) / 2, ground, SEEN)
    if known_empty(thing):
        return None
    flow0, flow1 = motion.flow.split(2, dim=1)
    behind, ahead = backward_warp(img1, flow0, rows, columns), backward_warp(img0, flow1, rows, columns)
    thing &= _alike(behind, ground, SAME_GROUND) & _alike(ahead, ground, SAME_GROUND)
    if known_empty(thing):
        return None
    grey = ground.mean(dim=1, keepdim=True)
    thing &= _around(thing.to(grey.dtype)) >= FEWEST
    number, under = _around(thing.to(grey.dtype)), _around(grey * thing)
    rim = open_to & (number > 0) & ((under - number * grey).abs() <= number * SAME_GROUND)
    return (thing | rim).to(weight.dtype)


def _around(values: Tensor) -> Tensor:
    """Sums over squares that reach RIM px."""
    for dim in (-1, -2):
        size = values.shape[dim]
        padded = F.pad(values, (RIM, RIM) if dim == -1 else (0, 0, RIM, RIM))
        values = sum(
            (padded.narrow(dim, k, size) for k in range(1, 2 * RIM + 1)), padded.narrow(dim, 0, size)
        )
    return values


def _alike(first: Tensor, second: Tensor, most: float) -> Tensor:
    """[B,1,h,w], where no colour of two pictures differs by more than `most`."""
    return (first - second).abs().amax(dim=1, keepdim=True) <= most
