"""A narrow network out of a wide one: the start from which it is distilled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from maskvfi.models.rife import IFNet, Variant


def pruned(network: IFNet, variant: Variant) -> IFNet:
    """A narrower network made of the strongest filters of a wide one with plain blocks.

    All layers of a block's trunk keep the same channels, because the trunk adds its input to its output. The strength
    of a channel is the mean length of its filters.

    Raises:
        ValueError: The networks are not of one form, or the other one is not narrower.
    """
    if network.variant.trunk != "plain+skip" or variant.trunk != "plain+skip":
        raise ValueError("only networks with plain blocks can be pruned")
    widths = list(zip(variant.channels, network.variant.channels, strict=True))
    if any(ours > theirs for ours, theirs in widths) or all(ours == theirs for ours, theirs in widths):
        raise ValueError(f"{variant.family} is not narrower than {network.variant.family}")
    small = IFNet(variant)
    blocks: Iterable[tuple[Any, Any]] = zip(network.blocks, small.blocks, strict=True)
    for wide, narrow in blocks:
        trunk = [layer[0].weight for layer in wide.convblock]
        strength = sum(
            (w.flatten(1).norm(dim=1) for w in (wide.conv0[1][0].weight, *trunk)), start=torch.zeros(())
        )
        keep = _strongest(strength, narrow.conv0[1][0].out_channels)
        first = _strongest(wide.conv0[0][0].weight.flatten(1).norm(dim=1), narrow.conv0[0][0].out_channels)
        _copy_layer(narrow.conv0[0], wide.conv0[0], first, None)
        _copy_layer(narrow.conv0[1], wide.conv0[1], keep, first)
        for ours, theirs in zip(narrow.convblock, wide.convblock, strict=True):
            _copy_layer(ours, theirs, keep, keep)
        narrow.lastconv.weight.data.copy_(wide.lastconv.weight.data[keep])
        narrow.lastconv.bias.data.copy_(wide.lastconv.bias.data)
    return small


def _strongest(strength: Tensor, count: int) -> Tensor:
    return strength.topk(count).indices.sort().values


def _copy_layer(ours: Any, theirs: Any, outputs: Tensor, inputs: Tensor | None) -> None:
    """A convolution and the PReLU behind it, reduced to some of its outputs and inputs."""
    weight = theirs[0].weight.data[outputs]
    ours[0].weight.data.copy_(weight if inputs is None else weight[:, inputs])
    ours[0].bias.data.copy_(theirs[0].bias.data[outputs])
    ours[1].weight.data.copy_(theirs[1].weight.data[outputs])
