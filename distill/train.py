"""Train the student: still or not, pixel by pixel, in pairs and in sequences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from distill.loop import Batch, Schedule, fit
from distill.losses import balanced_bce, soft_dice
from distill.stills import Stills
from maskvfi.hub import load_static
from maskvfi.static import StaticMaskNet


def train(
    data: Path,
    run: Path,
    *,
    steps: int = 8500,
    batch: int = 4,
    size: int = 224,
    length: int = 5,
    rate: float = 1.5e-3,
    seed: int = 0,
    start: Path | None = None,
    device: str = "cpu",
    **fitting: Any,
) -> None:
    """Train a `StaticMaskNet` on the shards in `data` (from random weights, or from those in `start`).

    A batch is `batch` sequences of `length` frames, `size` px square; `fit` says what `run` will hold
    and what else it takes.
    """
    torch.manual_seed(seed)
    network = load_static(start) if start else StaticMaskNet()
    schedule = Schedule(steps, batch, rate, warmup=200, weight_decay=1e-3, seed=seed)
    fit(network, Stills(data, size, length, seed), static_losses, schedule, run, device, **fitting)


def static_losses(network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
    """Balanced cross-entropy and soft Dice of the rarer class.

    batch: frames [B,N,3,H,W] uint8, static and sure [B,N-1,H,W] bool. At even steps every gap is judged by
    its own two frames, at odd ones the whole sequence is judged in one pass: one set of weights serves both.
    """
    assert isinstance(network, StaticMaskNet)
    frames = batch["frames"].float() / 255
    static, sure = batch["static"].float(), batch["sure"].float()
    if step % 2 == 0:
        frames = torch.stack((frames[:, :-1], frames[:, 1:]), dim=2).flatten(0, 1)
        static, sure = static.flatten(0, 1)[:, None], sure.flatten(0, 1)[:, None]
    logits = network.logits(frames)
    cross, dice = balanced_bce(logits, static, sure), soft_dice(logits, static, sure)
    right = (((logits > 0) == static.bool()) * sure).sum() / sure.sum().clamp(min=1)
    return {"total": cross + 0.3 * dice, "bce": cross, "dice": dice, "right": right}
