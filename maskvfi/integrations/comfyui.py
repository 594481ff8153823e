"""ComfyUI nodes: load the networks, interpolate a batch of images, and see what stands still in it."""

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
    """What the socket MASKVFI carries; mask None is plain RIFE."""

    vfi: InterpolationNetwork[Any, Any]
    mask: StaticMaskNet | None


class LoadNetworks:
    """Networks by the names that `maskvfi weights list` shows."""

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
    """Images [N,H,W,3] in 0..1 to more of them: (N-1)*factor+1, or from fps_in to fps_out where that is not 0.

    The batch is taken as one shot. protect [1,H,W], or [N,H,W] with one mask per image: what is always copied.
    """

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
        """Raises ValueError for fps_out without fps_in, and for masks whose number or size is not the images'."""
        if fps_out and not fps_in:
            raise ValueError("fps_out needs fps_in, the frame rate of the images")
        step = 1 / parse_rate(fps_in) if fps_in else Fraction(1)
        timeline: Timeline = ByRate(parse_rate(fps_out)) if fps_out else ByFactor(factor)
        if protect is not None and len(protect) not in (1, len(images)):
            raise ValueError(f"{len(protect)} masks for {len(images)} images: give one, or one for each")
        made = _made(Interpolator(*networks), images[..., :3], timeline, step, protect)
        return (torch.stack(list(made)),)


class StaticMask:
    """Images [N,H,W,3] to the probability that each pixel stands still until the next one, [N-1,H,W]."""

    CATEGORY, FUNCTION = "maskvfi", "look"
    RETURN_TYPES: ClassVar = ("MASK",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {"required": {"networks": ("MASKVFI",), "images": ("IMAGE",)}}

    def look(self, networks: Networks, images: Tensor) -> tuple[Tensor]:
        """Raises ValueError for networks without a mask and for fewer than two images."""
        if networks.mask is None:
            raise ValueError("these networks were loaded without a mask")
        if len(images) < 2:
            raise ValueError("a mask needs two images or more")
        interpolator, found = Interpolator(*networks), []
        for first in range(0, len(images) - 1, MAX_GAPS):
            views = [interpolator.view(_planes(image)) for image in images[first : first + MAX_GAPS + 1]]
            said = interpolator.probability(views)
            assert said is not None
            found.append(said[0].float().cpu())
        return (torch.cat(found),)


def _made(
    interpolator: Interpolator, images: Tensor, timeline: Timeline, step: Fraction, protect: Tensor | None
) -> Iterator[Tensor]:
    """The output images [H,W,3], one by one; those at the times of images are these."""
    end = interpolator.view(_planes(images[0]))
    for k in range(len(images) - 1):
        start, end = end, interpolator.view(_planes(images[k + 1]))
        if protect is not None:
            both = protect[k : k + 2] if len(protect) > 1 else protect
            interpolator.protect = both.amax(dim=0)[None, None].to(interpolator.device, torch.float32)
        for slot in timeline.gap(k * step, (k + 1) * step):
            t = slot.pts / step - k
            made = interpolator.between(start, end, float(t))[0].permute(1, 2, 0).cpu() if t else images[k]
            yield made.clamp(0, 1)
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
