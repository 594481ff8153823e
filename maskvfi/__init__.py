"""maskvfi: raise a video's frame rate with RIFE and leave still things alone."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from maskvfi.errors import MaskvfiError, MediaError, OptionError, WeightsError
from maskvfi.options import FrameOptions, MaskVideoOptions, Options, ProtectOptions
from maskvfi.version import __version__

if TYPE_CHECKING:
    from maskvfi.models.base import Interpolation, InterpolationNetwork
    from maskvfi.models.rife import IFNet
    from maskvfi.models.static import StaticMaskNet
    from maskvfi.pipeline.preview import compare, mask_video, pair
    from maskvfi.pipeline.protect import protect
    from maskvfi.pipeline.report import Report
    from maskvfi.pipeline.run import interpolate
    from maskvfi.runtimes.export import export
    from maskvfi.synthesis.interpolator import Interpolator
    from maskvfi.weights.load import load_static, load_vfi, save_weights

# The module of every public name. It is imported when the name is first used, since torch takes seconds to import.
_MODULES = {
    "IFNet": "maskvfi.models.rife",
    "Interpolation": "maskvfi.models.base",
    "InterpolationNetwork": "maskvfi.models.base",
    "Interpolator": "maskvfi.synthesis.interpolator",
    "Report": "maskvfi.pipeline.report",
    "StaticMaskNet": "maskvfi.models.static",
    "compare": "maskvfi.pipeline.preview",
    "export": "maskvfi.runtimes.export",
    "interpolate": "maskvfi.pipeline.run",
    "load_static": "maskvfi.weights.load",
    "load_vfi": "maskvfi.weights.load",
    "mask_video": "maskvfi.pipeline.preview",
    "pair": "maskvfi.pipeline.preview",
    "protect": "maskvfi.pipeline.protect",
    "save_weights": "maskvfi.weights.load",
}

__all__ = [
    "FrameOptions",
    "IFNet",
    "Interpolation",
    "InterpolationNetwork",
    "Interpolator",
    "MaskVideoOptions",
    "MaskvfiError",
    "MediaError",
    "OptionError",
    "Options",
    "ProtectOptions",
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
    "protect",
    "save_weights",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in ("IFNet", "InterpolationNetwork", "StaticMaskNet"):
        import_module("maskvfi.weights.hub")  # adds from_pretrained, save_pretrained, push_to_hub
    found = getattr(import_module(_MODULES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
