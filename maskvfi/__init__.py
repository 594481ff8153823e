"""maskvfi: raise a video's frame rate with RIFE and leave still things alone."""

from importlib.metadata import PackageNotFoundError, version

from maskvfi.hub import WeightsError, load_static, load_vfi, save_weights
from maskvfi.interpolate import Report, interpolate
from maskvfi.interpolator import Interpolator
from maskvfi.pictures import compare, mask_video, pair
from maskvfi.rife import IFNet, Interpolation
from maskvfi.static import StaticMaskNet
from maskvfi.video import MediaError

try:
    __version__ = version("maskvfi")
except PackageNotFoundError:
    __version__ = "0"

__all__ = [
    "IFNet",
    "Interpolation",
    "Interpolator",
    "MediaError",
    "Report",
    "StaticMaskNet",
    "WeightsError",
    "compare",
    "interpolate",
    "load_static",
    "load_vfi",
    "mask_video",
    "pair",
    "save_weights",
]
