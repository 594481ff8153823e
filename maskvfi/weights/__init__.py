"""Weights: found by name, read without trusting them, loaded, downloaded, and shared on the Hub."""

from maskvfi.weights import hub

__all__ = ["hub"]
