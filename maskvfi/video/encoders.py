"""Which encoder, pixel format, options and time base a source is written with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import numpy as np
from av.packet import Packet

from maskvfi.errors import OptionError
from maskvfi.video.dolby_vision import dolby_options
from maskvfi.video.format_choice import (
    DEVICES,
    asked_format,
    choose_format,
    even_size,
    find_encoder,
    for_alpha,
    formats_of,
    is_lossless,
    losses,
    played_standard,
    quiet,
    wanted_format,
)
from maskvfi.video.frames import Frame, SourceInfo
from maskvfi.video.hdr import DOLBY_VISION, HDR10_PLUS
from maskvfi.video.hdr10plus import writes_hdr10plus
from maskvfi.video.jpeg import as_jpeg, quality_options
from maskvfi.video.palette import GIF_TICK, cleared_after, paletted, without_header
from maskvfi.video.pixel_format import (
    MATRIX_BT601,
    MATRIX_BT709,
    MATRIX_RGB,
    RANGE_FULL,
    RANGE_LIMITED,
    Colour,
    PixelFormat,
)
from maskvfi.video.pixels import frame_of
from maskvfi.video.planes import convert_planes

DEFAULT_CRF = "18"  # no visible loss
# An encoder, or the suffix of a family: its option for constant quality, and what must be set with that.
_QUALITY = {
    "libx264": ("crf", {}),
    "libx264rgb": ("crf", {}),
    "libx265": ("crf", {}),
    "nvenc": ("cq", {"rc": "vbr", "b": "0"}),
    "qsv": ("global_quality", {}),
}
# For other encoders, by which FFmpeg would lose visibly: a bitrate of 200 kbit/s, or WebP's quality of 75.
_QSCALE = {"flags": "+qscale", "global_quality": "236"}  # a quantiser of 2, times FF_QP2LAMBDA
_MPEG = ("mpeg1video", "mpeg2video", "mpeg4", "msmpeg4", "msmpeg4v2", "wmv1", "wmv2", "flv", "h263", "h263p")
_DEFAULTS = {
    **{"libvpx": {"crf": "10", "b": "50M"}, "libvpx-vp9": {"crf": "24"}, "libwebp_anim": {"quality": "90"}},
    **dict.fromkeys(_MPEG, _QSCALE),
}
# Options that set the quality in another way.
_OTHER_QUALITY = {"qp", "b", "cq", "rc", "global_quality", "lossless"}
_MAX_TICKS = 10_000_000  # per second: a gap of minutes still fits MP4's 32-bit sample durations
_LARGEST_PART = 2**31 - 1
_MAX_MPEG4_TICKS = 65_535  # per second: ISO/IEC 14496-2, vop_time_increment_resolution
_NTSC = Fraction(1000, 1001)
_MPEG2_RATES = (
    24 * _NTSC,
    Fraction(24),
    Fraction(25),
    30 * _NTSC,
    Fraction(30),
    Fraction(50),
    60 * _NTSC,
    Fraction(60),
)
LEAST_X265 = 64  # px: libx265 corrupts memory where frames are narrower
SHORTEST_OF_GIF = 2 * GIF_TICK  # browsers show a shorter picture for 1/10 s
# Encoders and containers of a constant frame rate. In MPEG program streams, raw streams and Ogg players count frames.
_FIXED_RATE = {
    "mpeg1video",
    "mpeg2video",
    "avi",
    "mxf",
    "yuv4mpegpipe",
    "mpeg",
    "vob",
    "svcd",
    "dvd",
    "vcd",
    "h264",
    "hevc",
    "ogg",
    "ogv",
}


@dataclass(frozen=True)
class Encoding:
    """An encoder, and how a frame becomes what it takes.

    Attributes:
        codec: FFmpeg's name of the encoder.
        width, height: The size that the encoder is given, in pixels.
        pix_fmt: The pixel format that the encoder is given.
        planar: The planar format with the same components.
        packable: Whether `pixels.frame_of` makes `pix_fmt`; if not, swscale does, and `palette` makes palettes.
        source_colour: What code values of the source mean.
        colour: What code values of the output mean.
        options: The encoder's options.
        dynamic_hdr: The kinds of HDR metadata that each frame is written with, of `SourceInfo.hdr.dynamic`.
        warnings: What the encoder cannot keep of the source, one line each.
    """

    codec: str
    width: int
    height: int
    pix_fmt: str
    planar: PixelFormat
    packable: bool
    source_colour: Colour
    colour: Colour
    options: dict[str, str]
    dynamic_hdr: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def has_bytes(self) -> bool:
        """Whether a packet is its bytes and nothing else.

        Raw frames are pointers; VPx keeps alpha in side data, APNG its header; WebP is one packet for all pictures.
        """
        vpx_alpha = self.planar.alpha and self.codec.startswith("libvpx")
        return self.codec not in ("wrapped_avframe", "apng", "libwebp_anim") and not vpx_alpha

    @property
    def description(self) -> str:
        """The encoder and its options, in words for a message that it did not start."""
        words = [self.codec, *(f"{name} {value}" for name, value in self.options.items())]
        device = self.codec.rpartition("_")[2] in DEVICES
        return ", ".join(words) + (", which needs its GPU and driver," if device else "")

    def picture(self, frame: Frame) -> av.VideoFrame:
        """What the encoder is given for a frame: the decoder's frame, untouched, where it has the right format."""
        native = frame.native
        size = self.width, self.height
        fits = native is not None and (native.width, native.height) == size and not self._changes_meaning
        if native is None or not fits or native.format.name != self.pix_fmt:
            native = self._pack(frame)
        native.pict_type = 0
        return native

    def finished(self, packet: Packet, picture: av.VideoFrame, begun: bool) -> Packet:
        """A packet as the file has it.

        Args:
            packet: What the encoder gave.
            picture: What it was given for that.
            begun: Whether the packet belongs to a later segment of a file than the first.

        Returns:
            The packet, or one that takes its place.
        """
        if self.codec != "gif":
            return packet
        data = bytes(packet)
        if self.planar.alpha:
            data = cleared_after(data, picture)
        if begun:
            data = without_header(data, picture)
        if data == bytes(packet):
            return packet
        written = Packet(data)
        written.pts, written.dts, written.duration = packet.pts, packet.dts, packet.duration
        written.time_base, written.is_keyframe = packet.time_base, packet.is_keyframe
        return written

    @property
    def _changes_meaning(self) -> bool:
        """Whether equal code values mean other colours in the output."""
        source, target = self.source_colour, self.colour
        return (source.matrix, source.full_range) != (target.matrix, target.full_range)

    def _pack(self, frame: Frame) -> av.VideoFrame:
        planes: Sequence[np.ndarray] = frame.planes
        if frame.format != self.planar or self._changes_meaning:
            planes = convert_planes(planes, frame.format, self.source_colour, self.planar, self.colour)
        planes = _filled(planes, self.planar.plane_shapes(self.width, self.height))
        if self.packable:
            packed = frame_of(planes, self.width, self.height, self.pix_fmt)
        elif self.pix_fmt == "pal8":
            packed = paletted(tuple(planes))
        else:
            packed = frame_of(planes, self.width, self.height, self.planar.name).reformat(format=self.pix_fmt)
        packed.colorspace, packed.color_range = self.colour.matrix_tag, self.colour.range_tag
        packed.color_primaries, packed.color_trc = self.colour.primaries, self.colour.transfer
        return packed


def is_mpeg2_rate(rate: Fraction) -> bool:
    """Whether MPEG-2 video can state a frame rate: one of eight, times n/d (ISO/IEC 13818-2, 6.3.3 and 6.3.10)."""
    ratios = (rate / base for base in _MPEG2_RATES)
    return any(ratio.numerator <= 4 and ratio.denominator <= 32 for ratio in ratios)


def choose_encoding(
    codec: str, info: SourceInfo, options: dict[str, str], pix_fmt: str | None = None
) -> Encoding:
    """Choose how a source is encoded.

    YUV stays in its own pixel format if the encoder takes it, else it is written in the nearest one. So is everything
    with an encoder that is not for players, such as FFV1 or PNG, and where the options ask for every bit. RGB and grey
    become what players take: 4:2:0.

    Args:
        codec: FFmpeg's name of the encoder, or of what it writes.
        info: What is known of the source.
        options: The encoder's options; `crf` is translated for encoders that call it otherwise.
        pix_fmt: FFmpeg's name of the pixel format to write; chosen by default.

    Returns:
        The encoding.

    Raises:
        OptionError: There is no such video encoder, or it does not take `pix_fmt` or frames so narrow.
    """
    codec = find_encoder(codec).name
    options = _with_quality(codec, options)
    wanted = wanted_format(codec, info.format, options)
    if pix_fmt is not None:
        codec, (name, planar, packable) = asked_format(codec, pix_fmt)
    else:
        if codec == "libx264" and wanted.family == "rgb" and wanted.depth == 8:
            codec = "libx264rgb"
        name, planar, packable = choose_format(codec, formats_of(codec), wanted)
    if name == "pal8":
        planar = PixelFormat.parse("gbrap" if info.format.alpha else "gbrp")
    width, height = even_size(codec, name, planar, info.width, info.height)
    if codec == "libx265" and width < LEAST_X265:
        raise OptionError(f"libx265 takes no frames narrower than {LEAST_X265} px, these are {width} px wide")
    colour = _colour_in(codec, planar, info)
    if name.startswith("yuvj"):
        colour = replace(colour, full_range=True, range_tag=RANGE_FULL)
    if codec == "libwebp_anim" and planar.family == "yuv":
        colour = _as_webp(colour)
    if codec == "mjpeg":
        options, colour = {**quality_options(info), **options}, as_jpeg(colour)
    warnings = _warnings(codec, info, name, planar, wanted, asked=pix_fmt is not None)
    if (width, height) != (info.width, info.height):
        warnings.append(
            f"{codec} takes no odd sizes in {name}: the last row or column is repeated, "
            f"{info.width}x{info.height} becomes {width}x{height}"
        )
    hdr = info.hdr.encoder_options(codec)
    if hdr is None:
        warnings.append(f"{codec} cannot write HDR10 mastering metadata: left out")
    dynamic, dolby = _dynamic_hdr(codec, info, name, colour, options)
    if lost := [kind for kind in info.hdr.dynamic if kind not in dynamic]:
        warnings.append(f"{' and '.join(lost)} metadata of each frame cannot be written: left out")
    merged = _merge(quiet(codec), for_alpha(codec, planar), hdr or {}, dolby, options)
    if colour.siting != "left" and planar.log2_chroma == (1, 1):
        merged = {"chroma_sample_location": colour.siting, **merged}
    return Encoding(
        codec, width, height, name, planar, packable, info.colour, colour, merged, dynamic, tuple(warnings)
    )


def _dynamic_hdr(
    codec: str, info: SourceInfo, pix_fmt: str, colour: Colour, options: dict[str, str]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The kinds of HDR metadata that each frame can be written with, and the options that this takes."""
    dolby = dolby_options(codec, info, pix_fmt, colour, options)
    plus = writes_hdr10plus(codec) and colour == info.colour
    writable = {DOLBY_VISION: dolby is not None, HDR10_PLUS: plus}
    return tuple(kind for kind in info.hdr.dynamic if writable.get(kind)), dolby or {}


def _warnings(
    codec: str, info: SourceInfo, name: str, planar: PixelFormat, wanted: PixelFormat, *, asked: bool
) -> list[str]:
    """What the pixel format costs."""
    if name == "pal8":
        return [f"{codec} has 256 colours a picture: each gets a palette of its own"]
    lost = losses(info.format, planar)
    if not lost:
        return []
    if asked:
        return [f"{info.format.name} is written as {name}, as asked: {lost}"]
    if wanted != info.format:
        return [
            f"{info.format.name} is written as {name}, which players take: {lost}; pix_fmt chooses another"
        ]
    writer = "yuv4mpeg" if codec == "wrapped_avframe" else codec
    return [f"{writer} cannot write {info.format.name}: written as {name}, {lost}"]


def playing_note(encoding: Encoding) -> list[str]:
    """A line if players may not take the pixel format and nobody asked for every bit."""
    standard = played_standard(encoding.codec)
    if standard is None or is_lossless(encoding.codec, encoding.options):
        return []
    if encoding.planar.log2_chroma == (1, 1) and encoding.planar.depth <= standard[1]:
        return []
    return [f"many players do not take {standard[0]} in {encoding.pix_fmt}; all take it with pix_fmt yuv420p"]


def choose_time_base(info: SourceInfo, rate: Fraction, codec: str, muxer: str) -> Fraction:
    """Choose a time base that is exact for source frames, for frames between them, and for a grid of `rate`.

    Frames between are exact where `rate` is a simple multiple of the source's. AVI and yuv4mpeg have one tick per
    frame, GIF has 1/100 s. Where exact ticks would be finer than 1/10000000 s, times are rounded to 1/90000 s or
    better.

    Args:
        info: Time base and rate of the source.
        rate: Output frames per second.
        codec: FFmpeg's name of the encoder.
        muxer: FFmpeg's name of the container.

    Returns:
        Seconds per tick.
    """
    if has_fixed_rate(codec, muxer):
        return 1 / stated_rate(rate)
    if muxer == "gif":
        return GIF_TICK
    highest = _MAX_MPEG4_TICKS if codec == "mpeg4" else _MAX_TICKS
    clock = info.time_base.denominator
    between = clock * (rate / info.rate).numerator
    for parts in ((clock, rate.numerator, between), (clock, between), (clock, rate.numerator), (clock,)):
        ticks = math.lcm(*parts)
        if ticks <= highest:
            return Fraction(1, ticks)
    step = rate.numerator if rate.numerator <= highest else 1
    return Fraction(1, step * (min(highest, 90_000) // step or 1))


def stated_rate(rate: Fraction) -> Fraction:
    """The nearest frame rate that FFmpeg can hold: both parts of its fraction have 31 bits."""
    if max(rate.numerator, rate.denominator) <= _LARGEST_PART:
        return rate
    return rate.limit_denominator(max(1, min(100_000, int(_LARGEST_PART / rate)))) or Fraction(1, 100_000)


def has_fixed_rate(codec: str, muxer: str) -> bool:
    """Whether the encoder or the container knows nothing but a constant frame rate."""
    return codec in _FIXED_RATE or muxer in _FIXED_RATE


def without_b_frames(encoding: Encoding) -> Encoding:
    """The same encoding for a container that does not say when B frames are shown, which these encoders make."""
    if not encoding.codec.startswith(("libx264", "libx265", "h264_", "hevc_")):
        return encoding
    return replace(encoding, options={"bf": "0", **encoding.options})


def loses_aspect_ratio(codec: str, muxer: str) -> bool:
    """Whether the pixel aspect ratio is lost.

    WebP has none. The others take it from AVStream.sample_aspect_ratio, which PyAV cannot set; some codecs keep it
    themselves.
    """
    own = ("libx264", "libx265", "h264_", "hevc_", "mpeg", "prores")
    return muxer in ("matroska", "webm", "yuv4mpegpipe", "webp") and not codec.startswith(own)


def _colour_in(codec: str, planar: PixelFormat, info: SourceInfo) -> Colour:
    """The colour tags of the output: the source's, or after a conversion those of its result."""
    colour = info.colour
    if planar.family == info.format.family:
        return replace(colour, matrix_tag=MATRIX_RGB) if planar.family == "rgb" else colour
    if planar.family == "rgb":
        return replace(colour, full_range=True, matrix_tag=MATRIX_RGB, range_tag=RANGE_FULL)
    if info.format.family == "grey" and played_standard(codec) is None:
        return replace(colour, range_tag=RANGE_FULL if colour.full_range else RANGE_LIMITED)
    return replace(
        colour,
        matrix="bt709",
        full_range=False,
        siting="left",
        matrix_tag=MATRIX_BT709,
        range_tag=RANGE_LIMITED,
    )


def _as_webp(colour: Colour) -> Colour:
    """What code values of a lossy WebP mean (RFC 9649: those of BT.601)."""
    return replace(colour, matrix="bt601", full_range=False, matrix_tag=MATRIX_BT601, range_tag=RANGE_LIMITED)


def _filled(planes: Sequence[np.ndarray], shapes: Sequence[tuple[int, int]]) -> Sequence[np.ndarray]:
    """The planes, with the last row and column repeated where a larger shape is wanted."""
    return [
        plane
        if plane.shape == (rows, columns)
        else np.pad(plane, ((0, rows - plane.shape[0]), (0, columns - plane.shape[1])), mode="edge")
        for plane, (rows, columns) in zip(planes, shapes, strict=True)
    ]


def _with_quality(codec: str, options: dict[str, str]) -> dict[str, str]:
    """The options, with a default if none sets the quality; `crf` gets the name that the encoder has for it."""
    given = bool(_OTHER_QUALITY & options.keys())
    known = _QUALITY.get(codec) or _QUALITY.get(codec.rpartition("_")[2])
    if known is None:
        return options if given else _DEFAULTS.get(codec, {}) | options
    if given and "crf" not in options:
        return options
    own, beside = known
    others = {key: value for key, value in options.items() if key != "crf"}
    return {**beside, own: options.get("crf", DEFAULT_CRF), **others}


def _merge(*options: dict[str, str]) -> dict[str, str]:
    """One set of options: later ones replace earlier ones, lists of parameters (`x265-params`) are joined."""
    merged: dict[str, str] = {}
    for some in options:
        for key, value in some.items():
            joined = f"{merged[key]}:{value}" if key.endswith("-params") and key in merged else str(value)
            merged[key] = joined
    return merged
