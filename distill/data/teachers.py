"""Optical flow teachers behind one protocol; each is imported only when it is asked for.

dis                    OpenCV's DIS, always there
rife:PATH              any RIFE weights, by path or name
raft_large, raft_small torchvision's RAFT (extra: torchvision)
ptlflow:NAME[:CKPT]    any model of ptlflow, such as ptlflow:sea_raft_m:spring (extra: ptlflow)
memfof:CKPT            MEMFOF's own package, such as memfof:egorchistov/optical-flow-MEMFOF-Tartan-T-TSKH
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

RIFE_TIMES = (0.25, 0.5, 0.75)
TILE, OVERLAP = 1024, 128  # px: what a teacher sees at once, and how far neighbouring tiles are blended


@dataclass(frozen=True, slots=True)
class Motion:
    """What a teacher saw in a gap: at each of K times, the flow to both frames, [B,K,4,H,W] in px.

    A teacher of frame-to-frame flow sees at times 0 and 1.
    """

    times: tuple[float, ...]
    flows: Tensor

    def speeds(self, components: bool = False) -> Tensor:
        """Px per gap that each pixel moves, by every flow to a frame at another time: [B,M,H,W].

        With components it is the larger of the shifts along x and y, else the length of both.
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
    """Measures motion between two frames [B,3,H,W] in 0..1, of any size."""

    name: str

    def motion(self, img0: Tensor, img1: Tensor) -> Motion: ...


def load_teacher(name: str, device: str = "cpu") -> Teacher:
    """The teacher of a name that the head of this file lists. Raises ValueError for another, or one not installed."""
    kind, _, rest = name.partition(":")
    if name == "dis":
        return Dis()
    if kind == "rife" and rest:
        return Rife(rest, device)
    try:
        if name in ("raft_large", "raft_small"):
            return Raft(name, device)
        if kind == "ptlflow" and rest:
            return Ptlflow(rest, device)
        if kind == "memfof" and rest:
            return Memfof(rest, device)
    except ImportError as error:
        raise ValueError(f"teacher {name!r} needs a package that is not installed ({error})") from None
    known = "dis, rife:PATH, raft_large, raft_small, ptlflow:NAME[:CKPT], memfof:CKPT"
    raise ValueError(f"unknown teacher {name!r}: {known}")


def measure(teacher: Teacher, img0: Tensor, img1: Tensor, scale: float = 1.0, tile: int = TILE) -> Motion:
    """What `teacher` sees between frames of any size [B,3,H,W], tile by tile and blended, in px of these frames.

    scale shrinks (or enlarges) the frames before: motion under a pixel is lost at 0.5. Flow is whole only where
    motion is shorter than what a tile sees around it. Raises ValueError for a tile that is no larger than the
    blended rim.
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
    return Motion(motion.times, flows)


def _starts(size: int, tile: int) -> list[int]:
    """Where tiles begin: evenly spread, at least OVERLAP px shared by neighbours."""
    if size <= tile:
        return [0]
    count = -(-(size - OVERLAP) // (tile - OVERLAP))
    return [round(k * (size - tile) / (count - 1)) for k in range(count)]


def _ramp(start: int, tile: int, size: int) -> Tensor:
    """How much each row or column of a tile counts: less towards a rim behind which the picture goes on."""
    length = min(tile, size)
    place = torch.arange(length) + 0.5
    rise = place if start > 0 else torch.full_like(place, torch.inf)
    fall = length - place if start + length < size else torch.full_like(place, torch.inf)
    return torch.minimum(rise, fall).clamp(max=OVERLAP) / OVERLAP


class Dis:
    """OpenCV's dense inverse search (Kroeger et al., ECCV 2016), on grey pictures."""

    name = "dis"

    def motion(self, img0: Tensor, img1: Tensor) -> Motion:
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

        def flow(a: np.ndarray, b: np.ndarray) -> Tensor:
            return torch.from_numpy(search.calc(a, b, None)).permute(2, 0, 1)

        ahead, back = [], []
        for start, end in zip(_greys(img0), _greys(img1), strict=True):
            ahead.append(flow(start, end))
            back.append(flow(end, start))
        return _between_frames(torch.stack(ahead).to(img0.device), torch.stack(back).to(img0.device))


class Rife:
    """Any RIFE weights: their flow at several times inside the gap."""

    def __init__(self, weights: str, device: str = "cpu") -> None:
        from maskvfi.weights.load import load_vfi

        self.name = f"rife:{weights}"
        self._network = load_vfi(weights).to(device)

    @torch.inference_mode()
    def motion(self, img0: Tensor, img1: Tensor) -> Motion:
        flows = [self._network(img0, img1, time).flow for time in RIFE_TIMES]
        return Motion(RIFE_TIMES, torch.stack(flows, dim=1))


class Raft:
    """torchvision's RAFT (Teed and Deng, ECCV 2020) with its default weights."""

    def __init__(self, name: str, device: str = "cpu") -> None:
        from torchvision.models import optical_flow

        self.name = name
        self._network = getattr(optical_flow, name)(weights="DEFAULT").to(device).eval()

    @torch.inference_mode()
    def motion(self, img0: Tensor, img1: Tensor) -> Motion:
        height, width = img0.shape[-2:]
        right, below = max(-width % 8, 128 - width), max(-height % 8, 128 - height)
        a, b = (F.pad(2 * image - 1, (0, right, 0, below), mode="replicate") for image in (img0, img1))
        ahead, back = (self._network(p, q)[-1][..., :height, :width] for p, q in ((a, b), (b, a)))
        return _between_frames(ahead, back)


class Ptlflow:
    """A model of ptlflow, by name and checkpoint."""

    def __init__(self, name: str, device: str = "cpu") -> None:
        import ptlflow

        model, _, checkpoint = name.partition(":")
        self.name = f"ptlflow:{name}"
        self._network = ptlflow.get_model(model, ckpt_path=checkpoint or None).to(device).eval()

    @torch.inference_mode()
    def motion(self, img0: Tensor, img1: Tensor) -> Motion:
        ahead, back = (
            self._network({"images": torch.stack(pair, dim=1)})["flows"][:, 0]
            for pair in ((img0, img1), (img1, img0))
        )
        return _between_frames(ahead, back)


class Memfof:
    """MEMFOF (Bargatin et al., ICCV 2025), which sees three frames; here the other frame stands on both sides."""

    def __init__(self, checkpoint: str, device: str = "cpu") -> None:
        from memfof import MEMFOF

        self.name = f"memfof:{checkpoint}"
        self._network = MEMFOF.from_pretrained(checkpoint).to(device).eval()

    @torch.inference_mode()
    def motion(self, img0: Tensor, img1: Tensor) -> Motion:
        ahead, back = (
            self._network(255 * torch.stack((other, here, other), dim=1))["flow"][-1][:, 1]
            for here, other in ((img0, img1), (img1, img0))
        )
        return _between_frames(ahead, back)


def _between_frames(ahead: Tensor, back: Tensor) -> Motion:
    still = torch.zeros_like(ahead)
    return Motion((0.0, 1.0), torch.stack((torch.cat((still, ahead), 1), torch.cat((back, still), 1)), dim=1))


def _greys(images: Tensor) -> list[np.ndarray]:
    codes = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return [cv2.cvtColor(code, cv2.COLOR_RGB2GRAY) for code in codes]
