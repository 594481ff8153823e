"""Train an interpolation network: the picture at time t, and the flow there where it is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill.training.loop import Batch, Schedule, fit, save_one
from distill.training.losses import census, charbonnier, end_point_error, laplacian, lpips_network
from distill.data.triplets import Triplets
from maskvfi.weights.load import load_vfi
from maskvfi.models.rife import IFNet, find_variant
from maskvfi.models.rife.stage import Stage
from maskvfi.ops.warp import backward_warp

VFI_S = replace(
    find_variant("4.25"),
    family="vfi-s",
    versions=("vfi-s",),
    channels=(48, 32),
    scales=(4, 2),
    encoder_mid=8,
    start="dis",
    mask="add",
    doubt=16,
)
LEARNERS = ("all", "doubt")
CONTRAST = 5.0  # how much louder than other filters those that look at the frames begin


@dataclass(frozen=True, slots=True)
class Terms:
    """How much each term of the loss counts; at 0 it is not computed.

    flow, where it is known, falls to a fiftieth over the run: at first motion has to be learnt at all. census
    compares neighbourhoods; reversal asks for the same frame when time runs backwards; privileged pulls flow towards
    that of a block which also sees the truth, where this does better (Huang et al., ECCV 2022); perceptual is
    LPIPS (needs the package lpips and its backbone); decibel is the logarithm of every picture's mean squared error,
    which is what PSNR counts.
    """

    laplacian: float = 0.2
    flow: float = 0.2
    census: float = 0.0
    reversal: float = 0.0
    privileged: float = 0.0
    perceptual: float = 0.0
    decibel: float = 0.0


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
    noise: float = 0.0,
    terms: Terms | None = None,
    seed: int = 0,
    start: Path | None = None,
    learn: str = "all",
    **fitting: Any,
) -> None:
    """Train `variant` ("vfi-s" or any RIFE 4.x family) on the shards in `data`, or go on from `start`.

    synthetic, overlays and noise are the shares of samples with synthetic motion, of up to `speed` px per gap, with
    overlays, and with noise on real frames. learn is "all", or "doubt": then the rest stays as it is, and a network
    that has no doubt is given some. `fit` says what `run` will hold and what else it takes. Raises ValueError for
    anything else to learn.
    """
    if learn not in LEARNERS:
        raise ValueError(f"learn must be one of {', '.join(LEARNERS)}, not {learn!r}")
    torch.manual_seed(seed)
    if start:
        network = load_vfi(start)
    else:
        network = IFNet(VFI_S if variant == "vfi-s" else find_variant(variant))
        initialise(network)
    if learn == "doubt":
        network = doubting(network).requires_grad_(False)
        network.doubt.requires_grad_(True)
    pupil = Pupil(network, terms or Terms())

    def losses(pupil: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        assert isinstance(pupil, Pupil)
        return pupil.losses(batch, step / steps)

    def save(run: Path, pupil: nn.Module, **facts: Any) -> None:
        assert isinstance(pupil, Pupil)
        save_one(run, pupil.network, **facts)

    samples = Triplets(data, size, synthetic, overlays, seed, speed, noise)
    schedule = Schedule(steps, batch, rate, warmup=300, cooldown=0.4, seed=seed)
    fit(pupil, samples, losses, schedule, run, save=save, **fitting)


class Pupil(nn.Module):
    """A network in training, and what is needed only there."""

    def __init__(self, network: IFNet, terms: Terms) -> None:
        super().__init__()
        self.network, self.terms = network, terms
        self.tutor = Tutor() if terms.privileged else None
        self.perceptual = lpips_network() if terms.perceptual else None

    def losses(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """Terms and their weighted sum "total", for what `Triplets` yields, stacked; progress in 0..1.

        The picture counts after every block, after the last one most.
        """
        terms, network = self.terms, self.network
        img0, img1, truth = (batch[key].float() / 255 for key in ("img0", "img1", "truth"))
        inside = (..., slice(truth.shape[-2]), slice(truth.shape[-1]))
        stages = [*network.stages(img0, img1, batch["time"])]
        weights = [0.6 ** (len(stages) - 1 - index) for index in range(len(stages))]
        frame, last = stages[-1].frame()[inside], stages[-1]
        if network.variant.doubt:
            blend = torch.sigmoid(last.logit[inside])
            doubt = network.doubt(img0, img1, last.flow[inside], blend, batch["time"])
            frame = torch.lerp(frame, torch.lerp(img0, img1, batch["time"]), doubt)
        found = {
            "picture": sum_of(
                w * charbonnier(s.frame()[inside], truth) for w, s in zip(weights, stages, strict=True)
            ),
            "laplacian": terms.laplacian * laplacian(frame, truth),
        }
        if terms.flow:
            errors = (end_point_error(s.flow[inside], batch["flow"], batch["trust"]) for s in stages)
            fall = terms.flow * 0.02**progress
            found["flow"] = fall * sum_of(w * e for w, e in zip(weights, errors, strict=True))
        if terms.census:
            found["census"] = terms.census * census(frame, truth)
        if terms.reversal:
            *_, back = network.stages(img1, img0, 1 - batch["time"])
            found["reversal"] = terms.reversal * charbonnier(frame, back.frame()[inside])
        if self.tutor is not None:
            found["privileged"] = terms.privileged * self.tutor(img0, img1, truth, stages[-1], inside)
        if self.perceptual is not None:
            found["perceptual"] = terms.perceptual * self.perceptual(frame, truth, normalize=True).mean()
        error = (frame - truth).square().mean(dim=(1, 2, 3)).clamp(min=1e-6)
        if terms.decibel:
            found["decibel"] = terms.decibel * error.log().mean()
        total = sum_of(found.values())
        return {"total": total, **found, "psnr": (-10 * error.detach().log10()).mean()}


class Tutor(nn.Module):
    """One block more, which sees the frame that is to be made; its flow teaches where its frame is the better one."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        planes = [3 * 5 + 5, width // 2, width, width, width]
        layers: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(pairwise(planes)):
            layers += [nn.Conv2d(inputs, outputs, 3, 2 if index < 2 else 1, 1), nn.LeakyReLU(0.2)]
        self.look = nn.Sequential(*layers, nn.ConvTranspose2d(width, 5, 4, 4))

    def forward(self, img0: Tensor, img1: Tensor, truth: Tensor, last: Stage, inside: Any) -> Tensor:
        """The tutor's own error, and the pupil's distance from its flow in px."""
        seen = [img0, img1, *(x[inside] for x in (*last.warped, last.flow, last.logit)), truth]
        correction = F.interpolate(
            self.look(torch.cat(seen, dim=1).detach()), truth.shape[-2:], mode="bilinear"
        )
        flow, logit = (
            last.flow[inside].detach() + correction[:, :4],
            last.logit[inside].detach() + correction[:, 4:],
        )
        warped0, warped1 = (
            backward_warp(x, f) for x, f in zip((img0, img1), flow.split(2, dim=1), strict=True)
        )
        made = torch.lerp(warped1, warped0, torch.sigmoid(logit))
        own, others = (
            (x.detach() - truth).abs().mean(dim=1, keepdim=True) for x in (made, last.frame()[inside])
        )
        better = (own + 0.01 < others).float()
        apart = (last.flow[inside] - flow.detach()).square().sum(dim=1, keepdim=True).add(1e-6).sqrt()
        return charbonnier(made, truth) + 0.01 * (apart * better).mean()


def doubting(network: IFNet) -> IFNet:
    """The same network with a `Doubt`, which knows nothing yet unless it had one."""
    if network.variant.doubt:
        return network
    grown = IFNet(replace(network.variant, doubt=VFI_S.doubt))
    grown.load_state_dict(network.state_dict(), strict=False)
    return grown


def sum_of(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack([*terms]).sum()


def initialise(network: IFNet) -> None:
    """A start from which matching is learnt within a hundred steps; from torch's own nothing moved for hundreds.

    In every block one half of the first filters sees the difference of the two frames, the other half the
    slope of their sum: the terms of the brightness constancy equation (Horn and Schunck 1981), without the mean
    that would drown them. Output layers begin at zero: no motion, or what the network starts from, and an even blend.
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
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
