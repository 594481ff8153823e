"""The Practical-RIFE family of interpolation networks."""

from maskvfi.rife.network import IFNet, Interpolation
from maskvfi.rife.variants import VARIANTS, Variant, find_variant

__all__ = ["VARIANTS", "IFNet", "Interpolation", "Variant", "find_variant"]
