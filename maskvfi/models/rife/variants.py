"""The RIFE 4.x networks as data: one row of parameters per family of versions."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

HEAD_PLANES = {"deconv5": 5, "shuffle20": 20, "shuffle24": 24, "shuffle52": 52}

MAX_BLOCKS, MAX_WIDTH = 16, 4096  # no header may ask for more


@dataclass(frozen=True, slots=True)
class Variant:
    """What distinguishes one RIFE 4.x network from another.

    channels and scales go from the coarsest block to the finest; a scale is the factor by which a block
    shrinks its input. start is "" or, with features only, "dis": the first block refines `dis_flow`. fallback is the
    width of the network's `Fallback` (0: it has none). encoder is
    the number of feature planes per frame (0: none), encoder_mid the width inside it, encoder_names its layers'
    names in a checkpoint (two names: the short form without activations). trunk is "plain", "plain+skip" or "res";
    head names the output layer; masks are summed over the blocks ("add") or the last one counts ("replace").
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
    start: str = ""
    fallback: int = 0

    @property
    def features(self) -> int:
        """Planes that a block hands to the next one beside flow and mask."""
        return 8 if self.head == "shuffle52" else 0

    @property
    def ensemble(self) -> bool:
        """Whether time-reversed averaging is defined for this family."""
        return self.features == 0

    @property
    def modulo(self) -> int:
        """Frame sides are padded to a multiple of this, before the user's scale."""
        return 4 * self.scales[0] if self.scales else 1

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Variant:
        """The inverse of `to_dict`, from JSON.

        Raises TypeError for missing or unknown keys, ValueError for what is no network.
        """
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        found = cls(**fields)
        if not (
            len(found.channels) == len(found.scales) <= MAX_BLOCKS
            and all(0 < size <= MAX_WIDTH for size in (*found.channels, *found.scales))
            and all(0 <= width <= MAX_WIDTH for width in (found.encoder, found.encoder_mid, found.fallback))
            and found.head in HEAD_PLANES
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

DIS = Variant("dis", ("dis",), channels=(), scales=(), head="shuffle52", start="dis")

VARIANTS: tuple[Variant, ...] = (
    _V40, _V42, _V45, _V46, _V47, _V410, _V412_LITE, _V413, _V414_LITE, _V415_LITE, _V420, _V421,
    _V422_LITE, _V425, _V425_LITE, _V425_HEAVY, _V426_HEAVY,
)  # fmt: skip


def find_variant(name: str) -> Variant:
    """The variant of a family or version name such as "4.25", "v4.6" or "rife-4.22.lite".

    Raises ValueError, listing the known names, for any other.
    """
    wanted = version_of(name)
    for variant in VARIANTS:
        if wanted in variant.versions:
            return variant
    known = ", ".join(version for variant in VARIANTS for version in variant.versions)
    raise ValueError(f"unknown RIFE variant {name!r}; known: {known}")


def version_of(name: str) -> str:
    """A version as the table writes it: "rife-v4.25" is "4.25"."""
    return name.lower().removeprefix("rife").lstrip("-_ ").removeprefix("v")
