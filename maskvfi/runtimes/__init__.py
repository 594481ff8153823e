"""Runtimes that compute the interpolation network: torch, or a faster one if it is installed."""

from __future__ import annotations

from maskvfi.runtimes.base import RUNTIMES, choose_runtime, on_device, with_runtime

__all__ = ["RUNTIMES", "choose_runtime", "on_device", "with_runtime"]
