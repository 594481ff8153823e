"""What the code values of a frame's planes mean: the pixel format and the colours."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

# Kr and Kb: ITU-R BT.601-7 2.5.1, BT.709-6 3.2, BT.2020-2 table 4 (non-constant luminance); SMPTE 240M and
# FCC as in ITU-T H.273 table 4.
LUMA_WEIGHTS = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
    "smpte240m": (0.212, 0.087),
    "fcc": (0.30, 0.11),
}
# ITU-T H.273 table 4 (MatrixCoefficients), which FFmpeg's AVColorSpace follows.
MATRIX_OF_TAG = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
MATRIX_RGB, MATRIX_BT709, MATRIX_BT601 = 0, 1, 5
UNSPECIFIED = 2  # of matrix, primaries and transfer function
RANGE_LIMITED, RANGE_FULL = 1, 2  # FFmpeg's AVColorRange
# Where a chroma sample sits between two luma samples, (x, y): 0 is on the first one, 0.5 is halfway.
SITINGS = {"left": (0.0, 0.5), "center": (0.5, 0.5), "topleft": (0.0, 0.0), "top": (0.5, 0.0)}

_NAME = re.compile(
    r"(?P<kind>yuva?(?:420|422|444|440|411|410)p|gray|gbra?p)(?P<float>f32)?(?P<depth>9|1[0246])?(?:le)?"
)
_LOG2_CHROMA = {"420": (1, 1), "422": (1, 0), "444": (0, 0), "440": (0, 1), "411": (2, 0), "410": (2, 2)}


def is_unspecified(tag: int) -> bool:
    """Whether a tag of primaries, transfer function or matrix of YUV is "reserved" or "unspecified"."""
    return tag in (0, UNSPECIFIED)


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """A planar pixel format: every plane holds one component.

    Attributes:
        name: FFmpeg's name. RGB planes have FFmpeg's order: G, B, R, then alpha.
        family: "yuv", "rgb" or "grey".
        depth: The bits of a code value; float formats have 32, and their white is 1.0.
        log2_chroma: The logarithms of the chroma subsampling in x and y.
        alpha: Whether there is an alpha plane.
    """

    name: str
    family: str
    depth: int
    log2_chroma: tuple[int, int]
    alpha: bool

    @classmethod
    def parse(cls, name: str) -> PixelFormat:
        """The format of an FFmpeg name.

        Args:
            name: A name such as `yuv420p10le`, `gray` or `gbrap16le`; `yuvj420p` is the old name of full-range
                `yuv420p`.

        Returns:
            The format.

        Raises:
            ValueError: The format is not planar and little-endian, or not known.
        """
        found = _NAME.fullmatch(re.sub(r"^yuvj(4\d\dp)$", r"yuv\1", name).replace("gray8", "gray"))
        if not found or (found["float"] and (found["depth"] or found["kind"].startswith("yuv"))):
            raise ValueError(f"unknown planar pixel format: {name}")
        kind = found["kind"]
        is_float = bool(found["float"])
        depth = 32 if is_float else int(found["depth"] or 8)
        suffix = "f32le" if is_float else f"{depth}le" if depth > 8 else ""
        alpha = kind.startswith(("yuva", "gbra"))
        if kind == "gray":
            return cls(kind + suffix, "grey", depth, (0, 0), alpha)
        if kind.startswith("gbr"):
            return cls(kind + suffix, "rgb", depth, (0, 0), alpha)
        return cls(kind + suffix, "yuv", depth, _LOG2_CHROMA[kind[-4:-1]], alpha)

    @property
    def colour_planes(self) -> int:
        """How many planes there are without alpha."""
        return 1 if self.family == "grey" else 3

    @property
    def dtype(self) -> type[np.number]:
        """The numpy type of a code value."""
        return np.float32 if self.depth == 32 else np.uint16 if self.depth > 8 else np.uint8

    @property
    def is_float(self) -> bool:
        """Whether values are floats, which may also lie below black and above white."""
        return self.depth == 32

    @property
    def white(self) -> float:
        """The largest code value; 1.0 in float formats."""
        return 1.0 if self.depth == 32 else 2.0**self.depth - 1

    def plane_shapes(self, width: int, height: int) -> tuple[tuple[int, int], ...]:
        """(height, width) of every plane, alpha last, for a picture of this size in pixels."""
        sx, sy = self.log2_chroma
        chroma = (-(-height >> sy), -(-width >> sx))
        colour = ((height, width), chroma, chroma)[: self.colour_planes]
        return (*colour, (height, width)) if self.alpha else colour


@dataclass(frozen=True, slots=True)
class Colour:
    """What code values mean, and the tags of the file (ITU-T H.273; 0 and 2 are unspecified).

    Attributes:
        matrix: The YUV matrix, a name of LUMA_WEIGHTS.
        full_range: Whether code values use the whole range.
        siting: Where chroma samples sit, a name of SITINGS.
        primaries: The tag of the colour primaries.
        transfer: The tag of the transfer function.
        matrix_tag: The tag of the matrix.
        range_tag: FFmpeg's tag of the range: 1 limited, 2 full.
    """

    matrix: str
    full_range: bool
    siting: str = "left"
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix_tag: int = UNSPECIFIED
    range_tag: int = 0

    @classmethod
    def from_tags(
        cls,
        fmt: PixelFormat,
        height: int,
        *,
        matrix_tag: int = UNSPECIFIED,
        range_tag: int = 0,
        primaries: int = UNSPECIFIED,
        transfer: int = UNSPECIFIED,
        siting: str | None = None,
    ) -> Colour:
        """What a player assumes of a video with these tags.

        An untagged matrix is BT.601 below 720 lines and BT.709 from there on. Untagged YUV is limited range, untagged
        RGB and grey are full range. An unknown siting is left.

        Args:
            fmt: The pixel format.
            height: The height of the picture, in pixels.
            matrix_tag, range_tag, primaries, transfer: The tags.
            siting: Where chroma samples sit, a name of SITINGS.

        Returns:
            The meaning of its code values.
        """
        guess = "bt601" if height < 720 else "bt709"
        full = range_tag == RANGE_FULL if fmt.family == "yuv" else range_tag != RANGE_LIMITED
        matrix = MATRIX_OF_TAG.get(matrix_tag, guess)
        return cls(matrix, full, siting or "left", primaries, transfer, matrix_tag, range_tag)
