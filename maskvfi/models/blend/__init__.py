"""Cross-fade as an interpolation network."""

from __future__ import annotations

from maskvfi.models.architecture import Architecture
from maskvfi.models.blend.network import Blend

__all__ = ["ARCHITECTURE", "Blend"]

ARCHITECTURE = Architecture(
    id=Blend.architecture, detect=lambda state: False, build=lambda state, config: (Blend(), state)
)
