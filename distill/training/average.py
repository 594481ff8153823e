"""The mean of several runs' weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from maskvfi.models.static import StaticMaskNet
from maskvfi.weights.load import load_any, save_weights
from maskvfi.weights.locate import find_weights
from maskvfi.weights.read import read_header, sha256

HEAD = ("head.weight", "head.bias")  # four rows for every output


def average(weights: Sequence[str | Path], out: Path, half: bool = False) -> None:
    """Write the mean of weights, masks' or interpolation networks'.

    The mean of runs that continue each other is often better than each of them (Wortsman et al., "Model soups", ICML
    2022). Its header, with the variant and how colours are sampled, is that of the last weights. Mask weights that do
    not say what was replaced count in everything but that output.

    Args:
        weights: Names or paths, all of one shape.
        out: The file to write. Its header names the hashes of what was averaged.
        half: Store in float16.

    Raises:
        WeightsError: A file is missing or damaged.
        ValueError: The networks differ in shape.
    """
    paths = [find_weights(each) for each in weights]
    networks = [load_any(path) for path in paths]
    mean, masks = networks[-1], [each for each in networks if isinstance(each, StaticMaskNet)]
    if len(masks) == len(networks) and len({each.config.replaced for each in masks}) > 1:
        learnt = [each for each in masks if each.config.replaced]
        mean = learnt[-1]
        output = [each.state_dict() for each in learnt]
        shared = {name: torch.stack([state[name][4:] for state in output]).mean(dim=0) for name in HEAD}
        networks = [each if each.config.replaced else with_replaced(each, shared) for each in masks]
    states = [each.state_dict() for each in networks]
    shapes = [{name: tensor.shape for name, tensor in state.items()} for state in states]
    for path, shape in zip(paths, shapes, strict=True):
        if shape != shapes[0]:
            raise ValueError(f"{path}: is a network of another shape than {paths[0]}")
    mean.load_state_dict(
        {name: torch.stack([state[name] for state in states]).mean(dim=0) for name in states[0]}
    )
    facts = {"mean_of": [sha256(path) for path in paths]}
    licences = {str(header["licence"]) for header in map(read_header, paths) if "licence" in header}
    save_weights(
        out, mean, half=half, **facts, **({"licence": " and ".join(sorted(licences))} if licences else {})
    )


def with_replaced(network: StaticMaskNet, output: Mapping[str, Tensor] | None = None) -> StaticMaskNet:
    """Give a mask network a second output, what was replaced. What it says of stillness stays the same.

    Args:
        network: A network without that output.
        output: Rows of the head for the new output, by name; by default they say "not replaced" everywhere.

    Returns:
        A new network, in the mode of the old.
    """
    made = StaticMaskNet(replace(network.config, replaced=True)).train(network.training)
    state = network.state_dict()
    for name in HEAD:
        rows = torch.zeros_like(state[name]) if output is None else output[name]
        state[name] = torch.cat((state[name], rows - 4.0 if output is None and name == HEAD[1] else rows))
    made.load_state_dict(state)
    return made
