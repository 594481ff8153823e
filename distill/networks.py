"""Networks that the training side begins with, and the licence that they pass on."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from maskvfi.models.rife import IFNet
from maskvfi.paths import PathLike
from maskvfi.weights.load import load_vfi
from maskvfi.weights.locate import find_weights
from maskvfi.weights.read import read_header


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


def inherited_licence(weights: Iterable[PathLike | None]) -> dict[str, Any]:
    """The licences of weights that others are made of, for the header of these.

    Args:
        weights: Names or paths; None is passed over.

    Returns:
        "licence" with all of them, or nothing where no header names one.
    """
    headers = (read_header(find_weights(each)) for each in weights if each is not None)
    found = sorted({str(header["licence"]) for header in headers if "licence" in header})
    return {"licence": " and ".join(found)} if found else {}
