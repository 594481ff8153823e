"""Decoder frames to planes of code values and back, bit by bit and without swscale."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import av
import numpy as np

from maskvfi.video.pixel_format import PixelFormat


@dataclass(frozen=True, slots=True)
class Packing:
    """Where a pixel format has the components of a planar format.

    Attributes:
        planar: The planar format.
        dtype: The numpy type of a sample.
        places: (plane, first sample, step in samples) of each component.
        shift: A code value is `sample >> shift`.
    """

    planar: str
    dtype: str
    places: tuple[tuple[int, int, int], ...]
    shift: int = 0


def planar_name(name: str) -> str | None:
    """The planar format that holds frames of an FFmpeg pixel format without loss; None for an unknown format."""
    if name in ("monob", "monow"):
        return "gray"
    if name == "pal8":
        return "gbrap"
    if name in _IN_16_BITS:
        return "gbrp"
    packing = packing_of(name)
    return PixelFormat.parse(packing.planar).name if packing else None


def packing_of(name: str) -> Packing | None:
    """How an FFmpeg pixel format packs its components; None for an unknown format."""
    if name in _PACKED:
        return _PACKED[name]
    base, endian = re.sub(r"(?<=\d)(le|be)$", "", name), ">" if name.endswith("be") else "<"
    half = base.endswith("f16")
    try:
        little = base[:-2] + "32" if half else base
        fmt = PixelFormat.parse(little if base == name else little + "le")
    except ValueError:
        return None
    size = 2 if half else np.dtype(fmt.dtype).itemsize
    code = f"{endian}{'f' if fmt.depth == 32 else 'u'}{size}"
    count = fmt.colour_planes + fmt.alpha
    return Packing(fmt.name, code, tuple((plane, 0, 1) for plane in range(count)))


def planes_of(frame: av.VideoFrame) -> tuple[np.ndarray, ...]:
    """The code values of a frame.

    Args:
        frame: The decoder's frame.

    Returns:
        One array [h,w] for each plane of its planar format, alpha last: read-only views where possible.

    Raises:
        ValueError: No planar format holds the frame without loss.
    """
    name = frame.format.name
    if name in ("monob", "monow"):
        return (_unpack_bits(frame),)
    if name == "pal8":
        return _look_up_palette(frame)
    if name in _IN_16_BITS:
        return _spread_bits(frame)
    packing = packing_of(name)
    if packing is None:
        raise ValueError(f"pixel format {name} is not supported")
    fmt = PixelFormat.parse(packing.planar)
    planes = []
    for (height, width), place in zip(
        fmt.plane_shapes(frame.width, frame.height), packing.places, strict=True
    ):
        samples = _samples(frame, packing, place, height, width)
        codes = samples >> packing.shift if packing.shift else samples
        codes = codes.astype(fmt.dtype, copy=False)
        codes.flags.writeable = False
        planes.append(codes)
    return tuple(planes)


def frame_of(planes: Sequence[np.ndarray], width: int, height: int, name: str) -> av.VideoFrame:
    """Pack planes into a new frame.

    Args:
        planes: Arrays [h,w] of code values, in the format `planar_name(name)`.
        width, height: The size of the picture, in pixels.
        name: The frame's pixel format, by FFmpeg's name.

    Returns:
        The frame.

    Raises:
        ValueError: The format is unknown.
    """
    packing = packing_of(name)
    if packing is None:
        raise ValueError(f"pixel format {name} is not supported")
    frame = av.VideoFrame(width, height, name)
    for plane, (index, first, step) in zip(planes, packing.places, strict=True):
        place = _samples(frame, packing, (index, first, step), *plane.shape)
        place[...] = plane << packing.shift if packing.shift else plane
    return frame


def copy_samples(source: av.VideoFrame, target: av.VideoFrame) -> None:
    """Copy all samples of a frame into another one of the same size and format, which must be writable."""
    for given, taken in zip(source.planes, target.planes, strict=True):
        rows, size = given.height, min(abs(given.line_size), abs(taken.line_size))
        _rows(taken)[:rows, :size] = _rows(given)[:rows, :size]


def _samples(
    frame: av.VideoFrame, packing: Packing, place: tuple[int, int, int], height: int, width: int
) -> np.ndarray:
    """A strided view [height,width] of one component's samples."""
    index, first, step = place
    rows = _rows(frame.planes[index]).view(packing.dtype)
    return rows[:height, first::step][:, :width]


def _rows(plane: av.video.plane.VideoPlane) -> np.ndarray:
    """The bytes of a plane [rows, bytes per row], top row first."""
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, abs(plane.line_size))
    return rows[::-1] if plane.line_size < 0 else rows


def _unpack_bits(frame: av.VideoFrame) -> np.ndarray:
    bits = np.unpackbits(_rows(frame.planes[0])[: frame.height], axis=1)[:, : frame.width]
    return (1 - bits if frame.format.name == "monow" else bits) * np.uint8(255)


def _look_up_palette(frame: av.VideoFrame) -> tuple[np.ndarray, ...]:
    indices = _rows(frame.planes[0])[: frame.height, : frame.width]
    argb = np.frombuffer(memoryview(frame.planes[1]), np.uint32)[:256]
    return tuple((argb >> shift).astype(np.uint8)[indices] for shift in (8, 0, 16, 24))


def _spread_bits(frame: av.VideoFrame) -> tuple[np.ndarray, ...]:
    """Planes of 8 bits of a format with a pixel in 16 bits: 0 stays 0, the largest value becomes 255."""
    order, widths, dtype = _IN_16_BITS[frame.format.name]
    pixels = _samples(frame, Packing("gray", dtype, ()), (0, 0, 1), frame.height, frame.width)
    planes, first = {}, 0
    for name, width in zip(reversed(order), reversed(widths), strict=True):
        most = (1 << width) - 1
        table = np.rint(np.arange(most + 1) * (255 / most)).astype(np.uint8)
        planes[name] = table[pixels >> first & most]
        first += width
    return planes["g"], planes["b"], planes["r"]


def _interleaved(order: str, planar: str, dtype: str, shift: int = 0) -> Packing:
    """One plane with the samples in this order; the letters are the components of the planar format."""
    names = {"gb": "gbra", "yu": "yuva"}[planar[:2]]
    count = 4 if planar.startswith(("gbra", "yuva")) else 3
    places = []
    for name in names[:count]:
        step = len(order) // order.count(name)
        places.append((0, order.index(name), step))
    return Packing(planar, dtype, tuple(places), shift)


def _semi_planar(planar: str, dtype: str, shift: int = 0, swapped: bool = False) -> Packing:
    """One plane of luma, and one with both chroma components in turn."""
    u, v = (1, 0) if swapped else (0, 1)
    return Packing(planar, dtype, ((0, 0, 1), (1, u, 2), (1, v, 2)), shift)


def _packed_formats() -> dict[str, Packing]:
    table = {
        "nv12": _semi_planar("yuv420p", "u1"),
        "nv21": _semi_planar("yuv420p", "u1", swapped=True),
        "nv16": _semi_planar("yuv422p", "u1"),
        "nv24": _semi_planar("yuv444p", "u1"),
        "nv42": _semi_planar("yuv444p", "u1", swapped=True),
        "nv20le": _semi_planar("yuv422p10le", "<u2"),
        "yuyv422": _interleaved("yuyv", "yuv422p", "u1"),
        "yvyu422": _interleaved("yvyu", "yuv422p", "u1"),
        "uyvy422": _interleaved("uyvy", "yuv422p", "u1"),
        "y210le": _interleaved("yuyv", "yuv422p10le", "<u2", 6),
        "y212le": _interleaved("yuyv", "yuv422p12le", "<u2", 4),
        "xv36le": _interleaved("uyvx", "yuv444p12le", "<u2", 4),
        "y216le": _interleaved("yuyv", "yuv422p16le", "<u2"),
        "xv48le": _interleaved("uyvx", "yuv444p16le", "<u2"),
        "ayuv": _interleaved("ayuv", "yuva444p", "u1"),
        "uyva": _interleaved("uyva", "yuva444p", "u1"),
        "vuya": _interleaved("vuya", "yuva444p", "u1"),
        "vyu444": _interleaved("vyu", "yuv444p", "u1"),
        "vuyx": _interleaved("vuyx", "yuv444p", "u1"),
        "ayuv64le": _interleaved("ayuv", "yuva444p16le", "<u2"),
        "ya8": Packing("gbrap", "u1", ((0, 0, 2), (0, 0, 2), (0, 0, 2), (0, 1, 2))),
    }
    for code, sampling in (("0", "420"), ("2", "422"), ("4", "444")):
        for depth in (10, 12, 16):
            planar = f"yuv{sampling}p{depth}le"
            table[f"p{code}{depth}le"] = _semi_planar(planar, "<u2", 16 - depth)
    for order in ("rgba", "bgra", "argb", "abgr"):
        table[order] = _interleaved(order, "gbrap", "u1")
        table[order.replace("a", "0")] = _interleaved(order.replace("a", "0"), "gbrp", "u1")
    for order in ("rgb", "bgr"):
        table[order + "24"] = _interleaved(order, "gbrp", "u1")
        for endian, sign in (("le", "<"), ("be", ">")):
            table[f"{order}48{endian}"] = _interleaved(order, "gbrp16le", f"{sign}u2")
            table[f"{order}a64{endian}"] = _interleaved(order + "a", "gbrap16le", f"{sign}u2")
    for endian, sign in (("le", "<"), ("be", ">")):
        table[f"ya16{endian}"] = Packing(
            "gbrap16le", f"{sign}u2", ((0, 0, 2), (0, 0, 2), (0, 0, 2), (0, 1, 2))
        )
        for bits in (16, 32):
            size = bits // 8
            table[f"rgbf{bits}{endian}"] = _interleaved("rgb", "gbrpf32le", f"{sign}f{size}")
            table[f"rgbaf{bits}{endian}"] = _interleaved("rgba", "gbrapf32le", f"{sign}f{size}")
    return table


_PACKED = _packed_formats()
# Formats of old codecs: the order of the components from the highest bit on, their bits, and the numpy type.
_IN_16_BITS = {
    f"{order}{''.join(map(str, widths))}{endian}": (order, widths, sign + "u2")
    for order in ("rgb", "bgr")
    for widths in ((5, 6, 5), (5, 5, 5), (4, 4, 4))
    for endian, sign in (("le", "<"), ("be", ">"))
}
