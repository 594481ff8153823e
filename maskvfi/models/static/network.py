"""StaticMaskNet: which pixels stand still, or are replaced, between frames. This file imports torch alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

STRIDE = 8  # px; frames are padded to a multiple of this
MOMENTS = 7  # planes that `moments` returns
DAMPING = 0.02  # of squared detail, added to denominators


@dataclass(frozen=True, slots=True)
class StaticConfig:
    """The size of the network and its inputs.

    Attributes:
        widths: Channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the frame's size.
        encoder: Channels of a frame's own features at 1/4 and 1/8.
        reach: How far features at 1/4 and at 1/8 are compared, in cells.
        moments: Whether local flow and correlation are inputs (see the function `moments`).
        context: Whether every place also gets the mean over the whole picture.
        replaced: Whether the network also says where content was replaced in place.
    """

    widths: tuple[int, int, int, int, int] = (12, 24, 32, 36, 56)
    encoder: tuple[int, int] = (12, 24)
    reach: tuple[int, int] = (1, 2)
    moments: bool = True
    context: bool = True
    replaced: bool = False

    def __post_init__(self) -> None:
        for name in ("widths", "encoder", "reach"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, for a weights file's header."""
        return asdict(self)


class FrameFeatures(NamedTuple):
    """What the network computes from one frame; a stream computes it once per frame.

    Attributes:
        size: (H, W) of the frame in px; h, w below are those after padding.
        colour: [B,6,h/2,w/2], for every cell of 2x2 px the luma of its four pixels and two chroma differences.
        detail: [B,4,h/2,w/2], luma normalised by local mean and contrast.
        fine: [B,C,h/4,w/4], features.
        coarse: [B,C,h/8,w/8], features.
    """

    size: tuple[int, int]
    colour: Tensor
    detail: Tensor
    fine: Tensor
    coarse: Tensor


class Masks(NamedTuple):
    """Probabilities (or logits) of every pixel in N-1 gaps.

    Attributes:
        still: [B,N-1,H,W], that the pixel stands still.
        replaced: [B,N-1,H,W], that its content was replaced in place and nothing moved, as with digits and subtitles.
            None if the network has not learnt this.
    """

    still: Tensor
    replaced: Tensor | None


class GapSide(NamedTuple):
    """One of the two frames of a gap (or a mean of frames), as they are compared at 1/2 and 1/4 of the size.

    Attributes:
        pixels: [B,10,h/2,w/2], colour times 4 and detail of `FrameFeatures`.
        detail: [B,4,h/2,w/2], that of `FrameFeatures`.
        fine: That of `FrameFeatures`.
        grey: [B,1,h/2,w/2], the mean of detail.
        key: [B,4,h/4,w/4], what is matched of fine.
    """

    pixels: Tensor
    detail: Tensor
    fine: Tensor
    grey: Tensor
    key: Tensor

    def mean(self, other: GapSide) -> GapSide:
        """The average of two views, which has less noise."""
        return GapSide(*((a + b) / 2 for a, b in zip(self, other, strict=True)))


class StaticMaskNet(nn.Module):
    """The probability that a pixel stands still over the whole gap between two frames.

    `classify` also gives the probability that its content was replaced in place.

    Every frame is encoded once. The inputs for a gap are, for each pixel, how much luma and local detail differ at zero
    motion; for each neighbourhood, how far the detail has moved (Lucas and Kanade) and how well it correlates at zero
    motion; and for each cell, how well zero motion matches compared to neighbouring displacements.

    With more than two frames, neighbouring gaps exchange features, and every gap is compared in two more ways: from
    one frame before it to one frame after it, where slow motion is three times as large; and from the mean of two
    frames to the mean of the next two, which has less noise.

    Args:
        config: Default sizes if None.
    """

    def __init__(self, config: StaticConfig | None = None) -> None:
        super().__init__()
        self.config = config or StaticConfig()
        w2, w4, w8, w16, w32 = self.config.widths
        fine, coarse = self.config.encoder
        near, far = ((2 * r + 1) ** 2 for r in self.config.reach)
        known = MOMENTS if self.config.moments else 0
        self.encoder = FrameEncoder(fine, coarse)
        self.look2 = nn.Conv2d(6 + 2 * 4, w2, 3, 1, 1)
        self.time2 = TemporalMix(w2, 4)
        self.down4 = nn.Conv2d(w2, w4, 2, 2)
        self.compare4 = nn.Conv2d(fine, 4, 1)
        self.join4 = nn.Conv2d(2 * fine + near + known, w4, 1)
        self.time4 = TemporalMix(w4, 4)
        self.down8 = nn.Conv2d(w4, w8, 3, 2, 1)
        self.compare8 = nn.Conv2d(coarse, 8, 1)
        self.join8 = nn.Conv2d(2 * coarse + far + known, w8, 1)
        self.see8 = _conv(w8, w8)
        self.down16 = _conv(w8, w16, stride=2)
        self.see16 = _conv(w16, w16)
        self.time16 = TemporalMix(w16)
        self.down32 = _conv(w16, w32, stride=2)
        self.see32 = nn.Sequential(_conv(w32, w32), _conv(w32, w32))
        self.whole = nn.Conv2d(w32, w32, 1) if self.config.context else None
        self.up16 = Up(w32, w16)
        self.up8 = Up(w16, w8)
        self.up4 = Up(w8, w4, look=False)
        self.time_out = TemporalMix(w4)
        self.look_again = nn.Conv2d(w2, w2, 3, 1, 1)
        self.told = nn.Conv2d(w4, w2, 1)
        self.head = nn.Conv2d(w2, 8 if self.config.replaced else 4, 3, 1, 1)
        if not self.head.weight.is_meta:  # else it is filled from a file
            self.apply(_initialise)
            nn.init.normal_(self.head.weight, std=0.02)

    def forward(self, img0: Tensor, img1: Tensor) -> Tensor:
        """The mask between two frames.

        Args:
            img0, img1: [B,3,H,W], RGB in 0..1, float, any size.

        Returns:
            [B,1,H,W], the probability that each pixel stands still.

        Raises:
            ValueError: The frames differ in shape, or are of another type.
        """
        if img0.shape != img1.shape:
            raise ValueError(f"the two frames differ in shape: {list(img0.shape)} and {list(img1.shape)}")
        return self.sequence(torch.stack((img0, img1), dim=1))

    def sequence(self, frames: Tensor) -> Tensor:
        """The masks between consecutive frames.

        Args:
            frames: [B,N,3,H,W], RGB in 0..1, float, N >= 2, any size.

        Returns:
            [B,N-1,H,W], one mask of probabilities per gap.

        Raises:
            ValueError: Another shape or type.
        """
        return torch.sigmoid(self.logits(frames))

    def classify(self, frames: Tensor) -> Masks:
        """The masks between consecutive frames, of what stands still and of what was replaced, in one pass.

        Args:
            frames: As `sequence` takes them.

        Returns:
            Probabilities. `still` is what `sequence` returns, within rounding; `sequence` alone costs less.

        Raises:
            ValueError: Another shape or type.
        """
        return _probabilities(self.class_logits(frames))

    def logits(self, frames: Tensor) -> Tensor:
        """`sequence` before the sigmoid, for training."""
        return self._gaps(self._encoded(frames), still_alone=True).still

    def class_logits(self, frames: Tensor) -> Masks:
        """`classify` before the sigmoid, for training."""
        return self._gaps(self._encoded(frames))

    def _encoded(self, frames: Tensor) -> list[FrameFeatures]:
        if frames.ndim != 5 or frames.shape[1] < 2 or frames.shape[2] != 3 or not frames.is_floating_point():
            raise ValueError(
                f"frames must be a float [B,N,3,H,W] tensor with N >= 2, not {frames.dtype} {list(frames.shape)}"
            )
        count = frames.shape[1]
        together = self.encode(frames.flatten(0, 1))
        apart = [x.reshape(-1, count, *x.shape[1:]) for x in together[1:]]
        return [FrameFeatures(together.size, *(x[:, k] for x in apart)) for k in range(count)]

    def encode(self, frame: Tensor) -> FrameFeatures:
        """Compute what depends on one frame alone.

        Args:
            frame: [B,3,H,W], RGB in 0..1 (clamped), any size.

        Returns:
            The input of `between`.
        """
        height, width = frame.shape[-2:]
        colour = frame.float().clamp(0, 1)
        pad = (0, -width % STRIDE, 0, -height % STRIDE)
        if any(pad):
            colour = F.pad(colour, pad, mode="replicate")
        with torch.autocast(colour.device.type, enabled=False):  # half precision loses small differences
            cells, detail = _cells_and_detail(colour)
        return FrameFeatures((height, width), cells, detail, *self.encoder(colour))

    def between(self, features: list[FrameFeatures]) -> Tensor:
        """The masks between consecutive frames, as `sequence` gives them.

        Args:
            features: Of N >= 2 frames of one size, from `encode`.

        Returns:
            [B,N-1,H,W], one mask of probabilities per gap.
        """
        return torch.sigmoid(self._gaps(features, still_alone=True).still)

    def classify_between(self, features: list[FrameFeatures]) -> Masks:
        """The masks between consecutive frames, as `classify` gives them.

        Args:
            features: Of N >= 2 frames of one size, from `encode`.

        Returns:
            Probabilities.
        """
        return _probabilities(self._gaps(features))

    def _gaps(self, frames: list[FrameFeatures], still_alone: bool = False) -> Masks:
        """Logits, each [B,N-1,H,W]; with `still_alone` no work is done for the others.

        Gaps are computed one by one: what a layer makes of one gap is in the processor's cache when the next layer
        reads it, and what it makes of all gaps is not.
        """
        gaps = len(frames) - 1
        views = [self._view(frame) for frame in frames]
        seen = [self._compare(*pair) for pair in pairwise(views)]
        if gaps > 1:
            means = [views[0], *(a.mean(b) for a, b in pairwise(views)), views[-1]]
            seen = [self._compare_further(views, means, seen, gap) for gap in range(gaps)]
        coarse = []
        for (_, x4), pair in zip(seen, pairwise(frames), strict=True):
            x8 = self.see8(_activate(self.down8(x4) + self.join8(self._compare_coarse(*pair))))
            coarse.append((x8, self.see16(self.down16(x8))))
        x16 = self.time16([x for _, x in coarse])
        risen = []
        for (_, x4), (x8, _), x16_gap in zip(seen, coarse, x16, strict=True):
            x = self.see32(self.down32(x16_gap))
            if self.whole is not None:
                x = x + self.whole(x.mean(dim=(2, 3), keepdim=True))
            risen.append(self.up4(self.up8(self.up16(x, x16_gap), x8), x4))
        planes = 4 if still_alone else len(self.head.weight)
        said = [
            self._apply_head(_activate(self.look_again(x2) + _resized_to(self.told(x), x2)), planes)
            for (x2, _), x in zip(seen, self.time_out(risen), strict=True)
        ]
        pixels = torch.stack([F.pixel_shuffle(x.contiguous(), 2).float() for x in said], dim=2)
        height, width = frames[0].size
        still, *replaced = pixels[..., :height, :width].unbind(dim=1)
        return Masks(still, replaced[0] if replaced else None)

    def _apply_head(self, x: Tensor, planes: int) -> Tensor:
        """The head's first planes."""
        assert self.head.bias is not None
        return F.conv2d(x, self.head.weight[:planes], self.head.bias[:planes], padding=1)

    def _view(self, frame: FrameFeatures) -> GapSide:
        grey = frame.detail.mean(dim=1, keepdim=True)
        pixels = self._in_weights_layout(torch.cat((frame.colour * 4, frame.detail), dim=1))
        key = self.compare4(frame.fine).contiguous()  # keys are displaced faster so
        return GapSide(pixels, self._in_weights_layout(frame.detail), frame.fine, grey, key)

    def _in_weights_layout(self, x: Tensor) -> Tensor:
        """The same values in the memory layout of the weights."""
        last = self.look2.weight.is_contiguous(memory_format=torch.channels_last)
        return x.contiguous(memory_format=torch.channels_last) if last else x

    def _compare(self, first: GapSide, second: GapSide) -> tuple[Tensor, Tensor]:
        """Features [B,C,h,w] at 1/2 and at 1/4 of how two views differ."""
        dtype = self.head.weight.dtype
        change = (first.pixels - second.pixels).to(dtype).abs_()
        level = (first.detail + second.detail).to(dtype)
        of_change, of_level = self.look2.weight.split((change.shape[1], level.shape[1]), dim=1)
        seen2 = F.conv2d(change, of_change, self.look2.bias, padding=1)
        # Added, so that both need not be copied side by side.
        x2 = _activate(seen2.add_(F.conv2d(level, of_level, padding=1)))
        match = self._in_weights_layout(correlation(first.key, second.key, self.config.reach[0]))
        seen = [(first.fine - second.fine).abs(), first.fine + second.fine, match]
        if self.config.moments:
            seen.append(self._in_weights_layout(moments(first.grey, second.grey).to(dtype)))
        return x2, _activate(self.down4(x2) + self.join4(torch.cat(seen, dim=1)))

    def _compare_further(
        self, views: list[GapSide], means: list[GapSide], seen: list[tuple[Tensor, Tensor]], gap: int
    ) -> tuple[Tensor, Tensor]:
        """What `_compare` saw of a gap, with what it saw of the gaps beside it, and with its two further looks.

        `means` are those of every two neighbouring views, with the first view before them and the last one after them.
        """
        wide = self._compare(views[max(gap - 1, 0)], views[min(gap + 2, len(views) - 1)])
        calm = self._compare(means[gap], means[gap + 2])
        x2, x4 = (
            mix.at([x[level] for x in seen], gap, wide[level], calm[level])
            for level, mix in enumerate((self.time2, self.time4))
        )
        return x2, x4

    def _compare_coarse(self, first: FrameFeatures, second: FrameFeatures) -> Tensor:
        """The input [B,C,h/8,w/8] at 1/8: how two frames differ."""
        a, b = first.coarse, second.coarse
        seen = [(a - b).abs(), a + b, correlation(self.compare8(a), self.compare8(b), self.config.reach[1])]
        if self.config.moments:
            half = (F.avg_pool2d(x.detail.mean(dim=1, keepdim=True), 2) for x in (first, second))
            seen.append(moments(*half).to(a.dtype))
        return torch.cat(seen, dim=1)


class FrameEncoder(nn.Module):
    """Encodes the colours of one frame as features at 1/4 and 1/8.

    Args:
        fine, coarse: Their channels.
    """

    def __init__(self, fine: int, coarse: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, fine, 4, 4)
        self.further = _conv(fine, coarse, stride=2)

    def forward(self, colour: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B,fine,H/4,W/4] and [B,coarse,H/8,W/8] from colours [B,3,H,W]."""
        fine = _activate(self.down(colour.to(self.down.weight.dtype)))
        return fine, self.further(fine)


class TemporalMix(nn.Module):
    """Adds to every gap's features a projection of those of the gaps before and after it; initially zero.

    A single gap is left unchanged. The first gap takes the second one for both neighbours, the last gap the one before.

    Args:
        width: Channels of a gap's features.
        views: How many features are projected: 2, and those passed as `more`.
    """

    def __init__(self, width: int, views: int = 2) -> None:
        super().__init__()
        self.project = nn.Conv2d(views * width, width, 1)

    def forward(self, gaps: list[Tensor]) -> list[Tensor]:
        """Features [B,width,h,w] of every gap, in the order of time."""
        return [self.at(gaps, gap) for gap in range(len(gaps))] if len(gaps) > 1 else gaps

    def at(self, gaps: list[Tensor], gap: int, *more: Tensor) -> Tensor:
        """The new features of one of several gaps. `more` are further features of it."""
        before, after = gaps[gap - 1 if gap else 1], gaps[gap + 1 if gap + 1 < len(gaps) else gap - 1]
        width = before.shape[1]  # each by its part of the filter, without a copy of all side by side
        told = F.conv2d(before, self.project.weight[:, :width], self.project.bias)
        for k, x in enumerate((after, *more), start=1):
            told += F.conv2d(x, self.project.weight[:, k * width : (k + 1) * width])
        return gaps[gap] + _activate(told)


class Up(nn.Module):
    """Enlarges the features of a coarse level and adds them to those of the next finer one.

    Args:
        coarse, fine: Channels of both levels.
        look: Whether a 3x3 convolution follows.
    """

    def __init__(self, coarse: int, fine: int, look: bool = True) -> None:
        super().__init__()
        self.told = nn.Conv2d(coarse, fine, 1)
        self.seen = nn.Conv2d(fine, fine, 1)
        self.look = _conv(fine, fine) if look else nn.Identity()

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Features [B,fine,h,w] from [B,coarse,h/2,w/2] and [B,fine,h,w]."""
        x: Tensor = self.look(_activate(self.seen(fine) + _resized_to(self.told(coarse), fine)))
        return x


def _probabilities(logits: Masks) -> Masks:
    still, replaced = logits
    return Masks(torch.sigmoid(still), None if replaced is None else torch.sigmoid(replaced))


def correlation(a: Tensor, b: Tensor, reach: int) -> Tensor:
    """A cost volume: how well displacements match, compared to zero motion.

    Args:
        a, b: Features [B,C,H,W] of two frames.
        reach: The largest displacement in x and y, in cells.

    Returns:
        [B,(2*reach+1)^2,H,W], for each displacement the mean absolute difference of a and displaced b, minus that at
        zero motion. The plane in the middle holds the difference at zero motion itself. Outside the picture b has
        its border's values.
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


def moments(a: Tensor, b: Tensor) -> Tensor:
    """Correlation and local motion, from second moments over 6x6 px of the planes.

    The motion is the least-squares solution of Lucas and Kanade (1981). A constant on the diagonal of its matrix
    damps it where the gradient is weak.

    Args:
        a, b: The same plane [B,1,H,W] of two frames.

    Returns:
        [B,MOMENTS,H/2,W/2]: the correlation at zero motion; the motion's x, y and length in px of the
        planes; the share of the change that it explains; the strength of the detail; the strength of the change.
    """
    mean, change = (a + b) / 2, b - a
    padded = F.pad(mean, (1, 1, 1, 1), mode="replicate")
    x = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    y = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    products = (a * b, (a * a + b * b) / 2, x * x, x * y, y * y, x * change, y * change, change * change)
    pooled = _mean3(_mean2(torch.cat(products, dim=1)))
    both, energy, xx, xy, yy, xt, yt, tt = pooled.split(1, dim=1)
    xx, yy = xx + DAMPING, yy + DAMPING
    area = xx * yy - xy * xy
    u, v = (xy * yt - yy * xt) / area, (xy * xt - xx * yt) / area
    explained = -(u * xt + v * yt) / (tt + DAMPING)
    length = (u * u + v * v + 1e-6).sqrt()
    change, strength = (tt + 1e-6).sqrt(), (energy + 1e-6).sqrt()
    out = torch.cat((both / (energy + DAMPING), u, v, length, explained, strength, change), dim=1)
    return out.clamp(-3, 3)


def _mean2(x: Tensor) -> Tensor:
    """The mean of every 2x2 places; slices are faster than a pooling."""
    rows = x[..., ::2, :] + x[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]) / 4


def _mean3(x: Tensor) -> Tensor:
    """The mean of 3x3 places, at a border of those inside: sums of rows, then of columns, faster than a pooling."""
    padded = F.pad(torch.cat((x, torch.ones_like(x[:, :1])), dim=1), (1, 1, 1, 1))
    rows = padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]
    sums = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    return sums[:, :-1] / sums[:, -1:]


def _cells_and_detail(colour: Tensor) -> tuple[Tensor, Tensor]:
    """`colour` and `detail` of FrameFeatures: detail is (luma - mean) / (deviation + 0.03), both over 8x8 px."""
    # Constants are made on the device: a copy from the CPU would wait for it.
    luma = torch.stack([colour.new_full((), share) for share in (0.299, 0.587, 0.114)])
    pixels, channels = (torch.eye(n, dtype=colour.dtype, device=colour.device) for n in (4, 3))
    chroma = (channels.flip(0)[::2] - luma) / 4  # blue, then red
    weights = torch.cat((pixels.view(4, 1, 4) * luma.view(3, 1), chroma.view(2, 3, 1).expand(2, 3, 4)))
    cells = F.conv2d(colour, weights.view(6, 3, 2, 2), stride=2)
    bright = cells[:, :4]
    mean = F.avg_pool2d(bright.mean(dim=1, keepdim=True), 4)
    power = F.avg_pool2d(bright.square().mean(dim=1, keepdim=True), 4)
    spread = (power - mean * mean).clamp(min=1e-8).sqrt()
    smooth = F.interpolate(
        torch.cat((mean, spread), 1), bright.shape[-2:], mode="bilinear", align_corners=False
    )
    return cells, (bright - smooth[:, :1]).div_(smooth[:, 1:] + 0.03)


def _initialise(module: nn.Module) -> None:
    """Initialise weights as He et al. (2015), which keeps the variance; torch's default loses it layer by layer."""
    if isinstance(module, TemporalMix):
        nn.init.zeros_(module.project.weight)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, a=0.1)
        assert module.bias is not None
        nn.init.zeros_(module.bias)


def _activate(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.1, inplace=True)


def _resized_to(x: Tensor, like: Tensor) -> Tensor:
    if x.device.type == "cpu":  # where it is slower in half precision
        return F.interpolate(x.float(), like.shape[-2:], mode="bilinear", align_corners=False).to(x.dtype)
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.LeakyReLU(0.1, inplace=True))
