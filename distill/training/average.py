"""Weights between those of several runs of one network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from maskvfi.weights.load import load_static, save_weights, sha256


def average(weights: Sequence[Path], out: Path) -> None:
    """Write the mean of mask weights, which of runs that go on from each other tends to be better than any of them.

    Wortsman et al., "Model soups", ICML 2022. The header names the hashes of what was averaged. Raises WeightsError for
    bad weights, ValueError where their networks differ.
    """
    networks = [load_static(path) for path in weights]
    mean = networks[0]
    if any(network.config != mean.config for network in networks):
        raise ValueError("the weights are of networks of different shape")
    with torch.no_grad():
        for parameters in zip(*(network.parameters() for network in networks), strict=True):
            parameters[0].copy_(torch.stack(parameters).mean(dim=0))
    save_weights(out, mean, mean_of=[sha256(path) for path in weights])
