"""The network of the published idea (routineLife1/StaticMaskNet), as a baseline trained by the same recipe."""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor


class PublishedUNet(nn.Module):
    """Seven planes in (frame 0, squared difference, frame 1), one logit per pixel out; 2,209,976 parameters.

    Built from its published description. Two things differ, since they made it depend on what else is in a
    batch: the difference is divided by the maximum of its own pair, and sizes are padded to a multiple of 8.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down0, self.down1, self.down2 = _pair(7, 32, 2), _pair(32, 64, 2), _pair(64, 128, 2)
        self.up2, self.up1 = _up(128, 64), _up(128, 64)
        self.up_tail = nn.Sequential(_pair(96, 4), nn.PixelShuffle(2))

    def logits(self, frames: Tensor) -> Tensor:
        """[B,N,3,H,W] in 0..1 -> [B,N-1,H,W]; every gap is judged by its own two frames."""
        batch, count, _, height, width = frames.shape
        start, end = (part.flatten(0, 1) for part in (frames[:, :-1], frames[:, 1:]))
        difference = (end - start).square().mean(dim=1, keepdim=True)
        difference = difference / (difference.amax(dim=(1, 2, 3), keepdim=True) + 1e-6)
        x = torch.cat((start, difference, end), dim=1)
        x = F.pad(x, (0, -width % 8, 0, -height % 8), mode="replicate")
        x0 = self.down0(x)
        x1 = self.down1(x0)
        x = torch.cat((self.up2(self.down2(x1)), x1), dim=1)
        x = self.up_tail(torch.cat((self.up1(x), x0), dim=1))
        return x[..., :height, :width].reshape(batch, count - 1, height, width)

    def sequence(self, frames: Tensor) -> Tensor:
        """`logits` as probabilities."""
        return torch.sigmoid(self.logits(frames))

    def forward(self, img0: Tensor, img1: Tensor) -> Tensor:
        """Probability [B,1,H,W] that a pixel stands still between img0 and img1, [B,3,H,W] in 0..1."""
        return self.sequence(torch.stack((img0, img1), dim=1))


def _pair(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(outputs, outputs, 3, 1, 1),
        nn.LeakyReLU(0.2),
    )


def _up(inputs: int, outputs: int) -> nn.Sequential:
    """A pair of convolutions, twice the size, and another pair."""
    return nn.Sequential(
        _pair(inputs, 4 * outputs), nn.PixelShuffle(2), nn.LeakyReLU(0.2), _pair(outputs, outputs)
    )
