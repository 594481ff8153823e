"""Train the mask network: still or not, pixel by pixel, in pairs and in sequences."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from distill.data.mask_samples import Stills
from distill.networks import inherited_licence
from distill.options import MaskTraining
from distill.training.average import with_replaced
from distill.training.loop import Batch, Schedule, fit, save_one
from distill.training.losses import balanced_bce, mean_over_processes, soft_dice
from distill.training.published import PublishedUNet
from maskvfi.models.static import StaticConfig, StaticMaskNet
from maskvfi.weights.load import load_static

SWAPS = 0.5  # how much the terms of what was replaced count


class TrainableMask(Protocol):
    """A mask network that can be trained here."""

    def logits(self, frames: Tensor) -> Tensor:
        """From frames [B,N,3,H,W] in 0..1 to logits [B,N-1,H,W]: does a pixel stand still in a gap?"""


def train(data: Path, run: Path, options: MaskTraining | None = None, **values: Any) -> None:
    """Train a mask network, from random weights or from those in `options.start`.

    Args:
        data: The folder of shards that `prepare` made.
        run: The folder for weights.safetensors and what `fit` writes; a run there is continued.
        options: Which network, on what samples, for how long.
        **values: Fields of `MaskTraining` by name, in place of those in options.

    Raises:
        WeightsError: The weights to start from are missing or damaged.
        ValueError: An option is wrong, or the shards in `data` are no material for it.
    """
    options = MaskTraining.of(options, values)
    if options.start and options.network == "published":
        raise ValueError("the published network cannot go on from weights, start is of no use with it")
    if options.keep_mask and not options.start:
        raise ValueError("keep_mask is of no use without weights to start from")
    torch.manual_seed(options.seed)
    student: nn.Module
    before: StaticMaskNet | None = None
    if options.start:
        student = load_static(options.start)
        if options.keep_mask:
            before = copy.deepcopy(student).requires_grad_(False)
        student = student if student.config.replaced else with_replaced(student)
    elif options.network == "published":
        student = PublishedUNet()
    else:
        student = StaticMaskNet(StaticConfig(replaced=True))
    schedule = Schedule(
        options.steps,
        options.batch,
        options.rate,
        warmup=200,
        cooldown=0.4,
        weight_decay=1e-3,
        seed=options.seed,
    )
    samples = Stills(data, options.size, options.length, options.seed)

    def losses(network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        return static_losses(network, batch, step, before, options.keep_mask)

    save = partial(save_one, **inherited_licence([options.start]))
    fit(student, samples, losses, schedule, run, options, pictures=panels, save=save)


def static_losses(
    network: nn.Module, batch: Batch, step: int, before: StaticMaskNet | None = None, keep: float = 0.0
) -> dict[str, Tensor]:
    """Balanced cross-entropy and soft Dice of the rarer class, for what stands still and for what was replaced.

    At every third step each gap is judged by its own two frames, else the whole sequence is judged in one pass, as in
    a video. So one set of weights serves both. Classes are balanced within each sample, so that it does not matter
    which process has which samples. What was replaced does not stand still.

    Args:
        network: A `TrainableMask`; a `StaticMaskNet` also learns what was replaced, if its config says so.
        batch: "frames" [B,N,3,H,W] uint8, and [B,N-1,H,W] bool "static", "sure", and if the network learns it
            "replaced" and "replaced_sure".
        step: The step's number.
        before: The mask before this training, which holds the new one where it was right: new tasks are learnt
            without forgetting old ones (Li and Hoiem, "Learning without forgetting", ECCV 2016).
        keep: How much that counts.

    Returns:
        The loss "total", its terms "bce" and "dice", and the share of sure pixels that are "right"; the terms of what
        was replaced are "swap_bce" and "swap_dice", that of the mask before is "keep".
    """
    frames, *labels = as_floats(batch)
    both = isinstance(network, StaticMaskNet) and network.config.replaced
    if both:
        labels += [batch["replaced"].float(), batch["replaced_sure"].float()]
    if step % 3 == 0:
        frames, *labels = as_pairs(frames, *labels)
    if not both:
        return _still_losses(cast(TrainableMask, network).logits(frames).float(), *labels)
    logits, replaced = cast(StaticMaskNet, network).class_logits(frames)
    assert replaced is not None
    static, sure, swapped, swapped_sure = labels
    found, swaps = _still_losses(logits.float(), static, sure), replaced.float()
    found["swap_bce"] = SWAPS * balanced_bce(swaps, swapped, swapped_sure, power=1.0)
    found["swap_dice"] = SWAPS * 0.5 * soft_dice(swaps, swapped, swapped_sure)
    found["total"] = found["total"] + found["swap_bce"] + found["swap_dice"]
    if before is not None:
        with torch.no_grad():
            said = torch.sigmoid(before.to(frames.device).logits(frames).float())
        right = ((said > 0.5) == static.bool()) * sure
        apart = F.binary_cross_entropy_with_logits(logits.float(), said, reduction="none")
        found["keep"] = keep * (apart * right).sum() / mean_over_processes(right.sum()).clamp(min=1)
        found["total"] = found["total"] + found["keep"]
    return found


def _still_losses(logits: Tensor, static: Tensor, sure: Tensor) -> dict[str, Tensor]:
    cross, dice = balanced_bce(logits, static, sure), soft_dice(logits, static, sure)
    right = (((logits > 0) == static.bool()) * sure).sum() / mean_over_processes(sure.sum()).clamp(min=1)
    return {"total": cross + 0.5 * dice, "bce": cross, "dice": dice, "right": right}


def as_floats(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """A batch of `static_losses` as floats: frames in 0..1, static and sure as 0 or 1."""
    return batch["frames"].float() / 255, batch["static"].float(), batch["sure"].float()


def as_pairs(frames: Tensor, *labels: Tensor) -> tuple[Tensor, ...]:
    """Sequences [B,N,3,H,W] and their labels [B,N-1,H,W] as pairs [B*(N-1),2,3,H,W] with labels [B*(N-1),1,H,W]."""
    pairs = torch.stack((frames[:, :-1], frames[:, 1:]), dim=2)
    each = (rearrange(planes, "b gap h w -> (b gap) 1 h w") for planes in labels)
    return (rearrange(pairs, "b gap pair c h w -> (b gap) pair c h w"), *each)


@torch.no_grad()
def panels(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Pictures for TensorBoard of the first gap of every sequence: both frames, the truth (grey: unsure), the mask."""
    frames, static, sure = as_floats(batch)
    mask = torch.sigmoid(cast(TrainableMask, network).logits(frames))
    truth = torch.where(sure > 0, static, 0.5)
    grey = [plane[:, :1].expand(-1, 3, -1, -1) for plane in (truth, mask)]
    return {"frames, truth, mask": torch.cat((frames[:, 0], frames[:, 1], *grey), dim=3)}
