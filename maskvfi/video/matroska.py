"""How long a Matroska or WebM file is by its own header (RFC 9559): FFmpeg reads one that is cut off without a word."""

from __future__ import annotations

from pathlib import Path

from maskvfi.paths import PathLike

_HEAD = 4096  # bytes that are looked at; the header before the segment has some forty
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def is_short(path: PathLike) -> bool:
    """Whether a file has fewer bytes than its header says. False for other files and where it does not say."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(_HEAD)
            length = file.seek(0, 2)
    except OSError:
        return False
    end = _end(head)
    return end is not None and length < end


def _end(head: bytes) -> int | None:
    """Where the segment ends, in bytes from the file's start; None if it is not known."""
    if not head.startswith(_EBML):
        return None
    size, place = _size_at(head, len(_EBML))
    place += size or 0
    if head[place : place + len(_SEGMENT)] != _SEGMENT:
        return None
    size, place = _size_at(head, place + len(_SEGMENT))
    return None if size is None else place + size


def _size_at(head: bytes, place: int) -> tuple[int | None, int]:
    """An element's size in bytes, and where its content begins.

    The leading zero bits of the first byte say how many bytes follow it. All other bits set mean an unknown size.
    """
    first = head[place] if place < len(head) else 0
    length = 9 - first.bit_length()
    bits = int.from_bytes(head[place : place + length], "big") - (1 << 7 * length)
    unknown = not first or bits == (1 << 7 * length) - 1
    return None if unknown else bits, place + length
