"""Joint refinement: the mask and the interpolation network trained together, through their fusion."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill.training.loop import Batch, Schedule, fit
from distill.training.losses import charbonnier, laplacian
from distill.data.mask_samples import RULE
from distill.data.triplets import Triplets
from maskvfi.synthesis.compose import static_layer, static_weight, without_static
from maskvfi.weights.load import load_static, load_vfi, save_weights
from maskvfi.models.rife import IFNet
from maskvfi.models.rife.network import Motion
from maskvfi.models.static import StaticMaskNet

PARTS = ("both", "mask", "vfi")


def joint(
    data: Path,
    run: Path,
    *,
    vfi: str = "vfi-s",
    mask: str = "static-s",
    parts: str = "both",
    last_blocks: int = 0,
    steps: int = 2000,
    batch: int = 8,
    size: int = 160,
    rate: float = 2e-4,
    overlays: float = 0.6,
    synthetic: float = 0.2,
    noise: float = 0.3,
    keep_mask: float = 1.0,
    keep_vfi: float = 20.0,
    seed: int = 0,
    **fitting: Any,
) -> None:
    """Refine the weights `vfi` and `mask` (names or paths, official RIFE weights too) on the shards in `data`.

    parts is "both", or which of the two learns; of the interpolation network only the last `last_blocks` blocks do,
    unless that is 0. overlays, synthetic and noise are shares of samples, as in `train_vfi`. keep_mask holds the mask
    to the truth where that is known (overlays stand, what a trusted flow moves does not) and to what it said before
    elsewhere, keep_vfi the network to what it made before, on plain footage. Writes run/vfi.safetensors and
    run/mask.safetensors, and what `fit` writes, which also says what else it takes.
    Raises WeightsError for bad weights, ValueError for other parts.
    """
    if parts not in PARTS:
        raise ValueError(f"parts must be one of {', '.join(PARTS)}, not {parts!r}")
    torch.manual_seed(seed)
    duet = Duet(load_vfi(vfi), load_static(mask))
    start = copy.deepcopy(duet).eval().requires_grad_(False)
    duet.freeze(parts, last_blocks)

    def losses(network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        return refinement_losses(network, start.to(batch["img0"].device), batch, keep_mask, keep_vfi)

    samples = Triplets(data, size, synthetic, overlays, seed, noise=noise, spans=(2,))
    schedule = Schedule(steps, batch, rate, warmup=100, cooldown=0.5, seed=seed)
    fit(duet, samples, losses, schedule, run, save=save_both, pictures=panels, **fitting)


class Duet(nn.Module):
    """An interpolation network and a mask, one frame made by both."""

    def __init__(self, vfi: IFNet, mask: StaticMaskNet) -> None:
        super().__init__()
        self.vfi, self.mask = vfi, mask

    def freeze(self, parts: str, last_blocks: int) -> None:
        """Let only `parts` learn, and of the interpolation network only its last blocks (0: all of it)."""
        self.mask.requires_grad_(parts != "vfi")
        self.vfi.requires_grad_(parts != "mask" and last_blocks == 0)
        for block in self.vfi.blocks[-last_blocks:] if last_blocks and parts != "mask" else ():
            block.requires_grad_(True)

    def compose(self, img0: Tensor, img1: Tensor, time: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The composed frame [B,3,H,W], the network's own frame, and the mask's logits [B,1,H,W].

        The fusion is the one that is shipped; its gradient reaches the mask wherever the mask is unsure, not only near
        the threshold.
        """
        plain, *motion = self.vfi(img0, img1, time)
        logits = self.mask.logits(torch.stack((img0, img1), dim=1))
        probability = torch.sigmoid(logits)
        weight = probability + (static_weight(probability) - probability).detach()
        moving = without_static(Motion(*motion), img0, img1, time, weight)
        return torch.lerp(moving.frame, static_layer(img0, img1, time), weight), plain, logits


def refinement_losses(
    network: nn.Module, start: Duet, batch: Batch, keep_mask: float, keep_vfi: float
) -> dict[str, Tensor]:
    """Terms and their sum "total", for what `Triplets` yields, stacked; `start` is the duet before refinement.

    The composed frame counts by the logarithm of its squared error, which is what PSNR counts, so that a clean
    sample weighs as much as a noisy one.
    """
    img0, img1, truth = (batch[key].float() / 255 for key in ("img0", "img1", "truth"))
    composed, moving, logits = cast(Duet, network).compose(img0, img1, batch["time"])
    with torch.no_grad():
        _, held, said = start.compose(img0, img1, batch["time"])
    covered, clear = batch["covered"].float(), batch["clear"].float()
    speed = sum(half.norm(dim=1, keepdim=True) for half in batch["flow"].split(2, dim=1))  # px per gap
    moves = (speed > RULE.moving_above) & (batch["trust"].amin(dim=1, keepdim=True) > 0.5)
    wanted = torch.where(covered > 0, 1.0, torch.where(moves, 0.0, torch.sigmoid(said.float())))
    doubt = F.binary_cross_entropy_with_logits(logits.float(), wanted, reduction="none")
    plain = 1 - (batch["covered"] | ~batch["clear"]).flatten(1).any(dim=1).float().view(-1, 1, 1, 1)
    error = (composed - truth).square().mean(dim=(1, 2, 3)).clamp(min=1e-6)
    found = {
        "composed": error.log().mean() + laplacian(composed, truth),
        "mask": keep_mask * (doubt * torch.maximum(covered, clear)).mean(),
        "vfi": keep_vfi * charbonnier(moving * plain, held * plain),
    }
    psnr = (-10 * error.detach().log10()).mean()
    return {"total": torch.stack([*found.values()]).sum(), **found, "psnr": psnr}


def save_both(run: Path, network: nn.Module, **facts: Any) -> None:
    duet = cast(Duet, network)
    save_weights(run / "vfi.safetensors", duet.vfi, **facts)
    save_weights(run / "mask.safetensors", duet.mask, **facts)


@torch.no_grad()
def panels(network: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """For TensorBoard: the truth, the composed frame, the network's own, and the mask."""
    img0, img1, truth = (batch[key].float() / 255 for key in ("img0", "img1", "truth"))
    composed, moving, logits = cast(Duet, network).compose(img0, img1, batch["time"])
    mask = torch.sigmoid(logits).expand(-1, 3, -1, -1)
    return {"truth, composed, plain, mask": torch.cat((truth, composed, moving, mask), dim=3)}
