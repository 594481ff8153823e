"""The web page: open a video, see and paint the mask, interpolate, download."""

from maskvfi.app.server import serve

__all__ = ["serve"]
