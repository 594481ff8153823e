"""ComfyUI nodes: load networks, interpolate a batch of images, protect another node's result, and show a mask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from maskvfi.models.base import InterpolationNetwork
from maskvfi.models.blend import Blend
from maskvfi.models.static.network import StaticMaskNet
from maskvfi.options import DEFAULT_MASK, DEFAULT_VFI, parse_rate
from maskvfi.synthesis.compose import RGB, put_back
from maskvfi.synthesis.interpolator import Interpolator
from maskvfi.synthesis.renderer import MAX_GAPS
from maskvfi.timing.timeline import ByFactor, ByRate, Timeline
from maskvfi.weights.load import load_static, load_vfi
from maskvfi.weights.locate import list_weights


class Networks(NamedTuple):
    """The value of a socket of type MASKVFI.

    Attributes:
        vfi: The interpolation network.
        mask: The mask network; None for plain interpolation.
    """

    vfi: InterpolationNetwork[Any, Any]
    mask: StaticMaskNet | None


class LoadNetworks:
    """Node: loads networks by the names that `maskvfi weights list` shows."""

    CATEGORY, FUNCTION = "maskvfi", "load"
    RETURN_TYPES: ClassVar = ("MASKVFI",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        files = list(list_weights())
        vfi = [file.name for file in files if file.kind == "vfi"]
        masks = [file.name for file in files if file.kind == "static"]
        return {
            "required": {
                "vfi": (vfi, {"default": DEFAULT_VFI}),
                "mask": ([*masks, "off"], {"default": DEFAULT_MASK}),
            }
        }

    def load(self, vfi: str, mask: str) -> tuple[Networks]:
        return (Networks(load_vfi(vfi), None if mask == "off" else load_static(mask)),)


class Interpolate:
    """Node: raises the frame rate of a batch of images, which is taken as one shot without cuts."""

    CATEGORY, FUNCTION = "maskvfi", "interpolate"
    RETURN_TYPES: ClassVar = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        rate = {"default": 0.0, "min": 0.0, "max": 1000.0, "step": 0.001}
        return {
            "required": {
                "networks": ("MASKVFI",),
                "images": ("IMAGE",),
                "factor": ("INT", {"default": 2, "min": 1, "max": 64}),
            },
            "optional": {"fps_in": ("FLOAT", rate), "fps_out": ("FLOAT", rate), "protect": ("MASK",)},
        }

    def interpolate(
        self,
        networks: Networks,
        images: Tensor,
        factor: int,
        fps_in: float = 0.0,
        fps_out: float = 0.0,
        protect: Tensor | None = None,
    ) -> tuple[Tensor]:
        """Interpolate a batch of images.

        Args:
            networks: From `LoadNetworks`.
            images: [N,H,W,3], RGB in 0..1.
            factor: N images become (N-1)*factor+1, if fps_out is 0.
            fps_in, fps_out: The frame rates of the images and of the result, in frames per second.
            protect: [1,H,W] or [N,H,W] in 0..1; pixels are always copied where it is 1.

        Returns:
            The images, [M,H,W,3], of the type of the input.

        Raises:
            ValueError: fps_out is given without fps_in, or protect has another number or size than the images.
        """
        if fps_out and not fps_in:
            raise ValueError("fps_out needs fps_in, the frame rate of the images")
        step = 1 / parse_rate(fps_in) if fps_in else Fraction(1)

        def timeline() -> Timeline:
            return ByRate(parse_rate(fps_out)) if fps_out else ByFactor(factor)

        if protect is not None and len(protect) not in (1, len(images)):
            raise ValueError(f"{len(protect)} masks for {len(images)} images: give one, or one for each")
        count = _count(timeline(), len(images), step)
        interpolator = Interpolator(*networks)
        made = _output_images(interpolator, images[..., :3], timeline(), step, protect)
        return (_collected(made, count, images, interpolator),)


class Protect:
    """Node: puts still pixels of the source images into what another interpolation node made of them."""

    CATEGORY, FUNCTION = "maskvfi", "protect"
    RETURN_TYPES: ClassVar = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {"required": {"networks": ("MASKVFI",), "images": ("IMAGE",), "interpolated": ("IMAGE",)}}

    def protect(self, networks: Networks, images: Tensor, interpolated: Tensor) -> tuple[Tensor]:
        """Put still pixels back.

        Args:
            networks: From `LoadNetworks`; only the mask is used.
            images: The source, [N,H,W,3], RGB in 0..1.
            interpolated: (N-1)*k+1 or N*k images of the same size, for any k. Those after the last source image stay as
                they are.

        Returns:
            The images, as many as `interpolated` and of their type.

        Raises:
            ValueError: There is no mask network, or the numbers or sizes do not fit.
        """
        if networks.mask is None:
            raise ValueError("these networks were loaded without a mask")
        if images.shape[1:3] != interpolated.shape[1:3]:
            raise ValueError(f"the images are {_size(images)}, the interpolated ones {_size(interpolated)}")
        factor = _factor(len(images), len(interpolated))
        interpolator = Interpolator(Blend(), networks.mask)
        made = _protected_images(interpolator, images, interpolated[..., :3], factor)
        return (_collected(made, len(interpolated), interpolated, interpolator),)


class StaticMask:
    """Node: computes the mask between neighbouring images of a batch."""

    CATEGORY, FUNCTION = "maskvfi", "look"
    RETURN_TYPES: ClassVar = ("MASK",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {"required": {"networks": ("MASKVFI",), "images": ("IMAGE",)}}

    def look(self, networks: Networks, images: Tensor) -> tuple[Tensor]:
        """Compute the masks.

        Args:
            networks: From `LoadNetworks`.
            images: [N,H,W,3], RGB in 0..1.

        Returns:
            The probability that each pixel stands still until the next image, [N-1,H,W].

        Raises:
            ValueError: There is no mask network, or there are fewer than two images.
        """
        if networks.mask is None:
            raise ValueError("these networks were loaded without a mask")
        if len(images) < 2:
            raise ValueError("a mask needs two images or more")
        interpolator, found = Interpolator(*networks), []
        for first in range(0, len(images) - 1, MAX_GAPS):
            views = [interpolator.view(_planes(image)) for image in images[first : first + MAX_GAPS + 1]]
            probability = interpolator.probability(views)
            assert probability is not None
            found.append(probability[0].float().cpu())
        return (torch.cat(found),)


def _output_images(
    interpolator: Interpolator, images: Tensor, timeline: Timeline, step: Fraction, protect: Tensor | None
) -> Iterator[Tensor]:
    """The output images [H,W,3], one by one. At the time of an input image it is that image."""
    end = interpolator.view(_planes(images[0]))
    for k in range(len(images) - 1):
        start, end = end, interpolator.view(_planes(images[k + 1]))
        if protect is not None:
            both = protect[k : k + 2] if len(protect) > 1 else protect
            interpolator.protect = both.amax(dim=0)[None, None].to(interpolator.device, torch.float32)
        for slot in timeline.gap(k * step, (k + 1) * step):
            t = slot.pts / step - k
            image = interpolator.between(start, end, float(t))[0].permute(1, 2, 0) if t else images[k]
            yield image.clamp(0, 1)
    for _ in timeline.tail((len(images) - 1) * step, step):
        yield images[-1]


def _protected_images(
    interpolator: Interpolator, images: Tensor, interpolated: Tensor, factor: int
) -> Iterator[Tensor]:
    """The interpolated images [H,W,3] with still pixels of the source, one by one."""
    for first in range(0, len(images) - 1, MAX_GAPS):
        views = [interpolator.view(_planes(image)) for image in images[first : first + MAX_GAPS + 1]]
        for k, copied in enumerate(interpolator.copied(views)):
            assert copied is not None
            for j in range(factor):
                image = _planes(interpolated[(first + k) * factor + j]).to(interpolator.device, torch.float32)
                ends = ((views[k].rgb,), (views[k + 1].rgb,))
                (rgb,) = put_back((image,), *ends, j / factor, copied, RGB, interpolator.static)
                yield rgb[0].permute(1, 2, 0).clamp(0, 1)
    yield from interpolated[(len(images) - 1) * factor :]


def _factor(images: int, interpolated: int) -> int:
    """How many images another node made of one: N became (N-1)*k+1, or N*k."""
    if images < 2:
        raise ValueError("protecting needs two images or more")
    for made, given in ((interpolated - 1, images - 1), (interpolated, images)):
        if made >= given and made % given == 0:
            return made // given
    raise ValueError(f"{images} images cannot have become {interpolated}: (N-1)*k+1 or N*k are expected")


def _count(timeline: Timeline, images: int, step: Fraction) -> int:
    """The number of output images."""
    gaps = (timeline.gap(k * step, (k + 1) * step) for k in range(images - 1))
    return sum(sum(1 for _ in gap) for gap in gaps) + sum(1 for _ in timeline.tail((images - 1) * step, step))


def _collected(made: Iterator[Tensor], count: int, like: Tensor, interpolator: Interpolator) -> Tensor:
    """All images in one tensor [M,H,W,3], which is allocated once. The server sees progress, and can interrupt."""
    result = torch.empty((count, *like.shape[1:3], 3), dtype=like.dtype, device=like.device)
    networks = [each for each in (interpolator.vfi, interpolator.mask) if each is not None]
    with _interruptible(networks) as advance, torch.inference_mode():
        for number, image in enumerate(made):
            result[number].copy_(image)
            advance(number + 1, count)
    return result


@contextmanager
def _interruptible(networks: Sequence[nn.Module]) -> Iterator[Callable[[int, int], None]]:
    """Let the server end the block before any layer of the networks, and show its progress.

    Yields:
        A function that takes the number of images that are done and of all images.
    """
    try:
        check = import_module("comfy.model_management").throw_exception_if_processing_interrupted
        bar_of = import_module("comfy.utils").ProgressBar
    except ImportError:  # not in a server
        yield lambda done, total: None
        return
    bars: list[Any] = []

    def advance(done: int, total: int) -> None:
        check()
        if not bars:
            bars.append(bar_of(total))
        bars[0].update_absolute(done, total)

    layers = [layer for network in networks for layer in network.modules()]
    hooks = [layer.register_forward_pre_hook(lambda module, inputs: check()) for layer in layers]
    try:
        check()
        yield advance
    finally:
        for hook in hooks:
            hook.remove()


def _size(images: Tensor) -> str:
    return f"{images.shape[2]}x{images.shape[1]}"


def _planes(image: Tensor) -> Tensor:
    return image[None, ..., :3].permute(0, 3, 1, 2)


NODE_CLASS_MAPPINGS = {
    "MaskvfiLoad": LoadNetworks,
    "MaskvfiInterpolate": Interpolate,
    "MaskvfiProtect": Protect,
    "MaskvfiStaticMask": StaticMask,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "MaskvfiLoad": "maskvfi: load networks",
    "MaskvfiInterpolate": "maskvfi: interpolate",
    "MaskvfiProtect": "maskvfi: protect another node's images",
    "MaskvfiStaticMask": "maskvfi: what stands still",
}
