"""How a network is told from its weights, and built for them."""

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
        detect: Whether a state dict belongs to it.
        build: From a state dict and the config in the header (None: there is none) to a network and the state dict
            that fits it; raises ValueError or KeyError for what it cannot build.
    """

    id: str
    detect: Callable[[State], bool]
    build: Callable[[State, Config | None], tuple[InterpolationNetwork[Any, Any], State]]
