"""Train an interpolation network: the picture at time t, and the flow there where it is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from distill.loop import Batch, Schedule, fit
from distill.losses import charbonnier, end_point_error, laplacian
from distill.triplets import Triplets
from maskvfi.hub import load_vfi
from maskvfi.rife import IFNet, find_variant

VFI_S = replace(
    find_variant("4.25"), family="vfi-s", versions=("vfi-s",), channels=(96, 64, 48, 32, 16), encoder_mid=8
)
CONTRAST = 5.0  # how much louder than other filters those that look at the frames begin


def train_vfi(
    data: Path,
    run: Path,
    *,
    variant: str = "vfi-s",
    steps: int = 6000,
    batch: int = 8,
    size: int = 128,
    rate: float = 1.2e-3,
    synthetic: float = 0.5,
    speed: float = 16.0,
    overlays: float = 0.25,
    flow_weight: float = 0.2,
    seed: int = 0,
    start: Path | None = None,
    **fitting: Any,
) -> None:
    """Train `variant` ("vfi-s" or any RIFE 4.x family) on the shards in `data`, or go on from `start`.

    synthetic and overlays are the shares of samples with synthetic motion, of up to `speed` px
    per gap, and with overlays. flow_weight falls to a fiftieth over the run: at first motion has to be learnt
    at all. `fit` says what `run` will hold and what else it takes.
    """
    torch.manual_seed(seed)
    if start:
        network = load_vfi(start)
    else:
        network = IFNet(VFI_S if variant == "vfi-s" else find_variant(variant))
        initialise(network)

    def losses(network: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        assert isinstance(network, IFNet)
        return vfi_losses(network, batch, flow_weight * 0.02 ** (step / steps))

    samples = Triplets(data, size, synthetic, overlays, seed, speed)
    fit(network, samples, losses, Schedule(steps, batch, rate, warmup=300, seed=seed), run, **fitting)


def vfi_losses(network: IFNet, batch: Batch, flow_weight: float) -> dict[str, Tensor]:
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
        flow = flow + weight * end_point_error(
            stage.flow[..., :height, :width], batch["flow"], batch["trust"]
        )
    frame = stages[-1].frame()[..., :height, :width]
    sharp = laplacian(frame, truth)
    error = (frame.detach() - truth).square().mean(dim=(1, 2, 3))
    return {
        "total": picture + 0.2 * sharp + flow_weight * flow,
        "picture": picture,
        "laplacian": sharp,
        "flow": flow,
        "psnr": (-10 * error.clamp(min=1e-6).log10()).mean(),
    }


def initialise(network: IFNet) -> None:
    """A start from which matching is learnt within a hundred steps; from torch's own nothing moved for hundreds.

    In every block one half of the first filters sees the difference of the two frames, the other half the
    slope of their sum: the terms of the brightness constancy equation (Horn and Schunck 1981), without the mean
    that would drown them. Output layers begin near zero: no motion, an even blend.
    """
    for block in network.blocks:
        first, second = (stage[0].weight for stage in block.conv0)  # type: ignore[index]
        assert isinstance(first, Tensor)
        assert isinstance(second, Tensor)
        head = block.lastconv[0] if isinstance(block.lastconv, nn.Sequential) else block.lastconv
        assert isinstance(head, nn.ConvTranspose2d)
        assert head.bias is not None
        for weight in (first, second):
            nn.init.kaiming_normal_(weight, a=0.2)
        with torch.no_grad():
            half = first.shape[0] // 2
            kernels = torch.randn(first.shape[0], 1, 3, 3) * CONTRAST * (2 / (9 * first.shape[1])) ** 0.5
            colours = torch.tensor([0.3, 0.6, 0.1]).view(1, 3, 1, 1) + 0.15 * torch.randn(
                first.shape[0], 3, 1, 1
            )
            difference = (kernels * colours)[:half]
            slope = ((kernels - kernels.mean((2, 3), keepdim=True)) * colours)[half:]
            first[:half, :3], first[:half, 3:6] = difference, -difference
            first[half:, :3], first[half:, 3:6] = slope, slope
            for layer in block.convblock.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, a=0.2)
                    layer.weight.mul_(0.5)
        nn.init.normal_(head.weight, std=1e-3)
        nn.init.zeros_(head.bias)
