"""A function for VapourSynth scripts that raises the frame rate of a clip."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from maskvfi.options import DEFAULT_MASK, DEFAULT_VFI
from maskvfi.synthesis.interpolator import Interpolator, View


def interpolate(
    clip: Any,
    factor: int = 2,
    vfi: str | os.PathLike[str] = DEFAULT_VFI,
    mask: str | os.PathLike[str] | None = DEFAULT_MASK,
    device: str = "auto",
    precision: str = "auto",
) -> Any:
    """Raise the frame rate of a clip.

    At a cut the earlier frame is repeated. A cut is where a frame has the property `_SceneChangeNext`, or the next one
    `_SceneChangePrev`; misc.SCDetect sets them.

    Args:
        clip: An RGBS or RGBH clip of N frames of one size.
        factor: A whole number of at least 2; every gap gets factor-1 new frames.
        vfi, mask, device, precision: As `Interpolator` takes them.

    Returns:
        A clip of (N-1)*factor+1 frames, at factor times the frame rate.

    Raises:
        ValueError: The clip has another format or a variable one, or the factor is below 2.
        WeightsError, OptionError: As `Interpolator` does.
    """
    import vapoursynth as vs

    if clip.format is None or clip.format.id not in (vs.RGBS, vs.RGBH) or not clip.width:
        raise ValueError(
            "the clip must be RGBS or RGBH of one size (core.resize.Bicubic(clip, format=vs.RGBS))"
        )
    if factor != int(factor) or factor < 2:
        raise ValueError(f"factor must be a whole number of at least 2, not {factor}")
    if clip.num_frames < 2:
        return clip
    between = _Between(Interpolator(vfi, mask, device, precision), int(factor))
    following = clip[1:] + clip[-1]
    starts, ends = (vs.core.std.Interleave([each] * int(factor)) for each in (clip, following))
    result = starts.std.ModifyFrame(clips=[starts, ends], selector=between)
    return result[: (clip.num_frames - 1) * int(factor) + 1]


class _Between:
    """The selector for ModifyFrame: makes output frame n from the two source frames around it."""

    def __init__(self, interpolator: Interpolator, factor: int) -> None:
        self._interpolator, self._factor = interpolator, factor
        self._views: dict[int, View] = {}

    def __call__(self, n: int, f: Sequence[Any]) -> Any:
        (start, end), (k, j) = f, divmod(n, self._factor)
        if not j or start.props.get("_SceneChangeNext") or end.props.get("_SceneChangePrev"):
            return start
        self._views = {k: self._view(k, start), k + 1: self._view(k + 1, end)}
        rgb = self._interpolator.between(self._views[k], self._views[k + 1], j / self._factor)
        out = start.copy()
        for plane, values in enumerate(rgb[0].float().cpu().numpy()):
            np.copyto(np.asarray(out[plane]), values, casting="same_kind")
        return out

    def _view(self, k: int, frame: Any) -> View:
        """The view of source frame k. It is kept for the next gap, so that each frame is encoded once."""
        if k in self._views:
            return self._views[k]
        rgb = np.stack([np.asarray(frame[plane], dtype=np.float32) for plane in range(3)])
        return self._interpolator.view(torch.from_numpy(rgb)[None])
