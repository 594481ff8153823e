"""JPEG: the quantiser that gives an output the quality of its input, and what its code values mean."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from maskvfi.video.frames import SourceInfo
from maskvfi.video.jpeg_file import jpeg_segments
from maskvfi.video.pictures import find_pictures, is_pattern
from maskvfi.video.pixel_format import MATRIX_BT601, RANGE_FULL, Colour

SUFFIXES = (".jpg", ".jpeg")
GOOD = 2  # FFmpeg's quantiser for pictures that were no JPEG
_LARGEST = 31
_COARSE = slice(1, 36)  # the lower half of the frequencies in the order of a JPEG, which is what one sees
_SUM = 890  # of these in FFmpeg's table: quantiser 8 of its scale uses it as it is


def quality_options(info: SourceInfo) -> dict[str, str]:
    """The options of FFmpeg's encoder for the quality of a source.

    Args:
        info: What is known of the source; `path` is a JPEG picture, a folder or pattern of some, or
            something else.

    Returns:
        The options. Without them the encoder follows a bit rate that nobody chose.
    """
    path = Path(info.path)
    files = find_pictures(info.path) if path.is_dir() or is_pattern(info.path) else [path]
    first = next((file for file in files if _is_jpeg(file)), None)
    table = None if first is None else _luma_table(first.read_bytes())
    quantiser = GOOD if table is None else min(max(round(8 * sum(table[_COARSE]) / _SUM), 1), _LARGEST)
    return {"qmin": str(quantiser), "qmax": str(quantiser)}


def as_jpeg(colour: Colour) -> Colour:
    """What code values of a JPEG mean (JFIF 1.02: BT.601 in full range, chroma in the middle)."""
    return replace(
        colour,
        matrix="bt601",
        full_range=True,
        siting="center",
        matrix_tag=MATRIX_BT601,
        range_tag=RANGE_FULL,
    )


def _is_jpeg(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and file.is_file()


def _luma_table(data: bytes) -> list[int] | None:
    """The first quantisation table of a JPEG (ITU-T T.81 B.2.4.1), 64 values; None where there is none."""
    body = next((body for kind, body in jpeg_segments(data) if kind == 0xDB and body), None)
    if body is None:
        return None
    size, values = (2 if body[0] >> 4 else 1), body[1:]
    table = [int.from_bytes(values[k : k + size], "big") for k in range(0, 64 * size, size)]
    return table if len(values) >= 64 * size else None
