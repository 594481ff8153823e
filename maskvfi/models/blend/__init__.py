"""Cross-fade as an interpolation network."""

from maskvfi.models.architecture import Architecture
from maskvfi.models.blend.network import Blend

__all__ = ["ARCHITECTURE", "Blend"]

ARCHITECTURE = Architecture(
    id=Blend.architecture, detect=lambda state: not state, build=lambda state, config: (Blend(), {})
)
