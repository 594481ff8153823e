"""The training loop that all networks share: any device or many, resumable to the same result, averaged, logged."""

from __future__ import annotations

import copy
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from rich.console import Console
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard import SummaryWriter

from distill.options import FitOptions
from distill.training.muon import Muon
from maskvfi.models.base import InterpolationNetwork
from maskvfi.models.static import StaticMaskNet
from maskvfi.paths import written_whole
from maskvfi.weights.load import save_weights
from maskvfi.weights.read import first_line

# Options that may differ when a run is resumed.
_MAY_DIFFER = ("cpu", "log_every", "store_every", "stop_after")
Batch = dict[str, Tensor]
Losses = Callable[[nn.Module, Batch, int], dict[str, Tensor]]  # (network, batch, step) -> terms and "total"
Pictures = Callable[[nn.Module, Batch], dict[str, Tensor]]  # (network, batch) -> [N,3,H,W] in 0..1, by name
Save = Callable[..., None]  # (run, network, **facts): writes weights into the folder, facts into their header


def save_one(run: Path, network: nn.Module, **facts: Any) -> None:
    """Write run/weights.safetensors.

    Args:
        run: The folder.
        network: A network of maskvfi's, whose header will say how to build it, or any other, without a header.
        **facts: More for the header.
    """
    path = run / "weights.safetensors"
    if isinstance(network, InterpolationNetwork | StaticMaskNet):
        save_weights(path, network, **facts)
        return
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    with written_whole(path) as partial:
        partial.write_bytes(save_tensors(state))


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long a training lasts and how fast it learns.

    The learning rate warms up linearly, holds, and in the end falls linearly to a fiftieth. Unlike with a cosine, a
    run can be prolonged: the rate before the cooldown does not depend on the number of steps (Hägele et al., NeurIPS
    2024).

    Attributes:
        steps: How many there are.
        batch: Samples in a step, of all processes together.
        rate: The highest learning rate.
        warmup: Steps until the rate is reached.
        cooldown: The share of the steps over which it falls.
        weight_decay: As AdamW has it.
        seed: Of PyTorch's random numbers.
        optimiser: "muon" or "adamw".
    """

    steps: int
    batch: int
    rate: float
    warmup: int = 250
    cooldown: float = 0.2
    weight_decay: float = 1e-4
    seed: int = 0
    optimiser: str = "muon"

    def rate_at(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        left = (self.steps - step) / max(self.cooldown * self.steps, 1)
        return self.rate * min((step + 1) / self.warmup, 1.0, max(left, 0.02))


def make_optimiser(network: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    """Muon, or AdamW, whose small steps do not undo what good weights know already."""
    if schedule.optimiser == "muon":
        return Muon(network, schedule.rate, schedule.weight_decay)
    group = {"params": [each for each in network.parameters() if each.requires_grad], "ratio": 1.0}
    return torch.optim.AdamW([group], lr=schedule.rate, betas=(0.9, 0.99), weight_decay=schedule.weight_decay)


def fit(
    network: nn.Module,
    samples: Dataset[Batch],
    losses: Losses,
    schedule: Schedule,
    run: Path,
    options: FitOptions,
    *,
    pictures: Pictures | None = None,
    save: Save = save_one,
) -> None:
    """Minimise a loss. A run that was stopped continues from its stored state.

    It runs on the device that accelerate finds, and on several under `accelerate launch`. Batch n holds the samples
    n*B to n*B+B-1, of which every process takes the next share. So a resumed run sees what an unbroken one sees,
    whatever the number of processes.

    The folder gets state.pt (all that is needed to go on), log.jsonl (means since the line before), what `save` makes
    of the moving average of the weights, and TensorBoard's files. Frozen parameters stay as they are.

    Args:
        network: What learns.
        samples: Sample k must depend on k alone.
        losses: The terms of the loss; the one named "total" is minimised. They must be means over samples, or divided
            by `mean_over_processes`, so that several processes take the steps that one would take.
        schedule: How long, and how fast.
        run: The folder.
        options: On which device, how precisely, and how often to log and to store.
        pictures: What to show in TensorBoard.
        save: How to write the weights.

    Raises:
        ValueError: The processes cannot share a batch evenly, they do not see the same `run`, or the state there is
            that of another network, or the loss is not a number.
        MediaError: `run` cannot be written.
    """
    accelerator = _accelerator(options)
    share = _share(schedule.batch, accelerator.num_processes)
    torch.manual_seed(schedule.seed)
    network = network.train().to(accelerator.device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(network).eval()
    optimiser = make_optimiser(network, schedule)
    parts: dict[str, Any] = {"network": network, "average": average, "optimiser": optimiser}
    if accelerator.scaler is not None:
        parts["scaler"] = accelerator.scaler
    chosen = {name: value for name, value in options.to_dict().items() if name not in _MAY_DIFFER}
    step, before = _restore(run / "state.pt", parts)
    _check_that_all_restored(step, run, accelerator)
    until = min(options.stop_after or schedule.steps, schedule.steps)
    mine = _own_samples(range(step, until), schedule.batch, share, accelerator.process_index)
    gpu = accelerator.device.type == "cuda"
    loader = DataLoader(
        samples,
        share,
        sampler=mine,
        num_workers=_workers(accelerator) if gpu else 1,
        prefetch_factor=4,
        pin_memory=gpu,
    )
    objective, stepper = accelerator.prepare(_Objective(network, losses), optimiser)
    log = _Log(run, step, accelerator)
    log.say_what_differs(before, chosen)
    for batch in _batches(loader):
        batch = {key: value.to(accelerator.device, non_blocking=True) for key, value in batch.items()}
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate_at(step) * group["ratio"]
        log.add(_learn(objective, stepper, batch, step, accelerator))
        step += 1
        _follow(average, network, min(0.999, (step + 1) / (step + 20)))
        if step % options.log_every == 0 or step == until:
            log.write(step)
        if accelerator.is_main_process and (step % options.store_every == 0 or step == until):
            save(run, average, steps=step, schedule=asdict(schedule))
            _store(run, step, chosen, parts)  # last: a run that is killed between the two stores both again
            if pictures:
                log.show(step, pictures(average, batch))
    log.close()
    accelerator.wait_for_everyone()
    accelerator.end_training()


def _batches(loader: DataLoader[Batch]) -> Iterator[Batch]:
    """The batches of a loader. An error in its worker comes with a whole traceback, whose end says what is wrong."""
    try:
        yield from loader
    except (ValueError, OSError) as error:
        told = re.split(r"^\w*Error: ", str(error), flags=re.MULTILINE)[-1]
        raise ValueError(" ".join(told.split()) or repr(error)) from error


def _accelerator(options: FitOptions) -> Accelerator:
    """The device and the precision that the options ask for; accelerate calls float32 "no"."""
    AcceleratorState._reset_state(reset_partial_state=True)  # an earlier training may have asked for others
    return Accelerator(
        cpu=options.cpu,
        mixed_precision="no" if options.precision == "fp32" else options.precision,
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


def _workers(accelerator: Accelerator) -> int:
    """How many cores make samples for a GPU: all of this process's part but one."""
    return max(1, (os.cpu_count() or 1) // accelerator.num_processes - 1)


def _share(batch: int, processes: int) -> int:
    """How many samples of a batch each process takes. Raises ValueError where they cannot be shared evenly."""
    share, rest = divmod(batch, processes)
    if rest:
        raise ValueError(f"a batch of {batch} cannot be shared by {processes} processes")
    return share


def _own_samples(steps: range, batch: int, share: int, process: int) -> list[int]:
    """The numbers of the samples that a process sees, in order."""
    return [step * batch + process * share + place for step in steps for place in range(share)]


def _check_that_all_restored(step: int, run: Path, accelerator: Accelerator) -> None:
    """Raise ValueError if the processes go on from different steps."""
    steps = accelerator.gather(torch.tensor([step], device=accelerator.device))
    if steps.min() != steps.max():
        raise ValueError(
            f"{run}: the processes see different states there; all machines must share the folder"
        )


def _learn(
    objective: nn.Module, stepper: Any, batch: Batch, step: int, accelerator: Accelerator
) -> dict[str, Tensor]:
    """Take a step of the optimiser. Returns the terms of the loss before it."""
    with accelerator.autocast():
        values: dict[str, Tensor] = objective(batch, step)
    # A NaN crashes the backward pass of the warp and would spoil the stored weights. A scaler skips such steps itself.
    if accelerator.scaler is None and not torch.isfinite(values["total"]):
        raise ValueError(
            f"step {step + 1}: the loss is not a number; what was stored last is kept (a lower rate?)"
        )
    stepper.zero_grad()
    accelerator.backward(values["total"])
    accelerator.clip_grad_norm_(objective.parameters(), 1.0)
    stepper.step()
    return values


class _Objective(nn.Module):
    """The losses as the forward pass of a module: several processes exchange gradients after such a pass."""

    def __init__(self, network: nn.Module, losses: Losses) -> None:
        super().__init__()
        self.network, self.losses = network, losses

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        return self.losses(self.network, batch, step)


class _Log:
    """The means of each term: as a line on the console and in log.jsonl, and as points in TensorBoard."""

    def __init__(self, run: Path, step: int, accelerator: Accelerator) -> None:
        self.accelerator, self.path, self.console = (
            accelerator,
            run / "log.jsonl",
            Console(stderr=True, markup=False),
        )
        if accelerator.is_main_process:
            run.mkdir(parents=True, exist_ok=True)
            self.board = SummaryWriter(str(run), purge_step=step + 1)
            _forget_after(self.path, step)
            count, device = accelerator.num_processes, accelerator.device.type
            self.console.print(f"{run}: {count} process{'es' * (count > 1)} on {device}", soft_wrap=True)
        self.step, self.since = step, time.monotonic()
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}  # a term may be new in the middle of a line

    def say_what_differs(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        """Warn of a run that goes on with other options than those it was stored with."""
        changed = [
            f"{key} {before[key]} -> {now[key]}" for key in before.keys() & now if before[key] != now[key]
        ]
        if changed and self.accelerator.is_main_process:
            line = f"warning: the run goes on with other options: {', '.join(sorted(changed))}"
            self.console.print(line, soft_wrap=True)

    def add(self, values: dict[str, Tensor]) -> None:
        """Count the terms of a step."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value.detach()
            self.counts[name] = self.counts.get(name, 0) + 1

    def write(self, step: int) -> None:
        """Called by every process: the means are over all of them."""
        count = step - self.step
        totals = self.accelerator.reduce(torch.stack([*self.sums.values()]), reduction="mean")
        record = {
            name: round(total / self.counts[name], 5)
            for name, total in zip(self.sums, totals.tolist(), strict=True)
        }
        record["seconds_per_step"] = round((time.monotonic() - self.since) / count, 3)
        self.step, self.since, self.sums, self.counts = step, time.monotonic(), {}, {}
        if self.accelerator.is_main_process:
            for name, value in record.items():
                self.board.add_scalar(name, value, step)
            line = {"step": step, **record}
            self.console.print(line, soft_wrap=True)
            with open(self.path, "a") as file:
                file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self.accelerator.is_main_process:
            self.board.close()

    def show(self, step: int, pictures: dict[str, Tensor]) -> None:
        """Add pictures [N,3,H,W] to TensorBoard."""
        for name, picture in pictures.items():
            self.board.add_images(name, picture.float().clamp(0, 1), step)
        self.board.flush()


def _forget_after(path: Path, step: int) -> None:
    """Delete the lines of a log that a resumed run will write again, and one that a kill has torn."""
    if path.is_file():
        lines = path.read_text().splitlines(keepends=True)
        path.write_text(
            "".join(line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step)
        )


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    for ours, new in zip(average.parameters(), network.parameters(), strict=True):
        ours.lerp_(new, 1 - decay)


def _restore(path: Path, parts: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Fill `parts` from the state in a file, if there is one. Returns the number of steps done, and their options."""
    if not path.is_file():
        return 0, {}
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make the unpickler raise any type of exception
        raise ValueError(f"{path}: is damaged, the run cannot be continued ({first_line(error)})") from None
    for name, part in parts.items():
        try:
            part.load_state_dict(state[name])
        except (KeyError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"{path}: does not continue this run, its {name} differs ({first_line(error)})"
            ) from None
    return int(state["step"]), state.get("options", {})


def _store(run: Path, step: int, options: dict[str, Any], parts: dict[str, Any]) -> None:
    state = {"step": step, "options": options, **{name: part.state_dict() for name, part in parts.items()}}
    with written_whole(run / "state.pt") as partial:
        torch.save(state, partial)
