"""What a decoded frame carries beside its picture, without what crashes PyAV."""

from __future__ import annotations

import math
import struct
from typing import Any

import av

# Decoders that attach ICC profiles. A profile has a dictionary with its name, which PyAV 18.1 frees a second time when
# `frame.side_data` has been looked at: the process ends with a segmentation fault.
ICC_DECODERS = frozenset(
    {"apng", "bmp", "gif", "jpeg2000", "jpegxl", "libjxl", "mjpeg", "png", "psd", "tiff", "webp"}
)
DESCRIBED = {
    "SPHERICAL": "spherical (360 degrees) projection",
    "STEREO3D": "stereoscopic (3D) layout",
    "GOP_TIMECODE": "time code of the pictures",
    "S12M_TIMECODE": "time code of the pictures",
    "A53_CC": "closed captions in the pictures",
    "AMBIENT_VIEWING_ENVIRONMENT": "ambient viewing environment",
}
UNIT = 1 << 16  # of a display matrix: 16.16 fixed point
LAST = 1 << 30  # its last entry: 2.30 fixed point


def read_side_data(frame: av.VideoFrame, codec: str) -> dict[str, bytes]:
    """The side data of a frame by FFmpeg's names.

    Args:
        frame: As the decoder made it.
        codec: The decoder's name.

    Returns:
        Empty where it cannot be read: from decoders of `ICC_DECODERS`, and where PyAV has no name for an entry.
    """
    if codec in ICC_DECODERS:
        return {}
    side_data: Any = frame.side_data  # a Mapping that iterates over its values
    try:
        return {data.type.name: bytes(data) for data in side_data}
    except ValueError:
        return {}


def described(frame: av.VideoFrame, codec: str) -> tuple[str, ...]:
    """What a frame says of itself, in the words of `DESCRIBED`; codec: the decoder's name."""
    found = read_side_data(frame, codec)
    return tuple(dict.fromkeys(word for name, word in DESCRIBED.items() if name in found))


def display_matrix(frame: av.VideoFrame, codec: str) -> tuple[int, ...] | None:
    """FFmpeg's display matrix of a frame.

    Args:
        frame: As the decoder made it.
        codec: The decoder's name.

    Returns:
        Nine integers; None where the picture is shown as it is stored. Where only the rotation can be read, a mirrored
        picture counts as rotated.
    """
    if data := read_side_data(frame, codec).get("DISPLAYMATRIX"):
        return struct.unpack_from("=9i", data)
    if not frame.rotation:
        return None
    angle = math.radians(-frame.rotation)  # as av_display_rotation_set has it
    cos, sin = round(math.cos(angle) * UNIT), round(math.sin(angle) * UNIT)
    return (cos, -sin, 0, sin, cos, 0, 0, 0, LAST)
