"""Flow without weights: OpenCV's dense inverse search, where a network may start."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from maskvfi.ops.warp import backward_warp

OUTSIDE = 0.5  # px
MIN_SIDE = 32  # px; DIS needs some room, so smaller pictures are enlarged by their rims


def search(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Flow between two grey pictures by DIS (Kroeger et al., ECCV 2016), with OpenCV's medium preset.

    Args:
        start, end: Grey pictures of one size, uint8 [H,W], from 1x1 px up.

    Returns:
        [2,H,W] in px, float32, x then y: where each pixel of `start` lies in `end`, less where it is.
    """
    return _search(_create(), start, end)


@torch.no_grad()
def dis_flow(img0: Tensor, img1: Tensor) -> Tensor:
    """Flow between frames by `search`, computed on the CPU.

    Args:
        img0, img1: [B,3,H,W], RGB in 0..1.

    Returns:
        [B,4,H,W] in px, float32, on the frames' device: at img1's pixels towards img0, then at img0's towards img1.
    """
    luma = (255 * img0.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).float()
    greys = [(x.float().clamp(0, 1) * luma).sum(dim=1).round().byte().cpu().numpy() for x in (img0, img1)]
    dis = _create()
    found = [np.concatenate((_search(dis, b, a), _search(dis, a, b))) for a, b in zip(*greys, strict=True)]
    return torch.from_numpy(np.stack(found)).to(img0.device)


def flow_at(between: Tensor, time: Tensor) -> Tensor:
    """Flow from a time to both frames, of motion that is straight and even.

    `between` holds flow at the pixels of the frames, and flow is wanted at those of `time`. So each half is read where
    the pixel was in its frame if its own flow is right, and shortened to its part of the gap.

    Args:
        between: [B,4,H,W] in px, as `dis_flow` finds it.
        time: [B,1,1,1] in 0..1.

    Returns:
        [B,4,H,W] in px, (x,y) from `time` to frame 0, then to frame 1.
    """
    back, ahead = between.split(2, dim=1)
    back, ahead = backward_warp(back, (time - 1) * back), backward_warp(ahead, -time * ahead)
    return torch.cat((time * back, (1 - time) * ahead), dim=1)


def inside_logit(flow: Tensor) -> Tensor:
    """The blend that leaves out samples from beyond the picture's rim.

    A sample fades within about OUTSIDE px as it leaves the picture. Where both samples are inside, or both outside,
    both count alike.

    Args:
        flow: [B,4,H,W] in px, as `flow_at` gives it.

    Returns:
        [B,1,H,W], the logit of frame 0's share.
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


def _create() -> cv2.DISOpticalFlow:
    """DIS with its buffers, which serve again for the next pictures of the same size."""
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)


def _search(dis: cv2.DISOpticalFlow, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    height, width = start.shape
    rims = (0, max(MIN_SIDE - height, 0), 0, max(MIN_SIDE - width, 0))
    if any(rims):
        start, end = (cv2.copyMakeBorder(x, *rims, cv2.BORDER_REPLICATE) for x in (start, end))
    flow: np.ndarray = dis.calc(np.ascontiguousarray(start), np.ascontiguousarray(end), None)
    return flow[:height, :width].transpose(2, 0, 1)
