"""The static mask network: which pixels stand still between neighbouring frames."""

from maskvfi.models.static.network import StaticConfig, StaticMaskNet

__all__ = ["StaticConfig", "StaticMaskNet"]
