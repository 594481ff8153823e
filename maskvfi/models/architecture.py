"""What the registry knows of one kind of network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from maskvfi.models.base import InterpolationNetwork

State = Mapping[str, Tensor]
Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Architecture:
    """One kind of interpolation network.

    Attributes:
        id: Its name in the header of weights files.
        detect: Takes a state dict; returns whether it belongs to this kind of network.
        build: Takes a state dict and the header's config (None without a header). Returns a network, and the state dict
            under the names of its parameters. Raises ValueError or KeyError if it cannot build a network from them.
    """

    id: str
    detect: Callable[[State], bool]
    build: Callable[[State, Config | None], tuple[InterpolationNetwork[Any, Any], State]]
