"""Cross-fade: an interpolation network without flow and without parameters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from maskvfi.models.base import Interpolation, InterpolationNetwork, Traits


class Blend(InterpolationNetwork[Tensor, tuple[Tensor, Tensor]]):
    """The frame at time t is (1-t)*frame0 + t*frame1. It has no motion."""

    architecture = "blend"

    @property
    def traits(self) -> Traits:
        return Traits("cross-fade")

    def config(self) -> dict[str, Any]:
        return {}

    def prepare(self, image: Tensor, scale: float = 1.0) -> Tensor:
        return image.float().clamp(0, 1)

    def pair(self, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
        return start, end

    def between(
        self, pair: tuple[Tensor, Tensor], time: Tensor, scale: float = 1.0, ensemble: bool = False
    ) -> Interpolation:
        return Interpolation(torch.lerp(*pair, time))
