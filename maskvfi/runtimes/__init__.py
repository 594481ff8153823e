"""What computes the interpolation network: torch, or something faster where it is installed."""

from maskvfi.runtimes.base import RUNTIMES, choose_runtime, on_device, with_runtime

__all__ = ["RUNTIMES", "choose_runtime", "on_device", "with_runtime"]
