"""IFNet: every RIFE 4.x network as one module, shaped by a `Variant`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from maskvfi.flow import calculated_flow
from maskvfi.rife.variants import HEAD_PLANES, Variant
from maskvfi.warp import backward_warp


class Interpolation(NamedTuple):
    """What the network says about time t.

    frame [B,3,H,W]; flow [B,4,H,W] in pixels, (x,y) from t to frame 0 then (x,y) from t to frame 1;
    blend [B,1,H,W], the weight of the warped frame 0.
    """

    frame: Tensor
    flow: Tensor
    blend: Tensor


class Stage(NamedTuple):
    """The state after one block, at padded size: flow [B,4,H,W], blend logit [B,1,H,W], both warped frames."""

    flow: Tensor
    logit: Tensor
    warped0: Tensor
    warped1: Tensor

    def frame(self) -> Tensor:
        return torch.lerp(self.warped1, self.warped0, torch.sigmoid(self.logit))


class IFNet(nn.Module):
    """Intermediate flow network of the RIFE 4.x family (Huang et al., ECCV 2022, and Practical-RIFE)."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.variant = variant
        for index in range(len(variant.channels)):
            self.add_module(f"block{index}", Block(variant, index))
        if variant.encoder:
            self.encode = FrameEncoder(variant)

    @property
    def blocks(self) -> list[Block]:
        return [block for name, block in self.named_children() if isinstance(block, Block)]

    def forward(
        self,
        img0: Tensor,
        img1: Tensor,
        timestep: float | Tensor = 0.5,
        scale: float = 1.0,
        ensemble: bool = False,
    ) -> Interpolation:
        """The frame at `timestep` between two frames.

        img0, img1 [B,3,H,W], RGB in 0..1 (clamped), any size from 1x1 up. timestep in 0..1, a number or
        [B,1,1,1]. scale < 1 analyses motion more coarsely (large frames, large motion), > 1 more finely.
        ensemble averages with the time-reversed estimate. Raises ValueError for shapes that do not match,
        a timestep outside 0..1, a scale that is not positive, or ensemble on a family that has none.
        """
        check_pair(img0, img1)
        if not scale > 0:
            raise ValueError(f"scale must be positive, not {scale}")
        if ensemble and not self.variant.ensemble:
            raise ValueError(f"RIFE {self.variant.family} has no ensemble mode (4.0 to 4.20 and 4.24 have)")
        time = as_timestep(timestep, img0)
        height, width = img0.shape[-2:]
        *_, last = self.stages(img0, img1, time, scale, ensemble)
        crop = (..., slice(height), slice(width))
        return Interpolation(
            last.frame()[crop].to(img0.dtype), last.flow[crop], torch.sigmoid(last.logit)[crop]
        )

    def stages(
        self, img0: Tensor, img1: Tensor, time: Tensor, scale: float = 1.0, ensemble: bool = False
    ) -> Iterator[Stage]:
        """The estimate after every block, coarse to fine, at padded size (training looks at all of them).

        time [B,1,1,1]. Frames are zero-padded to the right and the bottom.
        """
        scales = [s / scale for s in self.variant.scales]
        modulo = max(self.variant.modulo, int(self.variant.modulo / scale))
        stages = self._refine(img0, img1, time, scales, modulo, 0 if ensemble else len(scales))
        if not self.variant.dynamic_scale:
            yield from stages
            return
        try:
            yield from stages
        except _MotionTooLarge:
            # The doubled run pads to its own multiple; its first block is not averaged (ARCHITECTURE 5).
            wider = max(64, int(64 / scale))
            grown = max(modulo, wider) if _off_grid(img0, modulo, wider) else modulo
            yield from self._refine(
                img0, img1, time, [2 * s for s in scales], grown, 1 if ensemble else len(scales), fixed=True
            )

    def _refine(
        self,
        img0: Tensor,
        img1: Tensor,
        time: Tensor,
        scales: list[float],
        modulo: int,
        ensemble_from: int,
        fixed: bool = False,
    ) -> Iterator[Stage]:
        img0, img1 = (_pad(image.float().clamp(0, 1), modulo) for image in (img0, img1))
        time = time.float().expand(img0.shape[0], 1, *img0.shape[-2:])
        enc: tuple[Tensor, ...] = (self.encode(img0), self.encode(img1)) if self.variant.encoder else ()
        images: tuple[Tensor, ...] = (img0, img1)
        wenc = enc
        state = _State()
        if self.variant.start:
            flow = calculated_flow(img0, img1, time[..., :1, :1])
            still = flow.new_zeros(flow[:, :1].shape)
            state = _State(flow, still, still.expand(-1, self.variant.features, -1, -1))
            images, wenc = (tuple(map(backward_warp, x, flow.split(2, dim=1))) for x in (images, enc))
        for index, (block, scale) in enumerate(zip(self.blocks, scales, strict=True)):
            delta = block(images, wenc, time, state, scale)
            if self.variant.dynamic_scale and not fixed and index == 1 and _exceeds(delta.flow, 32):
                raise _MotionTooLarge
            if index >= ensemble_from:
                back = block(images[::-1], wenc[::-1], 1 - time, state.reversed(), scale).reversed()
                delta = _State(*((a + b) / 2 for a, b in zip(delta[:2], back[:2], strict=True)))
            add = self.variant.mask == "add"
            state = _State(
                delta.flow if state.flow is None else state.flow + delta.flow,
                delta.logit if state.logit is None or not add else state.logit + delta.logit,
                delta.features,
            )
            flows = state.flow.split(2, dim=1)
            images = tuple(map(backward_warp, (img0, img1), flows))
            if index + 1 < len(scales):
                wenc = tuple(map(backward_warp, enc, flows))
            yield Stage(state.flow, state.logit, *images)


class _State(NamedTuple):
    """What a block reads from the blocks before it, and what it gives: flow, blend logit, features."""

    flow: Tensor = None  # type: ignore[assignment]
    logit: Tensor = None  # type: ignore[assignment]
    features: Tensor | None = None

    def reversed(self) -> _State:
        """The same state seen from frame 1 to frame 0."""
        if self.flow is None:
            return self
        return _State(torch.cat(self.flow.split(2, dim=1)[::-1], dim=1), -self.logit, self.features)


class _MotionTooLarge(Exception):
    """4.0/4.1: block 1 wants to move something further than its scale was made for."""


class Block(nn.Module):
    """One refinement step: shrink the inputs, look, and say how flow, blend and features change."""

    def __init__(self, variant: Variant, index: int) -> None:
        super().__init__()
        width = variant.channels[index]
        planes = 7 + 2 * variant.encoder + (5 + variant.features if index or variant.start else 0)
        self.skip = variant.trunk == "plain+skip"
        self.deconv = variant.head == "deconv5"
        self.conv0 = nn.Sequential(
            _conv(planes, width // 2, variant.prelu, stride=2),
            _conv(width // 2, width, variant.prelu, stride=2),
        )
        self.convblock = nn.Sequential(
            *(
                ResConv(width, variant.groups)
                if variant.trunk == "res"
                else _conv(width, width, variant.prelu)
                for _ in range(8)
            )
        )
        head = nn.ConvTranspose2d(width, HEAD_PLANES[variant.head], 4, 2, 1)
        self.lastconv = head if self.deconv else nn.Sequential(head, nn.PixelShuffle(2))
        self.features = variant.features

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def forward(
        self,
        images: tuple[Tensor, ...],
        encodings: tuple[Tensor, ...],
        time: Tensor,
        state: _State,
        scale: float,
    ) -> _State:
        planes = [*images, *encodings, time]
        if state.flow is not None:
            planes += [state.logit, *([] if state.features is None else [state.features])]
        x = _resize(torch.cat(planes, dim=1), 1 / scale)
        if state.flow is not None:
            x = torch.cat((x, _resize(state.flow, 1 / scale) / scale), dim=1)
        x = self.conv0(x.to(self.dtype))
        y = self.convblock(x)
        out = self.lastconv(y + x if self.skip else y).float()
        factor = 2 * scale if self.deconv else scale
        out = _resize(out, factor)
        return _State(out[:, :4] * factor, out[:, 4:5], out[:, 5:13] if self.features else None)


class ResConv(nn.Module):
    """lrelu(beta * conv(x) + x), beta one number per channel."""

    def __init__(self, width: int, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, 1, 1, groups=groups)
        self.beta = nn.Parameter(torch.ones(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(torch.addcmul(x, self.conv(x), self.beta), 0.2)


class FrameEncoder(nn.Module):
    """A few feature planes at frame resolution, computed once per frame and warped like it."""

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        mid, out = variant.encoder_mid, variant.encoder
        short = len(variant.encoder_names) == 2
        layers = [nn.Conv2d(3, mid, 3, 2, 1)]
        if not short:
            layers += [nn.Conv2d(mid, mid, 3, 1, 1), nn.Conv2d(mid, mid, 3, 1, 1)]
        layers.append(nn.ConvTranspose2d(mid, out, 4, 2, 1))  # type: ignore[arg-type]
        for name, layer in zip(variant.encoder_names, layers, strict=True):
            self.add_module(name, layer)
        self.activate = not short

    def forward(self, image: Tensor) -> Tensor:
        first, *rest = self.children()
        x = first(image.to(next(self.parameters()).dtype))
        for layer in rest:
            x = layer(F.leaky_relu(x, 0.2) if self.activate else x)
        return x.float()


def check_pair(img0: Tensor, img1: Tensor) -> None:
    """Raise ValueError unless both are [B,3,H,W] float tensors of one shape."""
    if img0.ndim != 4 or img0.shape[1] != 3 or not img0.is_floating_point():
        raise ValueError(f"frames must be float [B,3,H,W] tensors, not {img0.dtype} {list(img0.shape)}")
    if img0.shape != img1.shape:
        raise ValueError(f"the two frames differ in shape: {list(img0.shape)} and {list(img1.shape)}")
    if 0 in img0.shape:
        raise ValueError(f"frames are empty: {list(img0.shape)}")


def as_timestep(timestep: float | Tensor, like: Tensor) -> Tensor:
    """`timestep` as a float32 [B,1,1,1] tensor beside `like`. Raises ValueError outside 0..1."""
    time = torch.as_tensor(timestep, dtype=torch.float32, device=like.device)
    if time.numel() not in (1, like.shape[0]):
        raise ValueError(
            f"timestep must be a number or [B,1,1,1] with B={like.shape[0]}, not {list(time.shape)}"
        )
    if not bool(((time >= 0) & (time <= 1)).all()):
        raise ValueError(f"timestep must lie in 0..1, not {timestep}")
    return time.reshape(-1, 1, 1, 1).expand(like.shape[0], 1, 1, 1)


def _conv(inputs: int, outputs: int, prelu: bool, stride: int = 1) -> nn.Sequential:
    activation = nn.PReLU(outputs) if prelu else nn.LeakyReLU(0.2)
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), activation)


def _resize(x: Tensor, factor: float) -> Tensor:
    if factor == 1:
        return x
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


def _pad(image: Tensor, modulo: int) -> Tensor:
    height, width = image.shape[-2:]
    return F.pad(image, (0, -width % modulo, 0, -height % modulo))


def _off_grid(image: Tensor, modulo: int, wider: int) -> bool:
    height, width = _pad(image[:1, :1], modulo).shape[-2:]
    return bool(height % wider or width % wider)


def _exceeds(flow: Tensor, limit: float) -> bool:
    return all(float(half.abs().max()) > limit for half in flow.split(2, dim=1))
