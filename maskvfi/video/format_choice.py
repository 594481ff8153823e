"""Which pixel format an encoder is given: what players take of it, and what that costs of the source."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from typing import NamedTuple

import av
from av.codec.codec import UnknownCodecError, find_best_pix_fmt_of_list
from av.video.codeccontext import VideoCodecContext

from maskvfi.errors import OptionError
from maskvfi.video.pixel_format import PixelFormat
from maskvfi.video.pixels import packing_of, planar_name
from maskvfi.video.priority import kept_priority

# Encoders whose output is for players: the standard, and how many bits of 4:2:0 players take of it.
_PLAYED = {
    "libx264": ("H.264", 8),
    "libx264rgb": ("H.264", 8),
    "h264": ("H.264", 8),
    "libx265": ("HEVC", 10),
    "hevc": ("HEVC", 10),
    "libvpx": ("VP8", 8),
    "libvpx-vp9": ("VP9", 10),
    "libsvtav1": ("AV1", 10),
    "libaom-av1": ("AV1", 10),
    "av1": ("AV1", 10),
}
DEVICES = ("nvenc", "qsv", "amf", "vaapi", "videotoolbox", "mf", "v4l2m2m")  # encoders such as h264_nvenc
PIPED = (  # the pixel formats of yuv4mpeg
    *("gray", "gray9le", "gray10le", "gray12le", "gray16le", "yuv411p"),
    *(
        f"yuv{kind}p{depth}"
        for kind in (420, 422, 444)
        for depth in ("", "9le", "10le", "12le", "14le", "16le")
    ),
)


class EncoderFormat(NamedTuple):
    """A pixel format that an encoder is given.

    Attributes:
        name: FFmpeg's name.
        planar: The planar format with the same components.
        packable: Whether `pixels.frame_of` makes it; if not (palettes), swscale does.
    """

    name: str
    planar: PixelFormat
    packable: bool


def find_encoder(codec: str) -> av.Codec:
    """Find a video encoder.

    Args:
        codec: FFmpeg's name of the encoder, or of what it writes: `hevc` finds libx265.

    Returns:
        The encoder.

    Raises:
        OptionError: There is no such video encoder.
    """
    try:
        found = av.Codec(codec, "w")
    except UnknownCodecError:
        raise OptionError(f"codec {codec}: this FFmpeg has no such encoder") from None
    if found.type != "video":
        raise OptionError(f"codec {codec}: is not an encoder for video")
    return found


def formats_of(codec: str) -> list[str]:
    """The pixel formats that an encoder lists, by FFmpeg's names; empty if it lists none.

    Raises:
        OptionError: There is no such video encoder.
    """
    if codec == "wrapped_avframe":
        return list(PIPED)
    names = [fmt.name for fmt in find_encoder(codec).video_formats or ()]
    # Of YUV in a TIFF, FFmpeg and others read the values as those of BT.601, whatever they are.
    return [name for name in names if codec != "tiff" or not name.startswith("yuv")]


def played_standard(codec: str) -> tuple[str, int] | None:
    """The standard that an encoder writes for players, and how many bits of 4:2:0 they take; None for others."""
    family, _, device = codec.partition("_")
    return _PLAYED.get(codec) or (_PLAYED.get(family) if device in DEVICES else None)


def is_lossless(codec: str, options: Mapping[str, str]) -> bool:
    """Whether the options ask an encoder for every bit."""
    zero = {"qp", "crf"} if codec.startswith("libx264") else set()
    return (
        any(options.get(name) == "0" for name in zero)
        or options.get("lossless") == "1"
        or options.get("tune") == "lossless"
        or "lossless=1" in options.get("x265-params", "")
    )


def wanted_format(codec: str, source: PixelFormat, options: Mapping[str, str]) -> PixelFormat:
    """What an encoder should be given of a source: the source's own format, or what players take of RGB and grey.

    YUV keeps its subsampling and depth.
    """
    standard = played_standard(codec)
    if standard is None or source.family == "yuv" or is_lossless(codec, options):
        return source
    depth = "10le" if source.depth > 8 and standard[1] > 8 else ""
    return PixelFormat.parse(f"yuv{'a' if source.alpha else ''}420p{depth}")


def choose_format(codec: str, names: Sequence[str], wanted: PixelFormat) -> EncoderFormat:
    """Choose the pixel format of an encoder that is nearest to the wanted one.

    Some encoders list formats that they refuse, so each is tried.

    Args:
        codec: FFmpeg's name of the encoder.
        names: The formats that it lists.
        wanted: What it should be given.

    Returns:
        The format.
    """
    if not names:
        return EncoderFormat(wanted.name, wanted, packable=True)
    choices = [(name, PixelFormat.parse(planar_name(name) or "")) for name in names if _can_pack(name)]
    suited = [choice for choice in choices if choice[1].family != "grey" or wanted.family == "grey"]
    if not suited and "pal8" in names:
        return EncoderFormat("pal8", PixelFormat.parse("gbrap"), packable=False)
    if not suited:
        best, _ = find_best_pix_fmt_of_list(names, "gbrp", False)
        return EncoderFormat(best.name if best else names[0], PixelFormat.parse("gbrp"), packable=False)
    suited.sort(key=lambda choice: (choice[0] != wanted.name, _distance(wanted, *choice)))
    name, planar = next((one for one in suited if opens(codec, one[0], 320, 320)), suited[0])
    return EncoderFormat(name, planar, packable=True)


def asked_format(codec: str, name: str) -> tuple[str, EncoderFormat]:
    """A pixel format that a person chose.

    Args:
        codec: FFmpeg's name of the encoder.
        name: FFmpeg's name of the format.

    Returns:
        The encoder that takes it, and the format.

    Raises:
        OptionError: The encoder does not take it.
    """
    names = formats_of(codec)
    if codec == "libx264" and name in (of_rgb := formats_of("libx264rgb")):
        codec, names = "libx264rgb", of_rgb
    if names and name not in names:
        raise OptionError(f"pix_fmt {name!r} is not one that {codec} takes; it takes {', '.join(names)}")
    if not names and planar_name(name) is None:
        raise OptionError(f"pix_fmt {name!r} is not known")
    if _can_pack(name):
        return codec, EncoderFormat(name, PixelFormat.parse(planar_name(name) or ""), packable=True)
    planar = PixelFormat.parse("gray" if name.startswith(("gray", "mono")) else "gbrp")
    return codec, EncoderFormat(name, planar, packable=False)


def even_size(codec: str, name: str, planar: PixelFormat, width: int, height: int) -> tuple[int, int]:
    """The size that an encoder takes: an odd side becomes even where chroma is halved and the encoder needs that."""
    across, down = planar.log2_chroma
    even = width + (width % 2 if across else 0), height + (height % 2 if down else 0)
    if even == (width, height) or codec == "wrapped_avframe":
        return width, height
    if opens(codec, name, 320 + width % 2, 320 + height % 2) or not opens(codec, name, 320, 320):
        return width, height
    return even


@cache
def opens(codec: str, name: str, width: int, height: int) -> bool:
    """Whether an encoder takes a pixel format at a size. Device encoders are not tried: they take even sizes only."""
    if codec.partition("_")[2] in DEVICES or codec == "wrapped_avframe":
        return not (width % 2 or height % 2)
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, name
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.thread_count = 1
    context.options = {
        **quiet(codec, "none"),
        **for_alpha(codec, PixelFormat.parse(planar_name(name) or "gbrp")),
    }
    try:
        with kept_priority():
            context.open()
    except (av.error.FFmpegError, OSError, ValueError):
        return False
    return True


def for_alpha(codec: str, planar: PixelFormat) -> dict[str, str]:
    """Options that an encoder needs for a format with alpha."""
    needed = {"libvpx": {"auto-alt-ref": "0"}, "gif": {"gifflags": "0"}}
    return needed.get(codec, {}) if planar.alpha else {}


def quiet(codec: str, level: str = "error") -> dict[str, str]:
    """Options that silence x265, which writes to stderr itself; SVT-AV1, which does too, reads the environment."""
    if codec == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")
    return {"x265-params": f"log-level={level}"} if codec == "libx265" else {}


def losses(source: PixelFormat, planar: PixelFormat) -> str:
    """What a source loses in a format, in words; empty where the format is the source's own."""
    lost = []
    if source.family in ("rgb", "grey") and planar.family == "yuv":
        lost.append("converted to YUV")
    if source.family == "yuv" and planar.family == "rgb":
        lost.append("converted to RGB")
    if source.family != "grey" and planar.family == "grey":
        lost.append("without colour")
    if planar.depth < source.depth:
        lost.append(f"{planar.depth} instead of {source.depth} bits")
    if source.alpha and not planar.alpha:
        lost.append("without alpha")
    halved = any(a > b for a, b in zip(planar.log2_chroma, source.log2_chroma, strict=True))
    if halved and source.family != "grey" and planar.family != "grey":
        lost.append("with less chroma")
    if not lost and planar != source:
        lost.append("with nothing lost")
    return ", ".join(lost)


def _can_pack(name: str) -> bool:
    return packing_of(name) is not None and not name.startswith("ya")  # grey with alpha is read as RGB


def _distance(source: PixelFormat, name: str, planar: PixelFormat) -> tuple[int, ...]:
    """What writing `source` as `planar` costs, the worst first: colours, depth, alpha, chroma, wasted samples."""
    kind = 0 if planar.family == source.family else 2 if source.family == "rgb" else 1
    sx, sy = source.log2_chroma
    lx, ly = planar.log2_chroma
    lost_chroma = max(0, lx - sx) + max(0, ly - sy) if source.family != "grey" else 0
    return (
        kind,
        max(0, source.depth - planar.depth),
        int(source.alpha and not planar.alpha),
        lost_chroma,
        abs(planar.depth - source.depth),
        max(0, sx - lx) + max(0, sy - ly) + int(planar.alpha and not source.alpha),
        int(name.startswith("yuvj")),
    )
