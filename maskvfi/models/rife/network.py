"""IFNet: every RIFE 4.x network as one module, shaped by a `Variant`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from maskvfi.models.base import Interpolation, InterpolationNetwork, Motion, Traits
from maskvfi.models.rife.fallback import Fallback
from maskvfi.models.rife.stage import Part, Stage
from maskvfi.models.rife.variants import HEAD_PLANES, Variant
from maskvfi.ops.dis import dis_flow, flow_at, inside_logit
from maskvfi.ops.warp import backward_warp


class PreparedFrame(NamedTuple):
    """What the network keeps of one frame, whatever it is paired with: a stream prepares every frame once.

    size (H,W) of the frame; planes [B,3+E,h,w] at padded size: its colours in 0..1 and its E encoded planes.
    """

    size: tuple[int, int]
    planes: Tensor


class PreparedPair(NamedTuple):
    """Two frames of one size, and the flow [B,4,H,W] in px between them that the network starts from (`dis_flow`), if
    it starts from one.
    """

    start: PreparedFrame
    end: PreparedFrame
    flow: Tensor | None

    @property
    def planes(self) -> tuple[Tensor, Tensor]:
        return self.start.planes, self.end.planes

    @property
    def colours(self) -> tuple[Tensor, Tensor]:
        """Both frames [B,3,H,W]."""
        height, width = self.start.size
        return self.start.planes[:, :3, :height, :width], self.end.planes[:, :3, :height, :width]


class IFNet(InterpolationNetwork[PreparedFrame, PreparedPair]):
    """Intermediate flow network of the RIFE 4.x family (Huang et al., ECCV 2022, and Practical-RIFE)."""

    architecture = "rife"
    stage = Stage

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.variant = variant
        for index in range(len(variant.channels)):
            self.add_module(f"block{index}", Block(variant, index))
        if variant.encoder:
            self.encode = FrameEncoder(variant)
        if variant.fallback:
            self.fallback = Fallback(variant.fallback)

    @property
    def blocks(self) -> list[Block]:
        return [block for name, block in self.named_children() if isinstance(block, Block)]

    @property
    def traits(self) -> Traits:
        variant = self.variant
        why = f"RIFE {variant.family} changes its scales by what it sees" if variant.dynamic_scale else ""
        return Traits(f"RIFE {variant.family}", variant.modulo, variant.ensemble, why, not variant.start)

    def config(self) -> dict[str, Any]:
        return {"variant": self.variant.to_dict()}

    def prepare(self, image: Tensor, scale: float = 1.0) -> PreparedFrame:
        return self._prepare(image, self.multiple(scale))

    def pair(self, start: PreparedFrame, end: PreparedFrame) -> PreparedPair:
        pair = PreparedPair(start, end, None)
        return pair._replace(flow=dis_flow(*pair.colours)) if self.variant.start else pair

    def between(
        self, pair: PreparedPair, time: Tensor, scale: float = 1.0, ensemble: bool = False
    ) -> Interpolation:
        flow, logit = self.answer(pair, time, scale, ensemble)
        images = [planes[:, :3] for planes in pair.planes]
        if flow.shape[-2:] != images[0].shape[-2:]:  # motion was too large: the answer's run padded further
            height, width = flow.shape[-2:]
            images = [F.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2])) for x in images]
        moved = [backward_warp(x, half) for x, half in zip(images, flow.split(2, dim=1), strict=True)]
        height, width = pair.start.size
        frame = torch.lerp(moved[1], moved[0], torch.sigmoid(logit))[..., :height, :width]
        motion = self._motion(pair, time, flow, logit)
        if motion.fallback is not None:
            frame = torch.lerp(frame, torch.lerp(*pair.colours, time), motion.fallback)
        return Interpolation(frame, motion)

    def motion(self, pair: PreparedPair, time: Tensor, scale: float = 1.0, ensemble: bool = False) -> Motion:
        return self._motion(pair, time, *self.answer(pair, time, scale, ensemble))

    def _motion(self, pair: PreparedPair, time: Tensor, flow: Tensor, logit: Tensor) -> Motion:
        height, width = pair.start.size
        flow, blend = flow[..., :height, :width], torch.sigmoid(logit[..., :height, :width])
        fallback = self.fallback(*pair.colours, flow, blend, time) if self.variant.fallback else None
        return Motion(flow, blend, fallback)

    def answer(self, pair: PreparedPair, time: Tensor, scale: float, ensemble: bool) -> tuple[Tensor, Tensor]:
        """Flow [B,4,h,w] in px and blend logit [B,1,h,w] at padded size, computed by the runtime."""
        if self.variant.dynamic_scale:
            *_, last = self._stages(pair, time, scale, ensemble)
            return last.flow, last.logit
        given = [*pair.planes, time.float().expand(len(pair.start.planes), 1, 1, 1)]
        if (begin := self.begin(pair, time)) is not None:
            given.append(begin)
        blocks = Blocks(self, scale, ensemble)
        name = f"blocks {scale:g} {ensemble}"
        flow, logit = self.runtime.compute(name, blocks, given, self.multiple(scale))
        return flow, logit

    def stages(
        self, img0: Tensor, img1: Tensor, time: Tensor, scale: float = 1.0, ensemble: bool = False
    ) -> Iterator[Stage]:
        """The estimate after every block, coarse to fine, at padded size (training looks at all of them)."""
        return self._stages(
            self.pair(self.prepare(img0, scale), self.prepare(img1, scale)), time, scale, ensemble
        )

    def _prepare(self, image: Tensor, modulo: int) -> PreparedFrame:
        height, width = image.shape[-2:]
        # The published networks were trained on rims of zeros, which shine through where something leaves the picture.
        rim = "replicate" if self.variant.start else "constant"
        planes = F.pad(image.float().clamp(0, 1), (0, -width % modulo, 0, -height % modulo), mode=rim)
        if self.variant.encoder:
            encoded = self.runtime.compute("encoder", self.encode, [planes], self.variant.modulo)
            planes = torch.cat((planes, *encoded), dim=1)
        return PreparedFrame((image.shape[-2], image.shape[-1]), planes)

    def _stages(self, pair: PreparedPair, time: Tensor, scale: float, ensemble: bool) -> Iterator[Stage]:
        scales, planes = [s / scale for s in self.variant.scales], pair.planes
        stages = self.refine(planes, time, scales, 0 if ensemble else len(scales), self.begin(pair, time))
        if not self.variant.dynamic_scale:
            yield from stages
            return
        try:
            yield from stages
        except _MotionTooLarge:
            # The doubled run pads to its own multiple; its first block is not averaged (ARCHITECTURE 5).
            (height, width), wider = pair.start.size, max(64, int(64 / scale))
            if planes[0].shape[-2] % wider or planes[0].shape[-1] % wider:
                modulo = max(self.multiple(scale), wider)
                images = (x[:, :3, :height, :width] for x in planes)
                planes = tuple(self._prepare(image, modulo).planes for image in images)  # type: ignore[assignment]
            yield from self.refine(
                planes, time, [2 * s for s in scales], 1 if ensemble else len(scales), fixed=True
            )

    def begin(self, pair: PreparedPair, time: Tensor) -> Tensor | None:
        """Flow in px and blend logit [B,5,h,w], at padded size, that the first block refines; None: there are none."""
        if pair.flow is None:
            return None
        (height, width), planes = pair.start.size, pair.start.planes
        flow = flow_at(pair.flow, time.float())
        beyond = (0, planes.shape[-1] - width, 0, planes.shape[-2] - height)
        return F.pad(torch.cat((flow, inside_logit(flow)), dim=1), beyond, mode="replicate")

    def refine(
        self,
        planes: tuple[Tensor, Tensor],
        time: Tensor,
        scales: list[float],
        ensemble_from: int,
        begin: Tensor | None = None,
        fixed: bool = False,
    ) -> Iterator[Stage]:
        """The estimate after every block, each at its scale, begun with `begin`'s result.

        Blocks from `ensemble_from` on are averaged with themselves seen backwards. fixed: no motion is too large.
        """
        stage = self.stage(planes, (), add=self.variant.mask == "add")
        if begin is not None:
            flow, logit = begin.split((4, 1), dim=1)
            features = torch.zeros_like(logit).expand(-1, self.variant.features, -1, -1)
            stage = stage.refined(Part(flow, logit, features, 1.0))
            if not self.blocks:
                yield stage
        for index, (block, scale) in enumerate(zip(self.blocks, scales, strict=True)):
            part = block(stage, time, scale)
            if self.variant.dynamic_scale and not fixed and index == 1 and part.exceeds(32):
                raise _MotionTooLarge
            if index >= ensemble_from:
                part = part.mean(block(stage.reversed(), 1 - time, scale).reversed())
            stage = stage.refined(part)
            yield stage


class Blocks(nn.Module):
    """All blocks of a network at one scale, as a module that a runtime can trace."""

    def __init__(self, network: IFNet, scale: float, ensemble: bool) -> None:
        super().__init__()
        self.network = network
        self.scales = [s / scale for s in network.variant.scales]
        self.ensemble_from = 0 if ensemble else len(self.scales)

    def forward(
        self, planes0: Tensor, planes1: Tensor, time: Tensor, begin: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Flow [B,4,h,w] in px and blend logit [B,1,h,w] from prepared planes."""
        *_, last = self.network.refine((planes0, planes1), time, self.scales, self.ensemble_from, begin)
        return last.flow, last.logit


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
        self.hands_on = bool(variant.features) and index + 1 < len(variant.channels)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def forward(self, stage: Stage, time: Tensor, scale: float) -> Part:
        (planes0, planes1), known = stage.seen(scale)
        height, width = planes0.shape[-2:]
        planes = [planes0[:, :3], planes1[:, :3], planes0[:, 3:], planes1[:, 3:]]
        planes += [time.float().expand(planes0.shape[0], 1, height, width), *known]
        x = self.conv0(torch.cat(planes, dim=1).to(self.dtype))
        y = self.convblock(x)
        out = self.head(y + x if self.skip else y).float()
        factor = 2 * scale if self.deconv else scale
        return Part(out[:, :4] * factor, out[:, 4:5], out[:, 5:13] if self.hands_on else None, factor)

    def head(self, x: Tensor) -> Tensor:
        """What `lastconv` says, without the features that nobody reads."""
        if self.deconv or self.hands_on or not self.features:
            out: Tensor = self.lastconv(x)
            return out
        head = cast(nn.ConvTranspose2d, cast(nn.Sequential, self.lastconv)[0])
        assert head.bias is not None
        read = 4 * 5
        return F.pixel_shuffle(F.conv_transpose2d(x, head.weight[:, :read], head.bias[:read], 2, 1), 2)


class ResConv(nn.Module):
    """lrelu(beta * conv(x) + x), beta one number per channel."""

    fold = True  # compute it as one convolution where no gradient is asked for

    def __init__(self, width: int, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, 1, 1, groups=groups)
        self.beta = nn.Parameter(torch.ones(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() or x.dtype != torch.float32 or not self.fold:
            return F.leaky_relu(torch.addcmul(x, self.conv(x), self.beta), 0.2)
        weight, bias = self.folded()
        return F.leaky_relu_(F.conv2d(x, weight, bias, padding=1, groups=self.conv.groups), 0.2)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the one convolution that is beta * conv(x) + x."""
        beta = self.beta.flatten()
        weight = self.conv.weight * beta.view(-1, 1, 1, 1)
        rows = torch.arange(len(beta), device=beta.device)
        weight[rows, rows % weight.shape[1], 1, 1] += 1
        assert self.conv.bias is not None
        return weight, self.conv.bias * beta


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


def _conv(inputs: int, outputs: int, prelu: bool, stride: int = 1) -> nn.Sequential:
    activation = nn.PReLU(outputs) if prelu else nn.LeakyReLU(0.2)
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), activation)
