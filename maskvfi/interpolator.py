"""Two frames and a time in, one frame out: the mask, the flow and their fusion."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskvfi.fuse import FEATHER, STATIC_MODES, Moving, place, static_layer, static_weight, without_static
from maskvfi.hub import DEFAULT_STATIC, DEFAULT_VFI, load_static, load_vfi
from maskvfi.regions import Box, moving_boxes
from maskvfi.rife.network import IFNet, PreparedFrame, PreparedPair, as_timestep, check_pair
from maskvfi.runtimes import choose_runtime, on_device, with_runtime
from maskvfi.static.network import STRIDE, FrameFeatures, StaticMaskNet
from maskvfi.tiles import Tile, pixels_at_once, tiles

Array = NDArray[np.integer]
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(slots=True)
class View:
    """A frame as the networks see it: RGB [B,3,H,W] in 0..1 on the device, and what they keep of it once computed."""

    rgb: Tensor
    prepared: PreparedFrame | None = field(default=None, repr=False)
    features: FrameFeatures | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PreparedGap:
    """Two views, how far each pixel stands still between them [B,1,H,W] (None: everything is warped), and the tiles
    in which something moves, each with what the network needs there at any time, unless that is too much to keep.
    """

    start: View
    end: View
    weight: Tensor | None
    tiles: list[tuple[Tile, PreparedPair | None]]


class Interpolator:
    """Makes the frame at any time between two frames: still pixels copied, moving pixels warped.

    vfi and mask are networks (which are moved to device and precision), or what `load_vfi` and `load_static`
    take; mask=None gives plain RIFE. device is "auto" (CUDA, else MPS, else CPU) or a torch device; precision
    is "auto" (fp16 on CUDA, else fp32), "fp32", "fp16" or "bf16", and never touches coordinates. runtime, "auto" or one
    of `runtimes.RUNTIMES`, computes the interpolation network; `vfi.expect(height, width)` lets it get ready for whole
    frames of a size. threshold is the probability from which a pixel counts as still, feather how far to either side
    of it copied and warped are mixed; static "fade" cross-fades still pixels, with less of a heavy noise, "nearest"
    copies the nearer frame's. protect and release [H,W] or [1,1,H,W] in 0..1 are hand-painted masks: always copy,
    always warp. tile is "auto" (by memory), "off" or the side in px of what is computed at once. Raises WeightsError
    for bad weights, ValueError for a device that is not there or an unknown choice.
    """

    def __init__(
        self,
        vfi: IFNet | str | os.PathLike[str] | Mapping[str, Tensor] = DEFAULT_VFI,
        mask: StaticMaskNet | str | os.PathLike[str] | Mapping[str, Tensor] | None = DEFAULT_STATIC,
        device: str | torch.device = "auto",
        precision: str = "auto",
        *,
        runtime: str = "auto",
        scale: float = 1.0,
        ensemble: bool = False,
        threshold: float = 0.5,
        feather: float = FEATHER,
        static: str = "fade",
        protect: Tensor | None = None,
        release: Tensor | None = None,
        tile: int | str = "auto",
    ) -> None:
        if static not in STATIC_MODES:
            raise ValueError(f"static must be one of {', '.join(STATIC_MODES)}, not {static!r}")
        if not 0 < threshold < 1:
            raise ValueError(f"threshold must lie between 0 and 1, not {threshold}")
        if not 0 <= feather <= 0.5:
            raise ValueError(f"feather must lie in 0..0.5, not {feather}")
        self.device = choose_device(device)
        self.precision, dtype = choose_precision(precision, self.device)
        network = vfi if isinstance(vfi, IFNet) else load_vfi(vfi)
        if ensemble and not network.variant.ensemble:
            raise ValueError(
                f"RIFE {network.variant.family} has no ensemble mode (4.0 to 4.20 and 4.24 have)"
            )
        if not scale > 0:
            raise ValueError(f"scale must be positive, not {scale}")
        self.runtime, _ = choose_runtime(runtime, self.device, network)
        self.vfi = with_runtime(network, self.runtime, self.device, dtype).eval()
        student = mask if mask is None or isinstance(mask, StaticMaskNet) else load_static(mask)
        self.mask = None if student is None else on_device(student, self.device, dtype).eval()
        self.at_once = pixels_at_once(self.device, tile)
        self.scale, self.ensemble, self.static = scale, ensemble, static
        self.threshold, self.feather = threshold, feather
        self.paint(protect, release)

    def paint(self, protect: Tensor | None, release: Tensor | None) -> None:
        """From now on these painted masks count, as the constructor has them."""
        self.protect, self.release = (
            None
            if painted is None
            else painted.reshape(1, 1, *painted.shape[-2:]).to(self.device, torch.float32)
            for painted in (protect, release)
        )

    @property
    def computed_by(self) -> dict[str, str]:
        """What its frames depend on beside weights and options."""
        return {"device": str(self.device), "precision": self.precision, "runtime": self.runtime}

    @overload
    def __call__(self, img0: Tensor, img1: Tensor, timestep: float | Tensor = 0.5) -> Tensor: ...
    @overload
    def __call__(self, img0: Array, img1: Array, timestep: float | Tensor = 0.5) -> Array: ...
    def __call__(
        self, img0: Tensor | Array, img1: Tensor | Array, timestep: float | Tensor = 0.5
    ) -> Tensor | Array:
        """The frame at `timestep` (a number in 0..1, or [B,1,1,1]) between two frames.

        Frames are float tensors [3,H,W] or [B,3,H,W], RGB in 0..1, or uint8/uint16 arrays [H,W,3] or
        [B,H,W,3]; the result is of the same kind, and a tensor is on the device its frames were on. Raises
        ValueError for other shapes, types or times, and when the two frames differ in them.
        """
        start, end = self.view(as_images(img0)), self.view(as_images(img1))
        if type(img0) is not type(img1) or img0.dtype != img1.dtype:
            raise ValueError(f"the two frames differ in type: {_type_name(img0)} and {_type_name(img1)}")
        check_pair(start.rgb, end.rgb)
        out = self.between(start, end, timestep)
        if isinstance(img0, Tensor):
            return out.to(img0.device, img0.dtype).reshape(img0.shape)
        top = np.iinfo(img0.dtype).max
        codes = (out.clamp(0, 1) * top).round().to(torch.int32).permute(0, 2, 3, 1).cpu().numpy()
        return codes.astype(img0.dtype).reshape(img0.shape)

    @torch.inference_mode()
    def between(
        self, start: View, end: View, timestep: float | Tensor, boxes: Sequence[Box] | None = None
    ) -> Tensor:
        """RGB [B,3,H,W] at `timestep` between two views; boxes: where anything moves, if that is known."""
        weight = self.weight(start, end)
        time = as_timestep(timestep, start.rgb)
        gap = self.gap(start, end, weight, self.boxes(weight) if boxes is None else boxes)
        if weight is None:
            still = torch.lerp(start.rgb, end.rgb, time)
        else:
            still = static_layer(start.rgb, end.rgb, time, self.static, protect=self.protect)
        out = still.clone()
        for tile, made in self.moving(gap, time):
            place(
                tile.box.of(out),
                made.frame,
                None if weight is None else tile.box.of(weight),
                tile.box.of(still),
                tile,
            )
        return out

    def view(self, rgb: Tensor) -> View:
        return View(rgb.to(self.device, torch.float32))

    @torch.inference_mode()
    def probability(self, views: Sequence[View]) -> Tensor | None:
        """How likely each pixel stands still in every gap between N views, [B,N-1,H,W]; None without a mask network.

        Gaps that are seen together tell each other what they saw. Views keep their features.
        """
        if self.mask is None:
            return None
        height, width = views[0].rgb.shape[-2:]
        parts = tiles(Box(0, 0, height, width), self.at_once, STRIDE)
        if len(parts) == 1:
            for view in views:
                if view.features is None:
                    view.features = self.mask.encode(view.rgb)
            return self.mask.between([view.features for view in views if view.features is not None])
        out = views[0].rgb.new_zeros(len(views[0].rgb), len(views) - 1, height, width)
        for tile in parts:
            said = self.mask.between([self.mask.encode(tile.box.of(view.rgb)) for view in views])
            place(tile.box.of(out), said, None, said, tile)
        return out

    def weight(self, start: View, end: View) -> Tensor | None:
        """How far each pixel is copied, [B,1,H,W]: the mask with the painted masks over it; None: nowhere."""
        (weight,) = self.weights([start, end])
        return weight

    def weights(self, views: Sequence[View]) -> list[Tensor] | list[None]:
        """`weight` for every gap between consecutive views."""
        probability, like = self.probability(views), views[0].rgb[:, :1]
        if probability is None:
            if self.protect is None:
                return [None] * (len(views) - 1)
            probability = torch.zeros_like(like).expand(-1, len(views) - 1, -1, -1)
        for painted, name in ((self.protect, "protect"), (self.release, "release")):
            if painted is not None and painted.shape[-2:] != like.shape[-2:]:
                size = "x".join(str(side) for side in reversed(painted.shape[-2:]))
                frame = "x".join(str(side) for side in reversed(like.shape[-2:]))
                raise ValueError(f"the {name} mask is {size}, the frames are {frame}")
        each = probability.split(1, dim=1)
        return [static_weight(one, self.threshold, self.feather, self.protect, self.release) for one in each]

    def boxes(self, weight: Tensor | None) -> list[Box]:
        """Where there is anything to compute, by how far [B,1,H,W] each pixel is copied; None: everywhere."""
        return [] if weight is None else moving_boxes(weight, self.vfi.multiple(self.scale))

    @torch.inference_mode()
    def gap(self, start: View, end: View, weight: Tensor | None, boxes: Sequence[Box]) -> PreparedGap:
        """What `moving` needs at every time between two views: of the whole frame without `weight`, else of the boxes.
        Views keep what the network prepares of them.
        """
        whole = Box(0, 0, start.rgb.shape[-2], start.rgb.shape[-1])
        multiple = self.vfi.multiple(self.scale)
        cut = [tiles(box, self.at_once, multiple) for box in ((whole,) if weight is None else boxes)]
        return PreparedGap(
            start,
            end,
            weight,
            [
                (tile, self._pair(start, end, tile.box) if len(parts) == 1 else None)
                for parts in cut
                for tile in parts
            ],
        )

    @torch.inference_mode()
    def moving(self, gap: PreparedGap, timestep: float | Tensor) -> Iterator[Moving]:
        """The interpolation network's answers at `timestep`, without what stands still by the gap's weight."""
        time = as_timestep(timestep, gap.start.rgb)
        for tile, prepared in gap.tiles:
            pair = prepared or self._pair(gap.start, gap.end, tile.box)
            if gap.weight is None:
                made = self.vfi.between(pair, time, self.scale, self.ensemble)
            else:
                motion = self.vfi.motion(pair, time, self.scale, self.ensemble)
                made = without_static(motion, gap.start.rgb, gap.end.rgb, time, gap.weight, tile.box)
            yield Moving(tile, made)

    def _pair(self, start: View, end: View, box: Box) -> PreparedPair:
        first, last = (
            self._prepared(view)
            if box.area == view.rgb.shape[-2] * view.rgb.shape[-1]
            else self.vfi.prepare(box.of(view.rgb), self.scale)
            for view in (start, end)
        )
        return self.vfi.pair(first, last)

    def _prepared(self, view: View) -> PreparedFrame:
        if view.prepared is None:
            view.prepared = self.vfi.prepare(view.rgb, self.scale)
        return view.prepared


def choose_device(device: str | torch.device) -> torch.device:
    """The torch device of a name, "auto" being the fastest there is. Raises ValueError if it is not there."""
    if device == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(name)
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError, ValueError):
        raise ValueError(f"device {str(device)!r} is not available here") from None
    return chosen


def choose_precision(precision: str, device: torch.device) -> tuple[str, torch.dtype]:
    """The name and type of a precision, "auto" being fp16 on CUDA and fp32 elsewhere. Raises ValueError."""
    if precision == "auto":
        precision = "fp16" if device.type == "cuda" else "fp32"
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be auto, {', '.join(PRECISIONS)}, not {precision!r}")
    return precision, PRECISIONS[precision]


def as_images(picture: Tensor | Array) -> Tensor:
    """Any accepted kind of frame as a float [B,3,H,W] tensor in 0..1. Raises ValueError for any other."""
    if isinstance(picture, Tensor):
        if picture.ndim not in (3, 4) or picture.shape[-3] != 3 or not picture.is_floating_point():
            raise ValueError(
                f"a frame must be a float tensor [3,H,W] or [B,3,H,W], not {picture.dtype} {list(picture.shape)}"
            )
        return picture if picture.ndim == 4 else picture[None]
    if not isinstance(picture, np.ndarray):
        raise ValueError(f"a frame must be a tensor or an array, not {type(picture).__name__}")
    if picture.dtype not in (np.uint8, np.uint16) or picture.ndim not in (3, 4) or picture.shape[-1] != 3:
        raise ValueError(
            f"a frame must be a uint8 or uint16 array [H,W,3] or [B,H,W,3], not {picture.dtype} {list(picture.shape)}"
        )
    batch = torch.from_numpy(
        np.ascontiguousarray(picture if picture.ndim == 4 else picture[None]).astype(np.float32)
    )
    return batch.permute(0, 3, 1, 2) / float(np.iinfo(picture.dtype).max)


def _type_name(picture: Tensor | Array) -> str:
    return f"{type(picture).__name__} of {picture.dtype}"
