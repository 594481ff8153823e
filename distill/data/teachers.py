"""Optical flow teachers behind one protocol; a package is imported only when its teacher is asked for.

dis                    OpenCV's DIS, always there
rife:PATH              RIFE weights, by path or name
dis+rife:PATH          both: a pixel stands still, or moves, only where they agree
raft_large, raft_small torchvision's RAFT (extra: torchvision)
ptlflow:NAME[:CKPT]    any model of ptlflow, such as ptlflow:sea_raft_m:spring (extra: ptlflow)
memfof:CKPT            MEMFOF's own package, such as memfof:egorchistov/optical-flow-MEMFOF-Tartan-T-TSKH
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from distill.data.dis import search
from distill.data.tensors import greys
from distill.networks import load_rife
from distill.options import TEACHER_DEVICE, TEACHER_SCALE
from maskvfi.runtimes.device import choose_device
from maskvfi.weights.locate import find_weights
from maskvfi.weights.read import sha256

RIFE_TIMES = (0.25, 0.5, 0.75)
TILE = 1024  # px on a side that a teacher sees at once
OVERLAP = 128  # px over which neighbouring tiles are blended


@dataclass(frozen=True, slots=True)
class GapMotion:
    """What a teacher saw between two frames.

    Attributes:
        times: K times in 0..1 at which the flows start; of flow from frame to frame these are 0 and 1.
        flows: [B,K,4,H,W] in px, (x,y) from each time to frame 0, then to frame 1.
    """

    times: tuple[float, ...]
    flows: Tensor

    def speeds(self, components: bool = False) -> Tensor:
        """How fast each pixel moves, by each of the M flows to a frame at another time.

        Args:
            components: Take the larger of the shifts along x and y, not the length of both.

        Returns:
            [B,M,H,W] in px per gap.
        """
        found = []
        for index, time in enumerate(self.times):
            to0, to1 = self.flows[:, index].split(2, dim=1)
            for flow, span in ((to0, time), (to1, 1 - time)):
                if span > 0:
                    length = flow.abs().amax(dim=1) if components else flow.square().sum(dim=1).sqrt()
                    found.append(length / span)
        return torch.stack(found, dim=1)


class Teacher(Protocol):
    """Measures motion between two frames.

    Attributes:
        name: As `load_teacher` takes it.
        sha256: Of its file of weights; empty where it has none, or a package keeps them.
    """

    name: str
    sha256: str

    def motion(self, img0: Tensor, img1: Tensor) -> GapMotion:
        """What moves between frames [B,3,H,W] in 0..1, of any size."""


def load_teacher(name: str, device: str = TEACHER_DEVICE) -> Teacher:
    """A teacher by name.

    Args:
        name: "dis", "rife:PATH" and so on, as the head of this file lists them.
        device: Where its network computes; DIS is always on the CPU.

    Raises:
        WeightsError: The weights after "rife:" are missing or damaged.
        OptionError: This machine does not have the device.
        ValueError: There is no teacher of this name, or its package is not installed.
    """
    kind, _, rest = name.partition(":")
    device = str(choose_device(device))
    if name == "dis":
        return Dis()
    if kind == "rife" and rest:
        return Rife(rest, device)
    if kind == "dis+rife" and rest:
        return Both(rest, device)
    try:
        if name in ("raft_large", "raft_small"):
            return Raft(name, device)
        if kind == "ptlflow" and rest:
            return Ptlflow(rest, device)
        if kind == "memfof" and rest:
            return Memfof(rest, device)
    except ImportError as error:
        raise ValueError(f"teacher {name!r} needs a package that is not installed ({error})") from None
    known = "dis, rife:PATH, dis+rife:PATH, raft_large, raft_small, ptlflow:NAME[:CKPT], memfof:CKPT"
    raise ValueError(f"unknown teacher {name!r}: {known}")


def measure(
    teacher: Teacher, img0: Tensor, img1: Tensor, scale: float = TEACHER_SCALE, tile: int = TILE
) -> GapMotion:
    """What a teacher sees between frames of any size, tile by tile and blended.

    Motion that leads out of a tile cannot be measured.

    Args:
        teacher: Who measures.
        img0, img1: [B,3,H,W], RGB in 0..1.
        scale: The size at which it sees the frames, relative to their own. At 0.5 motion of under a pixel is lost.
        tile: Side in px of what it sees at once.

    Returns:
        The motion, in px of these frames.

    Raises:
        ValueError: A tile is no larger than the rims that are blended.
    """
    if tile <= 2 * OVERLAP:
        raise ValueError(f"a tile must be over {2 * OVERLAP} px wide, not {tile}")
    height, width = img0.shape[-2:]
    if scale != 1:
        img0, img1 = (
            F.interpolate(image, scale_factor=scale, mode="bilinear", antialias=True)
            for image in (img0, img1)
        )
    tall, wide = img0.shape[-2:]
    rows, columns = _starts(tall, tile), _starts(wide, tile)
    total: Tensor | None = None
    weights = img0.new_zeros(tall, wide)
    for y in rows:
        for x in columns:
            part = (..., slice(y, y + tile), slice(x, x + tile))
            motion = teacher.motion(img0[part], img1[part])
            weight = _ramp(y, tile, tall).view(-1, 1) * _ramp(x, tile, wide)
            weight = weight.to(img0.device)
            if total is None:
                total = motion.flows.new_zeros(*motion.flows.shape[:3], tall, wide)
            total[part] += motion.flows * weight
            weights[part[1:]] += weight
    assert total is not None
    flows = total / weights
    if scale != 1:
        ratio = flows.new_tensor([width / wide, height / tall] * 2).view(1, 4, 1, 1)
        resized = F.interpolate(flows.flatten(0, 1), (height, width), mode="bilinear", align_corners=False)
        flows = (resized * ratio).unflatten(0, flows.shape[:2])
    return GapMotion(motion.times, flows)


def _starts(size: int, tile: int) -> list[int]:
    """Where tiles begin: evenly spread, so that neighbours share at least OVERLAP px."""
    if size <= tile:
        return [0]
    count = -(-(size - OVERLAP) // (tile - OVERLAP))
    return [round(k * (size - tile) / (count - 1)) for k in range(count)]


def _ramp(start: int, tile: int, size: int) -> Tensor:
    """The weight of each row or column of a tile: it falls towards a rim beyond which the picture goes on."""
    length = min(tile, size)
    place = torch.arange(length) + 0.5
    rise = place if start > 0 else torch.full_like(place, torch.inf)
    fall = length - place if start + length < size else torch.full_like(place, torch.inf)
    return torch.minimum(rise, fall).clamp(max=OVERLAP) / OVERLAP


class Dis:
    """DIS on grey pictures, see `distill.data.dis.search`."""

    name = "dis"
    sha256 = ""

    def motion(self, img0: Tensor, img1: Tensor) -> GapMotion:
        pairs = list(zip(greys(img0), greys(img1), strict=True))
        ahead = torch.from_numpy(np.stack([search(start, end) for start, end in pairs]))
        back = torch.from_numpy(np.stack([search(end, start) for start, end in pairs]))
        return _between_frames(ahead.to(img0.device), back.to(img0.device))


class Rife:
    """The flow of RIFE weights, at several times inside the gap."""

    def __init__(self, weights: str, device: str, times: tuple[float, ...] = RIFE_TIMES) -> None:
        self.name, self.sha256 = f"rife:{weights}", sha256(find_weights(weights))
        self.times = times
        self._device = device
        self._network = load_rife(weights).to(device)

    @torch.inference_mode()
    def motion(self, img0: Tensor, img1: Tensor) -> GapMotion:
        start, end = img0.to(self._device), img1.to(self._device)
        flows = [self._network(start, end, time).flow for time in self.times]
        return GapMotion(self.times, torch.stack(flows, dim=1).to(img0.device))


class Both:
    """DIS from frame to frame, and RIFE weights in the middle of the gap.

    They err in different places: DIS where something soft moves slowly, and both on repetition, but seldom alike. The
    rules of `distill.data.labels` ask every flow, so that a pixel is labelled only where both agree.
    """

    def __init__(self, weights: str, device: str) -> None:
        rife = Rife(weights, device, times=(0.5,))
        self.name, self.sha256 = f"dis+rife:{weights}", rife.sha256
        self._teachers = Dis(), rife

    def motion(self, img0: Tensor, img1: Tensor) -> GapMotion:
        seen = [teacher.motion(img0, img1) for teacher in self._teachers]
        times = tuple(time for each in seen for time in each.times)
        return GapMotion(times, torch.cat([each.flows for each in seen], dim=1))


class Raft:
    """torchvision's RAFT (Teed and Deng, ECCV 2020) with its default weights."""

    sha256 = ""

    def __init__(self, name: str, device: str) -> None:
        from torchvision.models import optical_flow

        self.name = name
        self._device = device
        self._network = getattr(optical_flow, name)(weights="DEFAULT").to(device).eval()

    @torch.inference_mode()
    def motion(self, img0: Tensor, img1: Tensor) -> GapMotion:
        height, width = img0.shape[-2:]
        right, below = max(-width % 8, 128 - width), max(-height % 8, 128 - height)
        a, b = (
            F.pad(2 * image.to(self._device) - 1, (0, right, 0, below), mode="replicate")
            for image in (img0, img1)
        )
        ahead, back = (self._network(p, q)[-1][..., :height, :width] for p, q in ((a, b), (b, a)))
        return _between_frames(ahead.to(img0.device), back.to(img0.device))


class Ptlflow:
    """A model of ptlflow, by name and checkpoint. ptlflow takes BGR, as OpenCV reads it."""

    sha256 = ""

    def __init__(self, name: str, device: str) -> None:
        import ptlflow

        model, _, checkpoint = name.partition(":")
        self.name = f"ptlflow:{name}"
        self._device = device
        self._network = ptlflow.get_model(model, ckpt_path=checkpoint or None).to(device).eval()

    @torch.inference_mode()
    def motion(self, img0: Tensor, img1: Tensor) -> GapMotion:
        ahead, back = (
            self._network({"images": torch.stack(pair, dim=1).flip(2).to(self._device)})["flows"][:, 0]
            for pair in ((img0, img1), (img1, img0))
        )
        return _between_frames(ahead.to(img0.device), back.to(img0.device))


class Memfof:
    """MEMFOF (Bargatin et al., ICCV 2025). It takes three frames: here the other one twice, around its own."""

    sha256 = ""

    def __init__(self, checkpoint: str, device: str) -> None:
        from memfof import MEMFOF

        self.name = f"memfof:{checkpoint}"
        self._device = device
        self._network = MEMFOF.from_pretrained(checkpoint).to(device).eval()

    @torch.inference_mode()
    def motion(self, img0: Tensor, img1: Tensor) -> GapMotion:
        ahead, back = (
            self._network(255 * torch.stack((other, here, other), dim=1).to(self._device))["flow"][-1][:, 1]
            for here, other in ((img0, img1), (img1, img0))
        )
        return _between_frames(ahead.to(img0.device), back.to(img0.device))


def _between_frames(ahead: Tensor, back: Tensor) -> GapMotion:
    """Flow [B,2,H,W] from frame 0 to frame 1 and the other way round, at the times 0 and 1."""
    still = torch.zeros_like(ahead)
    flows = torch.stack((torch.cat((still, ahead), dim=1), torch.cat((back, still), dim=1)), dim=1)
    return GapMotion((0.0, 1.0), flows)
