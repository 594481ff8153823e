"""ICC colour profiles of picture files: read from one, put into another."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

from maskvfi.video.chunks import Chunk, png_chunks, riff_chunks
from maskvfi.video.jpeg_file import jpeg_pixels, jpeg_segment, jpeg_segments
from maskvfi.video.png import png_chunk

_LARGEST = 1 << 24  # bytes of an unpacked PNG profile; a larger one is not read
_TIFF_TAG = 34675
_JPEG_NAME = b"ICC_PROFILE\0"
_JPEG_PART = 65_519  # bytes of a profile that fit into a segment


def read_profile(data: bytes, codec: str) -> bytes:
    """Read the profile of a picture.

    Args:
        data: The file.
        codec: FFmpeg's name of its decoder.

    Returns:
        The profile; empty where there is none, where it is damaged, and for other kinds than PNG, JPEG, WebP and TIFF.
    """
    try:
        if codec == "png":
            packed = _first(png_chunks(io.BytesIO(data)), b"iCCP", data)
            unpacker = zlib.decompressobj()
            found = unpacker.decompress(packed.partition(b"\0")[2][1:], _LARGEST)
            if unpacker.unconsumed_tail:
                return b""
        elif codec == "mjpeg":
            parts = sorted(body for kind, body in jpeg_segments(data) if _is_part(kind, body))
            found = b"".join(body[len(_JPEG_NAME) + 2 :] for body in parts)
        elif codec == "webp":
            found = _first(riff_chunks(io.BytesIO(data)), b"ICCP", data)
        else:
            found = _tiff_profile(data) if codec == "tiff" else b""
    except (struct.error, zlib.error):
        return b""
    return found if found[36:40] == b"acsp" else b""


def put_profile(data: bytes, codec: str, profile: bytes) -> bytes:
    """Put a profile into a picture that has none or another one.

    Args:
        data: The file, PNG or JPEG; others are returned as they are.
        codec: FFmpeg's name of its encoder.
        profile: The profile; empty for none.

    Returns:
        The file with this profile.
    """
    if codec == "png":
        head = png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)) if profile else b""
        replaced = (b"iCCP", b"sRGB") if profile else (b"iCCP",)
        listed = png_chunks(io.BytesIO(data))
        chunks = [data[each.data - 8 : each.after] for each in listed if each.name not in replaced]
        return data[:8] + chunks[0] + head + b"".join(chunks[1:])
    if codec == "mjpeg":
        # FFmpeg has put the profile of a source frame into its own picture, but not into new ones.
        segments = [(kind, body) for kind, body in jpeg_segments(data) if not _is_part(kind, body)]
        rest = data[jpeg_pixels(data) :]
        cut = [profile[at : at + _JPEG_PART] for at in range(0, len(profile), _JPEG_PART)]
        parts = [(0xE2, _JPEG_NAME + bytes([n, len(cut)]) + part) for n, part in enumerate(cut, 1)]
        first = 1 if segments and segments[0][0] == 0xE0 else 0  # JFIF's segment has to be the first
        segments[first:first] = parts
        return data[:2] + b"".join(jpeg_segment(kind, body) for kind, body in segments) + rest
    return data


def keeps_profile(codec: str) -> bool:
    """Whether pictures of this encoder can have a profile here."""
    return codec in ("png", "mjpeg")


def is_srgb(profile: bytes) -> bool:
    """Whether a profile calls itself sRGB, which is also what a picture without a profile means."""
    return b"sRGB" in profile or "sRGB".encode("utf-16-be") in profile


def is_of_grey(profile: bytes) -> bool:
    """Whether a profile is for pictures of one channel (its header, ICC.1 section 7.2.6)."""
    return profile[16:20] == b"GRAY"


def _is_part(kind: int, body: bytes) -> bool:
    """Whether a segment of a JPEG is a part of its profile."""
    return kind == 0xE2 and body.startswith(_JPEG_NAME)


def _first(chunks: Iterator[Chunk], name: bytes, data: bytes) -> bytes:
    """The data of the first chunk of this name; empty where there is none."""
    return next((data[each.data : each.data + each.size] for each in chunks if each.name == name), b"")


def _tiff_profile(data: bytes) -> bytes:
    order = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, at)
    for n in range(count):
        tag, _, size, where = struct.unpack_from(f"{order}2H2I", data, at + 2 + 12 * n)
        if tag == _TIFF_TAG:
            return data[where : where + size]
    return b""
