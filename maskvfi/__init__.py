"""maskvfi: raise a video's frame rate with RIFE and leave still things alone."""

from maskvfi.export import export
from maskvfi.hub import WeightsError, load_static, load_vfi, save_weights
from maskvfi.interpolate import Report, interpolate
from maskvfi.interpolator import Interpolator
from maskvfi.pictures import compare, mask_video, pair
from maskvfi.rife import IFNet, Interpolation
from maskvfi.static import StaticMaskNet
from maskvfi.version import __version__
from maskvfi.video import MediaError

__all__ = [
    "IFNet",
    "Interpolation",
    "Interpolator",
    "MediaError",
    "Report",
    "StaticMaskNet",
    "WeightsError",
    "__version__",
    "compare",
    "export",
    "interpolate",
    "load_static",
    "load_vfi",
    "mask_video",
    "pair",
    "save_weights",
]
