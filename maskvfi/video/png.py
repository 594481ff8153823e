"""PNG files: chunks written, metadata removed."""

from __future__ import annotations

import io
import struct
import zlib

from maskvfi.video.chunks import png_chunks

_COLOURS = (b"tRNS", b"cICP", b"sRGB", b"gAMA", b"cHRM")  # what the pixels mean


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
    chunks = png_chunks(io.BytesIO(data))
    kept = [each for each in chunks if each.name[:1].isupper() or each.name in _COLOURS]
    return data[:8] + b"".join(data[each.data - 8 : each.after] for each in kept)
