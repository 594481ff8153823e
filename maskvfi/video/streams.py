"""Open a container, and find out about its video stream."""

from __future__ import annotations

import io
import os
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from maskvfi.errors import MediaError, OptionError, reason
from maskvfi.paths import PathLike
from maskvfi.video.stdin import StandardInput

HWACCELS = tuple(hwdevices_available())
_LISTS = {"concat", "dash", "hls", "imf", "sdp"}  # formats whose files name other files or addresses
_ALONE = ",".join(sorted(av.formats_available - _LISTS))  # all others
_FASTEST_FILM = 240  # frames per second: a faster clock is no rate
_FASTEST = 1_000_000  # frames per second; damaged headers state more
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def check_hwaccel(hwaccel: str | None) -> None:
    """Raise OptionError if there is no such decoding device; None is software."""
    if hwaccel is not None and hwaccel not in HWACCELS:
        raise OptionError(f"hwaccel must be one of {', '.join(HWACCELS)} with this PyAV, not {hwaccel!r}")


def open_input(
    source: PathLike | BinaryIO | StandardInput,
    container_format: str | None = None,
    hwaccel: str | None = None,
) -> tuple[InputContainer, str]:
    """Open a file, an address or a file object for reading.

    A file is read alone: a list of other files, such as a playlist, is refused. An address may be one.

    Args:
        source: What to open.
        container_format: FFmpeg's name of the container; by default FFmpeg finds out.
        hwaccel: The device that decodes where it can, one of `HWACCELS`; software by default.

    Returns:
        The container, and the name that messages call it.

    Raises:
        MediaError: It is missing, not readable, a list of other files, or not a video.
        OptionError: There is no such device.
    """
    check_hwaccel(hwaccel)
    if not isinstance(source, (str, os.PathLike)):
        name = str(getattr(source, "name", "stream"))
        return _open(source, name, container_format, hwaccel), name
    name = os.fspath(source)
    if "://" in name:
        return _open(name, name, container_format, hwaccel), name
    path = Path(name)
    if os.path.isdir(path):
        raise MediaError(f"{name}: is a folder, not a video")
    # Path.exists would raise for a name that is too long, and in a folder without permission.
    if not os.path.exists(path):
        raise MediaError(f"{name}: no such file")
    if not os.access(path, os.R_OK):
        raise MediaError(f"{name}: no permission to read it")
    if path.is_fifo():
        raise MediaError(
            f"{name}: is a pipe, which can be read only once; - reads yuv4mpeg from standard input"
        )
    if path.is_file():
        try:
            with path.open("rb") as file:
                head = file.read(1024)
        except OSError as error:
            raise MediaError(f"{name}: cannot be read ({reason(error)})") from error
        if is_animated_webp(head):
            raise MediaError(f"{name}: is an animated WebP, which FFmpeg does not read")
        if _is_playlist(head):
            raise MediaError(
                f"{name}: is a playlist, which names other files; join them first: ffmpeg -i PLAYLIST -c copy out.mkv"
            )
    return _open(url_of(path), name, container_format, hwaccel), name


def url_of(path: PathLike) -> str:
    """FFmpeg's address of a file. In a plain path FFmpeg would take the text before a colon for a protocol."""
    return f"file:{os.fspath(path)}"


def picture_stream(container: InputContainer, name: str) -> VideoStream:
    """Find the video stream to read: the default one, or the first. Cover art is not one.

    A stream of one picture, such as the still beside an AVIF sequence, counts only if there is no other.

    Args:
        container: The open container.
        name: What messages call it.

    Returns:
        The stream; it decodes with several threads.

    Raises:
        MediaError: There is no video stream, or FFmpeg cannot decode it.
    """
    moving = [stream for stream in container.streams.video if not is_cover(stream)]
    if not moving:
        what = "audio only" if container.streams.audio else "no stream with pictures"
        raise MediaError(f"{name}: there is no video in it ({what})")
    stream = max(moving, key=lambda s: (s.frames != 1, bool(s.disposition & Disposition.default)))
    if stream.codec_context is None:
        raise MediaError(f"{name}: FFmpeg has no decoder for its video")
    stream.thread_type = "AUTO"
    return stream


def is_animated_webp(head: bytes) -> bool:
    """Whether the beginning of a file is that of an animated WebP."""
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) > 20 and bool(head[20] & 2)


def alpha_decoder(stream: VideoStream) -> VideoCodecContext | None:
    """A decoder of VP8 or VP9 that reads alpha, which FFmpeg's own decoders leave out.

    Args:
        stream: The video stream.

    Returns:
        The decoder, which takes the stream's packets; None where there is no such alpha, or no libvpx.
    """
    name = _ALPHA_DECODERS.get(stream.codec_context.name)
    if name not in av.codecs_available or stream.metadata.get("alpha_mode") != "1":
        return None
    decoder = av.CodecContext.create(name, "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.extradata, decoder.thread_type = stream.codec_context.extradata, "AUTO"
    if not stream.codec_context.is_open:
        stream.thread_type = "NONE"  # it gives the first frame alone, for its side data, and should not wait
    return decoder


def is_cover(stream: Stream) -> bool:
    """Whether the stream is a picture that goes with the file, such as cover art."""
    return bool(stream.disposition & Disposition.attached_pic)


def rate_of(stream: VideoStream) -> Fraction | None:
    """The average frame rate of a stream, in frames per second; None where nothing says it.

    Of raw DV, FFmpeg gives its clock for the average: no average exceeds the lowest rate on which all times lie. Where
    a container states no average, and that lowest rate is its clock and faster than any film, there is none.
    """
    average, base = stream.average_rate, stream.base_rate
    if average and base and average > 2 * base:
        average = None
    if not average and base and base > _FASTEST_FILM and base * Fraction(stream.time_base or 1) >= 1:
        return None
    found = (Fraction(each) for each in (average, stream.guessed_rate, base) if each)
    return next((each for each in found if each <= _FASTEST), None)


def has_times(stream: VideoStream) -> bool:
    """Whether packets have the times at which they are shown. AVI and ASF store none, and FFmpeg guesses them."""
    return stream.container.format.name not in ("avi", "asf")


def start_of(stream: Stream) -> Fraction:
    """When the stream begins, in seconds; 0 where the container does not say."""
    if stream.start_time is None or stream.time_base is None:
        return Fraction(0)
    return stream.start_time * Fraction(stream.time_base)


def matroska_header(stream: VideoStream) -> bytes:
    """What FFmpeg writes of a stream into a Matroska header; empty where it cannot be written.

    It says what PyAV does not tell of a stream.
    """
    memory = io.BytesIO()
    try:
        with av.open(memory, "w", format="matroska") as container:
            container.add_stream_from_template(stream, opaque=True)
            container.start_encoding()
            return memory.getvalue()
    except (av.error.FFmpegError, ValueError):
        return b""


def chroma_siting(header: bytes) -> str | None:
    """Where chroma samples sit, by a name of `pixel_format.SITINGS`; None if a Matroska header does not say."""
    across, down = (_element(header, key) for key in (b"\x55\xb7\x81", b"\x55\xb8\x81"))
    return {(1, 1): "topleft", (1, 2): "left", (2, 2): "center", (2, 1): "top"}.get((across, down))


def cropping(header: bytes) -> dict[str, int]:
    """How many px players leave out at each side, by a Matroska header (RFC 9559); empty where they show all."""
    sides = {"bottom": b"\x54\xaa", "top": b"\x54\xbb", "left": b"\x54\xcc", "right": b"\x54\xdd"}
    found = {}
    for side, key in sides.items():
        for size in (1, 2):
            at = header.find(key + bytes([0x80 | size]))
            if at >= 0:
                found[side] = int.from_bytes(header[at + 3 : at + 3 + size], "big")
    return {side: px for side, px in found.items() if px}


def _is_playlist(head: bytes) -> bool:
    """Whether the beginning of a file is that of a playlist: HLS, FFmpeg's concat, or DASH."""
    return head.startswith((b"#EXTM3U", b"ffconcat")) or b"<MPD" in head


def _element(header: bytes, key: bytes) -> int:
    """The value of a Matroska element of one byte; 0 if it is missing."""
    at = header.find(key)
    return header[at + len(key)] if 0 <= at < len(header) - len(key) else 0


def _open(
    source: str | BinaryIO | StandardInput, name: str, container_format: str | None, hwaccel: str | None
) -> InputContainer:
    alone = not isinstance(source, str) or source.startswith("file:")
    options = {"format_whitelist": _ALONE} if alone else {}
    if hwaccel is not None:
        try:
            return av.open(
                source,
                "r",
                format=container_format,
                container_options=options,
                metadata_errors="replace",
                hwaccel=HWAccel(hwaccel, allow_software_fallback=True),
            )
        except (av.error.FFmpegError, OSError, RuntimeError):
            if not isinstance(source, str | StandardInput):
                source.seek(0)
    try:
        return av.open(
            source, "r", format=container_format, container_options=options, metadata_errors="replace"
        )
    except PermissionError as error:
        raise MediaError(f"{name}: no permission to read it") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"{name}: cannot be read as a video ({reason(error)})") from error
