"""Weights: found by name, read as untrusted input, loaded, downloaded, and shared on the Hub."""

from __future__ import annotations

from maskvfi.weights import hub  # gives networks their methods for the Hub

__all__ = ["hub"]
