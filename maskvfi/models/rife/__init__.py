"""The Practical-RIFE family of interpolation networks."""

from __future__ import annotations

from maskvfi.models.architecture import Architecture, Config, State
from maskvfi.models.rife.detect import clean, detect, is_rife, rename_encoder
from maskvfi.models.rife.network import IFNet
from maskvfi.models.rife.variants import VARIANTS, Variant, find_variant

__all__ = ["ARCHITECTURE", "VARIANTS", "IFNet", "Variant", "find_variant"]


def _build(state: State, config: Config | None) -> tuple[IFNet, State]:
    state = clean(state)
    if config is None:
        variant = detect(state)
    elif isinstance(config.get("variant"), dict):
        variant = Variant.from_dict(config["variant"])
    else:
        raise ValueError("its header describes no RIFE network")
    return IFNet(variant), rename_encoder(state, variant)


ARCHITECTURE = Architecture(id=IFNet.architecture, detect=is_rife, build=_build)
