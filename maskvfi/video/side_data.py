"""What a decoded frame carries beside its picture, without what crashes PyAV."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
from av.filter import Graph
from av.sidedata.sidedata import Type

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
# Kinds that are removed before PyAV looks. An ICC profile has a dictionary with its name, which PyAV 18.1 frees a
# second time: the process ends with a segmentation fault. A kind that PyAV has no name for (EXIF) hides all others.
_KINDS = 64
_KEPT: set[Any] = {kind.value for kind in Type if kind is not Type.ICC_PROFILE}
_REMOVED = [number for number in range(_KINDS) if number not in _KEPT]


def read_side_data(frame: av.VideoFrame) -> dict[str, bytes]:
    """The side data of a frame by FFmpeg's names, without ICC profiles and what PyAV has no name for.

    Args:
        frame: As the decoder made it.

    Returns:
        The bytes of each entry; empty where it cannot be read.
    """
    try:
        side_data: Any = _without(frame, _REMOVED).side_data  # a Mapping that iterates over its values
        return {data.type.name: bytes(data) for data in side_data}
    except (av.error.FFmpegError, ValueError):
        return {}


def described(frame: av.VideoFrame) -> tuple[str, ...]:
    """What a frame says of itself, in the words of `DESCRIBED`."""
    found = read_side_data(frame)
    return tuple(dict.fromkeys(word for name, word in DESCRIBED.items() if name in found))


def display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    """FFmpeg's display matrix of a frame.

    Args:
        frame: As the decoder made it.

    Returns:
        Nine integers; None where the picture is shown as it is stored. Where only the rotation can be read, a mirrored
        picture counts as rotated.
    """
    if data := read_side_data(frame).get("DISPLAYMATRIX"):
        matrix = struct.unpack_from("=9i", data)
        return None if matrix[0] > 0 and matrix[4] > 0 and not (matrix[1] or matrix[3]) else matrix
    if not frame.rotation:
        return None
    angle = math.radians(-frame.rotation)  # as av_display_rotation_set has it
    cos, sin = round(math.cos(angle) * UNIT), round(math.sin(angle) * UNIT)
    return (cos, -sin, 0, sin, cos, 0, 0, 0, LAST)


def with_only(frame: av.VideoFrame, kind: Type, like: av.VideoFrame) -> av.VideoFrame:
    """A frame with one kind of side data of another one, in the size and pixel format of `like`.

    Its pixels may be shared with `frame`.
    """
    removed = [number for number in range(_KINDS) if number != kind.value]
    size = f"{like.width}:{like.height}:flags=neighbor"
    return _without(frame, removed, scale=size, format=like.format.name)


def _without(frame: av.VideoFrame, removed: Sequence[int], **filters: str) -> av.VideoFrame:
    """A frame that shares the pixels of another one, without side data of these kinds, after further filters."""
    graph = Graph()
    nodes = [
        graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
        )
    ]
    nodes += [graph.add("sidedata", mode="delete", type=str(kind)) for kind in removed]
    nodes += [graph.add(name, how) for name, how in filters.items()]
    graph.link_nodes(*nodes, graph.add("buffersink")).configure()
    graph.push(frame)
    cleaned = graph.pull()
    assert isinstance(cleaned, av.VideoFrame)
    return cleaned
