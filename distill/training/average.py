"""The mean of several runs' weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from maskvfi.models.static import StaticMaskNet
from maskvfi.weights.load import Vfi, load_static, load_vfi, save_weights
from maskvfi.weights.locate import find_weights
from maskvfi.weights.read import read_header, sha256


def average(weights: Sequence[str | Path], out: Path, half: bool = False) -> None:
    """Write the mean of weights, masks' or interpolation networks'.

    The mean of runs that continue each other is often better than each of them (Wortsman et al., "Model soups", ICML
    2022). It has the form of the last network, so that a run from official weights goes last.

    Args:
        weights: Names or paths, all of one shape.
        out: The file to write. Its header names the hashes of what was averaged.
        half: Store in float16.

    Raises:
        WeightsError: A file is missing or damaged.
        ValueError: The networks differ in shape.
    """
    paths = [find_weights(each) for each in weights]
    states = [_load(path).state_dict() for path in paths]
    mean = _load(paths[-1])
    shapes = [{name: tensor.shape for name, tensor in state.items()} for state in states]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError("the weights are of networks of different shape")
    mean.load_state_dict(
        {name: torch.stack([state[name] for state in states]).mean(dim=0) for name in states[0]}
    )
    facts = {"mean_of": [sha256(path) for path in paths]}
    licences = {str(header["licence"]) for header in map(read_header, paths) if "licence" in header}
    save_weights(
        out, mean, half=half, **facts, **({"licence": " and ".join(sorted(licences))} if licences else {})
    )


def _load(path: Path) -> Vfi | StaticMaskNet:
    return load_static(path) if read_header(path).get("kind") == "static" else load_vfi(path)
