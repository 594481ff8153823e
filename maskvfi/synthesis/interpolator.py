"""Two frames and a time in, one frame out: the mask, the motion and their composition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from maskvfi.errors import OptionError
from maskvfi.models.base import InterpolationNetwork, as_timestep, check_pair
from maskvfi.models.static.network import STRIDE, FrameFeatures, StaticMaskNet
from maskvfi.ops.boxes import Box, moving_boxes
from maskvfi.ops.tiles import Tile, pixels_at_once, tiles
from maskvfi.options import DEFAULT_MASK, DEFAULT_VFI, FrameOptions
from maskvfi.paths import PathLike
from maskvfi.runtimes import choose_runtime, on_device, with_runtime
from maskvfi.synthesis.compose import RGB, MovingTile, compose, moving_layer, place_tile, still_weight
from maskvfi.weights.load import load_static, load_vfi

Array = NDArray[np.integer]
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(slots=True)
class View:
    """A frame as the networks see it: RGB [B,3,H,W] in 0..1 on the device, and what they keep of it once computed."""

    rgb: Tensor
    prepared: Any = field(default=None, repr=False)
    features: FrameFeatures | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PreparedGap:
    """Two views and what lies between them, whatever the time.

    Attributes:
        start, end: The views.
        weight: [B,1,H,W], how far each pixel stands still; None: everything is warped.
        tiles: Those in which something moves, each with the network's prepared pair, unless that is too much to keep.
    """

    start: View
    end: View
    weight: Tensor | None
    tiles: list[tuple[Tile, Any]]


class Interpolator:
    """Makes the frame at any time between two frames: still pixels copied, moving pixels warped.

    `vfi.expect(height, width)` lets its runtime get ready for whole frames of a size.
    """

    def __init__(
        self,
        vfi: InterpolationNetwork[Any, Any] | PathLike | Mapping[str, Tensor] = DEFAULT_VFI,
        mask: StaticMaskNet | PathLike | Mapping[str, Tensor] | None = DEFAULT_MASK,
        device: str | torch.device = "auto",
        precision: str = "auto",
        *,
        protect: Tensor | None = None,
        release: Tensor | None = None,
        **fields: Any,
    ) -> None:
        """Load the networks onto a device.

        Args:
            vfi, mask: Networks (which are moved to device and precision), or what `load_vfi` and `load_static` take;
                mask=None or "off" interpolates everything.
            device: A torch device, or "auto": CUDA, else MPS, else CPU.
            precision: "fp32", "fp16", "bf16", or "auto": fp16 on CUDA, else fp32. Coordinates stay float32.
            protect, release: [H,W] or [1,1,H,W] in 0..1, painted masks: always copy, always warp.
            **fields: The other options of `FrameOptions`, by name: threshold, feather, static, scale, ensemble, tile,
                runtime.

        Raises:
            WeightsError: The weights are missing or bad.
            OptionError: A device or runtime that is not there, or a wrong value.
        """
        options = FrameOptions.of(None, {**fields, "precision": precision})
        self.device = choose_device(device)
        self.precision, dtype = choose_precision(options.precision, self.device)
        network = vfi if isinstance(vfi, InterpolationNetwork) else load_vfi(vfi)
        network.check(options.scale, options.ensemble)
        self.runtime, _ = choose_runtime(options.runtime, self.device, network)
        self.vfi = with_runtime(network, self.runtime, self.device, dtype).eval()
        off = mask is None or (isinstance(mask, str) and mask == "off")
        student = None if off else mask if isinstance(mask, StaticMaskNet) else load_static(mask)  # type: ignore[arg-type]
        self.mask = None if student is None else on_device(student, self.device, dtype).eval()
        self.at_once = pixels_at_once(self.device, options.tile)
        self.scale, self.ensemble, self.static = options.scale, options.ensemble, options.static
        self.threshold, self.feather = options.threshold, options.feather
        self.paint(protect, release)

    @classmethod
    def from_options(cls, options: FrameOptions) -> Interpolator:
        """The one that options ask for, still without painted masks, which need the size of a video."""
        fields = options.of_group(FrameOptions)
        return cls(**fields | {"protect": None, "release": None})

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
        codes = rearrange((out.clamp(0, 1) * top).round().to(torch.int32), "b c h w -> b h w c").cpu().numpy()
        return codes.astype(img0.dtype).reshape(img0.shape)

    @torch.inference_mode()
    def between(
        self, start: View, end: View, timestep: float | Tensor, boxes: Sequence[Box] | None = None
    ) -> Tensor:
        """RGB [B,3,H,W] at `timestep` between two views; boxes: where anything moves, if that is known."""
        weight = self.weight(start, end)
        time = as_timestep(timestep, start.rgb)
        gap = self.gap(start, end, weight, self.boxes(weight) if boxes is None else boxes)
        (frame,) = compose(
            (start.rgb,), (end.rgb,), time, self.moving(gap, time), weight, RGB, self.static, self.protect
        )
        return frame

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
            place_tile(out, said, tile)
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
        return [still_weight(one, self.threshold, self.feather, self.protect, self.release) for one in each]

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
    def moving(self, gap: PreparedGap, timestep: float | Tensor) -> Iterator[MovingTile]:
        """The interpolation network's answers at `timestep`, without what stands still by the gap's weight."""
        time = as_timestep(timestep, gap.start.rgb)
        for tile, prepared in gap.tiles:
            pair = prepared or self._pair(gap.start, gap.end, tile.box)
            motion = None
            if gap.weight is not None:
                motion = self.vfi.motion(pair, time, self.scale, self.ensemble)
            if gap.weight is None or motion is None:
                made = self.vfi.between(pair, time, self.scale, self.ensemble)
            else:
                made = moving_layer(motion, gap.start.rgb, gap.end.rgb, time, gap.weight, tile.box)
            yield MovingTile(tile, made)

    def _pair(self, start: View, end: View, box: Box) -> Any:
        first, last = (
            self._prepared(view)
            if box.area == view.rgb.shape[-2] * view.rgb.shape[-1]
            else self.vfi.prepare(box.of(view.rgb), self.scale)
            for view in (start, end)
        )
        return self.vfi.pair(first, last)

    def _prepared(self, view: View) -> Any:
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
        raise OptionError(f"device {str(device)!r} is not available here") from None
    return chosen


def choose_precision(precision: str, device: torch.device) -> tuple[str, torch.dtype]:
    """The name and type of a precision, "auto" being fp16 on CUDA and fp32 elsewhere. Raises ValueError."""
    if precision == "auto":
        precision = "fp16" if device.type == "cuda" else "fp32"
    if precision not in PRECISIONS:
        raise OptionError(f"precision must be auto, {', '.join(PRECISIONS)}, not {precision!r}")
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
    batch = torch.from_numpy((picture if picture.ndim == 4 else picture[None]).astype(np.float32))
    return rearrange(batch, "b h w c -> b c h w") / float(np.iinfo(picture.dtype).max)


def _type_name(picture: Tensor | Array) -> str:
    return f"{type(picture).__name__} of {picture.dtype}"
