"""Flow without weights: OpenCV's dense inverse search, where a network may start."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from maskvfi.ops.warp import backward_warp

OUTSIDE = 0.5  # px
LEAST = 32  # px; smaller pictures are enlarged by their rims, DIS needs some room


@torch.no_grad()
def dis_flow(img0: Tensor, img1: Tensor) -> Tensor:
    """Flow [B,4,H,W] in px between frames: at img1's pixels towards img0, and at img0's towards img1.

    img0, img1 [B,3,H,W] in 0..1; float32, on the frames' device. DIS (Kroeger et al., ECCV 2016), on the CPU.
    """
    luma = (255 * img0.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).float()
    greys = [(x.float().clamp(0, 1) * luma).sum(dim=1).round().byte().cpu().numpy() for x in (img0, img1)]
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    found = [
        np.concatenate((_search(search, b, a), _search(search, a, b))) for a, b in zip(*greys, strict=True)
    ]
    return torch.from_numpy(np.stack(found)).to(img0.device)


def flow_at(between: Tensor, time: Tensor) -> Tensor:
    """Flow [B,4,H,W] in px from `time` [B,1,1,1] to both frames, of motion that is straight and even.

    between: as `dis_flow` finds it, at the pixels of the frames; it is asked for at those of `time`, so each half is
    read where the pixel was in its frame if flow is what it is here, and shortened to its part of the gap.
    """
    back, ahead = between.split(2, dim=1)
    back, ahead = backward_warp(back, (time - 1) * back), backward_warp(ahead, -time * ahead)
    return torch.cat((time * back, (1 - time) * ahead), dim=1)


def inside_logit(flow: Tensor) -> Tensor:
    """The blend logit [B,1,H,W] of `flow` [B,4,H,W] that leaves out what comes from beyond the picture's rim.

    A sample fades as it leaves the picture, within about OUTSIDE px; where both are outside, or inside, both count.
    """
    height, width = flow.shape[-2:]
    rows = torch.arange(height, device=flow.device)[:, None]
    columns = torch.arange(width, device=flow.device)
    share = []
    for half in flow.split(2, dim=1):
        x, y = columns + half[:, :1], rows + half[:, 1:]
        beyond = ((x - width + 1).relu() + (-x).relu() + (y - height + 1).relu() + (-y).relu()) / OUTSIDE
        share.append((-beyond).exp() + 1e-3)
    return (share[0] / share[1]).log()


def _search(search: cv2.DISOpticalFlow, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Where each pixel of `start` [H,W] lies in `end`, less where it is: [2,H,W], x then y."""
    height, width = start.shape
    rims = (0, max(LEAST - height, 0), 0, max(LEAST - width, 0))
    if any(rims):
        start, end = (cv2.copyMakeBorder(x, *rims, cv2.BORDER_REPLICATE) for x in (start, end))
    flow: np.ndarray = search.calc(np.ascontiguousarray(start), np.ascontiguousarray(end), None)
    return flow[:height, :width].transpose(2, 0, 1)
