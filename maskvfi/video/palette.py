"""Pictures of a GIF, each with a palette of its own, and their packets."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.filter import Graph

from maskvfi.video.pixels import frame_of

GIF_TICK = Fraction(1, 100)  # seconds
COLOURS = 256
OPAQUE = 128  # 8-bit opacity from which on a pixel is opaque: palettes of GIF know no half-transparency
_CONTROL, _CONTROL_SIZE = b"\x21\xf9\x04", 8  # a graphic control extension begins every picture
_TO_BACKGROUND = 2  # one of its disposal methods
_HAS_TABLE = 0x80
_TRANSPARENT = np.uint32(0)  # as the palette has it: 0xAARRGGBB


def paletted(planes: tuple[np.ndarray, ...]) -> av.VideoFrame:
    """Give a picture a palette.

    Args:
        planes: 8-bit green, blue, red and, if there is one, alpha, each [h,w].

    Returns:
        A frame in `pal8`. Up to 256 colours are exact, and transparent pixels count as one colour.
    """
    green, blue, red = (plane.astype(np.uint32) for plane in planes[:3])
    argb = np.uint32(0xFF000000) | red << 16 | green << 8 | blue
    if len(planes) == 4:
        argb = np.where(planes[3] < OPAQUE, _TRANSPARENT, argb)
    colours, indices = np.unique(argb, return_inverse=True)
    if len(colours) > COLOURS:
        return _approximated(planes)
    if len(planes) == 4 and colours[0] != _TRANSPARENT and len(colours) < COLOURS:
        colours, indices = np.insert(colours, 0, _TRANSPARENT), indices + 1
    height, width = argb.shape
    frame = av.VideoFrame(width, height, "pal8")
    rows = np.frombuffer(memoryview(frame.planes[0]), np.uint8).reshape(-1, frame.planes[0].line_size)
    rows[:height, :width] = indices.reshape(argb.shape)
    palette = np.frombuffer(memoryview(frame.planes[1]), np.uint32)
    palette[:COLOURS] = np.pad(colours, (0, COLOURS - len(colours)), mode="edge")
    return frame


def cleared_after(packet: bytes, picture: av.VideoFrame) -> bytes:
    """Make a picture of a GIF leave an empty canvas to the next one, as GIF89a section 23 has it.

    FFmpeg leaves an opaque picture on the canvas, where it shows through the holes of the next one, and does not say
    which colour of its palette is the transparent one, so that its decoder clears the canvas to another colour.

    Args:
        packet: The picture as FFmpeg's encoder gives it, after the header of the file or without it.
        picture: What the encoder was given.

    Returns:
        The same with another disposal method.
    """
    data = bytearray(packet)
    flags = _header_size(packet) + len(_CONTROL)
    data[flags] = data[flags] & ~(7 << 2) | _TO_BACKGROUND << 2
    palette = np.frombuffer(memoryview(picture.planes[1]), np.uint32)[:COLOURS]
    if len(found := np.flatnonzero(palette == _TRANSPARENT)):
        data[flags] |= 1
        data[flags + 3] = found[0]
    return bytes(data)


def without_header(packet: bytes, picture: av.VideoFrame) -> bytes:
    """Make a picture of a GIF one that can follow others.

    An encoder begins with a header and the palette of its first picture, and leaves out the same palette of later ones.

    Args:
        packet: The picture as FFmpeg's encoder gives it.
        picture: What the encoder was given.

    Returns:
        The picture without header and with a palette of its own (GIF89a section 20).
    """
    data = bytearray(packet[_header_size(packet) :])
    flags = _CONTROL_SIZE + 9  # of the image descriptor
    if picture.format.name == "pal8" and not data[flags] & _HAS_TABLE:
        argb = np.frombuffer(memoryview(picture.planes[1]), np.uint32)[:COLOURS]
        table = np.stack([argb >> shift & 0xFF for shift in (16, 8, 0)], axis=1).astype(np.uint8)
        data[flags] |= _HAS_TABLE | 7  # 2^(7+1) colours
        data[flags + 1 : flags + 1] = table.tobytes()
    return bytes(data)


def _header_size(packet: bytes) -> int:
    """The size of the file's header and palette at the beginning of a packet; 0 where there is none."""
    if packet[:3] != b"GIF":
        return 0
    return 13 + (3 << (packet[10] & 7) + 1 if packet[10] & _HAS_TABLE else 0)


def _approximated(planes: tuple[np.ndarray, ...]) -> av.VideoFrame:
    """The picture in the 256 colours that FFmpeg's palettegen finds for it."""
    height, width = planes[0].shape
    alpha = len(planes) == 4
    frame = frame_of(planes, width, height, "rgba" if alpha else "rgb24")
    graph = Graph()
    source = graph.add_buffer(width=width, height=height, format=frame.format, time_base=GIF_TICK)
    split = graph.add("split")
    chosen = graph.add("palettegen", f"stats_mode=single:reserve_transparent={int(alpha)}")
    used = graph.add("paletteuse", f"new=1:alpha_threshold={OPAQUE}")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(used, 0, 0)
    split.link_to(chosen, 1, 0)
    chosen.link_to(used, 0, 1)
    used.link_to(sink)
    graph.configure()
    frame.pts, frame.time_base = 0, GIF_TICK
    graph.push(frame)
    graph.push(None)
    found = graph.pull()
    assert isinstance(found, av.VideoFrame)
    return found
