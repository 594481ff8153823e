"""Interpolation networks that the training side can work with."""

from __future__ import annotations

import os

from maskvfi.models.rife import IFNet
from maskvfi.paths import PathLike
from maskvfi.weights.load import load_vfi


def load_rife(source: PathLike) -> IFNet:
    """Load an interpolation network that has blocks and flow, which training and flow teachers look at.

    Args:
        source: A name or a path, as `maskvfi.load_vfi` takes it.

    Returns:
        The network in evaluation mode, on the CPU, in float32.

    Raises:
        WeightsError: The weights are missing, damaged or of another kind.
        ValueError: They are those of another architecture than RIFE.
    """
    network = load_vfi(source)
    if not isinstance(network, IFNet):
        raise ValueError(
            f"{os.fspath(source)}: a {network.traits.name} network, and only RIFE's will do here"
        )
    return network
