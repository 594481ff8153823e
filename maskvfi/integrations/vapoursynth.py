"""VapourSynth: a clip in, a clip of a higher frame rate out."""

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
    """An RGBS or RGBH clip of N frames with factor-1 new frames in every gap: (N-1)*factor+1, at fps*factor.

    Nothing is interpolated over a cut, which is where a frame has `_SceneChangeNext`, or the next `_SceneChangePrev`,
    set (by misc.SCDetect, for instance): the earlier frame is held. vfi, mask, device and precision are as
    `Interpolator` takes them. Raises ValueError for another format, a variable one, or a factor below 2.
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
    made = starts.std.ModifyFrame(clips=[starts, ends], selector=between)
    return made[: (clip.num_frames - 1) * int(factor) + 1]


class _Between:
    """What ModifyFrame calls: frame n of the output from the two that it lies between."""

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
        """Source frame k, kept while it is looked at: the networks look at each frame once."""
        if k in self._views:
            return self._views[k]
        rgb = np.stack([np.asarray(frame[plane], dtype=np.float32) for plane in range(3)])
        return self._interpolator.view(torch.from_numpy(rgb)[None])
