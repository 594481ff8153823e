"""The published network (routineLife1/StaticMaskNet), as a baseline that is trained by the same recipe."""

from __future__ import annotations

import torch
import torch.nn as nn
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


class PublishedUNet(nn.Module):
    """A UNet of 2,209,976 parameters: seven planes in (frame 0, squared difference, frame 1), a logit per pixel out.

    It is built from its published description, but for two things, which made a result depend on the rest of its
    batch: here the difference is divided by the maximum of its own pair, and sides are padded to a multiple of 8 px.
    """

    def __init__(self) -> None:
        super().__init__()
        self.down0, self.down1, self.down2 = _pair(7, 32, 2), _pair(32, 64, 2), _pair(64, 128, 2)
        self.up2, self.up1 = _up(128, 64), _up(128, 64)
        self.up_tail = nn.Sequential(_pair(96, 4), nn.PixelShuffle(2))

    def logits(self, frames: Tensor) -> Tensor:
        """How surely pixels stand still; every gap is judged by its own two frames.

        Args:
            frames: [B,N,3,H,W], RGB in 0..1.

        Returns:
            [B,N-1,H,W], logits.
        """
        batch, _, _, height, width = frames.shape
        start, end = (rearrange(part, "b n c h w -> (b n) c h w") for part in (frames[:, :-1], frames[:, 1:]))
        difference = (end - start).square().mean(dim=1, keepdim=True)
        difference = difference / (difference.amax(dim=(1, 2, 3), keepdim=True) + 1e-6)
        x = torch.cat((start, difference, end), dim=1)
        x = F.pad(x, (0, -width % 8, 0, -height % 8), mode="replicate")
        x0 = self.down0(x)
        x1 = self.down1(x0)
        x = torch.cat((self.up2(self.down2(x1)), x1), dim=1)
        x = self.up_tail(torch.cat((self.up1(x), x0), dim=1))
        return rearrange(x[..., :height, :width], "(b gap) 1 h w -> b gap h w", b=batch)

    def sequence(self, frames: Tensor) -> Tensor:
        """`logits` as probabilities."""
        return torch.sigmoid(self.logits(frames))

    def forward(self, img0: Tensor, img1: Tensor) -> Tensor:
        """The probability [B,1,H,W] that a pixel stands still between img0 and img1, [B,3,H,W] in 0..1."""
        return self.sequence(torch.stack((img0, img1), dim=1))


def _pair(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(outputs, outputs, 3, 1, 1),
        nn.LeakyReLU(0.2),
    )


def _up(inputs: int, outputs: int) -> nn.Sequential:
    """A pair of convolutions, an upsampling to twice the size, and another pair."""
    return nn.Sequential(
        _pair(inputs, 4 * outputs), nn.PixelShuffle(2), nn.LeakyReLU(0.2), _pair(outputs, outputs)
    )
