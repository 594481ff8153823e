"""Train the student: still or not, pixel by pixel, in pairs and in sequences."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from distill.training.loop import Batch, Schedule, fit
from distill.training.losses import balanced_bce, mean_over_processes, soft_dice
from distill.training.published import PublishedUNet
from distill.data.mask_samples import Stills
from maskvfi.weights.load import load_static
from maskvfi.models.static import StaticMaskNet


class Judge(Protocol):
    """What can be trained here: frames [B,N,3,H,W] in 0..1 -> logits [B,N-1,H,W]."""

    def logits(self, frames: Tensor) -> Tensor: ...


def train(
    data: Path,
    run: Path,
    *,
    network: str = "static-s",
    steps: int = 8000,
    batch: int = 6,
    size: int = 224,
    length: int = 5,
    rate: float = 1.2e-3,
    seed: int = 0,
    start: Path | None = None,
    **fitting: Any,
) -> None:
    """Train a mask network on the shards in `data` (from random weights, or from those in `start`).

    network is "static-s" or "published", the baseline. A batch is `batch` sequences of `length` frames,
    `size` px square; `fit` says what `run` will hold and what else it takes.
    Raises ValueError for another network.
    """
    torch.manual_seed(seed)
    if network not in ("static-s", "published"):
        raise ValueError(f"unknown network {network!r}: static-s or published")
    student = load_static(start) if start else StaticMaskNet() if network == "static-s" else PublishedUNet()
    schedule = Schedule(steps, batch, rate, warmup=200, cooldown=0.4, weight_decay=1e-3, seed=seed)
    fit(student, Stills(data, size, length, seed), static_losses, schedule, run, pictures=panels, **fitting)


def static_losses(network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
    """Balanced cross-entropy and soft Dice of the rarer class.

    batch: frames [B,N,3,H,W] uint8, static and sure [B,N-1,H,W] bool. At every third step each gap is judged
    by its own two frames, else the whole sequence in one pass, as in a video: one set of weights serves both.
    Classes are balanced within each sample, so that it does not matter which process has which samples.
    """
    frames, static, sure = as_floats(batch)
    if step % 3 == 0:
        frames = torch.stack((frames[:, :-1], frames[:, 1:]), dim=2).flatten(0, 1)
        static, sure = static.flatten(0, 1)[:, None], sure.flatten(0, 1)[:, None]
    logits = cast(Judge, network).logits(frames).float()
    cross, dice = balanced_bce(logits, static, sure), soft_dice(logits, static, sure)
    right = (((logits > 0) == static.bool()) * sure).sum() / mean_over_processes(sure.sum()).clamp(min=1)
    return {"total": cross + 0.5 * dice, "bce": cross, "dice": dice, "right": right}


def as_floats(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Frames in 0..1, static and sure as 0 or 1."""
    return batch["frames"].float() / 255, batch["static"].float(), batch["sure"].float()


@torch.no_grad()
def panels(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """For TensorBoard, the first gap of every sequence: both frames, the truth (grey: unsure) and the mask."""
    frames, static, sure = as_floats(batch)
    mask = torch.sigmoid(cast(Judge, network).logits(frames))
    truth = torch.where(sure > 0, static, 0.5)
    grey = [plane[:, :1].expand(-1, 3, -1, -1) for plane in (truth, mask)]
    return {"frames, truth, mask": torch.cat((frames[:, 0], frames[:, 1], *grey), dim=3)}
