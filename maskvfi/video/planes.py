"""YUV, grey and RGB planes in FFmpeg's order to RGB tensors and back, on the device of the planes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from maskvfi.ops.bands import bands
from maskvfi.video.pixel_format import LUMA_WEIGHTS, SITINGS, Colour, PixelFormat

# What shows through transparent pixels: a colour that pictures seldom have, so that black, white and grey ones show.
BACKDROP = (1.0, 0.0, 1.0)
TINY_OPACITY = 1e-4
HALO = 16  # px; interpolated chroma depends on no rows farther away


def planes_to_rgb(planes: Sequence[Tensor], fmt: PixelFormat, colour: Colour) -> Tensor:
    """Planes of code values to RGB.

    ITU-R BT.601/709/2020 with code values scaled to 0..1: R = Y + 2(1-Kr)Cr, B = Y + 2(1-Kb)Cb,
    G = (Y - Kr R - Kb B) / (1-Kr-Kb). Chroma is interpolated linearly from where it sits. Nothing is clamped, so that
    `rgb_to_planes` also gives back code values outside the nominal range.

    Args:
        planes: Tensors [h,w] of any number type; alpha is ignored.
        fmt: Their pixel format.
        colour: What their code values mean.

    Returns:
        RGB [1,3,H,W] float32, 0 for black and 1 for white.
    """
    first, *rest = planes[: fmt.colour_planes]
    height, width = first.shape
    out = torch.empty((1, 3, height, width), device=first.device)
    step = 1 << fmt.log2_chroma[1]
    for rows, seen, inner in bands(height, width, HALO, HALO):
        chroma = slice(seen.start // step, -(-seen.stop // step))
        band = (first[seen], *(plane[chroma] if fmt.family == "yuv" else plane[seen] for plane in rest))
        rgb = _band_to_rgb([plane.to(torch.float32) for plane in band], fmt, colour)
        for whole, part in zip(out[0], rgb, strict=True):
            whole[rows] = part[inner]
    return out


def _band_to_rgb(planes: Sequence[Tensor], fmt: PixelFormat, colour: Colour) -> tuple[Tensor, Tensor, Tensor]:
    """`planes_to_rgb` for some rows: red, green and blue, [h,w]."""
    first, *rest = planes
    luma = _to_unit(first, fmt, colour)
    if fmt.family == "grey":
        return luma, luma, luma
    if fmt.family == "rgb":
        blue, red = (_to_unit(plane, fmt, colour) for plane in rest)
        return red, luma, blue
    height, width = luma.shape
    cb, cr = (_upsample(_to_signed_unit(plane, fmt, colour), width, height, fmt, colour) for plane in rest)
    kr, kb = LUMA_WEIGHTS[colour.matrix]
    kg = 1 - kr - kb
    red = luma + (2 * (1 - kr)) * cr
    blue = luma + (2 * (1 - kb)) * cb
    green = luma - (2 * (1 - kr) * kr / kg) * cr - (2 * (1 - kb) * kb / kg) * cb
    return red, green, blue


def opacity_of(planes: Sequence[Tensor], fmt: PixelFormat) -> Tensor | None:
    """The alpha plane as opacity [1,1,H,W] in 0..1, float32; None where the format has no alpha."""
    if not fmt.alpha:
        return None
    return (planes[-1].to(torch.float32) / fmt.white).clamp(0, 1)[None, None]


def over_backdrop(rgb: Tensor, opacity: Tensor | None) -> Tensor:
    """A picture over BACKDROP, as networks and detectors see it: what moves only in alpha moves there too.

    Args:
        rgb: [B,3,H,W].
        opacity: [B,1,H,W] in 0..1; None for an opaque picture.

    Returns:
        [B,3,H,W], the colours premultiplied, and the backdrop where they are transparent.
    """
    if opacity is None:
        return rgb
    return rgb * opacity + (1 - opacity) * _backdrop(rgb)


def _backdrop(like: Tensor) -> Tensor:
    """BACKDROP as [1,3,1,1], made on the device: a copy from the CPU would wait for it."""
    return torch.stack([like.new_full((1, 1), value) for value in BACKDROP]).unsqueeze(0)


def remove_backdrop(seen: Tensor, opacity: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The colours of a picture over BACKDROP: the inverse of `over_backdrop` where the opacity is above 0.

    Args:
        seen: [B,3,H,W].
        opacity: [B,1,H,W] in 0..1.
        low, high: The darkest and the brightest colour, each a tensor of one number.

    Returns:
        RGB [B,3,H,W] in low..high; where nothing is opaque, its place in that range nearest to black.
    """
    premultiplied = seen - (1 - opacity) * _backdrop(seen)
    return (premultiplied / opacity.clamp_min(TINY_OPACITY)).clamp(low, high)


def rgb_to_planes(rgb: Tensor, fmt: PixelFormat, colour: Colour) -> tuple[Tensor, ...]:
    """RGB to planes of code values: the inverse of `planes_to_rgb`.

    The filters that halve chroma undo its linear interpolation exactly.

    Args:
        rgb: [1,3,H,W].
        fmt: The pixel format of the planes.
        colour: What their code values mean.

    Returns:
        Planes [h,w] float32 without alpha, neither rounded nor clipped.
    """
    red, green, blue = rgb[0].to(torch.float32)
    if fmt.family == "rgb":
        return tuple(_from_unit(plane, fmt, colour) for plane in (green, blue, red))
    kr, kb = LUMA_WEIGHTS[colour.matrix]
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    planes = (_from_unit(luma, fmt, colour),)
    if fmt.family == "grey":
        return planes
    cb = (blue - luma) / (2 * (1 - kb))
    cr = (red - luma) / (2 * (1 - kr))
    chroma = (_from_signed_unit(_downsample(plane, fmt, colour), fmt, colour) for plane in (cb, cr))
    return (*planes, *chroma)


def mask_to_planes(mask: Tensor, fmt: PixelFormat, colour: Colour) -> tuple[Tensor, ...]:
    """A mask for each plane of a format.

    A chroma sample takes the weighted mean of the luma samples around it. So it is 1 only where all of them are 1, and
    it never leaves 0..1.

    Args:
        mask: [1,1,H,W], 0..1.
        fmt: The pixel format.
        colour: Where its chroma samples sit.

    Returns:
        One mask [h,w] for each plane, alpha included.
    """
    full = mask[0, 0]
    if fmt.family != "yuv":
        colours = [full] * fmt.colour_planes
    else:
        chroma = _halve_each_axis(full, fmt, colour, _MEAN_TAPS)
        colours = [full, chroma, chroma]
    return (*colours, full) if fmt.alpha else tuple(colours)


def to_tensors(planes: Sequence[np.ndarray], device: torch.device | str) -> tuple[Tensor, ...]:
    """Planes to tensors on a device.

    Args:
        planes: Arrays [h,w] of code values.
        device: Where the tensors go.

    Returns:
        Tensors [h,w] with the same code values, of the arrays' type, which takes less memory than float32.
    """
    copies = [torch.from_numpy(plane.copy()) for plane in planes]
    on_card = torch.device(device).type == "cuda"
    if on_card:  # copies from pinned memory are asynchronous
        copies = [copy.pin_memory() for copy in copies]
    return tuple(copy.to(device, non_blocking=on_card) for copy in copies)


def replace_non_finite(planes: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], int]:
    """Replace NaN and infinite values, which filters would spread over the picture.

    Args:
        planes: [H,W] each, of one size if they are floats.

    Returns:
        The planes with 0 for what is not a number, and the plane's extreme for what is infinite; the number of pixels
        that were replaced.
    """
    if not planes[0].is_floating_point():
        return planes, 0
    finite = torch.stack([plane.isfinite() for plane in planes])
    if finite.all():
        return planes, 0
    mended = []
    for plane, known in zip(planes, finite, strict=True):
        low, high = plane[known].aminmax() if known.any() else (0.0, 0.0)
        mended.append(plane.nan_to_num(0.0, float(high), float(low)))
    return tuple(mended), int((~finite.all(0)).sum())


def quantise(planes: Sequence[Tensor], fmt: PixelFormat) -> tuple[np.ndarray, ...]:
    """Code values to the arrays of a `Frame`.

    Args:
        planes: Tensors [h,w] of code values.
        fmt: Their pixel format.

    Returns:
        Arrays [h,w], rounded and clipped to 0..2**depth-1; those of float formats keep their values as float32.
    """
    if fmt.depth == 32:
        return tuple(_from_device([plane.to(torch.float32) for plane in planes]))
    small = torch.uint8 if fmt.depth == 8 else torch.int32
    codes = _from_device([plane.round().clamp(0, fmt.white).to(small) for plane in planes])
    return tuple(code.astype(fmt.dtype, copy=False) for code in codes)


def _from_device(planes: list[Tensor]) -> list[np.ndarray]:
    """Planes as arrays. Copies from a GPU into pinned memory are asynchronous, so that all are waited for once."""
    device = planes[0].device
    if device.type != "cuda":
        return [plane.cpu().numpy() for plane in planes]
    copies = [
        torch.empty_like(plane, device="cpu", pin_memory=True).copy_(plane, non_blocking=True)
        for plane in planes
    ]
    torch.cuda.current_stream(device).synchronize()
    return [copy.numpy() for copy in copies]


def convert_planes(
    planes: Sequence[np.ndarray], source: PixelFormat, colour: Colour, layout: PixelFormat, target: Colour
) -> tuple[np.ndarray, ...]:
    """Planes in another pixel format.

    Args:
        planes: Arrays [h,w] of code values.
        source, colour: Their format, and what they mean.
        layout, target: The format of the result, and what it means.

    Returns:
        Arrays [h,w]; alpha is opaque where the source has none.
    """
    rgb = planes_to_rgb(to_tensors(planes, "cpu"), source, colour)
    converted = quantise(rgb_to_planes(rgb, layout, target), layout)
    if not layout.alpha:
        return converted
    if not source.alpha:
        return (*converted, np.full(planes[0].shape, layout.white, layout.dtype))
    (alpha,) = quantise(
        [plane * (layout.white / source.white) for plane in to_tensors(planes[-1:], "cpu")], layout
    )
    return (*converted, alpha)


def _luma_scale(fmt: PixelFormat, colour: Colour) -> tuple[float, float]:
    """(scale, offset) with code = scale * value + offset; ITU-T H.273 equations 26 to 31."""
    if fmt.depth == 32:
        return 1.0, 0.0
    if colour.full_range:
        return fmt.white, 0.0
    return 219 * 2.0 ** (fmt.depth - 8), 16 * 2.0 ** (fmt.depth - 8)


def _chroma_scale(fmt: PixelFormat, colour: Colour) -> tuple[float, float]:
    """(scale, offset) with code = scale * value + offset, for values in -0.5..0.5."""
    scale = fmt.white if colour.full_range else 224 * 2.0 ** (fmt.depth - 8)
    return scale, 2.0 ** (fmt.depth - 1)


def _to_unit(codes: Tensor, fmt: PixelFormat, colour: Colour) -> Tensor:
    scale, offset = _luma_scale(fmt, colour)
    return (codes - offset) / scale


def _from_unit(values: Tensor, fmt: PixelFormat, colour: Colour) -> Tensor:
    scale, offset = _luma_scale(fmt, colour)
    return values * scale + offset


def _to_signed_unit(codes: Tensor, fmt: PixelFormat, colour: Colour) -> Tensor:
    scale, offset = _chroma_scale(fmt, colour)
    return (codes - offset) / scale


def _from_signed_unit(values: Tensor, fmt: PixelFormat, colour: Colour) -> Tensor:
    scale, offset = _chroma_scale(fmt, colour)
    return values * scale + offset


def _upsample(chroma: Tensor, width: int, height: int, fmt: PixelFormat, colour: Colour) -> Tensor:
    """Chroma [h,w] to [height,width]: linear interpolation that repeats the edge."""
    at_x, at_y = SITINGS[colour.siting]
    log2_x, log2_y = fmt.log2_chroma
    for dim, size, steps, at in ((1, width, log2_x, at_x), (0, height, log2_y, at_y)):
        for left in reversed(range(steps)):
            chroma = _double(chroma, dim, -(-size >> left), at)
    return chroma


def _downsample(full: Tensor, fmt: PixelFormat, colour: Colour) -> Tensor:
    return _halve_each_axis(full, fmt, colour, _INVERSE_TAPS)


# Weights of the luma samples around a chroma sample. For siting 0 the samples lie at -2..2 (or -1..1) around it, for
# siting 0.5 at -1..2 (or 0..1). The inverse taps undo linear interpolation exactly; those for siting 0 are the analysis
# filter of the 5/3 wavelet (Le Gall and Tabatabai, ICASSP 1988).
_INVERSE_TAPS = {0.0: (-0.125, 0.25, 0.75, 0.25, -0.125), 0.5: (-0.25, 0.75, 0.75, -0.25)}
_MEAN_TAPS = {0.0: (0.25, 0.5, 0.25), 0.5: (0.5, 0.5)}


def _halve_each_axis(
    full: Tensor, fmt: PixelFormat, colour: Colour, taps: dict[float, tuple[float, ...]]
) -> Tensor:
    at_x, at_y = SITINGS[colour.siting]
    log2_x, log2_y = fmt.log2_chroma
    for dim, steps, at in ((0, log2_y, at_y), (1, log2_x, at_x)):  # whole rows first, which is faster
        for _ in range(steps):
            full = _halve(full, dim, at, taps[at])
    return full


def _double(chroma: Tensor, dim: int, size: int, at: float) -> Tensor:
    """Double the samples along `dim` and cut them to `size`; chroma sample i sits at 2i + `at`."""
    count = chroma.shape[dim]
    following = torch.cat((chroma.narrow(dim, min(1, count - 1), max(1, count - 1)), _last(chroma, dim)), dim)
    following = following.narrow(dim, 0, count)
    if at == 0.0:
        even, odd = chroma, torch.lerp(chroma, following, 0.5)
    else:
        previous = torch.cat((chroma.narrow(dim, 0, 1), chroma), dim).narrow(dim, 0, count)
        even, odd = torch.lerp(chroma, previous, 0.25), torch.lerp(chroma, following, 0.25)
    return torch.stack((even, odd), dim + 1).flatten(dim, dim + 1).narrow(dim, 0, size)


def _halve(full: Tensor, dim: int, at: float, taps: tuple[float, ...]) -> Tensor:
    """Halve the samples along `dim` (rounded up): each is a weighted sum of its neighbours.

    The picture is continued beyond its edge so that the result is the exact inverse of `_double` there too. For siting
    0 it is mirrored at the centre of the last sample, for siting 0.5 at its outer border. With siting 0.5 and an odd
    size the last chroma sample lies outside the picture; then the line through the last two samples is continued.
    """
    size = full.shape[dim]
    count = (size + 1) // 2
    before = (len(taps) - 1) // 2
    needed = 2 * (count - 1) + len(taps) - before
    mean = min(taps) > 0
    head = [_at(full, dim, i if at == 0.0 else i - 1) for i in range(before, 0, -1)]
    tail = []
    for i in range(needed - size):
        if at == 0.0:
            tail.append(_at(full, dim, size - 2 - i))
        elif size % 2 == 0 or mean or size == 1:
            tail.append(_at(full, dim, size - 1 - i if size % 2 == 0 else size - 1))
        else:
            tail.append(1.5 * _at(full, dim, size - 1) - 0.5 * _at(full, dim, size - 2))
    padded = torch.cat((*head, full, *tail), dim)
    total = torch.zeros_like(full.narrow(dim, 0, count))
    for k, tap in enumerate(taps):
        strided = padded.narrow(dim, k, 2 * count - 1)
        total = total + tap * (strided[::2] if dim == 0 else strided[:, ::2])
    return total


def _at(full: Tensor, dim: int, index: int) -> Tensor:
    return full.narrow(dim, min(max(index, 0), full.shape[dim] - 1), 1)


def _last(values: Tensor, dim: int) -> Tensor:
    return values.narrow(dim, values.shape[dim] - 1, 1)
