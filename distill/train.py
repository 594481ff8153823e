"""Train the student: still or not, pixel by pixel, in pairs and in sequences."""

from __future__ import annotations

import copy
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import DataLoader

from distill.losses import balanced_bce, soft_dice
from distill.stills import Stills
from maskvfi.hub import load_static, save_weights
from maskvfi.static import StaticMaskNet


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that a run depends on beside its data."""

    steps: int = 12000
    batch: int = 4
    size: int = 224
    length: int = 5
    rate: float = 1.5e-3
    warmup: int = 200
    seed: int = 0


def train(data: Path, run: Path, recipe: Recipe, device: str = "cpu", start: Path | None = None) -> None:
    """Train by `recipe` on the shards in `data`; continues where the state in `run` ends.

    Writes run/state.pt (everything needed to go on), run/log.jsonl and run/weights.safetensors (the moving
    average of the weights).
    """
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    network = (load_static(start) if start else StaticMaskNet()).train().to(device)
    average = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, betas=(0.9, 0.99), weight_decay=1e-3)
    step = _restore(run / "state.pt", network, average, optimiser)
    samples = Stills(data, recipe.size, recipe.length, recipe.seed)
    indices = range(step * recipe.batch, recipe.steps * recipe.batch)
    loader = DataLoader(samples, recipe.batch, sampler=indices, num_workers=1, prefetch_factor=4)
    console, began, shown = Console(), time.monotonic(), step
    sums: dict[str, float] = {}
    for batch in loader:
        for group in optimiser.param_groups:
            group["lr"] = _rate(step, recipe)
        batch = {key: value.to(device) for key, value in batch.items()}
        losses = static_losses(network, batch, pairs=step % 2 == 0)
        optimiser.zero_grad()
        losses["total"].backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
        decay = min(0.999, (step + 1) / (step + 20))
        with torch.no_grad():
            for ours, new in zip(average.parameters(), network.parameters(), strict=True):
                ours.lerp_(new, 1 - decay)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
        if step % 50 == 0:
            record = {"step": step, **{name: round(value / (step - shown), 5) for name, value in sums.items()}}
            record["seconds_per_step"] = round((time.monotonic() - began) / (step - shown), 3)
            console.print(record)
            with open(run / "log.jsonl", "a") as log:
                log.write(json.dumps(record) + "\n")
            began, shown, sums = time.monotonic(), step, {}
        if step % 250 == 0 or step == recipe.steps:
            _store(run, step, network, average, optimiser, recipe)


def static_losses(network: StaticMaskNet, batch: dict[str, Tensor], pairs: bool) -> dict[str, Tensor]:
    """Balanced cross-entropy and soft Dice of the rarer class.

    batch: frames [B,N,3,H,W] uint8, static and sure [B,N-1,H,W] bool. With pairs, every gap is judged by
    its own two frames; else the whole sequence is judged in one pass.
    """
    frames = batch["frames"].float() / 255
    static, sure = batch["static"].float(), batch["sure"].float()
    if pairs:
        frames = torch.stack((frames[:, :-1], frames[:, 1:]), dim=2).flatten(0, 1)
        static, sure = static.flatten(0, 1)[:, None], sure.flatten(0, 1)[:, None]
    logits = network.logits(frames)
    cross, dice = balanced_bce(logits, static, sure), soft_dice(logits, static, sure)
    right = (((logits > 0) == static.bool()) * sure).sum() / sure.sum().clamp(min=1)
    return {"total": cross + 0.3 * dice, "bce": cross, "dice": dice, "right": right}


def _rate(step: int, recipe: Recipe) -> float:
    if step < recipe.warmup:
        return recipe.rate * (step + 1) / recipe.warmup
    share = (step - recipe.warmup) / max(recipe.steps - recipe.warmup, 1)
    return recipe.rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))


def _restore(path: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    if not path.is_file():
        return 0
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def _store(
    run: Path, step: int, network: nn.Module, average: StaticMaskNet, optimiser: torch.optim.Optimizer, recipe: Recipe
) -> None:
    state = {
        "step": step,
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    torch.save(state, run / "state.part")
    (run / "state.part").replace(run / "state.pt")
    save_weights(run / "weights.safetensors", average, steps=step, batch=recipe.batch, size=recipe.size)
