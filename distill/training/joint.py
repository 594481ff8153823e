"""Joint refinement: the mask and the interpolation network trained together, through the frames that they compose."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill.data.mask_samples import RULE
from distill.data.triplets import Triplets
from distill.networks import inherited_licence, load_rife
from distill.options import JointTraining
from distill.training.loop import Batch, Schedule, fit
from distill.training.losses import charbonnier, laplacian
from distill.training.perceptual import load_perceptual
from maskvfi.models.rife import IFNet
from maskvfi.models.static import Masks, StaticMaskNet
from maskvfi.ops.boxes import Box
from maskvfi.ops.tiles import Tile
from maskvfi.synthesis.compose import MovingTile, compose, moving_layer
from maskvfi.synthesis.copied import Copied, copied_pixels
from maskvfi.synthesis.layouts import RGB
from maskvfi.weights.load import load_static, save_weights


def joint(data: Path, run: Path, options: JointTraining | None = None, **values: Any) -> None:
    """Refine a mask and an interpolation network together.

    Args:
        data: The folder of shards that `prepare` made.
        run: The folder for vfi.safetensors, mask.safetensors and what `fit` writes; a run there is continued.
        options: What to refine, for how long, and how firmly each network is held to what it did before.
        **values: Fields of `JointTraining` by name, in place of those in options.

    Raises:
        WeightsError: The weights to begin with are missing or damaged.
        ValueError: An option is wrong, or the interpolation network is none of RIFE's.
    """
    options = JointTraining.of(options, values)
    torch.manual_seed(options.seed)
    duet = Duet(load_rife(options.vfi), load_static(options.mask))
    start = copy.deepcopy(duet).eval().requires_grad_(False)
    duet.freeze(options.parts, options.last_blocks)
    perceptual = load_perceptual() if options.perceptual else None

    def losses(network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        before = start.to(batch["img0"].device)
        return refinement_losses(network, before, batch, options, perceptual)

    samples = Triplets(
        data,
        options.size,
        options.synthetic,
        options.overlays,
        options.seed,
        noise=options.noise,
        spans=(2,),
    )
    schedule = Schedule(
        options.steps,
        options.batch,
        options.rate,
        warmup=100,
        cooldown=0.5,
        seed=options.seed,
        optimiser=options.optimiser,
    )
    save = partial(save_both, **inherited_licence([options.vfi, options.mask]))
    fit(duet, samples, losses, schedule, run, options, save=save, pictures=panels)


class Duet(nn.Module):
    """An interpolation network and a mask network that make one frame together."""

    def __init__(self, vfi: IFNet, mask: StaticMaskNet) -> None:
        super().__init__()
        self.vfi, self.mask = vfi, mask

    def freeze(self, parts: str, last_blocks: int) -> None:
        """Let only a part learn.

        Args:
            parts: "both", "mask" or "vfi".
            last_blocks: How many of the interpolation network's last blocks learn; 0: all of it.
        """
        self.mask.requires_grad_(parts != "vfi")
        self.vfi.requires_grad_(parts != "mask" and last_blocks == 0)
        for block in self.vfi.blocks[-last_blocks:] if last_blocks and parts != "mask" else ():
            block.requires_grad_(True)

    def compose(self, img0: Tensor, img1: Tensor, time: Tensor) -> tuple[Tensor, Tensor, Masks]:
        """The frame at a time between two frames, composed as the product composes it.

        In the backward pass the weight counts as the probability that led to it, of standing still or of having been
        replaced. So a gradient reaches the mask wherever it is unsure, not only near the threshold.

        Args:
            img0, img1: [B,3,H,W], RGB in 0..1.
            time: [B,1,1,1] in 0..1.

        Returns:
            The composed frame [B,3,H,W], the interpolation network's own frame, and the mask's logits, each [B,1,H,W].
        """
        plain = self.vfi(img0, img1, time)
        logits = self.mask.class_logits(torch.stack((img0, img1), dim=1))
        probability = torch.sigmoid(logits.still)
        swapped = None if logits.replaced is None else torch.sigmoid(logits.replaced)
        with torch.no_grad():
            copied = copied_pixels(probability, swapped)
        if swapped is not None and copied.replaced is not None:
            probability = torch.where(copied.replaced > 0, swapped, probability)
        weight = probability + (copied.weight - probability).detach()
        moving = moving_layer(plain.motion, img0, img1, weight)
        picture = MovingTile(Tile(Box(0, 0, img0.shape[-2], img0.shape[-1])), moving)
        (frame,) = compose((img0,), (img1,), time, [picture], Copied(weight, copied.replaced), RGB)
        return frame, plain.frame, logits


def refinement_losses(
    network: nn.Module,
    start: Duet,
    batch: Batch,
    options: JointTraining,
    perceptual: nn.Module | None = None,
) -> dict[str, Tensor]:
    """The loss of a step of joint refinement.

    The composed frame counts by two terms: the logarithm of its squared error, as in PSNR, so that a clean sample
    weighs as much as a noisy one, and the difference of Laplacian pyramids. The mask is held to the truth where that is
    known: overlays stand still, and what a trusted flow sees moving does not. Elsewhere, and in what it says was
    replaced, it is held to what it said before.

    Args:
        network: The `Duet` in training.
        start: The duet before refinement.
        batch: What `Triplets` yields, stacked.
        options: The weights of the terms.
        perceptual: ST-LPIPS, if it counts.

    Returns:
        The terms by name, their sum "total", and "psnr" in dB for the log.
    """
    img0, img1, truth = (batch[key].float() / 255 for key in ("img0", "img1", "truth"))
    composed, moving, logits = cast(Duet, network).compose(img0, img1, batch["time"])
    with torch.no_grad():
        _, held, said = start.compose(img0, img1, batch["time"])
    covered, clear = batch["covered"].float(), batch["clear"].float()
    speed = sum(half.norm(dim=1, keepdim=True) for half in batch["flow"].split(2, dim=1))  # px per gap
    moves = (speed > RULE.moving_above) & (batch["trust"].amin(dim=1, keepdim=True) > 0.5)
    wanted = torch.where(covered > 0, 1.0, torch.where(moves, 0.0, torch.sigmoid(said.still.float())))
    entropy = F.binary_cross_entropy_with_logits(logits.still.float(), wanted, reduction="none")
    plain = 1 - (batch["covered"] | ~batch["clear"]).flatten(1).any(dim=1).float().view(-1, 1, 1, 1)
    error = (composed - truth).square().mean(dim=(1, 2, 3)).clamp(min=1e-6)
    found = {
        "composed": error.log().mean() + laplacian(composed, truth),
        "mask": options.keep_mask * (entropy * torch.maximum(covered, clear)).mean(),
        "vfi": options.keep_vfi * charbonnier(moving * plain, held * plain),
    }
    if logits.replaced is not None and said.replaced is not None:
        before = torch.sigmoid(said.replaced.float())
        found["replaced"] = options.keep_mask * F.binary_cross_entropy_with_logits(
            logits.replaced.float(), before
        )
    if perceptual is not None:
        perceptual = perceptual.to(truth.device)
        found["perceptual"] = options.perceptual * perceptual(composed, truth).mean()
    psnr = (-10 * error.detach().log10()).mean()
    return {"total": torch.stack([*found.values()]).sum(), **found, "psnr": psnr}


def save_both(run: Path, network: nn.Module, **facts: Any) -> None:
    """Write run/vfi.safetensors and run/mask.safetensors, with `facts` in their headers."""
    duet = cast(Duet, network)
    save_weights(run / "vfi.safetensors", duet.vfi, **facts)
    save_weights(run / "mask.safetensors", duet.mask, **facts)


@torch.no_grad()
def panels(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Pictures for TensorBoard, side by side: the truth, the composed frame, the network's own, and the mask."""
    img0, img1, truth = (batch[key].float() / 255 for key in ("img0", "img1", "truth"))
    composed, moving, logits = cast(Duet, network).compose(img0, img1, batch["time"])
    mask = torch.sigmoid(logits.still).expand(-1, 3, -1, -1)
    return {"truth, composed, plain, mask": torch.cat((truth, composed, moving, mask), dim=3)}
