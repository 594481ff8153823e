"""Source frames' still pixels in the size, pixel format and colours of another video, put into its frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from maskvfi.ops.grain import as_float
from maskvfi.synthesis.compose import put_back
from maskvfi.synthesis.copied import Copied
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.synthesis.layouts import VideoLayout
from maskvfi.timing.alignment import UNLIKE
from maskvfi.timing.gaps import Gap
from maskvfi.timing.scenes import thumbnail
from maskvfi.video import Frame, SourceInfo
from maskvfi.video.pixel_format import Colour
from maskvfi.video.planes import planes_to_rgb, quantise, replace_non_finite, rgb_to_planes, to_tensors

FILTER = "bicubic"  # how a smaller source is scaled
SMALL = (64, 36)  # px; pictures of this size are compared


@dataclass(slots=True)
class _Loaded:
    """A source frame on the device: its planes in the layout of the other video, and a small picture."""

    frame: Frame
    planes: tuple[Tensor, ...]
    small: np.ndarray


class StillPixels:
    """Puts the still pixels of source frames into frames of another video.

    Args:
        interpolator: Says on which device, what still pixels show, and what is painted.
        source, made: What is known of the source and of the other video.
        colour: What the other video's code values mean.
        factor: How many times as large the other video is.

    Attributes:
        everything: How the source's pixels are copied between two equal frames.
    """

    def __init__(
        self, interpolator: Interpolator, source: SourceInfo, made: SourceInfo, colour: Colour, factor: int
    ) -> None:
        self._interpolator, self._source, self._made = interpolator, source, made
        self._colour, self._factor = colour, factor
        self._layout = VideoLayout(made.format, colour)
        self._same = factor == 1 and made.format == source.format and _means(colour) == _means(source.colour)
        self._loaded: list[_Loaded] = []
        self._copied: tuple[Copied, Copied] | None = None  # of the source, and scaled
        self._protect = None if interpolator.protect is None else self._scaled(interpolator.protect)
        self.everything = interpolator.between_equal(source.height, source.width)

    def put(self, gap: Gap, copied: Copied, frame: Frame, at: float) -> Frame | None:
        """The frame with still pixels of its gap; the frame itself where nothing stands still.

        Args:
            gap: The source frames around it.
            copied: How the source's pixels are copied, [1,1,H,W].
            frame: The frame.
            at: Its time inside the gap, 0..1.

        Returns:
            None if the frame looks unlike the source at that time.
        """
        assert gap.end is not None
        if not copied.weight.any():
            return frame
        start, end = self._load(gap.start), self._load(gap.end)
        here = thumbnail(frame, self._colour, SMALL).astype(np.float32)
        there = start.small * (1 - at) + end.small * at
        if _median_difference(here - there) > max(
            2 * UNLIKE, 2 * _median_difference(start.small - end.small)
        ):
            return None
        if self._copied is None or self._copied[0] is not copied:
            self._copied = copied, copied.each(self._scaled)
        planes = put_back(
            to_tensors(frame.planes, self._interpolator.device),
            start.planes,
            end.planes,
            at,
            self._copied[1],
            self._layout,
            self._interpolator.static,
            self._protect,
        )
        return Frame(
            quantise(planes, frame.format), frame.format, frame.pts, frame.duration, origin=frame.origin
        )

    def _load(self, frame: Frame) -> _Loaded:
        for known in self._loaded:
            if known.frame.planes is frame.planes:
                return known
        planes, _ = replace_non_finite(to_tensors(frame.planes, self._interpolator.device))
        if not self._same:
            planes = self._converted(planes, frame)
        small = thumbnail(frame, self._source.colour, SMALL).astype(np.float32)
        self._loaded = [*self._loaded[-1:], _Loaded(frame, planes, small)]
        return self._loaded[-1]

    def _converted(self, planes: tuple[Tensor, ...], frame: Frame) -> tuple[Tensor, ...]:
        """Planes in the size, pixel format and colours of the other video, not rounded."""
        fmt = self._made.format
        rgb = planes_to_rgb(planes, frame.format, self._source.colour)
        if self._factor > 1:
            rgb = F.interpolate(rgb, scale_factor=self._factor, mode=FILTER, align_corners=False)
        made = rgb_to_planes(rgb, fmt, self._colour)
        if not fmt.alpha:
            return made
        alpha = torch.full_like(made[0], fmt.white)
        if frame.format.alpha:
            alpha = self._scaled(as_float(planes[-1])[None, None])[0, 0] * (fmt.white / frame.format.white)
        return (*made, alpha)

    def _scaled(self, weight: Tensor) -> Tensor:
        """A plane [1,1,H,W] of the source in the size of the other video."""
        if self._factor == 1:
            return weight
        return F.interpolate(weight, scale_factor=self._factor, mode="bilinear", align_corners=False)


def _means(colour: Colour) -> tuple[Any, ...]:
    return colour.matrix, colour.full_range, colour.siting


def _median_difference(difference: np.ndarray) -> float:
    """The median of absolute differences; it stays small where another program has changed only overlays."""
    return float(np.median(np.abs(difference)))
