"""The static mask network: which pixels stand still, or are replaced in place, between neighbouring frames."""

from maskvfi.models.static.network import Masks, StaticConfig, StaticMaskNet

__all__ = ["Masks", "StaticConfig", "StaticMaskNet"]
