"""The RIFE 4.x networks as data: one row of parameters per family of versions."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from itertools import groupby
from typing import Any

from maskvfi.errors import OptionError
from maskvfi.ops.warp import BICUBIC, BILINEAR

# Channels of a block's output layer, by the name of its form.
HEAD_PLANES = {"deconv5": 5, "shuffle20": 20, "shuffle24": 24, "shuffle52": 52}

# What headers may say, which are untrusted.
MAX_BLOCKS, MAX_WIDTH, MAX_SCALE = 16, 4096, 64
TRUNKS, MASKS = ("plain", "plain+skip", "res"), ("add", "replace")


@dataclass(frozen=True, slots=True)
class Variant:
    """The parameters that distinguish one RIFE 4.x network from another.

    Attributes:
        family: Its name: the first version of a family of equal networks.
        versions: The versions that are the same network with other weights.
        channels: Width of each block, from the coarsest to the finest.
        scales: Factor by which each block shrinks its input, from the frame's own size on.
        shrink: Factor by which both frames are shrunk before the first block. All blocks work on the small frames, and
            their flow is enlarged at the end.
        sampling: How the new frame's colours are read between pixels: BILINEAR, as RIFE does, or BICUBIC. What the
            blocks read is bilinear in any case, as they were trained.
        head: Form of the blocks' output layer, a key of HEAD_PLANES.
        encoder: Feature planes per frame; 0: there is no encoder.
        encoder_mid: Width inside the encoder.
        encoder_names: Names of the encoder's layers in a checkpoint. Two names mean the short form without activations.
        trunk: Form of the blocks' middle: "plain", "plain+skip" or "res".
        groups: Groups of the trunk's convolutions.
        prelu: Whether activations are PReLU instead of leaky ReLU.
        mask: Whether blend logits are summed over the blocks ("add") or the last one counts ("replace").
        dynamic_scale: Whether all scales are doubled where motion is too large for them (4.0 and 4.1).
    """

    family: str
    versions: tuple[str, ...]
    channels: tuple[int, ...]
    scales: tuple[int, ...]
    head: str
    encoder: int = 0
    encoder_mid: int = 0
    encoder_names: tuple[str, ...] = ()
    trunk: str = "res"
    groups: int = 1
    prelu: bool = False
    mask: str = "replace"
    dynamic_scale: bool = False
    shrink: int = 1
    sampling: str = BILINEAR

    @property
    def features(self) -> int:
        """Planes that a block passes to the next one beside flow and blend logit."""
        return 8 if self.head == "shuffle52" else 0

    @property
    def ensemble(self) -> bool:
        """Whether time-reversed averaging is defined for this family."""
        return self.features == 0

    @property
    def modulo(self) -> int:
        """Frame sides are padded to a multiple of this many px, at scale 1."""
        return 4 * self.scales[0]

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, for a weights file's header."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Variant:
        """The inverse of `to_dict`, from JSON.

        Args:
            values: Untrusted.

        Raises:
            TypeError: Keys are missing, or their values are of another type.
            ValueError: A key is unknown, or the values describe no network.
        """
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        if unknown := given.keys() - {each.name for each in fields(cls)}:
            raise ValueError(f"its header has an unknown entry: {', '.join(sorted(unknown))}")
        found = cls(**given)
        if not (
            0 < len(found.channels) == len(found.scales) <= MAX_BLOCKS
            and all(0 < width <= MAX_WIDTH for width in found.channels)
            and all(isinstance(scale, int) and 0 < scale <= MAX_SCALE for scale in found.scales)
            and not any(scale & (scale - 1) for scale in found.scales)
            and list(found.scales) == sorted(found.scales, reverse=True)
            and all(0 <= width <= MAX_WIDTH for width in (found.encoder, found.encoder_mid))
            and found.head in HEAD_PLANES
            and found.trunk in TRUNKS
            and found.mask in MASKS
            and found.shrink in (1, 2, 4)
            and found.sampling in (BILINEAR, BICUBIC)
            and not (found.shrink > 1 and found.dynamic_scale)
        ):
            raise ValueError("its header describes no RIFE network")
        return found


_CNN = ("cnn0", "cnn1", "cnn2", "cnn3")
_SEQUENTIAL = ("0", "2", "4", "6")

_V40 = Variant(
    family="4.0",
    versions=("4.0", "4.1"),
    channels=(192, 128, 96, 64),
    scales=(8, 4, 2, 1),
    head="deconv5",
    trunk="plain+skip",
    prelu=True,
    mask="add",
    dynamic_scale=True,
)
_V42 = replace(
    _V40, family="4.2", versions=("4.2", "4.3", "4.4"), trunk="plain", prelu=False, dynamic_scale=False
)
_V45 = replace(_V42, family="4.5", versions=("4.5",), trunk="res", head="shuffle20")
_V46 = replace(_V45, family="4.6", versions=("4.6",), head="shuffle24")
_V47 = replace(
    _V46,
    family="4.7",
    versions=("4.7", "4.8", "4.9"),
    encoder=4,
    encoder_mid=16,
    encoder_names=("0", "1"),
    mask="replace",
)
_V410 = replace(
    _V47,
    family="4.10",
    versions=("4.10", "4.11", "4.12"),
    encoder=8,
    encoder_mid=32,
    encoder_names=_SEQUENTIAL,
)
_V412_LITE = replace(
    _V410, family="4.12.lite", versions=("4.12.lite", "4.13.lite"), channels=(128, 96, 64, 48), encoder=4
)
_V413 = replace(
    _V410,
    family="4.13",
    versions=("4.13", "4.14", "4.15", "4.17", "4.18", "4.19", "4.24"),
    encoder_names=_CNN,
)
_V414_LITE = replace(_V413, family="4.14.lite", versions=("4.14.lite",), groups=2)
_V415_LITE = replace(
    _V413,
    family="4.15.lite",
    versions=("4.15.lite", "4.16.lite", "4.17.lite"),
    channels=(128, 96, 64, 48),
    encoder=4,
    encoder_mid=16,
)
_V420 = replace(_V413, family="4.20", versions=("4.20",), channels=(384, 192, 96, 48))
_V421 = replace(
    _V413,
    family="4.21",
    versions=("4.21", "4.22", "4.23"),
    channels=(256, 192, 96, 48),
    head="shuffle52",
)
_V422_LITE = replace(
    _V421,
    family="4.22.lite",
    versions=("4.22.lite",),
    channels=(192, 128, 64, 32),
    encoder=4,
    encoder_mid=16,
)
_V425 = replace(
    _V422_LITE,
    family="4.25",
    versions=("4.25", "4.26"),
    channels=(192, 128, 96, 64, 32),
    scales=(16, 8, 4, 2, 1),
)
_V425_LITE = replace(
    _V425,
    family="4.25.lite",
    versions=("4.25.lite",),
    channels=(192, 128, 96, 64, 24),
    scales=(32, 16, 8, 4, 1),
)
_V425_HEAVY = replace(_V425, family="4.25.heavy", versions=("4.25.heavy",), channels=(384, 256, 192, 128, 64))
_V426_HEAVY = replace(_V425, family="4.26.heavy", versions=("4.26.heavy",), encoder=16)

VARIANTS: tuple[Variant, ...] = (
    _V40, _V42, _V45, _V46, _V47, _V410, _V412_LITE, _V413, _V414_LITE, _V415_LITE, _V420, _V421,
    _V422_LITE, _V425, _V425_LITE, _V425_HEAVY, _V426_HEAVY,
)  # fmt: skip

# Those of the networks in the box. vfi-m differs from 4.0 in nothing that a state dict shows.
VFI_M = replace(_V40, family="vfi-m", versions=("vfi-m",), dynamic_scale=False, sampling=BICUBIC)
VFI_S = replace(
    VFI_M, family="vfi-s", versions=("vfi-s",), channels=(88, 64, 96, 64), scales=(16, 8, 4, 2), shrink=2
)
OWN = {variant.family: variant for variant in (VFI_M, VFI_S)}


def find_variant(name: str) -> Variant:
    """The variant of a version, or of a network in the box.

    Args:
        name: Such as "4.25", "v4.6", "rife-4.22.lite" or "vfi-m".

    Raises:
        OptionError: There is no such version; the message lists those there are.
    """
    if name in OWN:
        return OWN[name]
    wanted = version_of(name)
    for variant in VARIANTS:
        if wanted in variant.versions:
            return variant
    known = ", ".join(version for variant in (*VARIANTS, *OWN.values()) for version in variant.versions)
    raise OptionError(f"unknown RIFE variant {name!r}; known: {known}")


def version_of(name: str) -> str:
    """A version as the table writes it: "4.25" for "rife-v4.25"."""
    return name.lower().removeprefix("rife").lstrip("-_ ").removeprefix("v")


@cache
def ensemble_versions() -> str:
    """The versions with an ensemble mode, in words: consecutive ones as "first to last"."""
    has = {version: variant.ensemble for variant in VARIANTS for version in variant.versions}
    runs = [[*run] for ensemble, run in groupby(sorted(has, key=_order), key=has.__getitem__) if ensemble]
    return " and ".join(run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)


def _order(version: str) -> tuple[int, str]:
    """Sorts "4.9" before "4.12" and "4.12" before "4.12.lite"."""
    _, minor, *form = version.split(".")
    return int(minor), ".".join(form)
