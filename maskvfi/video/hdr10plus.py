"""HDR10+ metadata (SMPTE ST 2094-40), which every frame has of its own: from decoded frames into encoded packets."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence

import av
from av.packet import Packet

from maskvfi.video.side_data import read_side_data

# By encoder: the bit stream that its packets are.
_STREAMS = {"libx265": "hevc", "hevc_nvenc": "hevc", "libsvtav1": "av1"}
# Country United States, provider Samsung, and the identifier of HDR10+ there: CTA-861-H, annex S.
_PROVIDER = ((0xB5, 8), (0x003C, 16), (0x0001, 16), (4, 8))
_SEI, _T35_OF_SEI = 39, 4  # ITU-T H.265: prefix SEI, user data registered by ITU-T T.35
_FIRST_NOT_SLICE = 32  # H.265: the unit types below hold slices
_METADATA, _T35_OF_AV1, _FRAMES = 5, 4, (3, 6)  # AV1 bit stream specification, 6.2.2 and 6.7.1

Bits = Iterator[tuple[int, int]]  # values, and how many bits each has


class _Ratio(ctypes.Structure):
    _fields_ = (("num", ctypes.c_int), ("den", ctypes.c_int))

    def times(self, scale: int) -> int:
        return (self.num * scale + self.den // 2) // self.den if self.den else 0


class _Percentile(ctypes.Structure):
    _fields_ = (("percentage", ctypes.c_uint8), ("value", _Ratio))


class _Window(ctypes.Structure):
    """FFmpeg's AVHDRPlusColorTransformParams."""

    _fields_ = (
        ("corners", _Ratio * 4),  # x and y of the upper left one, then of the lower right one
        ("center", ctypes.c_uint16 * 2),
        ("rotation_angle", ctypes.c_uint8),
        ("axes", ctypes.c_uint16 * 3),  # the major one inside and outside, the minor one outside
        ("overlap", ctypes.c_int),
        ("maxscl", _Ratio * 3),
        ("average_maxrgb", _Ratio),
        ("percentiles", ctypes.c_uint8),
        ("distribution", _Percentile * 15),
        ("fraction_bright", _Ratio),
        ("has_curve", ctypes.c_uint8),
        ("knee", _Ratio * 2),
        ("anchors", ctypes.c_uint8),
        ("curve", _Ratio * 15),
        ("has_saturation", ctypes.c_uint8),
        ("saturation", _Ratio),
    )


class _PeakLuminance(ctypes.Structure):
    _fields_ = (
        ("given", ctypes.c_uint8),
        ("rows", ctypes.c_uint8),
        ("columns", ctypes.c_uint8),
        ("values", _Ratio * 25 * 25),
    )


class _Metadata(ctypes.Structure):
    """FFmpeg's AVDynamicHDRPlus."""

    _fields_ = (
        ("country", ctypes.c_uint8),
        ("version", ctypes.c_uint8),
        ("windows", ctypes.c_uint8),
        ("window", _Window * 3),
        ("display_luminance", _Ratio),
        ("display_peak", _PeakLuminance),
        ("mastering_peak", _PeakLuminance),
    )


def writes_hdr10plus(codec: str) -> bool:
    """Whether the packets of an encoder, by FFmpeg's name, can be given HDR10+ metadata."""
    return codec in _STREAMS


def message_of(frame: av.VideoFrame) -> bytes:
    """The HDR10+ message of a decoded frame (ITU-T T.35), as a bit stream has it; empty where there is none."""
    data = read_side_data(frame).get("DYNAMIC_HDR_PLUS", b"")
    if len(data) < ctypes.sizeof(_Metadata):
        return b""
    values = list(_bits_of(_Metadata.from_buffer_copy(data)))
    length = sum(width for _, width in values)
    number = 0
    for value, width in values:
        number = number << width | min(max(value, 0), (1 << width) - 1)
    size = -(-length // 8)
    return (number << (8 * size - length)).to_bytes(size, "big")


def with_message(packet: Packet, codec: str, message: bytes) -> Packet:
    """A packet with a message for its frame.

    Args:
        packet: One encoded frame.
        codec: Its encoder, which `writes_hdr10plus`.
        message: As `message_of` has it.

    Returns:
        A packet of the same times.
    """
    put = _in_hevc if _STREAMS[codec] == "hevc" else _in_av1
    written = Packet(put(bytes(packet), message))
    written.pts, written.dts, written.duration = packet.pts, packet.dts, packet.duration
    written.time_base, written.is_keyframe = packet.time_base, packet.is_keyframe
    return written


def _bits_of(metadata: _Metadata) -> Bits:
    """The message, field by field in the order of ST 2094-40."""
    windows: Sequence[_Window] = metadata.window[: metadata.windows]
    yield from (*_PROVIDER, (metadata.version, 8), (metadata.windows, 2))
    for window in windows[1:]:
        yield from ((corner.times(1), 16) for corner in window.corners)
        yield from ((value, 16) for value in window.center)
        yield window.rotation_angle, 8
        yield from ((value, 16) for value in window.axes)
        yield window.overlap, 1
    yield metadata.display_luminance.times(1), 27
    yield from _peak_bits(metadata.display_peak)
    for window in windows:
        yield from ((value.times(100_000), 17) for value in (*window.maxscl, window.average_maxrgb))
        yield window.percentiles, 4
        for each in window.distribution[: window.percentiles]:
            yield from ((each.percentage, 7), (each.value.times(100_000), 17))
        yield window.fraction_bright.times(1000), 10
    yield from _peak_bits(metadata.mastering_peak)
    for window in windows:
        yield window.has_curve, 1
        if window.has_curve:
            yield from ((value.times(4095), 12) for value in window.knee)
            yield window.anchors, 4
            yield from ((value.times(1023), 10) for value in window.curve[: window.anchors])
        yield window.has_saturation, 1
        if window.has_saturation:
            yield window.saturation.times(8), 6


def _peak_bits(peak: _PeakLuminance) -> Bits:
    yield peak.given, 1
    if peak.given:
        yield from ((peak.rows, 5), (peak.columns, 5))
        for row in peak.values[: peak.rows]:
            yield from ((value.times(15), 4) for value in row[: peak.columns])


def _in_hevc(data: bytes, message: bytes) -> bytes:
    """An access unit in Annex B form with an SEI message before its first slice."""
    size = len(message)
    body = bytes([_T35_OF_SEI]) + b"\xff" * (size // 255) + bytes([size % 255]) + message + b"\x80"
    at = _first_slice(data)
    return data[:at] + b"\0\0\0\1" + bytes([_SEI << 1, 1]) + _escaped(body) + data[at:]


def _first_slice(data: bytes) -> int:
    """Where the first unit with a slice begins, its start code included."""
    at = data.find(b"\0\0\1")
    while at >= 0:
        if data[at + 3] >> 1 & 63 < _FIRST_NOT_SLICE:
            return at - 1 if data[at - 1 : at] == b"\0" else at
        at = data.find(b"\0\0\1", at + 3)
    return 0


def _escaped(body: bytes) -> bytes:
    """The bytes of a unit without what looks like a start code (H.265, 7.4.2)."""
    written, zeros = bytearray(), 0
    for byte in body:
        if zeros == 2 and byte <= 3:
            written.append(3)
            zeros = 0
        written.append(byte)
        zeros = 0 if byte else zeros + 1
    return bytes(written)


def _in_av1(data: bytes, message: bytes) -> bytes:
    """A temporal unit with a metadata unit before its last frame, which is the one that is shown."""
    at, frame = 0, 0
    while at < len(data):
        kind, sized, extended = data[at] >> 3 & 15, data[at] & 2, data[at] >> 2 & 1
        if kind in _FRAMES:
            frame = at
        if not sized:
            break
        size, after = _leb128(data, at + 1 + extended)
        at = after + size
    body = bytes([_T35_OF_AV1]) + message + b"\x80"
    return data[:frame] + bytes([_METADATA << 3 | 2]) + _as_leb128(len(body)) + body + data[frame:]


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    value, shift = 0, 0
    while data[at] & 128:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
    return value | data[at] << shift, at + 1


def _as_leb128(value: int) -> bytes:
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    return bytes([*written, value])
