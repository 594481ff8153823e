"""Batches of images: interpolated, protected, and the mask between them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from maskvfi.integrations.comfyui import server
from maskvfi.integrations.comfyui.networks import Networks
from maskvfi.options import Options
from maskvfi.pipeline.reading import gaps_of
from maskvfi.pipeline.report import Report
from maskvfi.synthesis.compose import put_back
from maskvfi.synthesis.copied import Copied
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.synthesis.layouts import RGB
from maskvfi.synthesis.renderer import Renderer, group_size
from maskvfi.timing.gaps import Gap, split
from maskvfi.timing.scenes import Watched
from maskvfi.timing.timeline import ByFactor, choose_timeline
from maskvfi.video import Colour, Frame, PixelFormat, SourceInfo

CHANNELS = (1, 2, 0, 3)  # of an image, in the order of the planes of a frame: G, B, R, alpha
FORMATS = {3: "gbrpf32le", 4: "gbrapf32le"}  # by the number of channels
LOG = logging.getLogger("maskvfi")


def interpolate_images(
    networks: Networks,
    images: Tensor,
    rate: float = 0.0,
    protect: Tensor | None = None,
    release: Tensor | None = None,
    **fields: Any,
) -> Tensor:
    """Raise the frame rate of a batch of images.

    Args:
        networks: What computes them.
        images: [N,H,W,3], RGB in 0..1, or [N,H,W,4] with alpha.
        rate: Their frames per second; only `fps` needs it.
        protect, release: [1,H,W] or [N,H,W] in 0..1, painted masks: where protect is 1 pixels are always copied, where
            release is 1 always warped.
        **fields: Options of `TimeOptions`, by name.

    Returns:
        The images, [M,H,W,C]. Those at the time of an input image are that image.

    Raises:
        ValueError: An option is wrong, `fps` is given without `rate`, or a mask has another number or size than the
            images.
    """
    if fields.get("fps") is not None and not rate:
        raise ValueError("fps needs rate, the frame rate of the images")
    options = Options.of(None, _fields(networks) | fields)
    info = _info(images, rate)
    painted = _painted(images, protect, release)
    timeline, _ = choose_timeline(options, info.rate)
    result = _room_for(_count(options, info, len(images)), images)
    done = 0
    with networks.ready(info.width, info.height) as (interpolator, watch):
        renderer = Renderer(interpolator, info, options.on_cut)
        gaps = gaps_of(_frames(images, info), info, timeline, options, Report("", ""))
        for gap, copied in _masked(renderer, interpolator, gaps, info, painted):
            for frame in renderer.frames(gap, copied):
                new = frame.planes is not gap.start.planes and not gap.cut
                _put(result[done], frame, cut=new and renderer.brightest is None)
                done += 1
                watch.advance(done, len(result))
    for line in renderer.warnings:
        LOG.warning(line)
    return result


def protect_images(
    networks: Networks,
    images: Tensor,
    interpolated: Tensor,
    scene_cut: str = "auto",
    protect: Tensor | None = None,
    release: Tensor | None = None,
) -> Tensor:
    """Put still pixels of the source images into what another interpolation node made of them.

    Args:
        networks: Only the mask network is used.
        images: The source, [N,H,W,C], RGB in 0..1.
        interpolated: (N-1)*k+1 or N*k images of the same size, for any k. Those after the last source image and those
            over a cut stay as they are.
        scene_cut: See `TimeOptions`.
        protect, release: As for `interpolate_images`.

    Returns:
        The images, as many as `interpolated`, with as many channels and of their type.

    Raises:
        ValueError: There is no mask, or numbers or sizes do not fit.
    """
    painted = _painted(images, protect, release)
    if not networks.has_mask and painted[0] is None:
        raise ValueError("these networks were loaded without a mask")
    if images.shape[1:3] != interpolated.shape[1:3]:
        raise ValueError(f"the images are {_size(images)}, the interpolated ones {_size(interpolated)}")
    factor = _factor(len(images), interpolated)
    options = Options.of(None, _fields(networks) | {"scene_cut": scene_cut})
    info = _info(images)
    result = _room_for(len(interpolated), interpolated)
    with networks.ready(info.width, info.height) as (interpolator, watch):
        renderer = Renderer(interpolator, info)
        gaps = gaps_of(_frames(images, info), info, ByFactor(1), options, Report("", ""))
        for gap, copied in _masked(renderer, interpolator, gaps, info, painted):
            first = int(gap.start.pts) * factor
            last = first + factor if gap.end else len(interpolated)
            ends = () if gap.end is None else _views(interpolator, images, int(gap.start.pts))
            for number in range(first, last):
                result[number].copy_(interpolated[number])
                if ends and not gap.cut:
                    theirs = _planes(interpolated[number]).to(interpolator.device, torch.float32)
                    time = (number - first) / factor
                    (rgb,) = put_back(
                        (theirs,),
                        *ends,
                        time,
                        copied or interpolator.between_equal(info.height, info.width),
                        RGB,
                        interpolator.static,
                        interpolator.protect,
                    )
                    result[number, ..., :3].copy_(rgb[0].permute(1, 2, 0))
                watch.advance(number + 1, len(result))
    return result


def mask_of_images(networks: Networks, images: Tensor) -> Tensor:
    """Compute the masks between neighbouring images.

    Args:
        networks: Only the mask network is used.
        images: [N,H,W,C], RGB in 0..1.

    Returns:
        The probability that each pixel stands still until the next image, [N-1,H,W], float32.

    Raises:
        ValueError: There is no mask network, or there are fewer than two images.
    """
    if not networks.has_mask:
        raise ValueError("these networks were loaded without a mask")
    if len(images) < 2:
        raise ValueError("a mask needs two images or more")
    info = _info(images)
    size = (len(images) - 1, info.height, info.width)
    result = torch.empty(size, device=server.result_device(images))
    together = group_size(info.width, info.height)
    with networks.ready(info.width, info.height) as (interpolator, watch):
        renderer = Renderer(interpolator, info)
        for first in range(0, len(result), together):
            part = [*_frames(images[first : first + together + 1], info)]
            probability = interpolator.probability(renderer.views(part))
            assert probability is not None
            result[first : first + together].copy_(probability[0])
            watch.advance(first + len(part) - 1, len(result))
    return result


def _fields(networks: Networks) -> dict[str, Any]:
    """The options that the networks were loaded with; painted masks come as tensors."""
    return networks.options.to_dict() | {"protect": None, "release": None}


def _info(images: Tensor, rate: float = 0.0) -> SourceInfo:
    """What a renderer has to know of a batch. Without a rate one image is shown for a second."""
    count, height, width, channels = images.shape
    if channels not in FORMATS:
        raise ValueError(f"images need 3 channels, or 4 with alpha, not {channels}")
    fmt = PixelFormat.parse(FORMATS[channels])
    exact = Options(rate=rate or 1).rate
    assert isinstance(exact, Fraction)
    colour = Colour.from_tags(fmt, height)
    return SourceInfo("images", width, height, fmt, colour, exact, 1 / exact, frames_estimate=count)


def _frames(images: Tensor, info: SourceInfo) -> Iterator[Frame]:
    """The images as frames; those in float32 on the CPU are not copied."""
    for number, image in enumerate(images):
        pixels = image.detach().to("cpu", torch.float32).numpy()
        planes = tuple(pixels[..., channel] for channel in CHANNELS[: images.shape[-1]])
        yield Frame(planes, info.format, number / info.rate, 1 / info.rate)


def _count(options: Options, info: SourceInfo, images: int) -> int:
    """The number of images that a batch becomes."""
    timeline, _ = choose_timeline(options, info.rate)
    blank = (Frame((), info.format, number / info.rate, 1 / info.rate) for number in range(images))
    watched = (Watched(frame, False, False) for frame in blank)
    return sum(len(gap.slots) for gap in split(watched, timeline, loop=options.loop))


def _room_for(count: int, like: Tensor) -> Tensor:
    """Memory for all images, allocated once, of the type of `like` and where the server wants them."""
    return torch.empty((count, *like.shape[1:]), dtype=like.dtype, device=server.result_device(like))


def _put(room: Tensor, frame: Frame, cut: bool) -> None:
    """Write a frame into its place [H,W,C], its values cut to 0..1 if `cut` is set."""
    for channel, plane in zip(CHANNELS, frame.planes, strict=False):
        values = torch.from_numpy(plane)
        room[..., channel].copy_(values.clamp_(0, 1) if cut else values)


def _masked(
    renderer: Renderer,
    interpolator: Interpolator,
    gaps: Iterator[Gap],
    info: SourceInfo,
    painted: Sequence[Tensor | None],
) -> Iterator[tuple[Gap, Copied | None]]:
    """The gaps and their masks; images may have painted masks of their own, and then a gap has those of both."""
    if all(mask is None or len(mask) == 1 for mask in painted):
        interpolator.paint(*(None if mask is None else mask[0] for mask in painted))
        yield from renderer.masks(gaps)
        return

    def of_gap(gap: Gap) -> tuple[Tensor | None, Tensor | None]:
        first = int(gap.start.pts * info.rate)
        last = first if gap.end is None else int(gap.end.pts * info.rate)
        protect, release = (
            None if mask is None else mask[0] if len(mask) == 1 else mask[[first, last]].amax(dim=0)
            for mask in painted
        )
        return protect, release

    yield from renderer.masks(gaps, of_gap)


def _painted(images: Tensor, protect: Tensor | None, release: Tensor | None) -> list[Tensor | None]:
    """Painted masks [K,H,W] in 0..1, checked to be of the images' size, and one, or one for each image.

    An empty mask is none, of whatever size: the server gives one of 64x64 px with every picture without alpha.
    """
    batches = [
        None if mask is None or not mask.any() else mask[None] if mask.ndim == 2 else mask
        for mask in (protect, release)
    ]
    for mask, name in zip(batches, ("protect", "release"), strict=True):
        if mask is not None and len(mask) not in (1, len(images)):
            raise ValueError(f"{len(mask)} masks for {len(images)} images: give one, or one for each")
        if mask is not None and mask.shape[-2:] != images.shape[1:3]:
            size = f"{mask.shape[-1]}x{mask.shape[-2]}"
            raise ValueError(f"the {name} mask is {size}, the images are {_size(images)}")
    return [None if mask is None else mask.nan_to_num().clamp(0, 1) for mask in batches]


def _views(interpolator: Interpolator, images: Tensor, first: int) -> tuple[tuple[Tensor], tuple[Tensor]]:
    """Two neighbouring images on the device."""
    start, end = (interpolator.view(_planes(images[number])).rgb for number in (first, first + 1))
    return (start,), (end,)


def _factor(images: int, interpolated: Tensor) -> int:
    """How many images another node made of one: N became (N-1)*k+1, or N*k, where the last one is held."""
    if images < 2:
        raise ValueError("protecting needs two images or more")
    count = len(interpolated)
    fits = [
        made // given
        for made, given in ((count - 1, images - 1), (count, images))
        if made >= given and made % given == 0
    ]
    if not fits:
        raise ValueError(f"{images} images cannot have become {count}: (N-1)*k+1 or N*k are expected")
    held = all(torch.equal(interpolated[-1], image) for image in interpolated[-fits[-1] : -1])
    return fits[-1] if len(fits) == 2 and held else fits[0]


def _size(images: Tensor) -> str:
    return f"{images.shape[2]}x{images.shape[1]}"


def _planes(image: Tensor) -> Tensor:
    """An image [H,W,C] as [1,3,H,W]."""
    return image[None, ..., :3].permute(0, 3, 1, 2)
