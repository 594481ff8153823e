"""ComfyUI nodes: load networks, interpolate a batch of images, and show its mask."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from maskvfi.models.base import InterpolationNetwork
from maskvfi.models.static.network import StaticMaskNet
from maskvfi.options import DEFAULT_MASK, DEFAULT_VFI, parse_rate
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
            The images, [M,H,W,3].

        Raises:
            ValueError: fps_out is given without fps_in, or protect has another number or size than the images.
        """
        if fps_out and not fps_in:
            raise ValueError("fps_out needs fps_in, the frame rate of the images")
        step = 1 / parse_rate(fps_in) if fps_in else Fraction(1)
        timeline: Timeline = ByRate(parse_rate(fps_out)) if fps_out else ByFactor(factor)
        if protect is not None and len(protect) not in (1, len(images)):
            raise ValueError(f"{len(protect)} masks for {len(images)} images: give one, or one for each")
        result = _output_images(Interpolator(*networks), images[..., :3], timeline, step, protect)
        return (torch.stack(list(result)),)


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
            image = interpolator.between(start, end, float(t))[0].permute(1, 2, 0).cpu() if t else images[k]
            yield image.clamp(0, 1)
    for _ in timeline.tail((len(images) - 1) * step, step):
        yield images[-1]


def _planes(image: Tensor) -> Tensor:
    return image[None, ..., :3].permute(0, 3, 1, 2)


NODE_CLASS_MAPPINGS = {
    "MaskvfiLoad": LoadNetworks,
    "MaskvfiInterpolate": Interpolate,
    "MaskvfiStaticMask": StaticMask,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "MaskvfiLoad": "maskvfi: load networks",
    "MaskvfiInterpolate": "maskvfi: interpolate",
    "MaskvfiStaticMask": "maskvfi: what stands still",
}
