"""What an interpolation network is: two frames and a time in, a frame and perhaps the motion it was made by out."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from maskvfi.errors import OptionError

Prepared = TypeVar("Prepared")  # what a network keeps of one frame
Pair = TypeVar("Pair")  # and of two
Network = TypeVar("Network", bound="InterpolationNetwork[Any, Any]")


class Motion(NamedTuple):
    """What a network that warps says of a time t between two frames.

    Attributes:
        flow: [B,4,H,W] in px, (x,y) from t to frame 0, then (x,y) from t to frame 1.
        blend: [B,1,H,W], the weight of the warped frame 0; frame 1 has the rest.
        fallback: [B,1,H,W], the share of a cross-fade of both frames where flow is not to be trusted, or None.
    """

    flow: Tensor
    blend: Tensor
    fallback: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Interpolation:
    """A new frame.

    Attributes:
        frame: [B,3,H,W], RGB in 0..1.
        motion: What it was made by; None for a network without flow.
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

    @property
    def fallback(self) -> Tensor | None:
        """[B,1,H,W] in 0..1, see `Motion`."""
        return None if self.motion is None else self.motion.fallback


@dataclass(frozen=True, slots=True)
class Traits:
    """What a caller has to know of a network.

    Attributes:
        name: What it is called in messages.
        multiple: Frames are padded to sides that are multiples of this many px.
        ensemble: Whether it can average with the time-reversed estimate.
        no_graph: Why it cannot be one fixed graph for another runtime; "" where it can.
        gains_from_graph: Whether another runtime computes it faster than torch.
    """

    name: str
    multiple: int = 1
    ensemble: bool = False
    no_graph: str = ""
    gains_from_graph: bool = False


class Runtime:
    """What computes the costly parts of a network. This one leaves them to torch; others are in `maskvfi.runtimes`."""

    def compute(self, name: str, module: nn.Module, given: list[Tensor], multiple: int) -> list[Tensor]:
        """What `module` makes of `given`.

        Args:
            name: The same for every call with a module that computes the same.
            module: It takes the tensors one by one and returns one or several.
            given: [B,C,H,W] of any B, H and W that are multiples of `multiple`, or 1.
            multiple: In px.
        """
        found = module(*given)
        return [found] if isinstance(found, Tensor) else list(found)

    def expect(self, height: int, width: int) -> None:
        """Many inputs of this padded size in px are to come, one at a time."""


class InterpolationNetwork(nn.Module, ABC, Generic[Prepared, Pair]):
    """A network that makes the frame at any time between two frames.

    A stream prepares every frame once, pairs neighbours, and asks for frames between them: `prepare`, `pair`,
    `between`. Frames of one pair have one size and one scale.
    """

    architecture: str  # the id in `registry.py`

    def __init__(self) -> None:
        super().__init__()
        self.runtime = Runtime()

    @property
    @abstractmethod
    def traits(self) -> Traits: ...

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """What a weights file's header says of the network, in terms of JSON, so that it can be built again."""

    @abstractmethod
    def prepare(self, image: Tensor, scale: float = 1.0) -> Prepared:
        """What the network keeps of a frame [B,3,H,W], RGB in 0..1, whatever it is paired with."""

    @abstractmethod
    def pair(self, start: Prepared, end: Prepared) -> Pair:
        """What lies between two prepared frames, whatever the time."""

    @abstractmethod
    def between(self, pair: Pair, time: Tensor, scale: float = 1.0, ensemble: bool = False) -> Interpolation:
        """The frame at `time` [B,1,1,1] in 0..1."""

    def motion(self, pair: Pair, time: Tensor, scale: float = 1.0, ensemble: bool = False) -> Motion | None:
        """The motion of `between` alone, for callers who warp by themselves; None for a network without flow."""
        return None

    def multiple(self, scale: float = 1.0) -> int:
        """Frames at this scale are padded to sides that are multiples of this many px."""
        return max(self.traits.multiple, int(self.traits.multiple / scale))

    def expect(self, height: int, width: int, scale: float = 1.0) -> None:
        """Many frames of this size are to come: the runtime may get ready for them."""
        multiple = self.multiple(scale)
        self.runtime.expect(height + -height % multiple, width + -width % multiple)

    def with_runtime(self: Network, runtime: Runtime) -> Network:
        """The same network, with the same parameters, computed by another runtime."""
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
            scale: Below 1 motion is analysed more coarsely (large frames, large motion), above 1 more finely.
            ensemble: Average with the time-reversed estimate.

        Returns:
            The frame, of img0's type, with the motion it was made by.

        Raises:
            ValueError: Shapes that do not match, a timestep outside 0..1, a scale that is not positive, or ensemble
                where the network has none.
        """
        check_pair(img0, img1)
        self.check(scale, ensemble)
        time = as_timestep(timestep, img0)
        pair = self.pair(self.prepare(img0, scale), self.prepare(img1, scale))
        made = self.between(pair, time, scale, ensemble)
        return Interpolation(made.frame.to(img0.dtype), made.motion)

    def check(self, scale: float, ensemble: bool) -> None:
        """Raise OptionError for a scale or an ensemble that this network does not have."""
        if not scale > 0:
            raise OptionError(f"scale must be positive, not {scale}")
        if ensemble and not self.traits.ensemble:
            raise OptionError(f"{self.traits.name} has no ensemble mode")


def check_pair(img0: Tensor, img1: Tensor) -> None:
    """Raise ValueError unless both are [B,3,H,W] float tensors of one shape."""
    if img0.ndim != 4 or img0.shape[1] != 3 or not img0.is_floating_point():
        raise ValueError(f"frames must be float [B,3,H,W] tensors, not {img0.dtype} {list(img0.shape)}")
    if img0.shape != img1.shape:
        raise ValueError(f"the two frames differ in shape: {list(img0.shape)} and {list(img1.shape)}")
    if 0 in img0.shape:
        raise ValueError(f"frames are empty: {list(img0.shape)}")


def as_timestep(timestep: float | Tensor, like: Tensor) -> Tensor:
    """`timestep` as a float32 [B,1,1,1] tensor beside `like`. Raises ValueError outside 0..1."""
    if isinstance(
        timestep, int | float
    ):  # checked without asking the device, which would have to be waited for
        if not 0 <= timestep <= 1:
            raise ValueError(f"timestep must lie in 0..1, not {timestep}")
        return torch.full((like.shape[0], 1, 1, 1), float(timestep), device=like.device)
    time = torch.as_tensor(timestep, dtype=torch.float32, device=like.device)
    if time.numel() not in (1, like.shape[0]):
        raise ValueError(
            f"timestep must be a number or [B,1,1,1] with B={like.shape[0]}, not {list(time.shape)}"
        )
    if not bool(((time >= 0) & (time <= 1)).all()):
        raise ValueError(f"timestep must lie in 0..1, not {timestep}")
    return time.reshape(-1, 1, 1, 1).expand(like.shape[0], 1, 1, 1)
