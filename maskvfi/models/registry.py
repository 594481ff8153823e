"""The interpolation networks there are. Another one is a folder beside this file and a line here."""

from __future__ import annotations

from typing import Any

from maskvfi.models import blend, rife
from maskvfi.models.architecture import Architecture, Config, State
from maskvfi.models.base import InterpolationNetwork

ARCHITECTURES: tuple[Architecture, ...] = (rife.ARCHITECTURE, blend.ARCHITECTURE)


def build(
    state: State, id: str | None = None, config: Config | None = None
) -> tuple[InterpolationNetwork[Any, Any], State]:
    """The network that a state dict belongs to, still without its weights, and the state dict that fits it.

    Args:
        state: Tensors by name.
        id, config: What a header says of the network; without an id it is told from names and shapes.

    Raises:
        ValueError: No network is known that it belongs to.
    """
    for architecture in ARCHITECTURES:
        if id == architecture.id or (id is None and architecture.detect(state)):
            return architecture.build(state, config)
    known = ", ".join(architecture.id for architecture in ARCHITECTURES)
    raise ValueError(f"not the weights of a network that is known here ({known})")
