"""IFNet: every RIFE 4.x network as one module, shaped by a `Variant`."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple, cast

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from maskvfi.models.base import Interpolation, InterpolationNetwork, Motion, Traits
from maskvfi.models.rife.stage import BlockOutput, Stage, shrunk
from maskvfi.models.rife.variants import HEAD_PLANES, Variant, ensemble_versions
from maskvfi.ops.warp import BICUBIC, backward_warp


class PreparedFrame(NamedTuple):
    """What the network computes from one frame.

    Attributes:
        size: (H, W) of the frame in px.
        planes: [B,3+E,h,w] at padded size: the colours in 0..1 and the E planes of the encoder.
    """

    size: tuple[int, int]
    planes: Tensor


class PreparedPair(NamedTuple):
    """Two frames of one size."""

    start: PreparedFrame
    end: PreparedFrame

    @property
    def planes(self) -> tuple[Tensor, Tensor]:
        """The planes of both frames."""
        return self.start.planes, self.end.planes


class IFNet(InterpolationNetwork[PreparedFrame, PreparedPair]):
    """Intermediate flow network of the RIFE 4.x family (Huang et al., ECCV 2022, and Practical-RIFE).

    Args:
        variant: Which network of the family.
    """

    architecture = "rife"
    stage = Stage  # computes the input of the blocks

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.variant = variant
        for index in range(len(variant.channels)):
            self.add_module(f"block{index}", Block(variant, index))
        if variant.encoder:
            self.encode = FrameEncoder(variant)

    @property
    def blocks(self) -> list[Block]:
        """The refinement blocks, from the coarsest to the finest."""
        return [block for name, block in self.named_children() if isinstance(block, Block)]

    @property
    def traits(self) -> Traits:
        variant = self.variant
        name = f"RIFE {variant.family}"
        return Traits(
            name=name,
            multiple=variant.modulo,
            ensemble=variant.ensemble,
            ensemble_in=f"RIFE {ensemble_versions()}",
            no_graph=f"{name} changes its scales by what it sees" if variant.dynamic_scale else "",
            good_in_bf16=variant.trunk == "plain+skip",  # docs/speed.md; others were not measured
        )

    @property
    def dtype(self) -> torch.dtype:
        return self.blocks[0].dtype

    def rounded(self, dtype: torch.dtype) -> IFNet:
        other = super().rounded(dtype)
        if dtype == torch.bfloat16:
            # Its 8 bits are too few for what a block reads: colours, flow and the time.
            for block, exact in zip(other.blocks, self.blocks, strict=True):
                block.conv0[0] = copy.deepcopy(exact.conv0[0]).float()
        return other

    def config(self) -> dict[str, Any]:
        return {"variant": self.variant.to_dict()}

    def prepare(self, image: Tensor, scale: float = 1.0) -> PreparedFrame:
        return self._prepare(image, self.multiple(scale))

    def pair(self, start: PreparedFrame, end: PreparedFrame) -> PreparedPair:
        return PreparedPair(start, end)

    def between(
        self, pair: PreparedPair, time: Tensor, scale: float = 1.0, ensemble: bool = False
    ) -> Interpolation:
        flow, logit = self.estimate(pair, time, scale, ensemble)
        images, sampling = [planes[:, :3] for planes in pair.planes], self.variant.sampling
        height, width = pair.start.size
        if sampling == BICUBIC:  # reads further around its place, and must not read what is padded
            images = [x[..., :height, :width] for x in images]
            flow, logit = flow[..., :height, :width], logit[..., :height, :width]
        elif flow.shape[-2:] != images[0].shape[-2:]:  # doubled scales, which need more padding
            wider = (0, flow.shape[-1] - images[0].shape[-1], 0, flow.shape[-2] - images[0].shape[-2])
            images = [F.pad(x, wider) for x in images]
        halves = zip(images, flow.split(2, dim=1), strict=True)
        warped0, warped1 = (backward_warp(x, half, sampling=sampling) for x, half in halves)
        frame = torch.lerp(warped1, warped0, torch.sigmoid(logit))[..., :height, :width]
        return Interpolation(frame, self._motion(pair, flow, logit))

    def motion(self, pair: PreparedPair, time: Tensor, scale: float = 1.0, ensemble: bool = False) -> Motion:
        return self._motion(pair, *self.estimate(pair, time, scale, ensemble))

    def _motion(self, pair: PreparedPair, flow: Tensor, logit: Tensor) -> Motion:
        height, width = pair.start.size
        blend = torch.sigmoid(logit[..., :height, :width])
        return Motion(flow[..., :height, :width], blend, self.variant.sampling)

    def estimate(
        self, pair: PreparedPair, time: Tensor, scale: float, ensemble: bool
    ) -> tuple[Tensor, Tensor]:
        """Flow [B,4,h,w] in px and blend logit [B,1,h,w] at padded size, computed by the runtime."""
        if self.variant.dynamic_scale:
            *_, last = self._stages(pair, time, scale, ensemble)
            return last.flow, last.logit
        given = [*pair.planes, time.float().expand(len(pair.start.planes), 1, 1, 1)]
        blocks = Blocks(self, scale, ensemble)
        name = f"blocks {scale:g} {ensemble}"
        flow, logit = self.runtime.compute(name, blocks, given, self.multiple(scale))
        return flow, logit

    def stages(
        self, img0: Tensor, img1: Tensor, time: Tensor, scale: float = 1.0, ensemble: bool = False
    ) -> Iterator[Stage]:
        """The estimates after every block, for training.

        Args:
            img0, img1: [B,3,H,W], RGB in 0..1.
            time: [B,1,1,1] in 0..1.
            scale, ensemble: As in `forward`.

        Yields:
            One estimate per block, at padded size, from the coarsest to the finest.
        """
        return self._stages(
            self.pair(self.prepare(img0, scale), self.prepare(img1, scale)), time, scale, ensemble
        )

    def _prepare(self, image: Tensor, modulo: int) -> PreparedFrame:
        height, width = image.shape[-2:]
        # The published networks were trained with zero padding, which shows where something leaves the picture.
        planes = F.pad(image.float().clamp(0, 1), (0, -width % modulo, 0, -height % modulo))
        if self.variant.encoder:
            encoded = self.runtime.compute("encoder", self.encode, [planes], self.variant.modulo)
            planes = torch.cat((planes, *encoded), dim=1)
        return PreparedFrame((height, width), planes)

    def _stages(self, pair: PreparedPair, time: Tensor, scale: float, ensemble: bool) -> Iterator[Stage]:
        scales, planes = [s / scale for s in self.variant.scales], pair.planes
        stages = self.refine(planes, time, scales, 0 if ensemble else len(scales))
        if not self.variant.dynamic_scale:
            yield from (stage.enlarged(planes, self.variant.shrink) for stage in stages)
            return
        try:
            yield from list(islice(stages, 2))  # the second block says whether the first one counts
            yield from stages
        except _MotionTooLarge:
            # As in the published network: doubled scales need more padding, and their first block is not averaged.
            (height, width), wider = pair.start.size, 2 * max(32, self.multiple(scale))
            if planes[0].shape[-2] % wider or planes[0].shape[-1] % wider:
                modulo = max(self.multiple(scale), wider)
                images = (x[:, :3, :height, :width] for x in planes)
                planes = tuple(self._prepare(image, modulo).planes for image in images)  # type: ignore[assignment]
            yield from self.refine(
                planes, time, [2 * s for s in scales], 1 if ensemble else len(scales), fixed=True
            )

    def refine(
        self,
        planes: tuple[Tensor, Tensor],
        time: Tensor,
        scales: list[float],
        ensemble_from: int,
        fixed: bool = False,
    ) -> Iterator[Stage]:
        """Run the blocks one after another, on frames that are shrunk by `variant.shrink`.

        Args:
            planes: Both frames' prepared planes [B,3+E,h,w].
            time: [B,1,1,1] in 0..1.
            scales: Factor by which each block shrinks its input, from the size of `planes` on.
            ensemble_from: Index of the first block that is averaged with its time-reversed output.
            fixed: Keep the scales however large the motion is.

        Yields:
            The estimate after every block, at the size of the shrunk frames.
        """
        shrink = self.variant.shrink
        small = (shrunk(planes[0], shrink), shrunk(planes[1], shrink))
        stage = self.stage(small, (), self.variant.mask == "add", self.variant.sampling)
        for index, (block, whole) in enumerate(zip(self.blocks, scales, strict=True)):
            scale = whole / shrink
            part = block(stage, time, scale)
            if self.variant.dynamic_scale and not fixed and index == 1 and part.exceeds(32):
                raise _MotionTooLarge
            if index >= ensemble_from:
                part = part.mean(block(stage.reversed(), 1 - time, scale).reversed())
            stage = stage.refined(part)
            yield stage


class Blocks(nn.Module):
    """All blocks of a network at one scale, as one module that a runtime can trace."""

    def __init__(self, network: IFNet, scale: float, ensemble: bool) -> None:
        super().__init__()
        self.network = network
        self.scales = [s / scale for s in network.variant.scales]
        self.ensemble_from = 0 if ensemble else len(self.scales)

    def forward(self, planes0: Tensor, planes1: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Flow [B,4,h,w] in px and blend logit [B,1,h,w], from the arguments of `IFNet.refine`."""
        planes = planes0, planes1
        *_, small = self.network.refine(planes, time, self.scales, self.ensemble_from)
        last = small.enlarged(planes, self.network.variant.shrink)
        return last.flow, last.logit


class _MotionTooLarge(Exception):
    """RIFE 4.0 and 4.1: the motion is too large for the second block's scale."""


class Block(nn.Module):
    """One refinement step: shrinks its input and predicts the change of flow and blend, and features."""

    def __init__(self, variant: Variant, index: int) -> None:
        super().__init__()
        width = variant.channels[index]
        planes = 7 + 2 * variant.encoder + (5 + variant.features if index else 0)
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
        self.passes_features = bool(variant.features) and index + 1 < len(variant.channels)

    @property
    def dtype(self) -> torch.dtype:
        """The number format of its convolutions; the first one may have another."""
        return next(self.convblock.parameters()).dtype

    def forward(self, stage: Stage, time: Tensor, scale: float) -> BlockOutput:
        """The change of the estimate `stage` at `time` [B,1,1,1]; the input is shrunk by `scale`."""
        (planes0, planes1), known = stage.block_input(scale)
        height, width = planes0.shape[-2:]
        planes = [planes0[:, :3], planes1[:, :3], planes0[:, 3:], planes1[:, 3:]]
        planes += [time.float().expand(planes0.shape[0], 1, height, width), *known]
        first, second = self.conv0
        x = first(torch.cat(planes, dim=1).to(next(first.parameters()).dtype))
        x = second(x.to(self.dtype))
        y = self.convblock(x)
        out = self.head(y + x if self.skip else y).float().contiguous()
        factor = 2 * scale if self.deconv else scale
        return BlockOutput(
            out[:, :4] * factor, out[:, 4:5], out[:, 5:13] if self.passes_features else None, factor
        )

    def head(self, x: Tensor) -> Tensor:
        """The output of `lastconv`, without the features if no block reads them."""
        if self.deconv or self.passes_features or not self.features:
            out: Tensor = self.lastconv(x)
            return out
        head = cast(nn.ConvTranspose2d, cast(nn.Sequential, self.lastconv)[0])
        assert head.bias is not None
        read = 4 * 5
        return F.pixel_shuffle(F.conv_transpose2d(x, head.weight[:, :read], head.bias[:read], 2, 1), 2)


class ResConv(nn.Module):
    """Residual convolution lrelu(beta * conv(x) + x), with one beta per channel."""

    fold = True  # without gradients, compute it as one convolution

    def __init__(self, width: int, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, 1, 1, groups=groups)
        self.beta = nn.Parameter(torch.ones(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() or x.dtype != torch.float32 or not self.fold:
            return F.leaky_relu(torch.addcmul(x, self.conv(x), self.beta), 0.2, not torch.is_grad_enabled())
        weight, bias = self.folded()
        return F.leaky_relu_(F.conv2d(x, weight, bias, padding=1, groups=self.conv.groups), 0.2)

    def folded(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of one convolution that computes beta * conv(x) + x."""
        beta = self.beta.flatten()
        weight = self.conv.weight * beta.view(-1, 1, 1, 1)
        rows = torch.arange(len(beta), device=beta.device)
        weight[rows, rows % weight.shape[1], 1, 1] += 1
        assert self.conv.bias is not None
        return weight, self.conv.bias * beta


class FrameEncoder(nn.Module):
    """Computes a few feature planes at the frame's size, which are warped like its colours."""

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
        """Planes [B,E,H,W] from colours [B,3,H,W]; sides are multiples of 2."""
        first, *rest = self.children()
        x = first(image.to(next(self.parameters()).dtype))
        for layer in rest:
            x = layer(F.leaky_relu(x, 0.2) if self.activate else x)
        return x.float()


def _conv(inputs: int, outputs: int, prelu: bool, stride: int = 1) -> nn.Sequential:
    activation = nn.PReLU(outputs) if prelu else nn.LeakyReLU(0.2)
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), activation)
