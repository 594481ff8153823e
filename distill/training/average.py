"""The mean of several runs' weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from maskvfi.weights.load import load_static, save_weights
from maskvfi.weights.read import sha256


def average(weights: Sequence[Path], out: Path) -> None:
    """Write the mean of mask weights.

    The mean of runs that continue each other is often better than each of them (Wortsman et al., "Model soups", ICML
    2022).

    Args:
        weights: Files of mask weights, all of one network.
        out: The file to write. Its header names the hashes of what was averaged.

    Raises:
        WeightsError: A file is missing or damaged.
        ValueError: The networks differ in shape.
    """
    networks = [load_static(path) for path in weights]
    mean = networks[0]
    if any(network.config != mean.config for network in networks):
        raise ValueError("the weights are of networks of different shape")
    with torch.no_grad():
        for parameters in zip(*(network.parameters() for network in networks), strict=True):
            parameters[0].copy_(torch.stack(parameters).mean(dim=0))
    save_weights(out, mean, mean_of=[sha256(path) for path in weights])
