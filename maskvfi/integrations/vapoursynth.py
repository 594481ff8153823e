"""Functions for VapourSynth scripts: a higher frame rate, the mask, and still pixels for other interpolators' clips."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskvfi.models.blend import Blend
from maskvfi.ops.highlights import brightest_of
from maskvfi.options import DEFAULT_MASK, DEFAULT_VFI, OFF
from maskvfi.synthesis.compose import compose
from maskvfi.synthesis.copied import Copied
from maskvfi.synthesis.interpolator import Interpolator, View
from maskvfi.synthesis.layouts import RGB
from maskvfi.synthesis.renderer import group_size
from maskvfi.video.planes import replace_non_finite

KEPT_BLOCKS = 3  # blocks of masks that are kept, since several frames are in flight
# Frames. A player's clip says more, since it does not know its end; there nothing may look far ahead.
_ENDLESS = 100_000_000


def interpolate(
    clip: Any,
    factor_num: int | None = None,
    factor_den: int = 1,
    fps_num: int | None = None,
    fps_den: int | None = None,
    *,
    factor: int | None = None,
    vfi: str | os.PathLike[str] = DEFAULT_VFI,
    mask: str | os.PathLike[str] | None = DEFAULT_MASK,
    device: str = "auto",
    precision: str = "auto",
    sc: bool = True,
    sc_threshold: float | None = None,
    hold_last: bool = True,
    **options: Any,
) -> Any:
    """Raise the frame rate of a clip.

    At a cut the earlier frame is repeated. A cut is where a frame has the property `_SceneChangeNext`, or the next one
    `_SceneChangePrev`; misc.SCDetect sets them.

    Args:
        clip: An RGBS or RGBH clip of N frames of one size.
        factor_num, factor_den: The frame rate is multiplied by factor_num / factor_den, by default 2.
        fps_num, fps_den: The new frame rate instead.
        factor: The same as factor_num.
        vfi, mask, device, precision: As `Interpolator` takes them.
        sc: Whether cuts count.
        sc_threshold: Find cuts with misc.SCDetect at this threshold; by default those that are marked count.
        hold_last: Repeat the last frame, so that N frames become N*factor. Otherwise the clip ends with it, after
            (N-1)*factor+1 frames.
        **options: The other options of `Interpolator`: scale, ensemble, static, threshold, feather, tile, runtime.

    Returns:
        A clip of the same format.

    Raises:
        vapoursynth.Error: The clip has another format or a variable one, or an option is wrong.
    """
    if factor is not None and factor_num is not None:
        raise _error("give factor or factor_num, not both")
    num = factor if factor_num is None else factor_num
    rate = _Rate(_marked(clip, sc_threshold), num, factor_den, fps_num, fps_den, hold_last)
    if rate.factor == 1:
        return clip
    if clip.num_frames < 2:  # nothing lies between
        return rate.cut(rate.spread(rate.clip)) if hold_last else clip
    network = _load(vfi, mask, device, precision, options)
    new = _NewFrames(network, rate, sc)
    base = rate.spread(rate.clip)
    made = base.std.ModifyFrame(clips=[base, *new.clips(rate)], selector=new.draw)
    return rate.cut(rate.with_source_frames(made))


def static_mask(
    clip: Any,
    factor_num: int = 1,
    factor_den: int = 1,
    fps_num: int | None = None,
    fps_den: int | None = None,
    *,
    mask: str | os.PathLike[str] = DEFAULT_MASK,
    device: str = "auto",
    precision: str = "auto",
    sc: bool = True,
    sc_threshold: float | None = None,
    hold_last: bool = True,
    **options: Any,
) -> Any:
    """Compute what stands still, as a mask for std.MaskedMerge.

    Without a factor, frame k is the mask between frames k and k+1. With the factor of another interpolator it is a mask
    for each of its frames.

    Args:
        clip: An RGBS or RGBH clip of N frames of one size: the source.
        factor_num, factor_den, fps_num, fps_den, hold_last: As `interpolate` has them; the factor is 1 by default.
        mask, device, precision: As `Interpolator` takes them.
        sc, sc_threshold: As `interpolate` has them; the mask is 0 over a cut.
        **options: threshold, feather and tile, as `Interpolator` has them.

    Returns:
        A GRAYS clip in 0..1: 1 where the source is to be copied, and 0 everywhere from the last frame on.

    Raises:
        vapoursynth.Error: As `interpolate` does.
    """
    import vapoursynth as vs

    _refuse_others(options, "static_mask")
    rate = _Rate(_marked(clip, sc_threshold), factor_num, factor_den, fps_num, fps_den, hold_last)
    masks = _Masks(_load(None, mask, device, precision, options), rate, sc)
    grey = vs.core.std.BlankClip(clip, format=vs.GRAYS, keep=True)
    base, frames = rate.spread(grey), masks.clips(rate)
    return rate.cut(base.std.ModifyFrame(clips=[base, *frames], selector=masks.draw))


def static_layer(
    clip: Any,
    factor_num: int = 2,
    factor_den: int = 1,
    fps_num: int | None = None,
    fps_den: int | None = None,
    *,
    mask: str | os.PathLike[str] = DEFAULT_MASK,
    device: str = "auto",
    precision: str = "auto",
    static: str = "fade",
    sc: bool = True,
    sc_threshold: float | None = None,
    hold_last: bool = True,
    **options: Any,
) -> Any:
    """Make the still layer at the times of another interpolator's frames. Its moving pixels are not meant to be seen.

    The mask comes with it as alpha: with `layer = static_layer(clip)`, `std.MaskedMerge(other, layer,
    layer.std.PropToClip())` puts still pixels back into the clip `other`.

    Args:
        clip, factor_num, factor_den, fps_num, fps_den, hold_last, sc, sc_threshold: As `static_mask` has them, but the
            factor is 2 by default.
        mask, device, precision, static: As `Interpolator` takes them.
        **options: threshold, feather and tile, as `Interpolator` has them.

    Returns:
        A clip of the same format, whose property `_Alpha` is what `static_mask` gives.

    Raises:
        vapoursynth.Error: As `interpolate` does.
    """
    import vapoursynth as vs

    _refuse_others(options, "static_layer")
    rate = _Rate(_marked(clip, sc_threshold), factor_num, factor_den, fps_num, fps_den, hold_last)
    layers = _Layers(_load(None, mask, device, precision, {**options, "static": static}), rate, sc)
    base, frames = rate.spread(rate.clip), layers.clips(rate)
    grey = vs.core.std.BlankClip(base, format=vs.GRAYS, keep=True)
    return rate.cut(base.std.ModifyFrame(clips=[base, grey, *frames], selector=layers.draw))


class _Rate:
    """The frames of the output, and where they lie between those of a clip."""

    def __init__(
        self, clip: Any, num: int | None, den: int, fps_num: int | None, fps_den: int | None, hold_last: bool
    ) -> None:
        import vapoursynth as vs

        if clip.format is None or clip.format.id not in (vs.RGBS, vs.RGBH) or not clip.width:
            raise _error(
                "the clip must be RGBS or RGBH of one size (core.resize.Bicubic(clip, format=vs.RGBS))"
            )
        if fps_num is None and fps_den is not None:
            raise _error("fps_den needs fps_num")
        if fps_num is not None:
            if not clip.fps:
                raise _error("fps_num and fps_den need a clip of constant rate")
            self.factor = _ratio("fps", fps_num, 1 if fps_den is None else fps_den) / Fraction(clip.fps)
        else:
            self.factor = _ratio("factor", 2 if num is None else num, den)
        if self.factor < 1:
            raise _error("the frame rate can only be raised")
        self.clip = clip
        count = clip.num_frames
        self.frames = int(count * self.factor) if hold_last else int((count - 1) * self.factor) + 1

    def later(self, by: int) -> Any:
        """The clip, `by` frames later; the last one is held."""
        clip = self.clip
        for _ in range(min(by, clip.num_frames - 1)):
            clip = clip[1:] + clip[-1]
        return clip

    def spread(self, clip: Any) -> Any:
        """For every frame of the output, the frame of a clip of N frames that it follows."""
        import vapoursynth as vs

        num, den = self.factor.numerator, self.factor.denominator
        many = vs.core.std.Interleave([clip] * num) if num > 1 else clip
        return many.std.SelectEvery(cycle=den, offsets=[0]) if den > 1 else many

    def with_source_frames(self, made: Any) -> Any:
        """The output with its source frames taken straight from the clip, if all of them are shown.

        Then the last source frame needs no frame after it. A player does not know where its video ends, and would wait.
        """
        import vapoursynth as vs

        num = self.factor.numerator
        if self.factor.denominator > 1:
            return made
        return vs.core.std.Interleave([self.clip, *(made[j::num] for j in range(1, num))])

    def cut(self, clip: Any) -> Any:
        """The output at its length."""
        return clip[: self.frames]


class _Masks:
    """Computes masks in blocks of neighbouring gaps, as `maskvfi.interpolate` does: they are better for that."""

    def __init__(self, interpolator: Interpolator, rate: _Rate, sc: bool) -> None:
        self._interpolator, self._sc, self._factor = interpolator, sc, rate.factor
        self._gaps = rate.clip.num_frames - 1
        endless = rate.clip.num_frames > _ENDLESS
        self._masked = interpolator.mask is not None or interpolator.protect is not None
        one = endless or not self._masked
        self._size = 1 if one else group_size(rate.clip.width, rate.clip.height)
        self._blocks: dict[int, list[Copied | None]] = {}
        self._lock = threading.Lock()

    def clips(self, rate: _Rate) -> list[Any]:
        """The frames of the block that an output frame lies in, one clip for each."""
        import vapoursynth as vs

        size, found = self._size, []
        for j in range(size + 1):
            firsts = rate.later(j).std.SelectEvery(cycle=size, offsets=[0]) if size > 1 else rate.later(j)
            repeated = vs.core.std.Interleave([firsts] * size) if size > 1 else firsts
            found.append(rate.spread(repeated[: rate.clip.num_frames]))
        return found

    def draw(self, n: int, f: Sequence[Any]) -> Any:
        """The selector for ModifyFrame: f[0] is to be drawn on, the others are the block's frames."""
        k, _ = _place(n, self._factor)
        _, copied = self._found(k, f[1:])
        return _mask_of(copied, f[0])

    def _found(self, k: int, frames: Sequence[Any]) -> tuple[int, Copied | None]:
        """Which frame of its block starts gap k, and how its pixels are copied; None over a cut and at the end."""
        block, j = divmod(k, self._size)
        with self._lock:
            if block not in self._blocks:
                self._blocks[block] = self._copied(frames, min(self._size, self._gaps - block * self._size))
                for old in list(self._blocks)[:-KEPT_BLOCKS]:
                    del self._blocks[old]
            copied = self._blocks[block]
        return j, copied[j] if j < len(copied) else None

    def _copied(self, frames: Sequence[Any], count: int) -> list[Copied | None]:
        """How the pixels of each gap of a block are copied; None over a cut."""
        if not self._masked:
            return [None] * count
        found: list[Copied | None] = []
        run: list[Any] = []

        def close() -> None:
            if len(run) > 1:
                brightest = _brightest(run)
                found.extend(
                    self._interpolator.copied([_view(self._interpolator, frame, brightest) for frame in run])
                )
            run.clear()

        for start, end in pairwise(frames[: count + 1]):
            if self._sc and _is_cut(start, end):
                close()
                found.append(None)
            elif _identical(start, end):
                close()
                found.append(Copied(torch.ones(1, 1, start.height, start.width)))
            else:
                run.extend([] if run else [start])
                run.append(end)
        close()
        return found


class _NewFrames(_Masks):
    """The same blocks, and the frames that are made with them."""

    def __init__(self, interpolator: Interpolator, rate: _Rate, sc: bool) -> None:
        super().__init__(interpolator, rate, sc)
        # Of the gap before, by number and brightest colour, so that each frame is encoded once.
        self._views: dict[tuple[int, float | None], View] = {}
        self._network = threading.Lock()  # several frames are in flight, and there is one network

    def draw(self, n: int, f: Sequence[Any]) -> Any:
        """The selector for ModifyFrame: f[0] is the source frame before, the others are the block's frames."""
        k, t = _place(n, self._factor)
        j = k % self._size
        start, end = f[0], f[2 + j]
        if not t or (self._sc and _is_cut(start, end)) or _identical(start, end):
            return start
        _, copied = self._found(k, f[1:])
        brightest = _brightest((start, end))
        with self._network:
            known = self._views
            views = [
                known.get((number, brightest)) or _view(self._interpolator, frame, brightest)
                for number, frame in ((k, start), (k + 1, end))
            ]
            self._views = {(k, brightest): views[0], (k + 1, brightest): views[1]}
            rgb = self._interpolator.between(views[0], views[1], float(t), copied=copied)
        out = _drawn(start, rgb)
        if n and _place(n - 1, self._factor)[0] == k:  # the scene changed before the source frame, not here
            out.props.pop("_SceneChangePrev", None)
        return out


class _Layers(_Masks):
    """The same blocks, drawn as what still pixels show, with the mask as alpha."""

    @torch.inference_mode()
    def draw(self, n: int, f: Sequence[Any]) -> Any:
        """The selector for ModifyFrame: the source frame before, a grey one, and the block's frames."""
        k, t = _place(n, self._factor)
        j, copied = self._found(k, f[2:])
        out = f[0].copy()
        if t and copied is not None and not _identical(f[0], f[3 + j]):
            start, end = (_view(self._interpolator, frame, None).rgb for frame in (f[0], f[3 + j]))
            everything = Copied(torch.ones_like(start[:, :1]), copied.replaced)
            (rgb,) = compose((start,), (end,), float(t), (), everything, RGB, self._interpolator.static)
            out = _drawn(f[0], rgb)
        out.props["_Alpha"] = _mask_of(copied, f[1])
        return out


def _load(vfi: Any, mask: Any, device: str, precision: str, options: dict[str, Any]) -> Interpolator:
    """The networks; without an interpolation network if `vfi` is None."""
    if vfi is None and (mask is None or mask == OFF):
        raise _error("a mask network is needed here")
    try:
        return Interpolator(Blend() if vfi is None else vfi, mask, device, precision, **options)
    except (ValueError, TypeError, ImportError) as error:
        raise _error(" ".join(str(error).split())) from error


def _refuse_others(options: dict[str, Any], function: str) -> None:
    """Raise vapoursynth.Error for options that would do nothing."""
    if unused := sorted({*options} - {"threshold", "feather", "tile"}):
        raise _error(f"{function} has no option {', '.join(map(repr, unused))}")


def _error(words: str) -> Exception:
    import vapoursynth as vs

    error: Exception = vs.Error(f"maskvfi: {words}")
    return error


def _ratio(name: str, num: float, den: float) -> Fraction:
    """A factor or a rate; raises vapoursynth.Error unless both numbers are whole and positive."""
    if not all(isinstance(each, (int, float)) and each == each // 1 and each >= 1 for each in (num, den)):
        raise _error(f"{name} must be a whole number of at least 1, not {num}/{den}")
    return Fraction(int(num), int(den))


def _marked(clip: Any, threshold: float | None) -> Any:
    """The clip with its cuts marked by misc.SCDetect, if there is a threshold."""
    import vapoursynth as vs

    if threshold is None:
        return clip
    if not hasattr(vs.core, "misc"):
        raise _error("sc_threshold needs the plugin misc, which has SCDetect")
    found = clip.resize.Bicubic(format=vs.GRAY8, matrix_s="709").misc.SCDetect(threshold)
    return clip.std.CopyFrameProps(found, props=["_SceneChangePrev", "_SceneChangeNext"])


def _mask_of(copied: Copied | None, grey: Any) -> Any:
    """A copy of a grey frame that shows how far each pixel is copied; None is nowhere."""
    out = grey.copy()
    plane = np.asarray(out[0])
    plane[...] = 0 if copied is None else copied.weight[0, 0].float().cpu().numpy()
    return out


def _place(n: int, factor: Fraction) -> tuple[int, Fraction]:
    """The source frame that output frame n follows, and its time up to the next one, in 0..1."""
    at = n / factor
    return int(at), at - int(at)


def _is_cut(start: Any, end: Any) -> bool:
    return bool(start.props.get("_SceneChangeNext") or end.props.get("_SceneChangePrev"))


def _identical(start: Any, end: Any) -> bool:
    return all(np.array_equal(np.asarray(start[plane]), np.asarray(end[plane])) for plane in range(3))


def _brightest(frames: Sequence[Any]) -> float | None:
    return brightest_of(np.asarray(frame[plane]) for frame in frames for plane in range(3))


def _view(interpolator: Interpolator, frame: Any, brightest: float | None) -> View:
    rgb = np.stack([np.asarray(frame[plane], dtype=np.float32) for plane in range(3)])
    finite, _ = replace_non_finite(torch.from_numpy(rgb).unbind())
    return interpolator.view(torch.stack(finite)[None], brightest=brightest)


def _drawn(frame: Any, rgb: Tensor) -> Any:
    """A copy of a frame with other pixels, [1,3,H,W] in 0..1."""
    out = frame.copy()
    for plane, values in enumerate(rgb[0].float().cpu().numpy()):
        np.copyto(np.asarray(out[plane]), values, casting="same_kind")
    return out
