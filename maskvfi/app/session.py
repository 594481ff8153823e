"""The work of one visitor: previews of a video, painted masks and a run."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

import maskvfi
from maskvfi.options import FrameOptions, MaskOptions, Options, option_fields
from maskvfi.pipeline.preview import neighbours, tinted
from maskvfi.synthesis.interpolator import Interpolator

Picture = np.ndarray  # uint8 [H,W,3]
PROTECT, RELEASE = (0, 110, 255), (255, 60, 60)  # the RGB colours of the brush
KEPT = (".mp4", ".mov", ".mkv")  # suffixes that a result keeps; any other becomes .mkv
MAX_SHOWN = 1280  # px on the longer side of a picture on the page


class Cancelled(Exception):
    """The visitor has stopped the run."""


class Session:
    """The work of one visitor. It keeps one result at a time.

    Args:
        root: The folder in which results get a folder each.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._pair: tuple[tuple[str, float], tuple[Tensor, Tensor]] | None = None
        self._result: Path | None = None
        self._cancelled = threading.Event()
        self._idle = threading.Event()
        self._idle.set()

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
        return _shown(self._frames(video, at)[0])

    def overlay(
        self, video: str, at: float, layers: Sequence[np.ndarray], asked: Mapping[str, Any]
    ) -> Picture:
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
        return _shown(frames[0] if copied is None else tinted(frames[0], copied.each(Tensor.cpu)))

    def compare(
        self, video: str, at: float, layers: Sequence[np.ndarray], asked: Mapping[str, Any]
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
        return _shown(plain(*frames)), _shown(masked(*frames))

    def prepare(self) -> None:
        """Make ready for a run: delete the result of the last one."""
        self._cancelled.clear()
        self._drop_result()

    def run(
        self,
        video: str,
        at: float,
        layers: Sequence[np.ndarray],
        progress: Callable[[int, int | None], object],
        asked: Mapping[str, Any],
    ) -> maskvfi.Report:
        """Interpolate the video into a new folder.

        Args:
            video: The path of the video.
            at: The time of the frame that was painted on, in seconds after the first one.
            layers: The painted layers, RGBA uint8 [h,w,4].
            progress: Called with the number of frames read and the total number, which is None if unknown.
            asked: Options by name.

        Returns:
            The report of the run.

        Raises:
            Cancelled: `cancel` was called; no file is left.
            MediaError, WeightsError, OptionError: One line; no file is left.
        """

        def step(done: int, total: int | None) -> None:
            if self._cancelled.is_set():
                raise Cancelled
            progress(done, total)

        self._idle.clear()
        self._result = folder = Path(tempfile.mkdtemp(prefix="result-", dir=self._root))
        try:
            source = Path(video)
            suffix = source.suffix.lower() if source.suffix.lower() in KEPT else ".mkv"
            options = Options.of(None, asked)
            for name, painted in _painted(layers, self._frames(video, at)[0]).items():
                path = folder / f"{name}.png"
                cv2.imwrite(str(path), (painted.numpy() * 255).astype(np.uint8))
                options = Options.of(options, {name: path})
            target = folder / f"{source.stem}_smooth{suffix}"
            return maskvfi.interpolate(source, target, options=options, progress=step)
        except BaseException:
            self._drop_result()
            raise
        finally:
            self._idle.set()

    def cancel(self) -> None:
        """Stop the run, also one that waits for its turn."""
        self._cancelled.set()

    def close(self) -> None:
        """Stop the run, and delete its files."""
        self.cancel()
        self._idle.wait(30)
        self._drop_result()

    def _frames(self, video: str, at: float) -> tuple[Tensor, Tensor]:
        if self._pair is None or self._pair[0] != (video, at):
            self._pair = (video, at), neighbours(video, at)
        return self._pair[1]

    def _drop_result(self) -> None:
        if self._result is not None:
            shutil.rmtree(self._result, ignore_errors=True)


def _interpolator(
    group: type[MaskOptions], asked: Mapping[str, Any], frame: Tensor, layers: Sequence[np.ndarray]
) -> Interpolator:
    """An interpolator for previews, with the options of a group. It uses torch, since other runtimes start slowly."""
    known = {each.name for each in option_fields(group)} - {"runtime"}
    options = FrameOptions.of(None, {name: value for name, value in asked.items() if name in known})
    networks = {
        "vfi": _vfi(str(options.vfi)),
        "mask": None if options.mask is None else _static(str(options.mask)),
    }
    fields = options.of_group(FrameOptions) | {"runtime": "torch", "protect": None, "release": None}
    return Interpolator(**fields | networks | _painted(layers, frame))


def _painted(layers: Sequence[np.ndarray], frame: Tensor) -> dict[str, Any]:
    """The painted masks [H,W] by name. Each opaque pixel belongs to the nearer of the two colours."""
    height, width = frame.shape[-2:]
    masks = {name: np.zeros((height, width), np.float32) for name in ("protect", "release")}
    for layer in layers:
        colour, opaque = layer[..., :3].astype(int), layer[..., 3] > 127
        far, near = (np.abs(colour - ink).sum(axis=-1) for ink in (PROTECT, RELEASE))
        for name, where in (("protect", opaque & (far <= near)), ("release", opaque & (far > near))):
            scaled = cv2.resize(where.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST)
            masks[name] = np.maximum(masks[name], scaled)
    return {name: torch.from_numpy(mask) for name, mask in masks.items() if mask.any()}


def _shown(image: Tensor) -> Picture:
    picture = (image[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    height, width = picture.shape[:2]
    shrink = MAX_SHOWN / max(height, width)
    if shrink >= 1:
        return picture
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


_vfi = lru_cache(2)(maskvfi.load_vfi)
_static = lru_cache(2)(maskvfi.load_static)
