"""The version of this package, as it was installed."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("maskvfi")
except PackageNotFoundError:
    __version__ = "0"
