"""StaticMaskNet: which pixels stand still between neighbouring frames."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

STRIDE = 32  # frames are padded to a multiple of this


@dataclass(frozen=True, slots=True)
class StaticConfig:
    """Widths at 1/4, 1/8, 1/16 and 1/32 of the frame, and how far (in cells) features are compared."""

    widths: tuple[int, int, int, int] = (24, 32, 48, 64)
    encoder: tuple[int, int] = (16, 24)
    reach: tuple[int, int] = (1, 2)

    def __post_init__(self) -> None:
        for name in ("widths", "encoder", "reach"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class FrameFeatures(NamedTuple):
    """What the network keeps of one frame; a stream computes it once per frame.

    size (H,W) of the frame; luma [B,1,h,w] and detail [B,1,h,w] (luma with local mean and contrast taken out)
    at padded size; fine [B,C,h/4,w/4]; coarse [B,C,h/8,w/8].
    """

    size: tuple[int, int]
    luma: Tensor
    detail: Tensor
    fine: Tensor
    coarse: Tensor


class StaticMaskNet(nn.Module):
    """The probability that a pixel stands still over the whole gap between two frames.

    Every frame is encoded once. For every gap the network sees, pixel by pixel, how much colour and
    local detail differ at zero motion, and cell by cell how well zero motion matches compared to the
    neighbouring displacements. With more than two frames, neighbouring gaps tell each other what they saw.
    """

    def __init__(self, config: StaticConfig | None = None) -> None:
        super().__init__()
        self.config = config or StaticConfig()
        w4, w8, w16, w32 = self.config.widths
        fine, coarse = self.config.encoder
        near, far = ((2 * r + 1) ** 2 for r in self.config.reach)
        self.encoder = FrameEncoder(fine, coarse)
        self.evidence = _cells(3, w4)
        self.compare = nn.Conv2d(fine, 4, 1)
        self.join4 = _pointwise(w4 + 2 * fine + near, w4)
        self.see4 = Separable(w4)
        self.time4 = TemporalMix(w4)
        self.down8 = _conv(w4, w8, stride=2)
        self.join8 = _pointwise(w8 + 2 * coarse + far, w8)
        self.see8 = _conv(w8, w8)
        self.down16 = _conv(w8, w16, stride=2)
        self.see16 = _conv(w16, w16)
        self.time16 = TemporalMix(w16)
        self.down32 = _conv(w16, w32, stride=2)
        self.see32 = nn.Sequential(_conv(w32, w32), _conv(w32, w32))
        self.up16 = _pointwise(w32 + w16, w16)
        self.tell16 = _conv(w16, w16)
        self.up8 = _pointwise(w16 + w8, w8)
        self.tell8 = _conv(w8, w8)
        self.up4 = _pointwise(w8 + w4, w4)
        self.tell4 = Separable(w4)
        self.time_out = TemporalMix(w4)
        self.again = _cells(3, w4)
        self.mix = _pointwise(2 * w4, w4)
        self.head = nn.Conv2d(w4, 16, 3, 1, 1)

    def forward(self, img0: Tensor, img1: Tensor) -> Tensor:
        """Probability [B,1,H,W] that each pixel stands still between img0 and img1, both [B,3,H,W] in 0..1."""
        if img0.shape != img1.shape:
            raise ValueError(f"the two frames differ in shape: {list(img0.shape)} and {list(img1.shape)}")
        return self.sequence(torch.stack((img0, img1), dim=1))

    def sequence(self, frames: Tensor) -> Tensor:
        """Probabilities [B,N-1,H,W], one mask per gap, from frames [B,N,3,H,W] in 0..1, N >= 2, any size.

        Raises ValueError for another shape or type.
        """
        return torch.sigmoid(self.logits(frames))

    def logits(self, frames: Tensor) -> Tensor:
        """`sequence` before the sigmoid, for training."""
        if frames.ndim != 5 or frames.shape[1] < 2 or frames.shape[2] != 3 or not frames.is_floating_point():
            raise ValueError(
                f"frames must be a float [B,N,3,H,W] tensor with N >= 2, not {frames.dtype} {list(frames.shape)}"
            )
        batch, count = frames.shape[:2]
        together = self.encode(frames.flatten(0, 1))

        def part(x: Tensor) -> Tensor:
            return x.reshape(batch, count, *x.shape[1:])

        return self._gaps(FrameFeatures(together.size, *(part(x) for x in together[1:])))

    def encode(self, frame: Tensor) -> FrameFeatures:
        """What `between` needs of a frame [B,3,H,W] in 0..1."""
        height, width = frame.shape[-2:]
        colour = frame.float().clamp(0, 1)
        if pad := (-height % STRIDE or -width % STRIDE):
            pad = (0, -width % STRIDE, 0, -height % STRIDE)  # type: ignore[assignment]
            colour = F.pad(colour, pad, mode="replicate")  # type: ignore[arg-type]
        luma, detail = _luma_and_detail(colour)
        return FrameFeatures((height, width), luma, detail, *self.encoder(colour))

    def between(self, features: list[FrameFeatures]) -> Tensor:
        """Probabilities [B,N-1,H,W] from the features of N >= 2 consecutive frames."""
        stacked = (torch.stack(parts, dim=1) for parts in zip(*(f[1:] for f in features), strict=True))
        return torch.sigmoid(self._gaps(FrameFeatures(features[0].size, *stacked)))

    def _gaps(self, frames: FrameFeatures) -> Tensor:
        """Logits [B,N-1,H,W]; the tensors of `frames` carry frames in dimension 1."""
        batch, gaps = frames.luma.shape[0], frames.luma.shape[1] - 1

        def sides(x: Tensor) -> tuple[Tensor, Tensor]:
            return x[:, :-1].flatten(0, 1), x[:, 1:].flatten(0, 1)

        luma0, luma1 = sides(frames.luma)
        detail0, detail1 = sides(frames.detail)
        fine0, fine1 = sides(frames.fine)
        coarse0, coarse1 = sides(frames.coarse)
        near, far = self.config.reach
        maps = torch.cat(((luma0 - luma1).abs() * 4, (detail0 - detail1).abs(), detail0 + detail1), dim=1)
        maps = maps.to(self.head.weight.dtype)
        near_match = correlation(self.compare(fine0), self.compare(fine1), near)
        x = torch.cat((self.evidence(maps), (fine0 - fine1).abs(), fine0 + fine1, near_match), dim=1)
        x4 = self.time4(self.see4(self.join4(x)), gaps)
        far_match = correlation(coarse0, coarse1, far)
        x = torch.cat((self.down8(x4), (coarse0 - coarse1).abs(), coarse0 + coarse1, far_match), dim=1)
        x8 = self.see8(self.join8(x))
        x16 = self.time16(self.see16(self.down16(x8)), gaps)
        x = self.see32(self.down32(x16))
        x = self.tell16(self.up16(torch.cat((_twice(x), x16), dim=1)))
        x = self.tell8(self.up8(torch.cat((_twice(x), x8), dim=1)))
        x = self.tell4(self.up4(torch.cat((_twice(x), x4), dim=1)))
        x = self.mix(torch.cat((self.time_out(x, gaps), self.again(maps)), dim=1))
        logits = F.pixel_shuffle(self.head(x).float(), 4)
        height, width = frames.size
        return logits[..., :height, :width].reshape(batch, gaps, height, width)


class FrameEncoder(nn.Module):
    """The colours of one frame into features at 1/4 and 1/8."""

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, fine, 6, 4, 1), nn.LeakyReLU(0.1))
        self.see = Separable(fine)
        self.further = _conv(fine, coarse, stride=2)

    def forward(self, colour: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.see(self.down(colour.to(next(self.parameters()).dtype)))
        return fine, self.further(fine)


class TemporalMix(nn.Module):
    """Adds to every gap what the gaps before and after it saw; with a single gap it does nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(2 * width, width, 1)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, gaps: int) -> Tensor:
        if gaps == 1:
            return x
        steps = x.unflatten(0, (-1, gaps))
        before = torch.cat((steps[:, 1:2], steps[:, :-1]), dim=1)
        after = torch.cat((steps[:, 1:], steps[:, -2:-1]), dim=1)
        return x + F.leaky_relu(self.project(torch.cat((before, after), dim=2).flatten(0, 1)), 0.1)


class Separable(nn.Module):
    """A residual depthwise 3x3 and a pointwise convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.around = nn.Conv2d(width, width, 3, 1, 1, groups=width)
        self.across = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x + self.across(F.leaky_relu(self.around(x), 0.1)), 0.1)


def correlation(a: Tensor, b: Tensor, reach: int) -> Tensor:
    """How alike a at a cell and b at each neighbour within `reach` cells are, less how alike they are at zero motion.

    a, b [B,C,H,W]; returns [B,(2*reach+1)^2,H,W], the mean absolute difference; the centre plane holds it at
    zero motion itself. Beyond the rim the border cell stands in.
    """
    height, width = a.shape[-2:]
    padded = F.pad(b, (reach,) * 4, mode="replicate")
    centre = (a - b).abs().mean(dim=1)
    planes = [
        centre
        if dy == reach and dx == reach
        else (a - padded[..., dy : dy + height, dx : dx + width]).abs().mean(dim=1) - centre
        for dy in range(2 * reach + 1)
        for dx in range(2 * reach + 1)
    ]
    return torch.stack(planes, dim=1)


def _luma_and_detail(colour: Tensor) -> tuple[Tensor, Tensor]:
    """Luma, and luma less its local mean over its local spread: what light and contrast leave alone."""
    luma = (colour * colour.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    mean = F.avg_pool2d(luma, 8)
    spread = (F.avg_pool2d(luma * luma, 8) - mean * mean).clamp(min=0).sqrt()
    smooth = F.interpolate(
        torch.cat((mean, spread), dim=1), luma.shape[-2:], mode="bilinear", align_corners=False
    )
    return luma, (luma - smooth[:, :1]) / (smooth[:, 1:] + 0.03)


def _twice(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.LeakyReLU(0.1))


def _cells(inputs: int, outputs: int) -> nn.Sequential:
    """Full-size maps into one vector per 4x4 cell."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 4, 4), nn.LeakyReLU(0.1))


def _pointwise(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.LeakyReLU(0.1))
