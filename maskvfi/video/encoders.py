"""Which encoder, pixel format, options and time base a source is written with."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import numpy as np
from av.codec.codec import UnknownCodecError, find_best_pix_fmt_of_list

from maskvfi.errors import MediaError
from maskvfi.video.frames import Frame, SourceInfo
from maskvfi.video.pixels import frame_of, packing_of, planar_name
from maskvfi.video.planes import Colour, PixelFormat, planes_to_rgb, quantise, rgb_to_planes, to_tensors

DEFAULT_CRF = "18"  # no visible loss
# An encoder, or the suffix of a family: its option for constant quality, and what must be set with that.
_QUALITY = {
    "libx264": ("crf", {}),
    "libx265": ("crf", {}),
    "nvenc": ("cq", {"rc": "vbr", "b": "0"}),
    "qsv": ("global_quality", {}),
}
# Options that set the quality in another way.
_OTHER_QUALITY = {"qp", "b", "cq", "rc", "global_quality", "x265-params"}
_MAX_TICKS = 10_000_000  # per second: a gap of minutes still fits MP4's 32-bit sample durations
_MAX_MPEG4_TICKS = 65_535  # per second: ISO/IEC 14496-2, vop_time_increment_resolution
_PIPED = (  # the pixel formats of yuv4mpeg
    *("gray", "gray9le", "gray10le", "gray12le", "gray16le", "yuv411p"),
    *(
        f"yuv{kind}p{depth}"
        for kind in (420, 422, 444)
        for depth in ("", "9le", "10le", "12le", "14le", "16le")
    ),
)
_FIXED_RATE = ("mpeg1video", "mpeg2video", "avi", "yuv4mpegpipe")  # encoders and containers


@dataclass(frozen=True)
class Encoding:
    """An encoder, and how a frame becomes what it takes.

    Attributes:
        codec: FFmpeg's name of the encoder.
        pix_fmt: The pixel format that the encoder is given.
        layout: The planar format with the same components.
        packable: Whether `pixels.frame_of` makes `pix_fmt`; if not (palettes), swscale does.
        source_colour: What code values of the source mean.
        colour: What code values of the output mean.
        options: The encoder's options.
        warnings: What the encoder cannot keep of the source, one line each.
    """

    codec: str
    pix_fmt: str
    layout: PixelFormat
    packable: bool
    source_colour: Colour
    colour: Colour
    options: dict[str, str]
    warnings: tuple[str, ...]

    @property
    def has_bytes(self) -> bool:
        """Whether a packet is its bytes and nothing else. Raw frames are pointers, VPx keeps alpha in side data."""
        return self.codec != "wrapped_avframe" and not (self.layout.alpha and self.codec.startswith("libvpx"))

    def picture(self, frame: Frame) -> av.VideoFrame:
        """What the encoder is given for a frame: the decoder's frame, untouched, where it has the right format."""
        native = frame.native
        if native is None or native.format.name != self.pix_fmt or self._changes_meaning:
            native = self._pack(frame)
        native.pict_type = 0
        return native

    @property
    def _changes_meaning(self) -> bool:
        """Whether equal code values mean other colours in the output."""
        source, target = self.source_colour, self.colour
        return (source.matrix, source.full_range) != (target.matrix, target.full_range)

    def _pack(self, frame: Frame) -> av.VideoFrame:
        planes: Sequence[np.ndarray] = frame.planes
        height, width = planes[0].shape
        if frame.format != self.layout or self._changes_meaning:
            planes = convert_planes(planes, frame.format, self.source_colour, self.layout, self.colour)
        if not self.packable:
            packed = frame_of(planes, width, height, self.layout.name).reformat(format=self.pix_fmt)
        else:
            packed = frame_of(planes, width, height, self.pix_fmt)
        packed.colorspace, packed.color_range = self.colour.matrix_tag, self.colour.range_tag
        packed.color_primaries, packed.color_trc = self.colour.primaries, self.colour.transfer
        return packed


def choose_encoding(codec: str, info: SourceInfo, options: dict[str, str]) -> Encoding:
    """Choose how a source is encoded: in its own pixel format if the encoder takes it, else in the nearest one.

    Args:
        codec: FFmpeg's name of the encoder.
        info: What is known of the source.
        options: The encoder's options; `crf` is translated for encoders that call it otherwise.

    Returns:
        The encoding.

    Raises:
        MediaError: There is no such video encoder.
    """
    options = _with_quality(codec, options)
    if codec == "libx264" and info.format.family == "rgb" and info.format.depth == 8:
        codec = "libx264rgb"
    names = _formats_of(codec)
    pix_fmt, layout, packable = _choose_format(names, info.format)
    colour = _colour_in(layout, info)
    if codec == "mjpeg" and layout.family == "yuv":  # a JPEG file has no tags: JFIF says what it means
        colour = replace(colour, matrix="bt601", full_range=True, siting="center", matrix_tag=5, range_tag=2)
    warnings = []
    if lost := _losses(info.format, layout if packable else None):
        name = "yuv4mpeg" if codec == "wrapped_avframe" else codec
        warnings.append(f"{name} cannot write {info.format.name}: written as {pix_fmt}, {lost}")
    hdr = info.hdr.encoder_options(codec)
    if hdr is None:
        warnings.append(f"{codec} cannot write HDR10 mastering metadata: left out")
    if info.hdr.dynamic:
        warnings.append(
            f"{' and '.join(info.hdr.dynamic)} metadata of each frame cannot be written: left out"
        )
    merged = _merge(_quiet(codec), hdr or {}, options)
    if colour.siting != "left" and layout.log2_chroma == (1, 1):
        merged = {"chroma_sample_location": colour.siting, **merged}
    return Encoding(codec, pix_fmt, layout, packable, info.colour, colour, merged, tuple(warnings))


def choose_time_base(info: SourceInfo, rate: Fraction, codec: str, muxer: str) -> Fraction:
    """Choose a time base that is exact for source frames, for frames between them, and for a grid of `rate`.

    Frames between are exact where `rate` is a simple multiple of the source's. AVI and yuv4mpeg have one tick per
    frame. Where exact ticks would be finer than 1/10000000 s, times are rounded to 1/90000 s or better.

    Args:
        info: Time base and rate of the source.
        rate: Output frames per second.
        codec: FFmpeg's name of the encoder.
        muxer: FFmpeg's name of the container.

    Returns:
        Seconds per tick.
    """
    if has_fixed_rate(codec, muxer):
        return 1 / rate
    highest = _MAX_MPEG4_TICKS if codec == "mpeg4" else _MAX_TICKS
    clock = info.time_base.denominator
    between = clock * (rate / info.rate).numerator
    for parts in ((clock, rate.numerator, between), (clock, between), (clock, rate.numerator), (clock,)):
        ticks = math.lcm(*parts)
        if ticks <= highest:
            return Fraction(1, ticks)
    step = rate.numerator if rate.numerator <= highest else 1
    return Fraction(1, step * (min(highest, 90_000) // step or 1))


def has_fixed_rate(codec: str, muxer: str) -> bool:
    """Whether the encoder or the container knows nothing but a constant frame rate."""
    return codec in _FIXED_RATE or muxer in _FIXED_RATE


def loses_aspect_ratio(codec: str, muxer: str) -> bool:
    """Whether the pixel aspect ratio is lost.

    These containers take it from AVStream.sample_aspect_ratio, which PyAV cannot set; some codecs keep it themselves.
    """
    own = ("libx264", "libx265", "h264_", "hevc_", "mpeg", "prores")
    return muxer in ("matroska", "webm", "yuv4mpegpipe") and not codec.startswith(own)


def _formats_of(codec: str) -> list[str]:
    try:
        found = av.Codec(codec, "w")
    except UnknownCodecError:
        raise MediaError(f"{codec}: this FFmpeg has no such encoder") from None
    if found.type != "video":
        raise MediaError(f"{codec}: is not an encoder for video")
    return list(_PIPED) if codec == "wrapped_avframe" else [fmt.name for fmt in found.video_formats or ()]


def _choose_format(names: list[str], source: PixelFormat) -> tuple[str, PixelFormat, bool]:
    if not names or source.name in names:
        return source.name, source, True
    choices = [(name, PixelFormat.parse(planar_name(name) or "")) for name in names if _can_pack(name)]
    suited = [choice for choice in choices if choice[1].family != "grey" or source.family == "grey"]
    if not suited:
        best, _ = find_best_pix_fmt_of_list(names, "gbrp", False)
        return (best.name if best else names[0]), PixelFormat.parse("gbrp"), False
    name, layout = min(suited, key=lambda choice: _distance(source, *choice))
    return name, layout, True


def _can_pack(name: str) -> bool:
    return packing_of(name) is not None and not name.startswith("ya")  # grey with alpha is read as RGB


def _distance(source: PixelFormat, name: str, layout: PixelFormat) -> tuple[int, ...]:
    """What writing `source` as `layout` costs, the worst first: colours, depth, alpha, chroma, wasted samples."""
    kind = 0 if layout.family == source.family else 2 if source.family == "rgb" else 1
    sx, sy = source.log2_chroma
    lx, ly = layout.log2_chroma
    lost_chroma = max(0, lx - sx) + max(0, ly - sy) if source.family != "grey" else 0
    return (
        kind,
        max(0, source.depth - layout.depth),
        int(source.alpha and not layout.alpha),
        lost_chroma,
        abs(layout.depth - source.depth),
        max(0, sx - lx) + max(0, sy - ly) + int(layout.alpha and not source.alpha),
        int(name.startswith("yuvj")),
    )


def _losses(source: PixelFormat, layout: PixelFormat | None) -> str:
    if layout is None:
        return "with a palette"
    lost = []
    if source.family == "rgb" and layout.family == "yuv":
        lost.append("converted to YUV")
    if source.family == "yuv" and layout.family == "rgb":
        lost.append("converted to RGB")
    if layout.depth < source.depth:
        lost.append(f"{layout.depth} instead of {source.depth} bits")
    if source.alpha and not layout.alpha:
        lost.append("without alpha")
    if source.family != "grey" and layout.log2_chroma > source.log2_chroma:
        lost.append("with less chroma")
    if not lost and layout != source:
        lost.append("with nothing lost")
    return ", ".join(lost)


def _colour_in(layout: PixelFormat, info: SourceInfo) -> Colour:
    """The colour tags of the output: the source's, or after a conversion those of its result."""
    colour = info.colour
    if layout.family == info.format.family:
        return replace(colour, matrix_tag=0) if layout.family == "rgb" else colour
    if layout.family == "rgb":
        return replace(colour, full_range=True, matrix_tag=0, range_tag=2)
    if info.format.family == "grey":
        return replace(colour, range_tag=2 if colour.full_range else 1)
    return replace(colour, matrix="bt709", full_range=False, siting="left", matrix_tag=1, range_tag=1)


def convert_planes(
    planes: Sequence[np.ndarray], source: PixelFormat, colour: Colour, layout: PixelFormat, target: Colour
) -> tuple[np.ndarray, ...]:
    """Planes in another pixel format.

    Args:
        planes: Arrays [h,w] of code values.
        source, colour: Their format, and what they mean.
        layout, target: The format of the result, and what it means.

    Returns:
        Arrays [h,w]; alpha is opaque where the source has none.
    """
    rgb = planes_to_rgb(to_tensors(planes, "cpu"), source, colour)
    converted = quantise(rgb_to_planes(rgb, layout, target), layout)
    if not layout.alpha:
        return converted
    top = 1.0 if layout.depth == 32 else 2.0**layout.depth - 1
    if not source.alpha:
        return (*converted, np.full(planes[0].shape, top, layout.dtype))
    source_top = 1.0 if source.depth == 32 else 2.0**source.depth - 1
    (alpha,) = quantise([plane * (top / source_top) for plane in to_tensors(planes[-1:], "cpu")], layout)
    return (*converted, alpha)


def _with_quality(codec: str, options: dict[str, str]) -> dict[str, str]:
    """The options, with DEFAULT_CRF if none sets the quality; `crf` gets the name that the encoder has for it."""
    known = _QUALITY.get(codec) or _QUALITY.get(codec.rpartition("_")[2])
    if known is None or _OTHER_QUALITY & options.keys():
        return options
    own, beside = known
    others = {key: value for key, value in options.items() if key != "crf"}
    return {**beside, own: options.get("crf", DEFAULT_CRF), **others}


def _quiet(codec: str) -> dict[str, str]:
    """Options that silence x265, which writes to stderr itself; SVT-AV1, which does too, reads the environment."""
    if codec == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")
    return {"x265-params": "log-level=error"} if codec == "libx265" else {}


def _merge(*options: dict[str, str]) -> dict[str, str]:
    """One set of options: later ones replace earlier ones, lists of parameters (`x265-params`) are joined."""
    merged: dict[str, str] = {}
    for some in options:
        for key, value in some.items():
            joined = f"{merged[key]}:{value}" if key.endswith("-params") and key in merged else str(value)
            merged[key] = joined
    return merged
