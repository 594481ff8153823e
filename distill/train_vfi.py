"""Train an interpolation network: the picture at time t, and the flow there where it is known."""

from __future__ import annotations

import copy
import json
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import DataLoader

from distill.losses import charbonnier, end_point_error, laplacian
from distill.triplets import Triplets
from maskvfi.hub import load_vfi, save_weights
from maskvfi.rife import IFNet, Variant, find_variant

VFI_S = replace(
    find_variant("4.25"), family="vfi-s", versions=("vfi-s",), channels=(96, 64, 48, 32, 16), encoder_mid=8
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that a run depends on beside its data."""

    variant: str = "vfi-s"
    steps: int = 20000
    batch: int = 8
    size: int = 192
    rate: float = 8e-4
    warmup: int = 300
    synthetic: float = 0.4
    overlays: float = 0.25
    flow_weight: float = 0.02
    seed: int = 0


def train_vfi(data: Path, run: Path, recipe: Recipe, device: str = "cpu", start: Path | None = None) -> None:
    """Train by `recipe` on the shards in `data`; continues where the state in `run` ends.

    Writes run/state.pt (everything needed to go on), run/log.jsonl and run/weights.safetensors (the moving
    average of the weights).
    """
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    network = (load_vfi(start) if start else IFNet(variant_of(recipe))).train().to(device)
    if not start:
        _calm(network)
    average = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, betas=(0.9, 0.99), weight_decay=1e-4)
    step = _restore(run / "state.pt", network, average, optimiser)
    samples = Triplets(data, recipe.size, recipe.synthetic, recipe.overlays, recipe.seed)
    indices = range(step * recipe.batch, recipe.steps * recipe.batch)
    loader = DataLoader(samples, recipe.batch, sampler=indices, num_workers=1, prefetch_factor=4)
    console, began, shown = Console(), time.monotonic(), step
    for batch in loader:
        for group in optimiser.param_groups:
            group["lr"] = _rate(step, recipe)
        batch = {key: value.to(device) for key, value in batch.items()}
        losses = vfi_losses(network, batch, recipe.flow_weight * (1 - 0.7 * step / recipe.steps))
        optimiser.zero_grad()
        losses["total"].backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
        decay = min(0.999, (step + 1) / (step + 20))
        with torch.no_grad():
            for ours, new in zip(average.parameters(), network.parameters(), strict=True):
                ours.lerp_(new, 1 - decay)
        if step % 50 == 0:
            record = {"step": step, **{name: round(float(value), 6) for name, value in losses.items()}}
            record["seconds_per_step"] = round((time.monotonic() - began) / (step - shown), 3)
            console.print(record)
            with open(run / "log.jsonl", "a") as log:
                log.write(json.dumps(record) + "\n")
            began, shown = time.monotonic(), step
        if step % 250 == 0 or step == recipe.steps:
            _store(run, step, network, average, optimiser, recipe)


def vfi_losses(network: IFNet, batch: dict[str, Tensor], flow_weight: float) -> dict[str, Tensor]:
    """Reconstruction after every block (the last counts most), and flow where it is known.

    batch: img0, img1, truth [B,3,H,W] uint8; time [B,1,1,1]; flow [B,4,H,W]; trust [B,2,H,W].
    """
    img0, img1, truth = (batch[key].float() / 255 for key in ("img0", "img1", "truth"))
    height, width = truth.shape[-2:]
    stages = [*network.stages(img0, img1, batch["time"])]
    picture = flow = truth.new_zeros(())
    for index, stage in enumerate(stages):
        weight = 0.6 ** (len(stages) - 1 - index)
        picture = picture + weight * charbonnier(stage.frame()[..., :height, :width], truth)
        flow = flow + weight * end_point_error(stage.flow[..., :height, :width], batch["flow"], batch["trust"])
    frame = stages[-1].frame()[..., :height, :width]
    sharp = laplacian(frame, truth)
    error = (frame.detach() - truth).square().mean(dim=(1, 2, 3))
    return {
        "total": picture + 0.2 * sharp + flow_weight * flow,
        "picture": picture.detach(),
        "laplacian": sharp.detach(),
        "flow": flow.detach(),
        "psnr": (-10 * error.clamp(min=1e-6).log10()).mean(),
    }


def variant_of(recipe: Recipe) -> Variant:
    return VFI_S if recipe.variant == "vfi-s" else find_variant(recipe.variant)


def _calm(network: IFNet) -> None:
    """Start from no motion and an even blend: the first guesses of the output layers are made small."""
    for block in network.blocks:
        head = block.lastconv[0] if isinstance(block.lastconv, nn.Sequential) else block.lastconv
        nn.init.normal_(head.weight, std=1e-3)
        nn.init.zeros_(head.bias)


def _rate(step: int, recipe: Recipe) -> float:
    if step < recipe.warmup:
        return recipe.rate * (step + 1) / recipe.warmup
    share = (step - recipe.warmup) / max(recipe.steps - recipe.warmup, 1)
    return recipe.rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))


def _restore(path: Path, network: IFNet, average: IFNet, optimiser: torch.optim.Optimizer) -> int:
    if not path.is_file():
        return 0
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def _store(
    run: Path, step: int, network: IFNet, average: IFNet, optimiser: torch.optim.Optimizer, recipe: Recipe
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
