"""How long the last picture of an APNG or WebP is shown: FFmpeg writes the duration of the picture before it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

_MOST = 2**16 - 1  # of an APNG's numerator and denominator


def set_last_duration(path: Path, muxer: str, duration: Fraction) -> None:
    """Change how long the last picture of a file is shown.

    Args:
        path: The file.
        muxer: FFmpeg's name of its format; only "apng" and "webp" are changed.
        duration: In seconds.

    Raises:
        OSError: The file cannot be read or written.
    """
    if muxer not in ("apng", "webp"):
        return
    chunks, kind = (_png_chunks, b"fcTL") if muxer == "apng" else (_riff_chunks, b"ANMF")
    with path.open("r+b") as file:
        places = [place for name, place in chunks(file) if name == kind]
        if not places:  # one picture, without a duration
            return
        if muxer == "webp":
            file.seek(places[-1] + 12)  # after the picture's place and size
            file.write(min(round(duration * 1000), 2**24 - 1).to_bytes(3, "little"))
            return
        file.seek(places[-1])
        data = bytearray(file.read(26))
        longest = max(Fraction(1), duration)
        shown = min(duration, Fraction(_MOST)).limit_denominator(max(1, int(_MOST / longest)))
        data[20:24] = struct.pack(">HH", shown.numerator, shown.denominator)
        file.seek(places[-1])
        file.write(data + struct.pack(">I", zlib.crc32(kind + data)))


def _png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """The names of a PNG's chunks, and where their data begins."""
    place = 8
    while len(head := _read_at(file, place, 8)) == 8:
        length, name = struct.unpack(">I4s", head)
        yield name, place + 8
        place += 12 + length


def _riff_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """The names of a WebP's chunks, and where their data begins."""
    place = 12
    while len(head := _read_at(file, place, 8)) == 8:
        name, length = struct.unpack("<4sI", head)
        yield name, place + 8
        place += 8 + length + length % 2


def _read_at(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)
