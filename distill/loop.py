"""The training loop that both networks share: resumable to the same result, averaged, logged."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from maskvfi.hub import save_weights
from maskvfi.rife import IFNet
from maskvfi.static import StaticMaskNet

Batch = dict[str, Tensor]
Losses = Callable[[nn.Module, Batch, int], dict[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast: `rate` warms up linearly, then falls along half a cosine to a fiftieth."""

    steps: int
    batch: int
    rate: float
    warmup: int = 250
    weight_decay: float = 1e-4
    seed: int = 0

    def rate_at(self, step: int) -> float:
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        share = (step - self.warmup) / max(self.steps - self.warmup, 1)
        return self.rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))


def fit(
    network: IFNet | StaticMaskNet,
    samples: Dataset[Batch],
    losses: Losses,
    schedule: Schedule,
    run: Path,
    device: str = "cpu",
    log_every: int = 50,
    store_every: int = 250,
    stop_after: int | None = None,
) -> None:
    """Minimise losses(network, batch, step)["total"]; continues where the state in `run` ends.

    Sample k of the data set must depend on k alone: batch n holds samples n*B to n*B+B-1, so that a resumed
    run sees what an unbroken one sees. Writes run/state.pt (everything needed to go on), run/log.jsonl (means
    since the line before) and run/weights.safetensors (the moving average of the weights). stop_after
    ends before schedule.steps, to go on another time.
    """
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(schedule.seed)
    network = network.train().to(device)
    average = copy.deepcopy(network).eval()
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=schedule.rate, betas=(0.9, 0.99), weight_decay=schedule.weight_decay
    )
    step = _restore(run / "state.pt", network, average, optimiser)
    until = schedule.steps if stop_after is None else min(stop_after, schedule.steps)
    indices = range(step * schedule.batch, until * schedule.batch)
    loader = DataLoader(samples, schedule.batch, sampler=indices, num_workers=1, prefetch_factor=4)
    console, began, logged = Console(stderr=True), time.monotonic(), step
    sums: dict[str, float] = {}
    for batch in loader:
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate_at(step)
        values = losses(network, {key: value.to(device) for key, value in batch.items()}, step)
        optimiser.zero_grad()
        values["total"].backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
        _follow(average, network, min(0.999, (step + 1) / (step + 20)))
        for name, value in values.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
        if step % log_every == 0 or step == until:
            record = {
                "step": step,
                **{name: round(total / (step - logged), 5) for name, total in sums.items()},
            }
            record["seconds_per_step"] = round((time.monotonic() - began) / (step - logged), 3)
            console.print(record, soft_wrap=True)
            with open(run / "log.jsonl", "a") as log:
                log.write(json.dumps(record) + "\n")
            began, logged, sums = time.monotonic(), step, {}
        if step % store_every == 0 or step == until:
            _store(run, step, network, average, optimiser, schedule)


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    for ours, new in zip(average.parameters(), network.parameters(), strict=True):
        ours.lerp_(new, 1 - decay)


def _restore(path: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    if not path.is_file():
        return 0
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def _store(
    run: Path,
    step: int,
    network: nn.Module,
    average: IFNet | StaticMaskNet,
    optimiser: torch.optim.Optimizer,
    schedule: Schedule,
) -> None:
    state = {
        "step": step,
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    torch.save(state, run / "state.part")
    (run / "state.part").replace(run / "state.pt")
    save_weights(run / "weights.safetensors", average, steps=step, schedule=asdict(schedule))
