"""The chunks that PNG files (ISO/IEC 15948) and RIFF files, such as WebP, consist of."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple


class Chunk(NamedTuple):
    """A named piece of a file.

    Attributes:
        name: Four letters.
        data: Where its data begins, in bytes from the file's beginning.
        size: The size of its data in bytes, as it says.
        after: Where the next chunk begins.
    """

    name: bytes
    data: int
    size: int
    after: int


def png_chunks(file: BinaryIO) -> Iterator[Chunk]:
    """The chunks of a PNG file; the last one may end after the file does."""
    at = 8
    while len(head := read_at(file, at, 8)) == 8:
        size, name = struct.unpack(">I4s", head)
        yield Chunk(name, at + 8, size, at + 12 + size)
        at += 12 + size


def riff_chunks(file: BinaryIO) -> Iterator[Chunk]:
    """The chunks of a RIFF file; the last one may end after the file does."""
    at = 12
    while len(head := read_at(file, at, 8)) == 8:
        name, size = struct.unpack("<4sI", head)
        after = at + 8 + size + size % 2
        yield Chunk(name, at + 8, size, after)
        at = after


def read_at(file: BinaryIO, at: int, size: int) -> bytes:
    """Read so many bytes from a place on; fewer where the file ends."""
    file.seek(at)
    return file.read(size)
