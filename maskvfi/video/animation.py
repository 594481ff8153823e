"""What FFmpeg does not keep of GIF, APNG and WebP: how often they play, and how long pictures are shown."""

from __future__ import annotations

import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path

from maskvfi.paths import PathLike
from maskvfi.video.chunks import png_chunks, read_at, riff_chunks

FOR_EVER = 0  # plays
_MOST = 2**16 - 1  # of an APNG's numerator and denominator, and of a GIF's loops
_GIF_HEAD = 4096  # bytes; the number of loops comes before the first picture
_GIF_LOOPS = (b"\x21\xff\x0bNETSCAPE2.0\x03\x01", b"\x21\xff\x0bANIMEXTS1.0\x03\x01")


def plays_of(path: PathLike) -> int | None:
    """How often an animation plays.

    Args:
        path: A file.

    Returns:
        The number of times, or `FOR_EVER`; None if it is no GIF, APNG or WebP, or cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(_GIF_HEAD)
            if head.startswith(b"GIF8"):
                return _plays_of_gif(head)
            if head.startswith(b"\x89PNG"):
                place = next((each.data for each in png_chunks(file) if each.name == b"acTL"), None)
                return None if place is None else int.from_bytes(read_at(file, place + 4, 4), "big")
            if head.startswith(b"RIFF"):
                place = next((each.data for each in riff_chunks(file) if each.name == b"ANIM"), None)
                return None if place is None else int.from_bytes(read_at(file, place + 4, 2), "little")
    except OSError:
        pass
    return None


def webp_durations(data: bytes) -> list[int]:
    """How long every picture of an animated WebP, given as bytes, is shown, in milliseconds."""
    places = [each.data for each in riff_chunks(io.BytesIO(data)) if each.name == b"ANMF"]
    return [int.from_bytes(data[place + 12 : place + 15], "little") for place in places]


def is_short_gif(path: PathLike) -> bool:
    """Whether a GIF ends within a block, or before the picture of an extension (GIF89a). False for other files."""
    try:
        data = Path(path).read_bytes() if Path(path).suffix.lower() == ".gif" else b""
    except OSError:
        return False
    if not data.startswith(b"GIF8") or len(data) < 13:
        return False
    place, kind = 13 + _table_size(data[10]), b""
    while place < len(data):
        kind = data[place : place + 1]
        if kind == b"\x21":  # an extension
            place += 2
        elif kind == b"\x2c":  # a picture
            if place + 10 > len(data):
                return True
            place += 11 + _table_size(data[place + 9])
        else:  # the end, or what nobody knows
            return False
        while place < len(data) and data[place]:
            place += 1 + data[place]
        place += 1
    return place > len(data) or kind == b"\x21"


def loop_option(muxer: str, plays: int) -> dict[str, str]:
    """The option of FFmpeg's muxer by which an animation plays so often.

    Args:
        muxer: FFmpeg's name of its format.
        plays: How often, or `FOR_EVER`.

    Returns:
        Option and value; nothing for a format without it.
    """
    if muxer == "gif":  # it counts what comes after the first time; -1 is none
        again = 0 if plays == FOR_EVER else min(plays - 1, _MOST) or -1
        return {"loop": str(again)}
    names = {"apng": "plays", "webp": "loop"}
    return {names[muxer]: str(min(plays, _MOST))} if muxer in names else {}


def _table_size(flags: int) -> int:
    """The bytes of a table of colours, if there is one."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _plays_of_gif(head: bytes) -> int:
    """Without a number of loops a GIF plays once; else it plays once more than the number, and 0 is for ever."""
    for name in _GIF_LOOPS:
        if (place := head.find(name)) >= 0:
            again = int.from_bytes(head[place + len(name) :][:2], "little")
            return again + 1 if again else FOR_EVER
    return 1


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
    with path.open("r+b") as file:
        chunks, of_picture = (png_chunks, b"fcTL") if muxer == "apng" else (riff_chunks, b"ANMF")
        places = [each.data for each in chunks(file) if each.name == of_picture]
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
        file.write(data + struct.pack(">I", zlib.crc32(b"fcTL" + data)))
