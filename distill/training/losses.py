"""What training minimises: pictures alike on every scale, flows alike, masks right on both classes."""

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn


def charbonnier(a: Tensor, b: Tensor, eps: float = 1e-3) -> Tensor:
    """A smooth L1: mean of sqrt((a-b)^2 + eps^2) - eps."""
    return ((a - b).square() + eps * eps).sqrt().mean() - eps


def laplacian(a: Tensor, b: Tensor, levels: int = 5) -> Tensor:
    """L1 between Laplacian pyramids, level k weighted 2^k (Niklaus and Liu, CVPR 2018), of [B,C,H,W]."""
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
    """How differently the neighbours of a pixel compare with it in pictures a, b [B,3,H,W] in 0..1: a mean over pixels.

    The soft census transform of UnFlow (Meister et al., AAAI 2018), blind to changes of brightness.
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


def lpips_network() -> nn.Module:
    """LPIPS on AlexNet (Zhang et al., CVPR 2018), frozen.

    Raises ValueError where the package is missing, OSError where the backbone cannot be had.
    """
    try:
        import lpips
    except ImportError:
        raise ValueError("LPIPS needs the package lpips (pip install lpips torchvision)") from None
    network: nn.Module = lpips.LPIPS(net="alex", verbose=False).requires_grad_(False)
    return network


def end_point_error(flow: Tensor, truth: Tensor, trust: Tensor) -> Tensor:
    """Mean distance in pixels between flows [B,4,H,W], both halves, weighted by trust [B,2,H,W] of all processes."""
    error = torch.stack(
        [(flow[:, s] - truth[:, s]).square().sum(dim=1).add(1e-4).sqrt() for s in (slice(2), slice(2, 4))],
        dim=1,
    )
    return (error * trust).sum() / mean_over_processes(trust.sum()).clamp(min=1)


def mean_over_processes(count: Tensor) -> Tensor:
    """The mean of what the processes of a training run count, each in its part of a batch; `count` if there is one.

    Processes average their losses and gradients. Where each has a sum divided by this, the average is the sum over
    the whole batch divided by the count in the whole batch: what one process would have. Every process must call it.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return count
    total = count.detach().clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()


def balanced_bce(logits: Tensor, labels: Tensor, sure: Tensor, power: float = 0.8) -> Tensor:
    """Cross-entropy over pixels where `sure` is 1, every sample and class weighing its pixel count to `power`.

    All [B,N,H,W]. At power 1 classes weigh as they come (plain cross-entropy, a true probability); at 0 both
    weigh the same, which says "static" far too often where little is. Defined when a class is missing.
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
    """One less the soft F1 of each sample's rarer class, over pixels where `sure` is 1; all [B,N,H,W].

    A sample with a single class has no rarer one and counts nothing.
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
    """Plain cross-entropy and soft Dice of the static class, as the published author tried; all [B,N,H,W]."""
    cross = balanced_bce(logits, labels, sure, power=1.0)
    probability = torch.sigmoid(logits) * sure
    both = (probability * labels).sum()
    return cross + 1 - (2 * both + 1) / (probability.sum() + (labels * sure).sum() + 1)


def published_l1(logits: Tensor, labels: Tensor, sure: Tensor) -> Tensor:
    """The published loss: L1 over all pixels plus L1 over static ones, of the bare output; all [B,N,H,W].

    Where the published code divides by zero, without a static pixel, the second term is zero here.
    """
    error = (logits - labels).abs() * sure
    static = labels * sure
    return error.sum() / sure.sum().clamp(min=1) + (error * static).sum() / static.sum().clamp(min=1)
