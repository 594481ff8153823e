"""The web page: open videos, see and paint the mask, interpolate or protect them in a queue, download."""

from maskvfi.app.server import serve

__all__ = ["serve"]
