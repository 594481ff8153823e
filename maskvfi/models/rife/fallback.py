"""Fallback: a cross-fade of both frames where the flow does not explain them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskvfi.ops.warp import backward_warp

PLANES = 16  # input planes, see `evidence`
COLOUR_FLOOR = 0.004  # of 1, added to differences of colour before the logarithm: about one 8-bit code value
FLOW_FLOOR = 0.1  # px, added to lengths of flow before the logarithm
INITIAL_LOGIT = -2.0  # of the share, before training
NEAR, FAR = 4, 16  # cells of 2x2 px: the neighbourhoods over which differences are also averaged


class Fallback(nn.Module):
    """Predicts where a cross-fade of both frames is better than the frames warped along the flow.

    Flow fails where things appear, deform, blink or repeat. A wrong flow causes two errors: an object is missing at its
    place and shows at another one. The input is not the picture itself but the signs of a wrong flow, at half
    the frame's size: how much the two warped frames differ, compared to how much the frames differ without warping, at
    each pixel and around it; how far the two halves of the flow disagree; and how fast the motion is.

    Args:
        width: Channels of the hidden layers.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weigh = nn.Conv2d(PLANES, width, 1)
        self.look = nn.Conv2d(width, width, 3, 1, 1)
        self.decide = nn.Conv2d(width, 1, 1)
        nn.init.zeros_(self.decide.weight)
        nn.init.constant_(self.decide.bias, INITIAL_LOGIT)  # type: ignore[arg-type]

    def forward(self, img0: Tensor, img1: Tensor, flow: Tensor, blend: Tensor, time: Tensor) -> Tensor:
        """The share of the cross-fade.

        Args:
            img0, img1: [B,3,H,W], RGB in 0..1.
            flow: [B,4,H,W] in px, at `time`.
            blend: [B,1,H,W] in 0..1, at `time`.
            time: [B,1,1,1] in 0..1.

        Returns:
            [B,1,H,W] in 0..1.
        """
        planes = evidence(img0, img1, flow, blend, time).to(self.weigh.weight.dtype)
        x = F.leaky_relu(self.weigh(planes), 0.1)
        x = F.leaky_relu(self.look(x), 0.1)
        logit = F.interpolate(self.decide(x).float(), flow.shape[-2:], mode="bilinear", align_corners=False)
        return torch.sigmoid(logit)


def evidence(img0: Tensor, img1: Tensor, flow: Tensor, blend: Tensor, time: Tensor) -> Tensor:
    """The input planes of `Fallback`.

    Args:
        img0, img1, flow, blend, time: As `Fallback.forward` takes them.

    Returns:
        [B,PLANES,ceil(H/2),ceil(W/2)]: logarithms of 11 differences of colour and of 4 lengths of flow, and the
        blend scaled to -1..1.
    """
    img0, img1, flow, blend = (_halved(x.float()) for x in (img0, img1, flow, blend))
    to0, to1 = flow.split(2, dim=1)
    warped0, warped1 = backward_warp(img0, to0 / 2), backward_warp(img1, to1 / 2)
    blended, faded = torch.lerp(warped1, warped0, blend), torch.lerp(img0, img1, time)
    warped, unwarped = _difference(warped0, warped1), _difference(img0, img1)
    differences = (
        warped,
        unwarped,
        _difference(blended, faded),
        _difference(warped0, img0),
        _difference(warped1, img1),
        _difference(warped0, img1),
        _difference(warped1, img0),
    )
    around = [_around(x, reach) for x in (warped, unwarped) for reach in (NEAR, FAR)]
    colours = torch.cat((*(_around(x, 0) for x in differences), *around), dim=1)
    # Of straight, even motion the halves are -t and 1-t times the same vector, so this sum is 0.
    disagreement, speed = _length((1 - time) * to0 + time * to1), _length(to1 - to0)
    lengths = torch.cat((disagreement, _around(disagreement, NEAR), speed, _around(speed, NEAR)), dim=1)
    return torch.cat(
        ((colours + COLOUR_FLOOR).log() / 2 + 2, (lengths + FLOW_FLOOR).log() / 2, 2 * blend - 1), dim=1
    )


def _halved(x: Tensor) -> Tensor:
    """The means of cells of 2x2 px. For even sides bilinear sampling gives the same as pooling and is faster."""
    if x.shape[-2] % 2 or x.shape[-1] % 2:
        return F.avg_pool2d(x, 2, ceil_mode=True)
    return F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False)


def _difference(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference over the channels, [B,1,h,w]."""
    return (a - b).abs().mean(dim=1, keepdim=True)


def _length(flow: Tensor) -> Tensor:
    """Length of flow [B,2,h,w], as [B,1,h,w]."""
    return flow.square().sum(dim=1, keepdim=True).sqrt()


def _around(x: Tensor, reach: int) -> Tensor:
    """The mean over a neighbourhood of about `reach` cells; for 0 over 3x3 cells."""
    if not reach:
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    pooled = F.avg_pool2d(x, reach, ceil_mode=True, count_include_pad=False)
    pooled = F.avg_pool2d(pooled, 3, 1, 1, count_include_pad=False)
    return F.interpolate(pooled, x.shape[-2:], mode="bilinear", align_corners=False)
