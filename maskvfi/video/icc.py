"""ICC colour profiles of picture files: read from one, put into another."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_LARGEST = 1 << 24  # bytes of a profile; a larger one is not read
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
            packed = next((body for kind, body in _png_chunks(data) if kind == b"iCCP"), b"\0\0")
            found = zlib.decompressobj().decompress(packed.partition(b"\0")[2][1:], _LARGEST)
        elif codec == "mjpeg":
            segments = (body for kind, body in _jpeg_segments(data) if kind == 0xE2)
            parts = sorted(body for body in segments if body.startswith(_JPEG_NAME))
            found = b"".join(body[len(_JPEG_NAME) + 2 :] for body in parts)
        elif codec == "webp":
            found = next((body for kind, body in _riff_chunks(data) if kind == b"ICCP"), b"")
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
        head = _png_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)) if profile else b""
        replaced = (b"iCCP", b"sRGB") if profile else (b"iCCP",)
        chunks = [_png_chunk(kind, body) for kind, body in _png_chunks(data) if kind not in replaced]
        return data[:8] + chunks[0] + head + b"".join(chunks[1:])
    if codec == "mjpeg" and profile:
        parts = [profile[at : at + _JPEG_PART] for at in range(0, len(profile), _JPEG_PART)]
        head = b""
        for number, part in enumerate(parts, 1):
            body = _JPEG_NAME + bytes([number, len(parts)]) + part
            head += b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body
        first, size = data[2:4], struct.unpack(">H", data[4:6])[0]
        at = 4 + size if first == b"\xff\xe0" else 2  # JFIF's segment has to be the first
        return data[:at] + head + data[at:]
    return data


def keeps_profile(codec: str) -> bool:
    """Whether pictures of this encoder can have a profile here."""
    return codec in ("png", "mjpeg")


def is_srgb(profile: bytes) -> bool:
    """Whether a profile calls itself sRGB, which is also what a picture without a profile means."""
    return b"sRGB" in profile or "sRGB".encode("utf-16-be") in profile


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + 8 + size]
        at += 12 + size


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The segments before the pixels."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        (size,) = struct.unpack_from(">H", data, at + 2)
        yield data[at + 1], data[at + 4 : at + 2 + size]
        at += 2 + max(size, 2)


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _tiff_profile(data: bytes) -> bytes:
    order = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, at)
    for n in range(count):
        tag, _, size, where = struct.unpack_from(f"{order}2H2I", data, at + 2 + 12 * n)
        if tag == _TIFF_TAG:
            return data[where : where + size]
    return b""
