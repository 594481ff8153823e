"""HDR metadata of decoded frames, and those of HDR10 (SMPTE ST 2086, CTA-861.3) as encoder options."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import av

from maskvfi.video.side_data import read_side_data

HDR10_PLUS, DOLBY_VISION = "HDR10+", "Dolby Vision"
# Side data that differs from frame to frame.
_DYNAMIC = {"DYNAMIC_HDR_PLUS": HDR10_PLUS, "DOVI_METADATA": DOLBY_VISION, "DYNAMIC_HDR_VIVID": "HDR Vivid"}


@dataclass(frozen=True, slots=True)
class HdrMetadata:
    """What HDR10 says once for a whole video, as the integers of the bit stream.

    Attributes:
        chromaticities: (x, y) of green, blue, red and white, in 1/50000.
        luminance: The mastering display's (max, min), in 1/10000 cd/m2.
        content_light: (MaxCLL, MaxFALL), in cd/m2.
        dynamic: The kinds of metadata that the video has for each frame.
        is_dolby_profile_8: Whether its Dolby Vision metadata are of profile 8: for a picture that is complete without
            them and has no second layer.
        frame: The frame that says so, if it has metadata of its own.
    """

    chromaticities: tuple[tuple[int, int], ...] | None = None
    luminance: tuple[int, int] | None = None
    content_light: tuple[int, int] | None = None
    dynamic: tuple[str, ...] = ()
    is_dolby_profile_8: bool = False
    frame: av.VideoFrame | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of_frame(cls, frame: av.VideoFrame) -> HdrMetadata:
        """The metadata of a decoded frame, empty where it has none."""
        found = read_side_data(frame)
        chromaticities, luminance = _mastering_display(found.get("MASTERING_DISPLAY_METADATA"))
        light = found.get("CONTENT_LIGHT_LEVEL")
        dynamic = tuple(label for name, label in _DYNAMIC.items() if name in found)
        return cls(
            chromaticities,
            luminance,
            _pair(light) if light else None,
            dynamic,
            _is_dolby_profile_8(found.get("DOVI_METADATA")),
            frame if dynamic else None,
        )

    def encoder_options(self, codec: str) -> dict[str, str] | None:
        """The options that make an encoder write the static metadata.

        Args:
            codec: FFmpeg's name of the encoder.

        Returns:
            The options, empty without metadata; None where the encoder cannot write it, or nobody can.
        """
        display = self._display(codec == "libsvtav1")
        light = ",".join(map(str, self.content_light or ()))
        if not display and not light:
            return {}
        if codec not in _OPTION_NAMES or not self._fits():
            return None
        option, display_name, light_name = _OPTION_NAMES[codec]
        pairs = ((display_name, display), (light_name, light))
        return {option: ":".join(f"{name}={value}" for name, value in pairs if value)}

    def _fits(self) -> bool:
        """Whether the numbers fit into a bit stream; encoders refuse others, which damaged files have."""
        points = [value for point in self.chromaticities or () for value in point]
        return all(0 <= value < 1 << 16 for value in (*points, *(self.content_light or ()))) and all(
            0 <= value < 1 << 31 for value in self.luminance or ()
        )

    def _display(self, in_units: bool) -> str:
        """The mastering display as text: in units (SVT-AV1), or as the integers of the bit stream (x264, x265)."""
        if not (self.chromaticities and self.luminance):
            return ""
        points = zip(("G", "B", "R", "WP"), self.chromaticities, strict=True)
        high, low = self.luminance
        if in_units:
            text = "".join(f"{name}({x / 50000:.5f},{y / 50000:.5f})" for name, (x, y) in points)
            return f"{text}L({high / 10000:.4f},{low / 10000:.4f})"
        return "".join(f"{name}({x},{y})" for name, (x, y) in points) + f"L({high},{low})"


# An encoder: its option, and the names of mastering display and content light in that option.
_OPTION_NAMES = {
    "libx264": ("x264-params", "mastering-display", "cll"),
    "libx265": ("x265-params", "master-display", "max-cll"),
    "libsvtav1": ("svtav1-params", "mastering-display", "content-light"),
}


def _pair(data: bytes) -> tuple[int, int]:
    first, second = struct.unpack_from("=2I", data)
    return first, second


def _mastering_display(
    data: bytes | None,
) -> tuple[tuple[tuple[int, int], ...] | None, tuple[int, int] | None]:
    """Read FFmpeg's AVMasteringDisplayMetadata.

    It has ten AVRationals: x and y of red, green, blue and white, then min and max luminance. Two flags follow, which
    say what FFmpeg finds plausible; they are ignored, so that all of it is kept.

    Returns:
        Chromaticities and luminance as `HdrMetadata` has them.
    """
    if data is None or len(data) < 88:
        return None, None
    numbers = struct.unpack_from("=22i", data)
    ratios = [num / den if den else 0.0 for num, den in zip(numbers[:20:2], numbers[1:20:2], strict=True)]
    red, green, blue, white = (
        (round(ratios[i] * 50000), round(ratios[i + 1] * 50000)) for i in range(0, 8, 2)
    )
    low, high = round(ratios[8] * 10000), round(ratios[9] * 10000)
    return ((green, blue, red, white) if any(white) else None, (high, low) if high else None)


def _is_dolby_profile_8(data: bytes | None) -> bool:
    """Read FFmpeg's AVDOVIMetadata, which begins with the place of an AVDOVIRpuDataHeader."""
    if data is None:
        return False
    (at,) = struct.unpack_from("=Q", data)
    vdr_rpu_profile, disable_residual = data[at + 4], data[at + 16]
    return vdr_rpu_profile == 1 and disable_residual == 1
