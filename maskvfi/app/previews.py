"""Previews of videos: frames, what stands still in them, and what a new frame looks like."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

import maskvfi
from maskvfi.app.paint import Layers, masks_of
from maskvfi.options import FrameOptions, MaskOptions, option_fields
from maskvfi.pipeline.preview import neighbours, tinted
from maskvfi.synthesis.interpolator import Interpolator

Picture = np.ndarray  # uint8 [H,W,3]
MAX_SHOWN = 1280  # px on the longer side of a picture on the page


class Previews:
    """Previews for one visitor. The frames that were looked at last are kept."""

    def __init__(self) -> None:
        self._pair: tuple[tuple[str, float], tuple[Tensor, Tensor]] | None = None

    def frame(self, video: str, at: float) -> Picture:
        """Read a frame.

        Args:
            video: The path of the video.
            at: Seconds after the first frame.

        Returns:
            uint8 RGB [h,w,3], at most MAX_SHOWN px on a side.

        Raises:
            MediaError: The video cannot be read there.
        """
        return shown(self._frames(video, at)[0])

    def overlay(self, video: str, at: float, layers: Layers, asked: Mapping[str, Any]) -> Picture:
        """Read a frame and tint the pixels that stand still green, and those that are replaced in place orange.

        Args:
            video: The path of the video.
            at: Seconds after the first frame.
            layers: The painted layers, RGBA uint8 [h,w,4].
            asked: Options by name.

        Returns:
            uint8 RGB [h,w,3], at most MAX_SHOWN px on a side.

        Raises:
            MediaError, WeightsError, OptionError: One line.
        """
        frames = self._frames(video, at)
        interpolator = _interpolator(MaskOptions, asked, frames[0], layers)
        (copied,) = interpolator.copied([interpolator.view(frame) for frame in frames])
        return shown(frames[0] if copied is None else tinted(frames[0], copied.each(Tensor.cpu)))

    def compare(
        self, video: str, at: float, layers: Layers, asked: Mapping[str, Any]
    ) -> tuple[Picture, Picture]:
        """Make the frame in the middle between a frame and the next one.

        Args:
            video, at, layers, asked: As `overlay` takes them.

        Returns:
            The frame without and with the mask, as `overlay` returns it.

        Raises:
            MediaError, WeightsError, OptionError: One line.
        """
        frames = self._frames(video, at)
        masked = _interpolator(FrameOptions, asked, frames[0], layers)
        plain = _interpolator(FrameOptions, {**asked, "mask": None}, frames[0], [])
        return shown(plain(*frames)), shown(masked(*frames))

    def _frames(self, video: str, at: float) -> tuple[Tensor, Tensor]:
        pair = self._pair  # a handler in another thread may look at another place meanwhile
        if pair is None or pair[0] != (video, at):
            pair = self._pair = (video, at), neighbours(video, at)
        return pair[1]


def _interpolator(
    group: type[MaskOptions], asked: Mapping[str, Any], frame: Tensor, layers: Layers
) -> Interpolator:
    """An interpolator for previews, with the options of a group. It uses torch, since other runtimes start slowly."""
    known = {each.name for each in option_fields(group)} - {"runtime"}
    options = FrameOptions.of(None, {name: value for name, value in asked.items() if name in known})
    networks = {
        "vfi": _vfi(str(options.vfi), options.device),
        "mask": None if options.mask is None else _static(str(options.mask), options.device),
    }
    height, width = frame.shape[-2:]
    painted = {name: torch.from_numpy(mask) for name, mask in masks_of(layers, width, height).items()}
    return Interpolator.from_options(options, runtime="torch", **networks, **painted)


def shown(image: Tensor) -> Picture:
    """A picture as the page shows it.

    Args:
        image: RGB [1,3,H,W] in 0..1.

    Returns:
        uint8 RGB [h,w,3], at most MAX_SHOWN px on a side.
    """
    picture = (image[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    height, width = picture.shape[:2]
    shrink = MAX_SHOWN / max(height, width)
    if shrink >= 1:
        return picture
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


# An interpolator moves its networks to its device, so each device has its own.
_vfi = lru_cache(2)(lambda name, device: maskvfi.load_vfi(name))
_static = lru_cache(2)(lambda name, device: maskvfi.load_static(name))
