"""All interpolation networks. To add one, make a folder beside this file and an entry in ARCHITECTURES."""

from __future__ import annotations

from typing import Any

from maskvfi.models import blend, rife
from maskvfi.models.architecture import Architecture, Config, State
from maskvfi.models.base import InterpolationNetwork

ARCHITECTURES: tuple[Architecture, ...] = (rife.ARCHITECTURE, blend.ARCHITECTURE)


def build(
    state: State, id: str | None = None, config: Config | None = None
) -> tuple[InterpolationNetwork[Any, Any], State]:
    """Find the network that a state dict belongs to.

    Args:
        state: Tensors by name.
        id: The architecture that the header names; None: the first one whose `detect` accepts the state dict.
        config: The header.

    Returns:
        The network, its weights not loaded yet, and the state dict under the names of its parameters.

    Raises:
        ValueError: No known architecture fits.
    """
    for architecture in ARCHITECTURES:
        if id == architecture.id or (id is None and architecture.detect(state)):
            return architecture.build(state, config)
    known = ", ".join(architecture.id for architecture in ARCHITECTURES)
    if id is not None:
        raise ValueError(f"unknown architecture {id!r}; known: {known}")
    raise ValueError(f"not the weights of a known network ({known})")
