"""Ablations of the mask's network, loss and labels: one short training for each variant, scored by StaticBench.

python -m benchmarks.ablate network|loss|labels --data SHARDS --clips CLIPS --out FOLDER

Every variant sees the same samples in the same order, and differs in one thing from the first row. One row of the
losses differs only in its first weights, and shows what chance does. An interrupted command continues when it is given
again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast

import cv2
import numpy as np
import torch
import typer
from einops import rearrange
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import Dataset

from benchmarks.begun import check_begun
from distill.data.labels import PUBLISHED, Rule, static_labels
from distill.data.mask_samples import Stills
from distill.data.teachers import load_teacher
from distill.data.tensors import as_batch
from distill.evaluate.judges import PUBLISHED_PREFIX
from distill.evaluate.staticbench import measure_static, static_table
from distill.options import FitOptions
from distill.synthetic.degrade import degrade
from distill.synthetic.overlays import paste, random_overlays
from distill.training.loop import Batch, Losses, Schedule, fit
from distill.training.losses import balanced_bce, bce_dice, published_l1, soft_dice
from distill.training.mask import TrainableMask, as_floats, as_pairs, static_losses
from distill.training.published import PublishedUNet
from maskvfi.models.static import StaticConfig, StaticMaskNet
from maskvfi.paths import written_whole
from maskvfi.weights.read import sha256

SIZE, LENGTH, BATCH, RATE, SEED = 160, 3, 8, 1.5e-3, 5
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
FULL = StaticConfig()

NETWORKS: dict[str, StaticConfig | None] = {
    "as shipped, one output": FULL,
    "no local flow, no correlation at zero motion": replace(FULL, moments=False),
    "no matching of neighbouring cells": replace(FULL, reach=(0, 0)),
    "no view of the whole picture": replace(FULL, context=False),
    "8 channels at 1/2": replace(FULL, widths=(8, *FULL.widths[1:])),
    "half as wide below 1/2": replace(FULL, widths=(12, 12, 16, 18, 28), encoder=(6, 12)),
    "published UNet": None,
}
LOSSES: dict[str, Loss] = {
    "cross-entropy^0.8 + 0.5 Dice (as shipped)": lambda x, y, m: (
        balanced_bce(x, y, m) + 0.5 * soft_dice(x, y, m)
    ),
    "cross-entropy^0.8 alone": balanced_bce,
    "cross-entropy^0.5 + 0.5 Dice": lambda x, y, m: balanced_bce(x, y, m, 0.5) + 0.5 * soft_dice(x, y, m),
    "cross-entropy, classes equal, + 0.5 Dice": lambda x, y, m: (
        balanced_bce(x, y, m, 0.0) + 0.5 * soft_dice(x, y, m)
    ),
    "plain cross-entropy + Dice of static": bce_dice,
    "published: L1 + L1 of static": published_l1,
}
CHANCE = "as shipped, one output, other first weights"
LABELS = {  # teacher, whether it sees the frames as the student gets them, rule
    "DIS, clean frames": ("dis", False, Rule()),
    "RIFE 4.0, clean frames": ("rife:rife-4.0", False, Rule()),
    "both agree, clean frames": ("dis+rife:rife-4.0", False, Rule()),
    "RIFE 4.0, published rule, clean frames": ("rife:rife-4.0", False, PUBLISHED),
    "RIFE 4.0, published rule, degraded frames": ("rife:rife-4.0", True, PUBLISHED),
    "DIS, published rule, degraded frames": ("dis", True, PUBLISHED),
    "DIS, degraded frames": ("dis", True, Rule()),
}
EXACT = "overlays exactly, footage by DIS"


class Drawn(Dataset[dict[str, Tensor]]):
    """Samples that were drawn in advance, so that training does not wait for them.

    Args:
        kept: Arrays [K,...] by name.
        label: Which set of labels to use.
    """

    def __init__(self, kept: dict[str, np.ndarray], label: int = 0) -> None:
        self.kept, self.label = kept, label

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        place = index % len(self.kept["frames"])
        pick = {"frames": (place,), "static": (place, self.label), "sure": (place, self.label)}
        return {key: torch.from_numpy(self.kept[key][index].copy()) for key, index in pick.items()}


def main(
    what: Annotated[str, typer.Argument(help="network, loss or labels.")],
    data: Annotated[Path, typer.Option(help="Shards.")],
    clips: Annotated[Path, typer.Option(help="Clips for StaticBench.")],
    out: Annotated[Path, typer.Option(help="Where samples and runs go.")],
    steps: int = 600,
    samples: int = 1600,
    cases: Annotated[int, typer.Option(help="Composites per kind and clip.")] = 3,
) -> None:
    """Train the variants and print the table of their scores."""
    plan = sha256(data / "tuples.json") if (data / "tuples.json").is_file() else None
    check_begun(out / what / "begun.json", data=str(data.resolve()), plan=plan, steps=steps, samples=samples)
    drawn = draw_footage if what == "labels" else draw_samples
    source = f"{'-'.join(data.resolve().parts[1:])}-{(plan or '')[:8]}"
    kept = once(out / f"{drawn.__name__}-{source}-{samples}.npz", lambda: drawn(data, samples))
    schedule = Schedule(steps, BATCH, RATE, warmup=50, weight_decay=1e-3, seed=SEED)
    judged = []
    for name, (config, loss, label) in variants(what).items():
        run = out / what / name.replace("/", " of ").replace(":", "")
        torch.manual_seed(SEED + (name == CHANCE))
        network = StaticMaskNet(config) if config else PublishedUNet()
        fit(network, Drawn(kept, label), loss, schedule, run, FitOptions(cpu=True, store_every=200))
        judged.append(f"{'' if config else PUBLISHED_PREFIX}{run / 'weights.safetensors'}")
    Console(width=200).print(static_table(measure_static(clips, judged, cases)))


def variants(what: str) -> dict[str, tuple[StaticConfig | None, Losses, int]]:
    """The variants of a subject ("network", "loss" or "labels") by name.

    Each is a network (None for the published one), its losses, and the number of its labels: EXACT first, then LABELS.

    Raises:
        ValueError: The subject is unknown.
    """
    if what == "network":
        return {name: (config, static_losses, 0) for name, config in NETWORKS.items()}
    if what == "loss":
        found = {name: (FULL, pairs_and_sequences(loss), 0) for name, loss in LOSSES.items()}
        return {**found, CHANCE: (FULL, static_losses, 0)}
    if what == "labels":
        return {name: (FULL, static_losses, place) for place, name in enumerate((EXACT, *LABELS))}
    raise ValueError(f"unknown subject {what!r}: network, loss or labels")


def pairs_and_sequences(loss: Loss) -> Losses:
    """Like `static_losses`, at every third step on pairs too, with another loss."""

    def losses(network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        frames, static, sure = as_floats(batch)
        if step % 3 == 0:
            frames, static, sure = as_pairs(frames, static, sure)
        return {"total": loss(cast(TrainableMask, network).logits(frames), static, sure)}

    return losses


def draw_samples(data: Path, count: int) -> dict[str, np.ndarray]:
    """Draw samples as for the shipped weights, but smaller and shorter."""
    stills = Stills(data, SIZE, LENGTH, SEED)
    found = [stills[index] for index in track(range(count), description="drawing")]
    kept = {key: np.stack([sample[key].numpy() for sample in found]) for key in ("frames", "static", "sure")}
    return {key: value if key == "frames" else value[:, None] for key, value in kept.items()}


def draw_footage(data: Path, count: int) -> dict[str, np.ndarray]:
    """Draw degraded real footage with overlays, with one set of labels for each variant."""
    cv2.setNumThreads(1)
    teachers = {name: load_teacher(name) for name in {teacher for teacher, _, _ in LABELS.values()}}
    stills = Stills(data, SIZE, LENGTH, SEED)
    kept: dict[str, list[np.ndarray]] = {"frames": [], "static": [], "sure": []}
    for index in track(range(count), description="drawing"):
        rng = np.random.default_rng((SEED, 79, index))
        clean, *_ = stills.footage(rng)  # not its labels: they may be another teacher's, by another rule
        bare = as_batch(clean)
        still = static_labels(teachers["dis"].motion(bare[:-1], bare[1:]), bare[:-1], bare[1:], Rule())
        static, unsure = (part.numpy() for part in still)
        composite = paste(clean, random_overlays(LENGTH, SIZE, SIZE, rng))
        shown = degrade(composite.frames, rng)
        exact = (
            (static & ~composite.unsure & ~composite.moving) | composite.static,
            (unsure | composite.unsure) & ~composite.static & ~composite.moving,
        )
        seen = [as_batch(composite.frames), as_batch(shown)]
        motion = {
            (name, degraded): teachers[name].motion(seen[degraded][:-1], seen[degraded][1:])
            for name, degraded in {(teacher, degraded) for teacher, degraded, _ in LABELS.values()}
        }
        labels = [exact]
        for name, degraded, rule in LABELS.values():
            images = seen[degraded]
            found = static_labels(motion[name, degraded], images[:-1], images[1:], rule)
            labels.append((found[0].numpy(), found[1].numpy()))
        kept["frames"].append(rearrange(np.stack(shown), "n h w c -> n c h w"))
        kept["static"].append(np.stack([static for static, _ in labels]))
        kept["sure"].append(~np.stack([unsure for _, unsure in labels]))
    return {key: np.stack(value) for key, value in kept.items()}


def once(path: Path, draw: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Read arrays from a file; if it does not exist, draw them and write it."""
    if not path.is_file():
        with written_whole(path) as partial:
            np.savez(partial, **draw())  # type: ignore[arg-type]
    with np.load(path) as stored:
        return dict(stored)


if __name__ == "__main__":
    typer.run(main)
