"""Where motion does not explain two frames, a network should not insist on it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskvfi.ops.warp import backward_warp

SEEN = 16  # planes of evidence
FAINT = 0.004  # of 1, added to differences before their logarithm: about one code value
SLIGHT = 0.1  # px, the same for flow
AT_FIRST = -2.0  # logit of the doubt before anything was learnt
NEAR, FAR = 4, 16  # cells: how far around a cell the evidence is also gathered


class Fallback(nn.Module):
    """How far a cross-fade of the frames as they are is a better guess than the frames moved along the flow.

    Flow fails where things turn up, deform, blink or repeat, and a wrong motion is twice wrong: something is missing
    where it was and something else is put where it is not. What tells is evidence, not the picture: how much the two
    moved frames differ, against how much the frames differ where they are, here and around; how little the two halves
    of the flow agree; how fast it is. All is seen at half the frame's size.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(SEEN, width, 1)
        self.look = nn.Conv2d(width, width, 3, 1, 1)
        self.decide = nn.Conv2d(width, 1, 1)
        nn.init.zeros_(self.decide.weight)
        nn.init.constant_(self.decide.bias, AT_FIRST)  # type: ignore[arg-type]

    def forward(self, img0: Tensor, img1: Tensor, flow: Tensor, blend: Tensor, time: Tensor) -> Tensor:
        """The share [B,1,H,W] of the cross-fade, from frames [B,3,H,W] in 0..1 and the flow [B,4,H,W] in px and the
        blend [B,1,H,W] at `time` [B,1,1,1].
        """
        seen = evidence(img0, img1, flow, blend, time).to(self.weigh.weight.dtype)
        x = F.leaky_relu(self.weigh(seen), 0.1)
        x = F.leaky_relu(self.look(x), 0.1)
        logit = F.interpolate(self.decide(x).float(), flow.shape[-2:], mode="bilinear", align_corners=False)
        return torch.sigmoid(logit)


def evidence(img0: Tensor, img1: Tensor, flow: Tensor, blend: Tensor, time: Tensor) -> Tensor:
    """What `Fallback` judges by, [B,SEEN,h,w] at half the size, each plane of about unit size."""
    img0, img1, flow, blend = (_halved(x.float()) for x in (img0, img1, flow, blend))
    to0, to1 = flow.split(2, dim=1)
    moved0, moved1 = backward_warp(img0, to0 / 2), backward_warp(img1, to1 / 2)
    made, faded = torch.lerp(moved1, moved0, blend), torch.lerp(img0, img1, time)
    moved, still = _apart(moved0, moved1), _apart(img0, img1)
    pairs = (moved, still, _apart(made, faded), _apart(moved0, img0), _apart(moved1, img1))
    crossed = (_apart(moved0, img1), _apart(moved1, img0))
    around = [_around(x, reach) for x in (moved, still) for reach in (NEAR, FAR)]
    uneven, speed = (_length(x) for x in ((1 - time) * to0 + time * to1, to1 - to0))
    strides = [x for plane in (uneven, speed) for x in (plane, _around(plane, NEAR))]
    differences = torch.cat((*(_around(x, 0) for x in (*pairs, *crossed)), *around), dim=1)
    return torch.cat(
        ((differences + FAINT).log() / 2 + 2, (torch.cat(strides, dim=1) + SLIGHT).log() / 2, 2 * blend - 1),
        dim=1,
    )


def _halved(x: Tensor) -> Tensor:
    """The means of 2x2 cells: of even sizes bilinear sampling gives the same as pooling, and is quicker."""
    if x.shape[-2] % 2 or x.shape[-1] % 2:
        return F.avg_pool2d(x, 2, ceil_mode=True)
    return F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False)


def _apart(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs().mean(dim=1, keepdim=True)


def _length(flow: Tensor) -> Tensor:
    return flow.square().sum(dim=1, keepdim=True).sqrt()


def _around(x: Tensor, reach: int) -> Tensor:
    """The mean over a neighbourhood of about `reach` cells; 0: over the cells that touch."""
    if not reach:
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    pooled = F.avg_pool2d(x, reach, ceil_mode=True, count_include_pad=False)
    pooled = F.avg_pool2d(pooled, 3, 1, 1, count_include_pad=False)
    return F.interpolate(pooled, x.shape[-2:], mode="bilinear", align_corners=False)
