"""Composition of a new frame, in its own planes, from a still layer, a moving layer and the weight between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor

from maskvfi.models.base import Interpolation, Motion
from maskvfi.ops.boxes import Box, known_empty
from maskvfi.ops.grain import as_float, mix_still, nearer_frame
from maskvfi.ops.tiles import Tile
from maskvfi.ops.warp import backward_warp
from maskvfi.synthesis.copied import Copied
from maskvfi.synthesis.layouts import PlaneLayout
from maskvfi.video.planes import remove_backdrop

TINY = 1e-6  # of an opacity
HIDDEN_SHARE = 1e-3  # the share that a hidden sample keeps; it matters only where both samples are hidden


class MovingTile(NamedTuple):
    """The interpolation network's output for one tile of the picture.

    Attributes:
        tile: Where it lies.
        output: The frame and its motion, [B,C,h,w] of the tile's size.
        passing: [B,1,h,w], 1 where the network's output is shown although the ground would be copied, because something
            passes over it (`passing.passing_things`), else 0. None is 0 everywhere.
    """

    tile: Tile
    output: Interpolation
    passing: Tensor | None = None


class Samples(NamedTuple):
    """What a flow reads from both frames.

    Attributes:
        colour0, colour1: [B,3,h,w], RGB in 0..1.
        hidden0, hidden1: [B,1,h,w] in 0..1, how far the pixels that are read are copied in their frames.
    """

    colour0: Tensor
    colour1: Tensor
    hidden0: Tensor
    hidden1: Tensor


def still_layer(
    start: Tensor,
    end: Tensor,
    time: float | Tensor,
    mode: str = "fade",
    code: float = 1 / 255,
    protect: Tensor | None = None,
    used: Tensor | None = None,
) -> Tensor:
    """Compute what still pixels show at a time between two frames.

    Where both frames are equal the result is exactly their value. Noise keeps its strength (`mix_still`).

    Args:
        start, end: A plane of both frames, [...,H,W], floats or code values of any integer type.
        time: In 0..1.
        mode: "fade" is (1-t)*start + t*end, "nearest" the nearer of the two, in the middle the first.
        code: One 8-bit code value in the planes' unit.
        protect: [...,H,W], 1 where the mix is left as it is.
        used: [...,H,W], 0 where nothing is still; None if this is not known.

    Returns:
        The plane, [...,H,W].
    """
    if mode == "nearest":
        return nearer_frame(as_float(start), as_float(end), time)
    return mix_still(start, end, time, code, protect, used)


def moving_layer(
    motion: Motion, img0: Tensor, img1: Tensor, weight: Tensor, box: Box | None = None
) -> Interpolation:
    """Warp what moves, without dragging still pixels along.

    A sample is hidden if it is read from a still pixel of its frame. Its share of the blend then goes to the other
    frame's sample; where both are hidden, both keep their shares.

    Args:
        motion: The network's motion at the new frame's time, in `box` or in the whole frames.
        img0, img1: Whole frames [B,3,H,W], RGB in 0..1.
        weight: [B,1,H,W] in 0..1, how far each pixel of both frames is copied.
        box: The part of the picture that motion covers; None for all of it.

    Returns:
        The moving layer and its motion, of the size of motion.
    """
    return blend_samples(motion, warped_samples(motion, img0, img1, weight, box))


def warped_samples(
    motion: Motion, img0: Tensor, img1: Tensor, weight: Tensor, box: Box | None = None
) -> Samples:
    """Read from both frames what moves to each pixel. Arguments are those of `moving_layer`."""
    at: tuple[Tensor, ...] = ()
    if box is not None:
        at = box.places(img0.device)
    flow0, flow1 = motion.flow.split(2, dim=1)
    return Samples(
        backward_warp(img0, flow0, *at, sampling=motion.sampling),
        backward_warp(img1, flow1, *at, sampling=motion.sampling),
        backward_warp(weight, flow0, *at),
        backward_warp(weight, flow1, *at),
    )


def blend_samples(motion: Motion, samples: Samples) -> Interpolation:
    """Blend the samples of both frames, as `moving_layer` does."""
    share0 = motion.blend * (1 - samples.hidden0 + HIDDEN_SHARE)
    share1 = (1 - motion.blend) * (1 - samples.hidden1 + HIDDEN_SHARE)
    blend = share0 / (share0 + share1)
    return Interpolation(torch.lerp(samples.colour1, samples.colour0, blend), motion._replace(blend=blend))


def compose(
    start: Sequence[Tensor],
    end: Sequence[Tensor],
    time: float | Tensor,
    moving: Iterable[MovingTile],
    copied: Copied | None,
    layout: PlaneLayout,
    mode: str = "fade",
    protect: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Compose the frame at a time between two frames.

    Args:
        start, end: The planes of both frames, as `layout` describes them, floats or code values of any integer type.
        time: In 0..1.
        moving: The network's output, tile by tile, wherever something moves.
        copied: How pixels are copied. None copies nothing: tiles are taken as they are, and the rest is a cross-fade.
        layout: Describes the planes.
        mode: "fade" or "nearest", see `still_layer`.
        protect: [1,1,H,W], 1 where the mix of still pixels is left as it is.

    Returns:
        The planes, not yet rounded.
    """
    times = _colour_times(start, end, time, layout)
    weights: Sequence[Tensor | None] = (None,) * len(start)
    if copied is None:
        still = tuple(
            torch.lerp(as_float(a), as_float(b), t) for a, b, t in zip(start, end, times, strict=True)
        )
    else:
        weights = layout.weights(copied.weight)
        replaced = None if copied.replaced is None or known_empty(copied.replaced) else copied.replaced
        kept, nearer = ((None,) * len(start) if x is None else layout.weights(x) for x in (protect, replaced))
        still = tuple(
            _still_plane(a, b, time, t, mode, layout.code, keep, used, share)
            for a, b, t, keep, used, share in zip(start, end, times, kept, weights, nearer, strict=True)
        )
    out = tuple(plane.clone() for plane in still)
    limits = None if layout.opaque is None else _range_of(start, end, layout)
    for tile, output, passing in moving:
        weight = None if copied is None else tile.box.of(copied.weight)
        shares = [
            None if w is None else tile.box.of(w, log2) for w, log2 in zip(weights, layout.log2, strict=True)
        ]
        if weight is not None and passing is not None:
            weight = weight * (1 - passing)
            shares = list(layout.weights(weight))
        if layout.opaque is None or limits is None:
            warped = layout.colour_planes(output.frame)
        else:
            warped = _moving_with_alpha(start, end, time, output, tile.box, still, layout, limits)
            if weight is not None:
                opacity = (warped[-1] / layout.opaque, tile.box.of(still[-1]) / layout.opaque)
                visible = _by_opacity(weight[0, 0], *opacity)
                shares[:-1] = layout.weights(rearrange(visible, "h w -> 1 1 h w"))[:-1]
        for plane, log2, below, share, whole in zip(warped, layout.log2, still, shares, out, strict=True):
            _place(tile.box.of(whole, log2), plane, share, tile.box.of(below, log2), tile, log2)
    return out


def _still_plane(
    start: Tensor,
    end: Tensor,
    time: float | Tensor,
    colour_time: float | Tensor,
    mode: str,
    code: float,
    protect: Tensor | None,
    used: Tensor | None,
    nearer: Tensor | None,
) -> Tensor:
    """A plane of the still layer. Where `nearer` is 1 it shows the nearer frame, whatever the mode."""
    plane = still_layer(start, end, time, mode, code, protect, used)
    if colour_time is not time and mode != "nearest":
        plane = plane + (as_float(end) - as_float(start)) * (colour_time - time)
    return plane if nearer is None else torch.lerp(plane, still_layer(start, end, time, "nearest"), nearer)


def place_tile(out: Tensor, values: Tensor, tile: Tile) -> None:
    """Write a tile's values [...,h,w] into the whole picture `out` [...,H,W], faded over earlier tiles."""
    _place(tile.box.of(out), values, None, values, tile, (0, 0))


def _colour_times(
    start: Sequence[Tensor], end: Sequence[Tensor], time: float | Tensor, layout: PlaneLayout
) -> list[float | Tensor]:
    """The time of a cross-fade for every plane; for colours it follows their opacity."""
    if layout.opaque is None:
        return [time] * len(start)
    both = (plane / layout.opaque for plane in (start[-1], end[-1]))
    share = time if isinstance(time, Tensor) else torch.full((), time, device=start[-1].device)
    shares = _by_opacity(share, *both)
    return [*layout.weights(rearrange(shares, "h w -> 1 1 h w"))[:-1], time]


def _by_opacity(share: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The share of the second colour in a mix of two by which premultiplied colours are mixed.

    Args:
        share: The share of the second picture, in 0..1.
        first, second: The opacity of both, [h,w].

    Returns:
        [h,w]; `share` itself where both are as opaque.
    """
    first, second = first.clamp(0, 1), second.clamp(0, 1)
    mixed = torch.lerp(first, second, share.to(first.dtype).expand_as(first))
    return torch.where(first == second, share.to(first.dtype), share * second / mixed.clamp_min(TINY))


def _moving_with_alpha(
    start: Sequence[Tensor],
    end: Sequence[Tensor],
    time: float | Tensor,
    output: Interpolation,
    box: Box,
    still: Sequence[Tensor],
    layout: PlaneLayout,
    limits: tuple[Tensor, Tensor],
) -> tuple[Tensor, ...]:
    """The planes of a moving tile with opacity, which is warped as the colours are.

    The network has seen the frames over a backdrop. Where nothing is opaque, the still layer's colours stay. `limits`
    are the darkest and the brightest colour of both frames.
    """
    assert layout.opaque is not None
    opacity = _moving_opacity(
        as_float(start[-1]) / layout.opaque, as_float(end[-1]) / layout.opaque, time, output, box
    )
    colours = layout.colour_planes(remove_backdrop(output.frame, opacity, *limits))
    visible = layout.weights((opacity * layout.opaque >= 0.5).to(opacity.dtype))
    shown = (
        torch.lerp(box.of(plane, log2), colour, share)
        for plane, colour, share, log2 in zip(still, colours, visible, layout.log2, strict=False)
    )
    return (*shown, opacity[0, 0] * layout.opaque)


def _range_of(start: Sequence[Tensor], end: Sequence[Tensor], layout: PlaneLayout) -> tuple[Tensor, Tensor]:
    """The darkest and the brightest colour of two frames, as `PlaneLayout.range_of` gives those of one."""
    low, high = zip(layout.range_of(start), layout.range_of(end), strict=True)
    return torch.stack(low).amin(), torch.stack(high).amax()


def _moving_opacity(
    start: Tensor, end: Tensor, time: float | Tensor, output: Interpolation, box: Box
) -> Tensor:
    """Opacity [1,1,h,w] in a box, warped as the colours are, from that of whole frames [H,W] in 0..1."""
    start, end = (rearrange(opacity.clamp(0, 1), "h w -> 1 1 h w") for opacity in (start, end))
    if (motion := output.motion) is None:
        return box.of(torch.lerp(start, end, time))
    rows, columns = box.places(start.device)
    opacity0, opacity1 = (
        backward_warp(x, flow, rows, columns, sampling=motion.sampling)
        for x, flow in zip((start, end), motion.flow.split(2, dim=1), strict=True)
    )
    return torch.lerp(opacity1, opacity0, motion.blend)


def _place(
    out: Tensor, moving: Tensor, weight: Tensor | None, still: Tensor, tile: Tile, log2: tuple[int, int]
) -> None:
    """Mix both layers of a tile into `out` [...,h,w]. `weight` is that of the still layer; None is 0 everywhere."""
    composed = moving if weight is None else torch.lerp(moving, still, weight)
    if tile.top or tile.left:
        share = tile.share(out)[:: 1 << log2[1], :: 1 << log2[0]]
        composed = torch.lerp(out, composed, share)
    out.copy_(composed)


def put_back(
    planes: Sequence[Tensor],
    start: Sequence[Tensor],
    end: Sequence[Tensor],
    time: float,
    copied: Copied,
    layout: PlaneLayout,
    mode: str = "fade",
    protect: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Put still pixels back into a frame that another program made between two source frames.

    Args:
        planes: The planes of that frame.
        start, end: The planes of both source frames, in the same layout.
        time: Of the frame between them, in 0..1.
        copied: How pixels are copied. Where the weight is 0 the frame's own values stay exactly.
        layout: Describes the planes.
        mode: "fade" or "nearest", see `still_layer`.
        protect: [1,1,H,W], 1 where the mix of still pixels is left as it is.

    Returns:
        The planes, not yet rounded.
    """
    still = compose(start, end, time, (), copied, layout, mode, protect)
    return tuple(
        torch.lerp(as_float(plane), value, share)
        for plane, value, share in zip(planes, still, layout.weights(copied.weight), strict=True)
    )
