"""The interface of an interpolation network: two frames and a time in, a frame and perhaps its motion out."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from numbers import Real
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from maskvfi.errors import OptionError
from maskvfi.ops.warp import BILINEAR

Prepared = TypeVar("Prepared")  # what a network computes from one frame
Pair = TypeVar("Pair")  # what it computes from two frames
Network = TypeVar("Network", bound="InterpolationNetwork[Any, Any]")


class Motion(NamedTuple):
    """Motion at a time t between two frames, from a network that warps.

    Attributes:
        flow: [B,4,H,W] in px, (x,y) from t to frame 0, then (x,y) from t to frame 1.
        blend: [B,1,H,W], the weight of the warped frame 0; frame 1 has the rest.
        sampling: How colours are read between pixels, see `maskvfi.ops.warp.backward_warp`.
    """

    flow: Tensor
    blend: Tensor
    sampling: str = BILINEAR


@dataclass(frozen=True, slots=True)
class Interpolation:
    """A new frame.

    Attributes:
        frame: [B,3,H,W], RGB in 0..1.
        motion: The motion that the frame was warped by; None for a network without flow.
    """

    frame: Tensor
    motion: Motion | None = None

    @property
    def flow(self) -> Tensor | None:
        """[B,4,H,W] in px, see `Motion`."""
        return None if self.motion is None else self.motion.flow

    @property
    def blend(self) -> Tensor | None:
        """[B,1,H,W] in 0..1, see `Motion`."""
        return None if self.motion is None else self.motion.blend


@dataclass(frozen=True, slots=True)
class Traits:
    """The properties of a network that its callers depend on.

    Attributes:
        name: What it is called in messages.
        multiple: Frames are padded to sides that are multiples of this many px.
        ensemble: Whether it can average with the time-reversed estimate.
        ensemble_in: Which networks of its family can, for the message that this one cannot.
        no_graph: Why it cannot be exported as one fixed graph; "" if it can.
        good_in_bf16: Whether its frames were found as good in bfloat16 as in float32.
    """

    name: str
    multiple: int = 1
    ensemble: bool = False
    ensemble_in: str = ""
    no_graph: str = ""
    good_in_bf16: bool = False


class Runtime:
    """Computes the expensive modules of a network. This one uses torch; `maskvfi.runtimes` has others."""

    def compute(self, name: str, module: nn.Module, given: list[Tensor], multiple: int) -> list[Tensor]:
        """Call `module` with the tensors `given`.

        Args:
            name: Identifies the module within its network: calls with one name must compute the same function.
            module: Takes the tensors as positional arguments and returns one tensor or several.
            given: Tensors [B,C,H,W]. H and W are multiples of `multiple`, or both are 1.
            multiple: In px.

        Returns:
            The module's outputs.
        """
        found = module(*given)
        return [found] if isinstance(found, Tensor) else list(found)

    def expect(self, height: int, width: int) -> None:
        """Prepare for many inputs of this padded size in px, with a batch size of 1."""


class InterpolationNetwork(nn.Module, ABC, Generic[Prepared, Pair]):
    """A network that makes the frame at any time between two frames.

    A video is interpolated in three steps, so that nothing is computed twice: `prepare` once for every frame, `pair`
    once for every two neighbours, `between` once for every new frame. Both frames of a pair have the same size and are
    prepared at the same scale.

    Attributes:
        architecture: The id of the network's `Architecture` in `registry.py`.
        runtime: Computes the expensive modules.
    """

    architecture: str

    def __init__(self) -> None:
        super().__init__()
        self.runtime = Runtime()

    @property
    @abstractmethod
    def traits(self) -> Traits:
        """The properties that callers depend on."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """The entries of a weights file's header from which the network can be built again, as JSON values."""

    @abstractmethod
    def prepare(self, image: Tensor, scale: float = 1.0) -> Prepared:
        """Compute what depends on one frame alone.

        Args:
            image: [B,3,H,W], RGB in 0..1 (clamped).
            scale: As in `forward`.

        Returns:
            What `pair` takes; callers do not look into it.
        """

    @abstractmethod
    def pair(self, start: Prepared, end: Prepared) -> Pair:
        """Compute what depends on two prepared frames alone, not on the time between them.

        Args:
            start, end: From `prepare`, at the same scale.

        Returns:
            What `between` and `motion` take.
        """

    @abstractmethod
    def between(self, pair: Pair, time: Tensor, scale: float = 1.0, ensemble: bool = False) -> Interpolation:
        """The frame at a time between the frames of a pair.

        Args:
            pair: From `pair`.
            time: [B,1,1,1] in 0..1.
            scale, ensemble: As in `forward`; the scale must be that of `prepare`.

        Returns:
            The frame [B,3,H,W] with its motion.
        """

    def motion(self, pair: Pair, time: Tensor, scale: float = 1.0, ensemble: bool = False) -> Motion | None:
        """The motion of `between` without the frame, for callers that warp.

        Args:
            pair, time, scale, ensemble: As `between` takes them.

        Returns:
            The flow [B,4,H,W] in px and the blend [B,1,H,W]; None for a network without flow.
        """
        return None

    def multiple(self, scale: float = 1.0) -> int:
        """At this scale the sides of frames are padded to multiples of this many px."""
        return max(self.traits.multiple, int(self.traits.multiple / scale))

    def expect(self, height: int, width: int, scale: float = 1.0) -> None:
        """Let the runtime prepare for many frames of one size.

        Args:
            height, width: In px, before padding.
            scale: As in `forward`.
        """
        multiple = self.multiple(scale)
        self.runtime.expect(height + -height % multiple, width + -width % multiple)

    @property
    def dtype(self) -> torch.dtype | None:
        """The number format of its convolutions; None if it has none."""
        return next((parameter.dtype for parameter in self.parameters()), None)

    def rounded(self: Network, dtype: torch.dtype) -> Network:
        """A copy whose convolutions compute in another number format."""
        return copy.deepcopy(self).to(dtype)

    def with_runtime(self: Network, runtime: Runtime) -> Network:
        """A copy of the network that shares its parameters and is computed by another runtime."""
        other = copy.copy(self)
        other.runtime = runtime
        return other

    def forward(
        self,
        img0: Tensor,
        img1: Tensor,
        timestep: float | Tensor = 0.5,
        scale: float = 1.0,
        ensemble: bool = False,
    ) -> Interpolation:
        """The frame at a time between two frames.

        Args:
            img0, img1: [B,3,H,W], RGB in 0..1 (clamped), any size from 1x1 px up.
            timestep: In 0..1, a number or [B,1,1,1].
            scale: A power of two. Below 1 motion is estimated on smaller frames (for large frames and large motion),
                above 1 on larger ones.
            ensemble: Average with the time-reversed estimate.

        Returns:
            The frame [B,3,H,W], of img0's type, with its motion.

        Raises:
            ValueError: Shapes do not match, or timestep is outside 0..1.
            OptionError: The scale is no power of two, or the network has no ensemble mode.
        """
        check_pair(img0, img1)
        self.check(scale, ensemble)
        time = as_timestep(timestep, img0)
        pair = self.pair(self.prepare(img0, scale), self.prepare(img1, scale))
        made = self.between(pair, time, scale, ensemble)
        return Interpolation(made.frame.to(img0.dtype), made.motion)

    def check(self, scale: float, ensemble: bool) -> None:
        """Check options of `forward`.

        Raises:
            OptionError: The scale is no power of two, or the network has no ensemble mode.
        """
        if not scale > 0 or math.frexp(scale)[0] != 0.5:
            raise OptionError(f"scale must be a power of two, such as 0.5, 1 or 2, not {scale}")
        if ensemble and not self.traits.ensemble:
            others = f" ({self.traits.ensemble_in} have one)" if self.traits.ensemble_in else ""
            raise OptionError(f"{self.traits.name} has no ensemble mode{others}")


def check_pair(img0: Tensor, img1: Tensor) -> None:
    """Check the shapes of two frames.

    Raises:
        ValueError: They are not float tensors [B,3,H,W] of one shape.
    """
    if img0.ndim != 4 or img0.shape[1] != 3 or not img0.is_floating_point():
        raise ValueError(f"frames must be float [B,3,H,W] tensors, not {img0.dtype} {list(img0.shape)}")
    if img0.shape != img1.shape:
        raise ValueError(f"the two frames differ in shape: {list(img0.shape)} and {list(img1.shape)}")
    if 0 in img0.shape:
        raise ValueError(f"frames are empty: {list(img0.shape)}")


def as_timestep(timestep: float | Tensor, like: Tensor) -> Tensor:
    """A time as a tensor.

    Args:
        timestep: In 0..1, a number or a tensor with 1 or B elements.
        like: [B,...], gives the batch size and the device.

    Returns:
        [B,1,1,1], float32.

    Raises:
        ValueError: It is outside 0..1, or has another number of elements.
    """
    if isinstance(timestep, Real):  # checked on the CPU: reading a tensor would wait for the device
        if not 0 <= timestep <= 1:
            raise ValueError(f"timestep must lie in 0..1, not {timestep}")
        return torch.full((like.shape[0], 1, 1, 1), float(timestep), dtype=torch.float32, device=like.device)
    try:
        time = torch.as_tensor(timestep, dtype=torch.float32, device=like.device)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"timestep must be a number or a tensor, not {timestep!r}") from None
    if time.numel() not in (1, like.shape[0]):
        raise ValueError(
            f"timestep must be a number or [B,1,1,1] with B={like.shape[0]}, not {list(time.shape)}"
        )
    if not bool(((time >= 0) & (time <= 1)).all()):
        raise ValueError(f"timestep must lie in 0..1, not {timestep}")
    return time.reshape(-1, 1, 1, 1).expand(like.shape[0], 1, 1, 1)
