"""The mean of several runs' weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from distill.networks import inherited_licence
from maskvfi.models.static import StaticMaskNet
from maskvfi.weights.load import Vfi, load_any, save_weights
from maskvfi.weights.locate import find_weights
from maskvfi.weights.read import sha256

HEAD = ("head.weight", "head.bias")  # four rows for every output


def average(weights: Sequence[str | Path], out: Path, half: bool = False, overwrite: bool = True) -> None:
    """Write the mean of weights, masks' or interpolation networks'.

    The mean of runs that continue each other is often better than each of them (Wortsman et al., "Model soups", ICML
    2022). Its header, with the variant and how colours are sampled, is that of the last weights. Mask weights that do
    not say what was replaced count in everything but that output.

    Args:
        weights: Names or paths, all of one shape.
        out: The file to write. Its header names the hashes of what was averaged.
        half: Store in float16.
        overwrite: Replace a file that exists.

    Raises:
        WeightsError: A file is missing or damaged.
        MediaError: The file exists or cannot be written.
        ValueError: The networks differ in shape.
    """
    paths = [find_weights(each) for each in weights]
    networks = _with_the_same_outputs([load_any(path) for path in paths])
    states = [each.state_dict() for each in networks]
    for path, state in zip(paths, states, strict=True):
        if _shapes(state) != _shapes(states[0]):
            raise ValueError(f"{path}: is a network of another shape than {paths[0]}")
    networks[-1].load_state_dict({name: _mean(state[name] for state in states) for name in states[0]})
    origin = [sha256(path) for path in paths]
    save_weights(
        out, networks[-1], half=half, overwrite=overwrite, mean_of=origin, **inherited_licence(paths)
    )


def _with_the_same_outputs(networks: list[Vfi | StaticMaskNet]) -> list[Vfi | StaticMaskNet]:
    """Give masks that do not say what was replaced the mean of this output of those that do."""
    learnt = [
        each.state_dict() for each in networks if isinstance(each, StaticMaskNet) and each.config.replaced
    ]
    if not learnt:
        return networks
    output = {name: _mean(state[name][4:] for state in learnt) for name in HEAD}
    return [
        with_replaced(each, output) if isinstance(each, StaticMaskNet) and not each.config.replaced else each
        for each in networks
    ]


def _mean(tensors: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(tensors)).mean(dim=0)


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items()}


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
