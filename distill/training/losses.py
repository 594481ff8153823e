"""What training minimises: the difference of pictures and of flows, and the errors of masks."""

import torch
import torch.nn.functional as F
from torch import Tensor, distributed


def charbonnier(a: Tensor, b: Tensor, eps: float = 1e-3) -> Tensor:
    """A smooth L1 of tensors of one shape: the mean of sqrt((a-b)^2 + eps^2) - eps."""
    return ((a - b).square() + eps * eps).sqrt().mean() - eps


def laplacian(a: Tensor, b: Tensor, levels: int = 5) -> Tensor:
    """L1 between the Laplacian pyramids of two pictures (Niklaus and Liu, CVPR 2018).

    Args:
        a, b: [B,C,H,W].
        levels: Of the pyramids, at most; level k has the weight 2^k.
    """
    difference = a - b
    total = difference.new_zeros(())
    for level in range(levels):
        if min(difference.shape[-2:]) < 4:
            break
        small = F.avg_pool2d(difference, 2, ceil_mode=True)
        detail = difference - F.interpolate(
            small, difference.shape[-2:], mode="bilinear", align_corners=False
        )
        total = total + 2.0**level * detail.abs().mean()
        difference = small
    return total + 2.0**level * difference.abs().mean()


def census(a: Tensor, b: Tensor, reach: int = 1) -> Tensor:
    """The difference of two pictures' soft census transforms (UnFlow: Meister et al., AAAI 2018), mean over pixels.

    The transform compares every pixel with its neighbours, and so it does not see a change of brightness.

    Args:
        a, b: [B,3,H,W], RGB in 0..1.
        reach: Px from a pixel to the last of its neighbours.
    """

    def signs(image: Tensor) -> Tensor:
        luma = 255 * (image * image.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(
            dim=1, keepdim=True
        )
        around = F.unfold(luma, 2 * reach + 1).unflatten(2, tuple(n - 2 * reach for n in luma.shape[-2:]))
        difference = around - luma[..., reach:-reach, reach:-reach]
        return difference / (0.81 + difference.square()).sqrt()

    distance = (signs(a) - signs(b)).square()
    return (distance / (0.1 + distance)).mean()


def end_point_error(flow: Tensor, truth: Tensor, trust: Tensor) -> Tensor:
    """The mean distance between two flows, in px.

    Args:
        flow, truth: [B,4,H,W] in px, to frame 0 and then to frame 1.
        trust: [B,2,H,W] in 0..1, how much each half counts; the mean is over the trust of all processes.
    """
    error = torch.stack(
        [(flow[:, s] - truth[:, s]).square().sum(dim=1).add(1e-4).sqrt() for s in (slice(2), slice(2, 4))],
        dim=1,
    )
    return (error * trust).sum() / mean_over_processes(trust.sum()).clamp(min=1)


def mean_over_processes(count: Tensor) -> Tensor:
    """A count, averaged over the processes of a training run.

    Processes average their losses and gradients. Where each divides a sum by this mean, the average is the sum over
    the whole batch divided by the count in the whole batch: what one process alone would have. Every process must call
    it.

    Args:
        count: What this process counts in its part of a batch.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return count
    total = count.detach().clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()


def balanced_bce(logits: Tensor, labels: Tensor, sure: Tensor, power: float = 0.8) -> Tensor:
    """Cross-entropy that gives the rarer class more weight than its area. It is defined when a class is missing.

    Args:
        logits: [B,N,H,W].
        labels: [B,N,H,W], 1 where a pixel stands still, else 0.
        sure: [B,N,H,W], 1 where a pixel counts, else 0.
        power: A class weighs its pixel count in a sample to this power. 1 is plain cross-entropy, whose outputs are
            calibrated probabilities. 0 gives both classes the same weight, and "still" is said far too often.
    """
    loss = F.binary_cross_entropy_with_logits(logits, labels, reduction="none") * sure
    dims = (1, 2, 3)
    static, moving = labels * sure, (1 - labels) * sure
    counts = torch.stack((static.sum(dims), moving.sum(dims)))
    shares = counts.clamp(min=1e-6).pow(power) * (counts > 0)
    shares = shares / shares.sum(0).clamp(min=1e-6)
    means = torch.stack(((loss * static).sum(dims), (loss * moving).sum(dims))) / counts.clamp(min=1)
    return (shares * means).sum(0).mean()


def soft_dice(logits: Tensor, labels: Tensor, sure: Tensor) -> Tensor:
    """One less the soft F1 of each sample's rarer class; a sample of a single class counts nothing.

    Args:
        logits, labels, sure: [B,N,H,W], as `balanced_bce` has them.
    """
    probability = torch.sigmoid(logits)
    dims = (1, 2, 3)
    total, static = sure.sum(dims), (labels * sure).sum(dims)
    flip = (static > total / 2).view(-1, 1, 1, 1)
    probability, labels = (
        torch.where(flip, 1 - probability, probability),
        torch.where(flip, 1 - labels, labels),
    )
    both = (probability * labels * sure).sum(dims)
    dice = 1 - (2 * both + 1) / (((probability + labels) * sure).sum(dims) + 1)
    return (dice * ((labels * sure).sum(dims) > 0)).mean()


def bce_dice(logits: Tensor, labels: Tensor, sure: Tensor) -> Tensor:
    """Plain cross-entropy and soft Dice of the still class, as the published author tried.

    Args:
        logits, labels, sure: [B,N,H,W], as `balanced_bce` has them.
    """
    cross = balanced_bce(logits, labels, sure, power=1.0)
    probability = torch.sigmoid(logits) * sure
    both = (probability * labels).sum()
    return cross + 1 - (2 * both + 1) / (probability.sum() + (labels * sure).sum() + 1)


def published_l1(logits: Tensor, labels: Tensor, sure: Tensor) -> Tensor:
    """The published loss: L1 of the bare output over all pixels, plus L1 over the still ones.

    Without a still pixel the published code divides by zero; here the second term is zero then.

    Args:
        logits, labels, sure: [B,N,H,W], as `balanced_bce` has them.
    """
    error = (logits - labels).abs() * sure
    static = labels * sure
    return error.sum() / sure.sum().clamp(min=1) + (error * static).sum() / static.sum().clamp(min=1)
