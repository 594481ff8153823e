"""The RIFE networks computed without any shortcut: the reference for what `network.py` saves."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from maskvfi.models.rife.network import Block, IFNet, ResConv
from maskvfi.models.rife.stage import Stage
from maskvfi.models.rife.variants import Variant


class PlainStage(Stage):
    """Computes everything at full size after every block, and shrinks that for the next one."""

    def block_input(self, scale: float) -> tuple[list[Tensor], list[Tensor]]:
        if not self.parts:
            return [_shrunk(x, scale) for x in self.planes], []
        flows = self.flow.split(2, dim=1)
        warped = [
            torch.cat([_warped(part, flow) for part in (x[:, :3], x[:, 3:]) if part.shape[1]], dim=1)
            for x, flow in zip(self.planes, flows, strict=True)
        ]
        last = self.parts[-1]
        known = [self.logit]
        if last.features is not None:
            known.append(F.interpolate(last.features, scale_factor=last.factor, mode="bilinear"))
        planes = torch.cat((*warped, *known), dim=1)
        small, each = _shrunk(planes, scale), self.planes[0].shape[1]
        return [small[:, :each], small[:, each : 2 * each]], [
            small[:, 2 * each :],
            _shrunk(self.flow, scale) / scale,
        ]


class PlainIFNet(IFNet):
    """IFNet without its shortcuts: the same weights, and the same frames except for rounding."""

    stage = PlainStage

    def __init__(self, variant: Variant) -> None:
        super().__init__(variant)
        for module in self.modules():
            if isinstance(module, ResConv):
                module.fold = False
            elif isinstance(module, Block):
                module.passes_features = bool(variant.features)


def _warped(image: Tensor, flow: Tensor) -> Tensor:
    """`image` [B,C,H,W] sampled along `flow` [B,2,H,W] px by torch alone, which gives a whole picture to one core."""
    height, width = image.shape[-2:]
    ys, xs = (torch.linspace(-1, 1, side, device=flow.device) for side in (height, width))
    own = torch.stack(torch.meshgrid(xs, ys, indexing="xy"))
    step = torch.tensor([2 / max(side - 1, 1) for side in (width, height)], device=flow.device)
    places = (own + flow * step.view(2, 1, 1)).permute(0, 2, 3, 1)
    return F.grid_sample(image, places, padding_mode="border", align_corners=True)


def _shrunk(x: Tensor, scale: float) -> Tensor:
    return F.interpolate(x, scale_factor=1 / scale, mode="bilinear")
