"""Train an interpolation network: the picture at time t, and the flow there where it is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill.data.triplets import Triplets
from distill.networks import inherited_licence, load_rife
from distill.options import Terms, VfiTraining
from distill.training.loop import Batch, Schedule, fit, save_one
from distill.training.losses import census, charbonnier, end_point_error, laplacian
from distill.training.perceptual import load_perceptual
from distill.training.prune import pruned
from maskvfi.models.rife import IFNet, Variant, find_variant
from maskvfi.models.rife.stage import Stage
from maskvfi.ops.warp import backward_warp

CONTRAST = 5.0  # initial size of the filters that look at the frames, over that of other filters


def train_vfi(data: Path, run: Path, options: VfiTraining | None = None, **values: Any) -> None:
    """Train an interpolation network, from random weights or from those in `options.start`.

    Args:
        data: The folder of shards that `prepare` made.
        run: The folder for weights.safetensors and what `fit` writes; a run there is continued.
        options: Which network, on what samples, by which loss, for how long.
        **values: Fields of `VfiTraining` by name, in place of those in options.

    Raises:
        WeightsError: The weights to start from are missing or damaged.
        ValueError: An option is wrong, the network to start from is none of RIFE's, or a package is missing that a
            term needs.
    """
    options = VfiTraining.of(options, values)
    torch.manual_seed(options.seed)
    started = load_rife(options.start) if options.start else None
    if options.variant is None and started is not None:
        variant = started.variant
    else:
        variant = find_variant(options.variant or "vfi-s")
    teacher = at_scales(load_rife(options.teacher), variant) if options.teacher else None
    if started is not None:
        network = with_rules_of(started, variant)
    elif teacher:
        network = pruned(teacher, variant)
    else:
        network = IFNet(variant)
        initialise(network)
    _check_teacher(options, teacher, network)
    lesson = Lesson(options, teacher)
    licence = inherited_licence([options.start, options.teacher])

    def losses(pupil: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        assert isinstance(pupil, Pupil)
        return lesson.losses(pupil, batch, step / options.steps)

    def save(run: Path, pupil: nn.Module, **facts: Any) -> None:
        assert isinstance(pupil, Pupil)
        save_one(run, pupil.network, **facts, **licence)

    samples = Triplets(
        data,
        options.size,
        options.synthetic,
        options.overlays,
        options.seed,
        options.speed,
        options.noise,
    )
    schedule = Schedule(
        options.steps,
        options.batch,
        options.rate,
        warmup=300 if options.optimiser == "muon" else 100,
        cooldown=0.4,
        seed=options.seed,
        optimiser=options.optimiser,
    )
    fit(Pupil(network, options), samples, losses, schedule, run, options, save=save)


def _check_teacher(options: VfiTraining, teacher: IFNet | None, network: IFNet) -> None:
    """Raise ValueError for a teacher that would teach nothing, or that is missing."""
    if options.start and teacher and not (options.taught or options.imitated):
        raise ValueError("a teacher is of no use beside start without taught or imitated")
    if options.taught and teacher is None:
        raise ValueError("taught is of no use without a teacher")
    if options.imitated and (teacher is None or teacher.variant.scales != network.variant.scales):
        raise ValueError("only a teacher with the same blocks can be imitated block by block")


class Pupil(nn.Module):
    """A network in training, and the tutor that learns beside it, if the loss wants one."""

    def __init__(self, network: IFNet, terms: Terms) -> None:
        super().__init__()
        self.network = network
        self.tutor = Tutor() if terms.privileged else None

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """As every module does; earlier versions also stored what did not learn."""
        fixed = ("teacher.", "perceptual.")
        own = {name: value for name, value in state_dict.items() if not name.startswith(fixed)}
        return super().load_state_dict(own, *args, **kwargs)


class Lesson:
    """The loss of an interpolation network.

    It holds the networks that do not learn. They are no part of the pupil: so they are not stored with its run.

    Args:
        terms: How much each term counts.
        teacher: A network that is imitated, or whose flow and blend are learnt.
    """

    def __init__(self, terms: Terms, teacher: IFNet | None = None) -> None:
        self.terms, self.teacher = terms, teacher
        self.perceptual = load_perceptual() if terms.perceptual else None
        for network in (self.teacher, self.perceptual):
            if network is not None:
                network.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def losses(self, pupil: Pupil, batch: Batch, progress: float) -> dict[str, Tensor]:
        """The loss of a step. The picture counts after every block, and after the last one most.

        Args:
            pupil: What learns.
            batch: What `Triplets` yields, stacked.
            progress: The share of the run that is done, 0..1.

        Returns:
            The weighted terms by name, their sum "total", and "psnr" in dB for the log.
        """
        terms, network, tutor = self.terms, pupil.network, pupil.tutor
        for fixed in (self.teacher, self.perceptual):
            if fixed is not None:
                fixed.to(batch["time"].device)
        if self.teacher is not None and progress < terms.imitated:
            return imitation(network, self.teacher, batch)
        img0, img1, truth = (batch[key].float() / 255 for key in ("img0", "img1", "truth"))
        inside = (..., slice(truth.shape[-2]), slice(truth.shape[-1]))
        stages = [*network.stages(img0, img1, batch["time"])]
        weights = [0.6 ** (len(stages) - 1 - index) for index in range(len(stages))]
        frame = stages[-1].frame()[inside]
        found = {
            "picture": terms.picture
            * sum_of(w * charbonnier(s.frame()[inside], truth) for w, s in zip(weights, stages, strict=True)),
        }
        if terms.laplacian:
            found["laplacian"] = terms.laplacian * laplacian(frame, truth)
        if terms.flow:
            errors = (end_point_error(s.flow[inside], batch["flow"], batch["trust"]) for s in stages)
            fall = terms.flow * 0.02**progress
            found["flow"] = fall * sum_of(w * e for w, e in zip(weights, errors, strict=True))
        if terms.census:
            found["census"] = terms.census * census(frame, truth)
        if terms.reversal:
            *_, back = network.stages(img1, img0, 1 - batch["time"])
            found["reversal"] = terms.reversal * charbonnier(frame, back.frame()[inside])
        if self.teacher is not None and terms.taught:
            found["taught"] = terms.taught * distance(stages, last_stage(self.teacher, batch))
        if tutor is not None:
            found["privileged"] = terms.privileged * tutor(img0, img1, truth, stages[-1], inside)
        if self.perceptual is not None:
            found["perceptual"] = terms.perceptual * self.perceptual(frame, truth).mean()
        error = (frame - truth).square().mean(dim=(1, 2, 3)).clamp(min=1e-6)
        if terms.decibel:
            found["decibel"] = terms.decibel * error.log().mean()
        total = sum_of(found.values())
        return {"total": total, **found, "psnr": (-10 * error.detach().log10()).mean()}


def imitation(network: IFNet, teacher: IFNet, batch: Batch) -> dict[str, Tensor]:
    """The loss while every block learns its teacher's block from what the teacher's blocks before it give.

    A pruned network's errors add up from block to block, and teach nothing at first. Alone, each block has a clear
    task from the first step on (as in block-wise distillation, Li et al., CVPR 2020).
    """
    img0, img1 = (batch[key].float() / 255 for key in ("img0", "img1"))
    scales = [float(scale) for scale in teacher.variant.scales]
    with torch.no_grad():
        planes = teacher.prepare(img0).planes, teacher.prepare(img1).planes
        after = [*teacher.refine(planes, batch["time"], scales, len(scales))]
    before = [teacher.stage(after[0].planes, (), after[0].add), *after[:-1]]
    terms = {}
    for index, block in enumerate(network.blocks):
        part = block(before[index], batch["time"], scales[index] / teacher.variant.shrink)
        terms[f"block{index}"] = distance([before[index].refined(part)], after[index])
    return {"total": sum_of(terms.values()), **terms}


@torch.no_grad()
def last_stage(network: IFNet, batch: Batch) -> Stage:
    """A network's last estimate for a batch."""
    img0, img1 = (batch[key].float() / 255 for key in ("img0", "img1"))
    *_, last = network.stages(img0, img1, batch["time"])
    return last


def distance(stages: Sequence[Stage], taught: Stage) -> Tensor:
    """How far a network's estimates are from its teacher's last one.

    The flow counts by the square root of its difference in px, so that a few large errors do not drown the rest; the
    blend by its difference.

    Args:
        stages: The network's estimate after every block; a later block weighs more.
        taught: The teacher's last estimate.
    """
    total = taught.flow.new_zeros(())
    for index, stage in enumerate(stages):
        # Both are padded, perhaps to different multiples.
        height, width = (
            min(a, b) for a, b in zip(stage.flow.shape[-2:], taught.flow.shape[-2:], strict=True)
        )
        inside = (..., slice(height), slice(width))
        flow = (stage.flow[inside] - taught.flow[inside]).abs().add(0.01).sqrt().mean()
        blend = (torch.sigmoid(stage.logit[inside]) - torch.sigmoid(taught.logit[inside])).abs().mean()
        total = total + 0.6 ** (len(stages) - 1 - index) * (flow + blend)
    return total


def with_rules_of(network: IFNet, variant: Variant) -> IFNet:
    """The network under a variant that differs only in its rules for sizes and sampling.

    Raises:
        ValueError: The variant has other weights.
    """
    named = ("family", "versions", "dynamic_scale", "shrink", "sampling")
    rules = {name: getattr(variant, name) for name in named}
    if replace(network.variant, **rules) != variant:
        raise ValueError(
            f"the weights to start from are of family {network.variant.family}, not {variant.family}"
        )
    other = IFNet(variant)
    other.load_state_dict(network.state_dict())
    return other


def at_scales(network: IFNet, pupil: Variant) -> IFNet:
    """The network with its blocks at the scales of a pupil's blocks, if both have as many."""
    if len(pupil.scales) != len(network.variant.scales):
        return network
    other = IFNet(replace(network.variant, scales=pupil.scales, shrink=pupil.shrink, dynamic_scale=False))
    other.load_state_dict(network.state_dict())
    return other


class Tutor(nn.Module):
    """One more block, which also sees the true frame. Where its frame is better, its flow teaches the network's."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        planes = [3 * 5 + 5, width // 2, width, width, width]
        layers: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(pairwise(planes)):
            layers += [nn.Conv2d(inputs, outputs, 3, 2 if index < 2 else 1, 1), nn.LeakyReLU(0.2)]
        self.look = nn.Sequential(*layers, nn.ConvTranspose2d(width, 5, 4, 4))

    def forward(self, img0: Tensor, img1: Tensor, truth: Tensor, last: Stage, inside: Any) -> Tensor:
        """The tutor's own error, plus a hundredth of the network's distance in px from the tutor's better flow.

        Args:
            img0, img1, truth: [B,3,H,W], RGB in 0..1.
            last: The network's last estimate, at padded size.
            inside: The index of the picture in what is padded.
        """
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


def sum_of(terms: Iterable[Tensor]) -> Tensor:
    """The sum of scalars."""
    return torch.stack([*terms]).sum()


def initialise(network: IFNet) -> None:
    """Give a network random weights from which it learns to match within a hundred steps.

    With torch's own nothing moved for hundreds of steps. In every block one half of the first filters sees the
    difference of the two frames, and the other half the slope of their sum: the terms of the brightness constancy
    equation (Horn and Schunck 1981), without the mean, which would be far larger. Output layers begin at zero: no
    change of flow, and an even blend.

    Args:
        network: Whose weights are replaced.
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
