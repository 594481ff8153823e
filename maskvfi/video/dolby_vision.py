"""Dolby Vision: the encoder's options, and the metadata that every picture needs."""

from __future__ import annotations

from collections.abc import Mapping

import av
from av.sidedata.sidedata import Type

from maskvfi.video.format_choice import is_lossless
from maskvfi.video.frames import SourceInfo
from maskvfi.video.pixel_format import Colour
from maskvfi.video.pixels import copy_samples
from maskvfi.video.side_data import read_side_data, with_only

_ENCODERS = ("libx265", "libsvtav1")
_PIXEL_FORMAT = "yuv420p10le"
_PQ = 16  # transfer function, ITU-T H.273
# Primaries, transfer function and matrix of profiles 8.1, 8.4 and 8.2; an encoder wants all three.
_COLOURS = ((9, _PQ, 9), (9, 18, 9), (1, 1, 1))
# Bits per second. Dolby Vision in HEVC needs a limit; these are of level 4 and 5.1 in the high tier, so that
# constant quality reaches them seldom.
_MOST, _MOST_OF_LARGE, _LARGE = 30_000_000, 160_000_000, 1920 * 1088  # px


def dolby_options(
    codec: str, info: SourceInfo, pix_fmt: str, colour: Colour, options: Mapping[str, str]
) -> dict[str, str] | None:
    """The options by which an encoder writes the Dolby Vision metadata of its pictures.

    Args:
        codec: FFmpeg's name of the encoder.
        info: What is known of the source.
        pix_fmt: The pixel format that the encoder is given.
        colour: What its code values mean.
        options: What else the encoder is given.

    Returns:
        The options; None where the metadata cannot be written: by another encoder, without loss, for other pixels or
        colours than the source's, or where they belong to a second layer (profiles 4 and 7) or to colours of their
        own (5).
    """
    fits = info.hdr.is_dolby_profile_8 and pix_fmt == _PIXEL_FORMAT and colour == info.colour
    if codec not in _ENCODERS or not fits:
        return None
    if (colour.primaries, colour.transfer, colour.matrix_tag) not in _COLOURS:
        return None
    if codec == "libsvtav1":
        return {"dolbyvision": "1"}
    own = options.get("x265-params", "").split(":")
    without_limit = (
        "qp" in options or any(each.startswith("qp=") for each in own) or is_lossless(codec, options)
    )
    static = info.hdr.encoder_options(codec) or {}
    if without_limit or (colour.transfer == _PQ and "master-display" not in static.get("x265-params", "")):
        return None  # x265 needs a limit of its bitrate, and for PQ the mastering display
    most = str(_MOST if info.width * info.height <= _LARGE else _MOST_OF_LARGE)
    return {"dolbyvision": "1", "maxrate": most, "bufsize": most}


def has_dolby_vision(frame: av.VideoFrame) -> bool:
    """Whether a decoded frame has Dolby Vision metadata."""
    return Type.DOVI_METADATA.name in read_side_data(frame)


def with_dolby_vision(picture: av.VideoFrame, origin: av.VideoFrame | None) -> av.VideoFrame:
    """A picture with Dolby Vision metadata, without which an encoder that writes them takes none.

    Args:
        picture: What the encoder is to be given.
        origin: The decoder's frame that has the metadata.

    Returns:
        The picture itself if it is this frame; else a copy with its metadata.
    """
    if origin is None or picture is origin:
        return picture
    made = with_only(origin, Type.DOVI_METADATA, picture)
    made.make_writable()
    copy_samples(picture, made)
    made.pict_type = picture.pict_type
    made.colorspace, made.color_range = picture.colorspace, picture.color_range
    made.color_primaries, made.color_trc = picture.color_primaries, picture.color_trc
    return made
