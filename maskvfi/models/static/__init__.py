"""The student: a small network that says which pixels stand still."""

from maskvfi.models.static.network import StaticConfig, StaticMaskNet

__all__ = ["StaticConfig", "StaticMaskNet"]
