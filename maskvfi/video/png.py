"""The chunks of a PNG file (ISO/IEC 15948)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_START = 8  # bytes before the first chunk
_COLOURS = (b"tRNS", b"cICP", b"sRGB", b"gAMA", b"cHRM")  # what the pixels mean


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The name and the content of each chunk."""
    at = _START
    while at + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + 8 + size]
        at += 12 + size


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Make a chunk."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def without_metadata(data: bytes) -> bytes:
    """Remove profile, EXIF and texts from a PNG file: if one of them is damaged, FFmpeg rejects the whole picture.

    Args:
        data: The file; what is wrong with its pixels stays wrong.

    Returns:
        The file with its pixels and what they mean.
    """
    kept, at = [data[:_START]], _START
    while at + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind[:1].isupper() or kind in _COLOURS:
            kept.append(data[at : at + 12 + size])
        at += 12 + size
    return b"".join(kept) + data[at:]
