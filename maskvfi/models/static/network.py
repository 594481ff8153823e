"""StaticMaskNet: which pixels stand still, or are replaced, between frames. This file imports torch alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
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
    """What the network says of every pixel in N-1 gaps.

    Attributes:
        still: [B,N-1,H,W], that it stands still.
        replaced: [B,N-1,H,W], that its content changed at once and nothing moved, as digits and subtitles do. None
            if the network has not learnt this.
    """

    still: Tensor
    replaced: Tensor | None


class View(NamedTuple):
    """One side of what is compared at 1/2 and 1/4 in K gaps.

    Attributes:
        colour, detail, fine: Those of `FrameFeatures`, [B*K,C,h,w].
    """

    colour: Tensor
    detail: Tensor
    fine: Tensor

    def mean(self, other: View) -> View:
        """The average of two views, which has less noise."""
        return View(*((a + b) / 2 for a, b in zip(self, other, strict=True)))


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
            Probabilities; `still` is what `sequence` returns.

        Raises:
            ValueError: Another shape or type.
        """
        return _probabilities(self.class_logits(frames))

    def logits(self, frames: Tensor) -> Tensor:
        """`sequence` before the sigmoid, for training."""
        return self.class_logits(frames).still

    def class_logits(self, frames: Tensor) -> Masks:
        """`classify` before the sigmoid, for training."""
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
        """Compute what depends on one frame alone.

        Args:
            frame: [B,3,H,W], RGB in 0..1 (clamped), any size.

        Returns:
            The input of `between`.
        """
        height, width = frame.shape[-2:]
        colour = frame.float().clamp(0, 1)
        if pad := (-height % STRIDE or -width % STRIDE):
            pad = (0, -width % STRIDE, 0, -height % STRIDE)  # type: ignore[assignment]
            colour = F.pad(colour, pad, mode="replicate")  # type: ignore[arg-type]
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
        return self.classify_between(features).still

    def classify_between(self, features: list[FrameFeatures]) -> Masks:
        """The masks between consecutive frames, as `classify` gives them.

        Args:
            features: Of N >= 2 frames of one size, from `encode`.

        Returns:
            Probabilities.
        """
        stacked = (torch.stack(parts, dim=1) for parts in zip(*(f[1:] for f in features), strict=True))
        return _probabilities(self._gaps(FrameFeatures(features[0].size, *stacked)))

    def _gaps(self, frames: FrameFeatures) -> Masks:
        """Logits; the tensors of `frames` carry frames in dimension 1."""
        batch, gaps = frames.colour.shape[0], frames.colour.shape[1] - 1
        start = torch.arange(gaps, device=frames.colour.device)

        def at(index: Tensor) -> View:
            return View(*(x[:, index].flatten(0, 1) for x in (frames.colour, frames.detail, frames.fine)))

        first, second = at(start), at(start + 1)
        x2, x4 = self._look(first, second)
        if gaps > 1:
            before, after = at((start - 1).clamp(min=0)), at((start + 2).clamp(max=gaps))
            wide2, wide4 = self._look(before, after)
            calm2, calm4 = self._look(before.mean(first), second.mean(after))
            x2, x4 = self.time2(x2, gaps, wide2, calm2), self.time4(x4, gaps, wide4, calm4)
        x8 = self.see8(_active(self.down8(x4) + self.join8(self._match(frames, gaps))))
        x16 = self.time16(self.see16(self.down16(x8)), gaps)
        x = self.see32(self.down32(x16))
        if self.whole is not None:
            x = x + self.whole(x.mean(dim=(2, 3), keepdim=True))
        x = self.time_out(self.up4(self.up8(self.up16(x, x16), x8), x4), gaps)
        x = _active(self.look_again(x2) + _sized(self.told(x), x2))
        logits = F.pixel_shuffle(self.head(x).float(), 2)
        height, width = frames.size
        each = [x[:, :height, :width].reshape(batch, gaps, height, width) for x in logits.unbind(dim=1)]
        return Masks(each[0], each[1] if self.config.replaced else None)

    def _look(self, first: View, second: View) -> tuple[Tensor, Tensor]:
        """Features [B*K,C,h,w] at 1/2 and at 1/4 of how two views of B*K gaps differ."""
        (colour0, detail0, fine0), (colour1, detail1, fine1) = first, second
        change = (colour0 - colour1).abs_().mul_(4), (detail0 - detail1).abs_(), detail0 + detail1
        x2 = _active(self.look2(torch.cat(change, dim=1).to(self.head.weight.dtype)))
        match = correlation(self.compare4(fine0), self.compare4(fine1), self.config.reach[0])
        seen = [(fine0 - fine1).abs(), fine0 + fine1, match]
        if self.config.moments:
            half0, half1 = (x.mean(dim=1, keepdim=True) for x in (detail0, detail1))
            seen.append(moments(half0, half1).to(x2.dtype))
        return x2, _active(self.down4(x2) + self.join4(torch.cat(seen, dim=1)))

    def _match(self, frames: FrameFeatures, gaps: int) -> Tensor:
        """The input [B*gaps,C,h/8,w/8] at 1/8: how the frames of every gap differ."""
        coarse0, coarse1 = (frames.coarse[:, k : k + gaps].flatten(0, 1) for k in (0, 1))
        match = correlation(self.compare8(coarse0), self.compare8(coarse1), self.config.reach[1])
        seen = [(coarse0 - coarse1).abs(), coarse0 + coarse1, match]
        if self.config.moments:
            half = F.avg_pool2d(frames.detail.mean(dim=2), 2)
            half0, half1 = (half[:, k : k + gaps].flatten(0, 1)[:, None] for k in (0, 1))
            seen.append(moments(half0, half1).to(coarse0.dtype))
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
        fine = _active(self.down(colour.to(self.down.weight.dtype)))
        return fine, self.further(fine)


class TemporalMix(nn.Module):
    """Adds to every gap's features a projection of those of the gaps before and after it; initially zero.

    A single gap is left unchanged.

    Args:
        width: Channels of a gap's features.
        views: How many features are projected: 2, and those passed as `more`.
    """

    def __init__(self, width: int, views: int = 2) -> None:
        super().__init__()
        self.project = nn.Conv2d(views * width, width, 1)

    def forward(self, x: Tensor, gaps: int, *more: Tensor) -> Tensor:
        """x and each of more: features [B*gaps,width,h,w]."""
        if gaps == 1:
            return x
        steps = x.unflatten(0, (-1, gaps))
        before = torch.cat((steps[:, 1:2], steps[:, :-1]), dim=1).flatten(0, 1)
        after = torch.cat((steps[:, 1:], steps[:, -2:-1]), dim=1).flatten(0, 1)
        return x + _active(self.project(torch.cat((before, after, *more), dim=1)))


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
        x: Tensor = self.look(_active(self.seen(fine) + _sized(self.told(coarse), fine)))
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
    pooled = F.avg_pool2d(torch.cat(products, dim=1), 2)
    pooled = F.avg_pool2d(pooled, 3, 1, 1, count_include_pad=False)
    both, energy, xx, xy, yy, xt, yt, tt = pooled.split(1, dim=1)
    xx, yy = xx + DAMPING, yy + DAMPING
    area = xx * yy - xy * xy
    u, v = (xy * yt - yy * xt) / area, (xy * xt - xx * yt) / area
    explained = -(u * xt + v * yt) / (tt + DAMPING)
    length = (u * u + v * v + 1e-6).sqrt()
    change, strength = (tt + 1e-6).sqrt(), (energy + 1e-6).sqrt()
    out = torch.cat((both / (energy + DAMPING), u, v, length, explained, strength, change), dim=1)
    return out.clamp(-3, 3)


def _cells_and_detail(colour: Tensor) -> tuple[Tensor, Tensor]:
    """`colour` and `detail` of FrameFeatures: detail is (luma - mean) / (deviation + 0.03), both over 8x8 px."""
    luma, pixels = (
        colour.new_tensor([0.299, 0.587, 0.114]),
        torch.eye(4, dtype=colour.dtype, device=colour.device),
    )
    chroma = (colour.new_tensor([[0, 0, 1.0], [1.0, 0, 0]]) - luma) / 4
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


def _active(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.1, inplace=True)


def _sized(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.LeakyReLU(0.1, inplace=True))
