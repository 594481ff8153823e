"""The segments of a JPEG file (ITU-T T.81, annex B)."""

from __future__ import annotations

import struct
from collections.abc import Iterator


def jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The marker and the content of each segment before the pixels."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        (size,) = struct.unpack_from(">H", data, at + 2)
        yield data[at + 1], data[at + 4 : at + 2 + size]
        at += 2 + max(size, 2)


def jpeg_segment(kind: int, body: bytes) -> bytes:
    """Make a segment."""
    return struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body


def jpeg_pixels(data: bytes) -> int:
    """Where the segments before the pixels end."""
    return 2 + sum(len(body) + 4 for _, body in jpeg_segments(data))
