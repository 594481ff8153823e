"""The planes that a frame is composed in: those of a video's own pixel format, or one RGB tensor.

In its own format a still pixel never goes through RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from maskvfi.video.pixel_format import Colour, PixelFormat
from maskvfi.video.planes import mask_to_planes, rgb_to_planes


class PlaneLayout(Protocol):
    """The planes [...,h,w] that a picture is stored in.

    Attributes:
        log2: The subsampling (x, y) of every plane: its samples lie 2^x and 2^y px apart.
        opaque: The value of the last plane where a picture is opaque; None where no plane is opacity.
        code: One 8-bit code value in the planes' unit.
    """

    @property
    def log2(self) -> tuple[tuple[int, int], ...]: ...
    @property
    def opaque(self) -> float | None: ...
    @property
    def code(self) -> float: ...
    def range_of(self, planes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The darkest and the brightest colour that planes may show, in RGB; at most 0 and at least 1."""

    def colour_planes(self, rgb: Tensor) -> tuple[Tensor, ...]:
        """Convert RGB [B,3,H,W] in 0..1 to planes, without alpha."""

    def weights(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Resample a weight [B,1,H,W] for every plane."""


class RgbLayout:
    """One plane [B,3,H,W], RGB in 0..1."""

    log2: tuple[tuple[int, int], ...] = ((0, 0),)
    opaque: float | None = None
    code = 1 / 255

    def range_of(self, planes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        return planes[0].new_zeros(()), planes[0].new_ones(())

    def colour_planes(self, rgb: Tensor) -> tuple[Tensor, ...]:
        return (rgb,)

    def weights(self, weight: Tensor) -> tuple[Tensor, ...]:
        return (weight,)


@dataclass(frozen=True, slots=True)
class VideoLayout:
    """Planes [h,w] of code values in a video's pixel format, alpha last."""

    format: PixelFormat
    colour: Colour

    @property
    def log2(self) -> tuple[tuple[int, int], ...]:
        full, chroma = (0, 0), self.format.log2_chroma
        colours = (full, chroma, chroma)[: self.format.colour_planes]
        return (*colours, full) if self.format.alpha else colours

    @property
    def opaque(self) -> float | None:
        return self.format.white if self.format.alpha else None

    @property
    def code(self) -> float:
        return 1 / 255 if self.format.is_float else 2.0 ** (self.format.depth - 8)

    def range_of(self, planes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        black, white = (torch.full((), value, device=planes[0].device) for value in (0.0, 1.0))
        if not self.format.is_float:
            return black, white
        colours = planes[: self.format.colour_planes]
        darkest, brightest = (
            torch.stack([x.amin() for x in colours]),
            torch.stack([x.amax() for x in colours]),
        )
        return torch.minimum(black, darkest.amin()), torch.maximum(white, brightest.amax())

    def colour_planes(self, rgb: Tensor) -> tuple[Tensor, ...]:
        return rgb_to_planes(rgb, self.format, self.colour)

    def weights(self, weight: Tensor) -> tuple[Tensor, ...]:
        return mask_to_planes(weight, self.format, self.colour)


RGB = RgbLayout()
