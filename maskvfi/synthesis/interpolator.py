"""Two frames and a time in, one frame out: mask, motion and composition."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from maskvfi.models.base import Interpolation, InterpolationNetwork, as_timestep, check_pair
from maskvfi.models.static.network import STRIDE, FrameFeatures, Masks, StaticMaskNet
from maskvfi.ops.boxes import Box, moving_boxes
from maskvfi.ops.highlights import compress_highlights
from maskvfi.ops.tiles import LARGE_FRAME, Tile, pixels_at_once, tiles
from maskvfi.ops.warp import BILINEAR
from maskvfi.options import DEFAULT_MASK, DEFAULT_VFI, OFF, FrameOptions, MaskOptions
from maskvfi.paths import PathLike
from maskvfi.runtimes import choose_runtime, on_device, with_runtime
from maskvfi.runtimes.device import choose_device, choose_mask_dtype, choose_precision
from maskvfi.synthesis.compose import MovingTile, blend_samples, compose, place_tile, warped_samples
from maskvfi.synthesis.copied import Copied, copied_pixels, drop_unconfirmed
from maskvfi.synthesis.layouts import RGB
from maskvfi.synthesis.passing import calm_cells, passing_things
from maskvfi.weights.load import load_static, load_vfi

Array = NDArray[np.integer]


@dataclass(slots=True)
class View:
    """A frame on the device, with what the networks have computed from it.

    Attributes:
        rgb: [B,3,H,W], float32: 0 is black and 1 is white.
        seen: The same in 0..1, for the networks.
        any_range: Whether `rgb` may lie outside of 0..1; else `seen` is `rgb` itself.
        translucent: Whether some of the picture is not opaque, and its colours lie over a backdrop.
        prepared: What the interpolation network computes from one frame, once it has been computed.
        features: What the mask network computes from one frame, once it has been computed.
    """

    rgb: Tensor
    seen: Tensor
    any_range: bool = False
    translucent: bool = False
    prepared: Any = field(default=None, repr=False)
    features: FrameFeatures | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PreparedGap:
    """What is computed once for all times between two frames.

    Attributes:
        start, end: The frames.
        weight: [B,1,H,W] in 0..1, how far each pixel is copied; None if everything is warped.
        tiles: The tiles in which something moves, each with what the network computes from two frames. That is None
            where a box has several tiles, since it would take too much memory.
        computed: The share of the picture that lies in the boxes.
        calm: Where little moves, as `calm_cells` computes it; None if everything is warped.
    """

    start: View
    end: View
    weight: Tensor | None
    tiles: list[tuple[Tile, Any]]
    computed: float
    calm: Tensor | None = None


COARSEST_CHROMA = 4  # px: a sample of 4:1:0 or 4:1:1 spans so many


class Interpolator:
    """Makes the frame at any time between two frames: still pixels are copied, moving pixels are warped.

    `vfi.expect(height, width)` prepares its runtime for whole frames of a size. Half precision (which auto may choose)
    and other runtimes than torch keep the weights as they are: after training, make a new interpolator. Several threads
    may share one; painted masks are shared too.

    Attributes:
        vfi, mask: The networks as they run; mask is None where every pixel is interpolated.
        device, runtime: Where they run, and what computes `vfi`.
        precision: The number format of `vfi`.
        protect, release: The painted masks [1,1,H,W], or None.
        threshold, feather, static, scale, ensemble: As `FrameOptions` has them.
        at_once: The largest number of px of a picture that is computed at once; a renderer lowers it when memory runs
            out.
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
            vfi, mask: Networks, which are moved to the device (in half precision copies of them are; on a CPU a mask's
                weights get the memory format channels_last), or what `load_vfi` and `load_static` take. With mask=None
                or "off" every pixel is interpolated.
            device: A torch device, or "auto": CUDA, else MPS, else CPU.
            precision: "fp32", "fp16", "bf16", or "auto": fp16 on CUDA (but not in ONNX Runtime); bf16 on a CPU that
                multiplies it faster, for the mask, and in torch for networks that are as good in it; else fp32.
                Coordinates stay float32 in torch.
            protect, release: [H,W] or [1,1,H,W] in 0..1, painted masks. Where protect is 1 pixels are always copied,
                where release is 1 always warped.
            **fields: The other options of `FrameOptions`, by name: threshold, feather, static, scale, ensemble, tile,
                runtime.

        Raises:
            WeightsError: The weights are missing or bad.
            OptionError: A value is wrong, or this machine does not have the device or runtime.
            ValueError: A painted mask is not in 0..1, or has another shape.
        """
        options = FrameOptions.of(None, {**fields, "precision": precision})
        self.device = choose_device(device)
        network = vfi if isinstance(vfi, InterpolationNetwork) else load_vfi(vfi)
        network.check(options.scale, options.ensemble)
        self.precision, dtype = choose_precision(options.precision, self.device, network, options.runtime)
        self.runtime, _ = choose_runtime(options.runtime, self.device, network)
        self.vfi = with_runtime(network, self.runtime, self.device, dtype).eval()
        off = mask is None or (isinstance(mask, str) and mask == OFF)
        mask_network = None if off else mask if isinstance(mask, StaticMaskNet) else load_static(mask)  # type: ignore[arg-type]
        mask_dtype = choose_mask_dtype(options.precision, self.device)
        cpu = self.device.type == "cpu"
        self.mask = (
            mask_network and on_device(mask_network, self.device, mask_dtype, channels_last=cpu).eval()
        )
        self.at_once = pixels_at_once(self.device, options.tile)
        self._smaller_if_large = options.tile == "auto" and self.device.type == "cpu"
        self.scale, self.ensemble, self.static = options.scale, options.ensemble, options.static
        self.threshold, self.feather = options.threshold, options.feather
        self.paint(protect, release)

    @classmethod
    def from_options(cls, options: MaskOptions, **fields: Any) -> Interpolator:
        """Make an interpolator from options. It has no painted masks yet: these need the size of the video.

        Args:
            options: The options; those of other groups than `FrameOptions` are ignored.
            **fields: Arguments of the constructor, which replace those in `options`.

        Returns:
            The interpolator.

        Raises:
            WeightsError, OptionError: As the constructor does.
        """
        chosen = options.as_group(FrameOptions).values_of_group(FrameOptions)
        return cls(**chosen | {"protect": None, "release": None} | fields)

    def paint(self, protect: Tensor | None, release: Tensor | None) -> None:
        """Set the painted masks.

        Args:
            protect, release: As the constructor takes them; None removes the mask.

        Raises:
            ValueError: A mask is not in 0..1, or has another shape.
        """
        self.protect, self.release = (
            None if painted is None else self._painted(torch.as_tensor(painted))
            for painted in (protect, release)
        )

    def _painted(self, mask: Tensor) -> Tensor:
        """A painted mask [1,1,H,W] on the device."""
        if not bool(((mask >= 0) & (mask <= 1)).all()):
            raise ValueError("a painted mask must lie in 0..1")
        if mask.ndim not in (2, 4) or mask.shape[:-2].numel() != 1:
            raise ValueError(f"a painted mask must be [H,W] or [1,1,H,W], not {list(mask.shape)}")
        return mask.reshape(1, 1, *mask.shape[-2:]).to(self.device, torch.float32)

    def without_mask(self) -> Interpolator:
        """An interpolator with the same networks that warps every pixel."""
        plain = copy.copy(self)
        plain.mask = plain.protect = plain.release = None
        return plain

    def between_equal(self, height: int, width: int) -> Copied:
        """How pixels are copied between two equal frames of this size in px: all but those that were released."""
        weight = torch.ones(1, 1, height, width, device=self.device)
        return Copied(weight if self.release is None else weight - self.release)

    @property
    def computed_by(self) -> dict[str, str]:
        """What frames depend on beside options and weights, by name: device, runtime, precisions, painted masks."""
        found = {"device": str(self.device), "precision": self.precision, "runtime": self.runtime}
        for name, painted in (("protect", self.protect), ("release", self.release)):
            if painted is not None:
                found[f"painted {name}"] = hashlib.sha256(painted.cpu().numpy().tobytes()).hexdigest()
        if self.mask is not None:
            found["mask_precision"] = str(self.mask.head.weight.dtype).removeprefix("torch.")
        return found

    @overload
    def __call__(self, img0: Tensor, img1: Tensor, timestep: float | Tensor = 0.5) -> Tensor: ...
    @overload
    def __call__(self, img0: Array, img1: Array, timestep: float | Tensor = 0.5) -> Array: ...
    def __call__(
        self, img0: Tensor | Array, img1: Tensor | Array, timestep: float | Tensor = 0.5
    ) -> Tensor | Array:
        """Make the frame at a time between two frames, without gradients.

        Args:
            img0, img1: Float tensors [3,H,W] or [B,3,H,W], RGB in 0..1, or uint8 or uint16 arrays [H,W,3] or [B,H,W,3].
            timestep: The time: a number in 0..1, or a tensor [B,1,1,1].

        Returns:
            The frame, of the same kind, shape and type; a tensor is on the device of img0.

        Raises:
            ValueError: A shape, type or time is not one of these, or the two frames differ in shape or type.
        """
        if getattr(img0, "shape", None) != getattr(img1, "shape", None):
            raise ValueError(f"the two frames differ in shape: {_shape(img0)} and {_shape(img1)}")
        start, end = self.view(as_images(img0)), self.view(as_images(img1))
        if type(img0) is not type(img1) or img0.dtype != img1.dtype:
            raise ValueError(f"the two frames differ in type: {_type_name(img0)} and {_type_name(img1)}")
        check_pair(start.rgb, end.rgb)
        out = self.between(start, end, timestep)
        if isinstance(img0, Tensor):
            return (
                out.to(img0.device, img0.dtype).reshape(img0.shape).clone()
            )  # an ordinary tensor, outside of inference
        top = np.iinfo(img0.dtype).max
        codes = rearrange((out.clamp(0, 1) * top).round().to(torch.int32), "b c h w -> b h w c").cpu().numpy()
        return codes.astype(img0.dtype).reshape(img0.shape)

    @torch.inference_mode()
    def between(
        self,
        start: View,
        end: View,
        timestep: float | Tensor,
        boxes: Sequence[Box] | None = None,
        copied: Copied | None = None,
    ) -> Tensor:
        """Make the frame at a time between two views.

        Args:
            start, end: The views.
            timestep: The time: a number in 0..1, or a tensor [B,1,1,1].
            boxes: The boxes to compute; by default those around what moves.
            copied: How this gap's pixels are copied, as `copied` computes it from more frames; by default it is
                computed from these two.

        Returns:
            RGB [B,3,H,W] on the device: a tensor of inference mode, so clone it to change it.

        Raises:
            ValueError: The time is outside of 0..1, or has another shape.
        """
        if copied is None:
            (copied,) = self.copied([start, end])
        weight = None if copied is None else copied.weight
        time = as_timestep(timestep, start.rgb)
        gap = self.gap(start, end, weight, self.boxes(weight) if boxes is None else boxes)
        moving = self.moving(gap, timestep)
        (frame,) = compose((start.rgb,), (end.rgb,), time, moving, copied, RGB, self.static, self.protect)
        return frame

    def view(self, rgb: Tensor, translucent: bool = False, brightest: float | None = None) -> View:
        """Move a frame, RGB [B,3,H,W], to the device.

        Args:
            rgb: The frame, in 0..1 unless `brightest` is given.
            translucent: Whether some of the picture is not opaque, and it is given over a backdrop.
            brightest: The brightest colour of this frame and of those beside it, where some are outside of 0..1. They
                stay so, and the networks see highlights compressed.

        Returns:
            What the other methods take. It keeps what they compute of this frame.
        """
        rgb = rgb.to(self.device, torch.float32)
        any_range = brightest is not None
        seen = rgb if brightest is None else compress_highlights(rgb, brightest)
        return View(rgb, seen, any_range, translucent)

    def probability(self, views: Sequence[View]) -> Tensor | None:
        """Compute the mask of every gap between consecutive views.

        Args:
            views: As `masks` takes them.

        Returns:
            The probability that each pixel stands still, [B,N-1,H,W]; None without a mask network.
        """
        masks = self.masks(views)
        return None if masks is None else masks.still

    @torch.inference_mode()
    def masks(self, views: Sequence[View]) -> Masks | None:
        """Compute where pixels stand still, and where they are replaced, in every gap between consecutive views.

        A mask is better if the network sees its neighbouring gaps too.

        Args:
            views: N views in the order of time. They keep the features that are computed from them.

        Returns:
            Probabilities, each [B,N-1,H,W]; None without a mask network.

        Raises:
            ValueError: There are fewer than two views.
        """
        if len(views) < 2:
            raise ValueError(f"a mask needs at least two views, not {len(views)}")
        if self.mask is None:
            return None
        height, width = views[0].rgb.shape[-2:]
        frame = Box(0, 0, height, width)
        parts = tiles(frame, self._tile_pixels(frame), STRIDE)
        if len(parts) == 1:
            for view in views:
                if view.features is None:
                    view.features = self.mask.encode(view.seen)
            return self.mask.classify_between([view.features for view in views if view.features is not None])
        size = len(views[0].rgb), len(views) - 1, height, width
        out = Masks(*(views[0].rgb.new_zeros(size) for _ in Masks._fields))
        for tile in parts:
            found = self.mask.classify_between([self.mask.encode(tile.box.of(view.seen)) for view in views])
            if found.replaced is None:  # the network has not learnt it
                out = Masks(out.still, None)
            for whole, part in zip(out, found, strict=True):
                if whole is not None and part is not None:
                    place_tile(whole, part, tile)
        return out

    def _tile_pixels(self, frame: Box) -> int:
        """The largest tile in px: on a CPU, unless the user chose one, half of `at_once` for a large frame."""
        return self.at_once // 2 if self._smaller_if_large and frame.area > LARGE_FRAME else self.at_once

    def weight(self, start: View, end: View) -> Tensor | None:
        """Compute how far each pixel is copied between two views, from the masks and the painted masks.

        Args:
            start, end: The views.

        Returns:
            [B,1,H,W] in 0..1; None if there is no mask, so that nothing is copied.
        """
        (copied,) = self.copied([start, end])
        return None if copied is None else copied.weight

    def copied(self, views: Sequence[View]) -> list[Copied] | list[None]:
        """Compute how the pixels of every gap between consecutive views are copied.

        Args:
            views: N views in the order of time.

        Returns:
            N-1 results, or N-1 times None if there is no mask.

        Raises:
            ValueError: There are fewer than two views, or a painted mask has another size than they have.
        """
        return self.decide(self.masks(views), views)

    def decide(self, masks: Masks | None, views: Sequence[View]) -> list[Copied] | list[None]:
        """Decide how pixels are copied, by the probabilities and the painted masks.

        Args:
            masks: What `masks` returned.
            views: Of the same frames.

        Returns:
            As `copied`.

        Raises:
            ValueError: A painted mask has another size than the frames.
        """
        like = views[0].rgb[:, :1]
        if masks is None:
            if self.protect is None:
                return [None] * (len(views) - 1)
            masks = Masks(torch.zeros_like(like).expand(-1, len(views) - 1, -1, -1), None)
        for painted, name in ((self.protect, "protect"), (self.release, "release")):
            if painted is not None and painted.shape[-2:] != like.shape[-2:]:
                size = "x".join(str(side) for side in reversed(painted.shape[-2:]))
                frame = "x".join(str(side) for side in reversed(like.shape[-2:]))
                raise ValueError(f"the {name} mask is {size}, the frames are {frame}")
        still, replaced = masks
        found = [
            copied_pixels(
                still[:, k : k + 1],
                None if replaced is None else replaced[:, k : k + 1],
                self.threshold,
                self.feather,
                self.protect,
                self.release,
            )
            for k in range(len(views) - 1)
        ]
        return drop_unconfirmed(found, self.protect)

    def boxes(self, weight: Tensor | None) -> list[Box]:
        """Find the boxes that the network has to compute.

        Args:
            weight: [B,1,H,W], how far each pixel is copied.

        Returns:
            Boxes around what moves. If weight is None there are none, and `gap` computes the whole frame.
        """
        return [] if weight is None else moving_boxes(weight, self._step)

    @property
    def _step(self) -> int:
        """In px: boxes and tiles begin where the network's padding and a chroma sample of any pixel format begin."""
        return math.lcm(self.vfi.multiple(self.scale), COARSEST_CHROMA)

    @torch.inference_mode()
    def gap(self, start: View, end: View, weight: Tensor | None, boxes: Sequence[Box]) -> PreparedGap:
        """Compute what `moving` needs at every time between two views.

        Args:
            start, end: The views. They keep what the network computes from one frame.
            weight: [B,1,H,W], how far each pixel is copied; None if everything is warped.
            boxes: The boxes to compute; with weight=None it is the whole frame.

        Returns:
            The prepared gap.
        """
        whole = Box(0, 0, start.rgb.shape[-2], start.rgb.shape[-1])
        largest = self._tile_pixels(whole)
        boxes = (whole,) if weight is None else boxes
        cut = [tiles(box, largest, self._step) for box in boxes]
        return PreparedGap(
            start,
            end,
            weight,
            [
                (tile, self._pair(start, end, tile.box) if len(parts) == 1 else None)
                for parts in cut
                for tile in parts
            ],
            sum(box.area for box in boxes) / whole.area,
            None if weight is None else calm_cells(weight),
        )

    @torch.inference_mode()
    def moving(self, gap: PreparedGap, timestep: float | Tensor) -> Iterator[MovingTile]:
        """Compute the moving layer at a time.

        Args:
            gap: What `gap` returned.
            timestep: The time: a number in 0..1, or a tensor [B,1,1,1].

        Yields:
            The moving layer of every tile. Still pixels are not dragged along, see `compose.moving_layer`.
        """
        time = as_timestep(timestep, gap.start.rgb)
        for tile, prepared in gap.tiles:
            pair = self._pair(gap.start, gap.end, tile.box) if prepared is None else prepared
            yield MovingTile(tile, *self._in_box(gap, pair, time, tile.box))

    def _in_box(
        self, gap: PreparedGap, pair: Any, time: Tensor, box: Box
    ) -> tuple[Interpolation, Tensor | None]:
        """The moving layer in a box, and where things pass in it that are too small for the network's flow."""
        # Cubic samples overshoot and are cut to 0..1. Translucent colours are divided by their opacity later.
        bilinear = gap.start.any_range or gap.start.translucent or gap.end.translucent
        motion = None
        if gap.weight is not None or bilinear:
            motion = self.vfi.motion(pair, time, self.scale, self.ensemble)
        if motion is None and gap.start.any_range:  # a network without flow fades
            start, end = (box.of(view.rgb) for view in (gap.start, gap.end))
            return Interpolation(torch.lerp(start, end, time)), None
        if motion is None:
            return self.vfi.between(pair, time, self.scale, self.ensemble), None
        if bilinear:
            motion = motion._replace(sampling=BILINEAR)
        frames = gap.start.rgb, gap.end.rgb
        weight = torch.zeros_like(frames[0][:, :1]) if gap.weight is None else gap.weight
        samples = warped_samples(motion, *frames, weight, box)
        passing = None
        if gap.calm is not None:
            passing = passing_things(motion, samples, *frames, weight, gap.calm, box, self.protect)
        return blend_samples(motion, samples), passing

    def _pair(self, start: View, end: View, box: Box) -> Any:
        first, last = (
            self._prepared(view)
            if box.area == view.rgb.shape[-2] * view.rgb.shape[-1]
            else self.vfi.prepare(box.of(view.seen), self.scale)
            for view in (start, end)
        )
        return self.vfi.pair(first, last)

    def _prepared(self, view: View) -> Any:
        if view.prepared is None:
            view.prepared = self.vfi.prepare(view.seen, self.scale)
        return view.prepared


def as_images(picture: Tensor | Array) -> Tensor:
    """Convert a frame to a float tensor.

    Args:
        picture: A float tensor [3,H,W] or [B,3,H,W] in 0..1, or a uint8 or uint16 array [H,W,3] or [B,H,W,3].

    Returns:
        RGB [B,3,H,W] in 0..1.

    Raises:
        ValueError: It has another type or shape.
    """
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


def _shape(picture: Tensor | Array) -> str:
    return str(list(getattr(picture, "shape", ())))


def _type_name(picture: Tensor | Array) -> str:
    return f"{type(picture).__name__} of {picture.dtype}"
