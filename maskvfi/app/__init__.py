"""The web page: a video in, a look at what stands still, the result out."""

from maskvfi.app.server import serve

__all__ = ["serve"]
