"""Pictures from files: which there are, what they have in common, and each as a frame."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av.video.codeccontext import VideoCodecContext

from maskvfi.errors import MediaError, reason
from maskvfi.paths import PathLike
from maskvfi.video.frames import Frame, SourceInfo
from maskvfi.video.hdr import HdrMetadata
from maskvfi.video.icc import read_profile
from maskvfi.video.orientation import Orientation, orientation_of_matrix, upright_frame, upright_info
from maskvfi.video.pixel_format import RANGE_FULL, Colour, PixelFormat
from maskvfi.video.pixels import planar_name, planes_of
from maskvfi.video.planes import convert_planes
from maskvfi.video.png import without_metadata
from maskvfi.video.side_data import display_matrix
from maskvfi.video.streams import is_animated_webp

NUMBER = re.compile(r"%(0?\d*)d(?!.*%0?\d*d)")  # in an image pattern, the last one counts
CODECS = {
    **{".png": "png", ".jpg": "mjpeg", ".jpeg": "mjpeg", ".tif": "tiff", ".tiff": "tiff"},
    **{".exr": "exr", ".webp": "webp", ".bmp": "bmp"},
}
KINDS = "PNG, JPEG, TIFF, EXR, WebP or BMP"
# How files begin, whatever their suffix says.
_BEGINNINGS = {
    **{b"\x89PNG": "png", b"\xff\xd8\xff": "mjpeg", b"II*\0": "tiff", b"MM\0*": "tiff"},
    **{b"\x76\x2f\x31\x01": "exr", b"RIFF": "webp", b"BM": "bmp"},
}
# What a file holds if its picture may be turned: EXIF in JPEG, PNG and WebP, and the orientation tag of TIFF.
_TURNED = (b"Exif\0", b"eXIf", b"EXIF", b"\x12\x01\x03\0", b"\x01\x12\0\x03")
_NO_PIXELS = b"\0\0\0\0IDAT\0\0\0\0\0\0\0\0IEND\0\0\0\0"  # the end of a PNG file after its header
MOST_NAMED = 5  # gaps in the numbering, or damaged images, that a warning names


class UnreadablePicture(MediaError):
    """A picture is damaged, or no picture."""


@dataclass(frozen=True, slots=True)
class _Header:
    """What is known of a picture before it is decoded.

    Attributes:
        codec: FFmpeg's name of its decoder.
        name: FFmpeg's name of its pixel format.
        format: The planar pixel format; None if it is not supported.
        size: (width, height) as it is shown.
        profile: Its ICC profile; empty if there is none.
    """

    codec: str
    name: str
    format: PixelFormat | None
    size: tuple[int, int]
    profile: bytes


def find_pictures(path: PathLike) -> list[Path]:
    """Find the pictures of a folder or of a pattern.

    Args:
        path: A folder, or a pattern such as `shots/%04d.png`.

    Returns:
        The files in the natural order of their names (2 before 10).

    Raises:
        MediaError: There is none, or the folder cannot be read.
    """
    folder, wanted = folder_of(path), re.compile(r".*")
    if is_pattern(path):
        before, _, after = NUMBER.split(Path(path).name, maxsplit=1)
        wanted = re.compile(rf"{re.escape(before)}\d+{re.escape(after)}")
    if not folder.is_dir():
        raise MediaError(f"{folder}: no such folder")
    try:
        files = [file for file in folder.iterdir() if file.suffix.lower() in CODECS and file.name[0] != "."]
    except PermissionError as error:
        raise MediaError(f"{folder}: no permission to read it") from error
    files = [file for file in files if wanted.fullmatch(file.name)]
    if not files:
        what = "of this pattern" if is_pattern(path) else "in this folder"
        raise MediaError(f"{os.fspath(path)}: there are no {KINDS} images {what}")
    return sorted(files, key=_natural)


def is_pattern(path: PathLike) -> bool:
    """Whether a path is a pattern of numbered images, such as `shots/%04d.png`, and not the name of a file."""
    name = Path(path).name
    numbered = NUMBER.search(name) and Path(name).suffix.lower() in CODECS
    return bool(numbered) and "://" not in os.fspath(path) and not Path(path).exists()


def folder_of(path: PathLike) -> Path:
    """The folder that a path or pattern of images stands for."""
    return Path(path).parent if is_pattern(path) else Path(path)


def named_first(names: Sequence[str]) -> str:
    """The first names of a list that may be long, as a warning has them."""
    return ", ".join(names[:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "")


def missing_numbers(files: Sequence[Path]) -> list[str]:
    """The numbers that are missing between numbered files.

    Args:
        files: In natural order. Names that differ in more than one number are not looked at.

    Returns:
        Each missing number, or the first and the last one of several (4-6). Empty where the names are no numbering:
        where more numbers are missing than there are.
    """
    parts = [re.fullmatch(r"(.*?)(\d+)(\D*)", file.name) for file in files]
    if len(files) < 2 or not all(parts) or len({(p[1], p[3]) for p in parts if p}) > 1:
        return []
    numbers = [int(part[2]) for part in parts if part]
    steps = Counter(b - a for a, b in pairwise(numbers))
    step = steps.most_common(1)[0][0]
    if step <= 0 or any(each % step for each in steps):
        return []
    gaps = [(a + step, b - step) for a, b in pairwise(numbers) if b - a > step]
    if sum((last - first) // step + 1 for first, last in gaps) > len(files):
        return []
    return [str(first) if last <= first else f"{first}-{last}" for first, last in gaps]


def describe_pictures(files: Sequence[Path], name: str, rate: Fraction) -> tuple[SourceInfo, list[str]]:
    """Describe pictures as a video. Where their pixel formats differ, it gets one that holds all of them.

    Args:
        files: The pictures.
        name: What messages call them.
        rate: Frames per second.

    Returns:
        What is known of them, and warnings, one line each.

    Raises:
        MediaError: They differ in size, the first cannot be read, or no format holds all of them.
    """
    shown = upright_info(_info_of(decode_picture(files[0]), files[0], rate))
    headers = {file: header for file in files if (header := _read_header(file)) is not None}
    for file, header in headers.items():
        if header.size != (shown.width, shown.height):
            size = f"{header.size[0]}x{header.size[1]}"
            raise MediaError(f"{file}: is {size}, the images before it are {shown.width}x{shown.height}")
        if header.format is None:
            raise MediaError(f"{file}: pixel format {header.name} is not supported")
    warnings = []
    if missing := missing_numbers(files):
        listed = named_first(missing)
        warnings.append(f"{name}: numbers are missing: {listed}; the images are shown without a pause there")
    profiles = [header.profile for header in headers.values()] or [b""]
    if len(set(profiles)) > 1:
        warnings.append(f"{name}: the images have different ICC profiles; that of the first is taken for all")
    count = len(files)
    info = replace(shown, path=name, frames_estimate=count, duration=count / rate, profile=profiles[0])
    common = _with_common_format(info, headers)
    if common is not info:
        counts = Counter(header.name for header in headers.values())
        listed = ", ".join(f"{number} {kind}" for kind, number in counts.most_common())
        warnings.append(f"{name}: the images differ ({listed}); all are read as {common.format.name}")
    return common, warnings


def _with_common_format(info: SourceInfo, headers: Mapping[Path, _Header]) -> SourceInfo:
    """The description of pictures with the format and colours that hold all of them; `info` itself if it does."""
    formats = {header.format for header in headers.values() if header.format}
    mixed = len({header.codec for header in headers.values()}) > 1
    if len(formats) < 2 and not (mixed and any(fmt.family == "yuv" for fmt in formats)):
        return info
    fmt = _common_format(formats, info.path, mixed)
    like = next((file for file, header in headers.items() if header.format == fmt), None)
    if like is None or (mixed and fmt.family == "rgb"):
        colour = Colour.from_tags(fmt, info.height, range_tag=RANGE_FULL, siting="center")
    else:
        colour = upright_info(_info_of(decode_picture(like), like, info.rate)).colour
    return replace(info, format=fmt, colour=colour)


def read_frame(file: Path, info: SourceInfo, number: int) -> Frame:
    """Read a picture as a frame, upright and in the pixel format of all.

    Args:
        file: The picture.
        info: What `describe_pictures` has found.
        number: Its place in the order of time, from 0.

    Returns:
        The frame.

    Raises:
        MediaError: It cannot be read, has another size, or does not fit into the common pixel format.
    """
    native = decode_picture(file)
    own = _info_of(native, file, info.rate)
    planes = planes_of(native)[: own.format.colour_planes + own.format.alpha]
    frame = Frame(planes, own.format, number / info.rate, 1 / info.rate, native)
    if own.display_matrix is not None:
        frame, own = upright_frame(frame, own), upright_info(own)
    if (own.width, own.height) != (info.width, info.height):
        size = f"{own.width}x{own.height}"
        raise MediaError(f"{file}: is {size}, the images before it are {info.width}x{info.height}")
    both, mixed = {own.format, info.format}, info.format.family == "rgb"
    if len(both) > 1 and _common_format(both, str(file), mixed) != info.format:
        raise MediaError(f"{file}: is {own.format.name}, those before it are {info.format.name}")
    if own.format != info.format or _meaning(own.colour) != _meaning(info.colour):
        planes = convert_planes(frame.planes, own.format, own.colour, info.format, info.colour)
        frame = Frame(planes, info.format, frame.pts, frame.duration)
    return frame


def decode_picture(file: Path) -> av.VideoFrame:
    """Decode a picture.

    Args:
        file: A file with a suffix of `CODECS`.

    Returns:
        The decoder's frame.

    Raises:
        MediaError: It cannot be read.
    """
    data = _bytes_of(file)
    codec = _codec_of(file, data)
    if is_animated_webp(data):
        raise MediaError(f"{file}: is an animated WebP, not one picture")
    for held in (data, without_metadata(data)) if codec == "png" else (data,):
        context = _decoder(codec)
        with suppress(av.error.FFmpegError, ValueError):
            for frame in (*context.decode(av.Packet(held)), *context.decode(None)):
                return frame
    raise UnreadablePicture(f"{file}: cannot be read as an image")


def orientation_of_picture(file: Path) -> Orientation | None:
    """How a picture is turned when it is shown; None where it is not, or where that cannot be read."""
    try:
        matrix = display_matrix(decode_picture(file))
    except MediaError:
        return None
    return None if matrix is None else orientation_of_matrix(matrix)


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise MediaError(f"{file}: cannot be read ({reason(error)})") from error


def _codec_of(file: Path, data: bytes) -> str:
    """FFmpeg's name of the decoder for a picture. Files are often named wrongly, so what they hold counts."""
    if file.suffix.lower() not in CODECS:
        raise MediaError(f"{file}: is no {KINDS} image")
    found = (codec for beginning, codec in _BEGINNINGS.items() if data.startswith(beginning))
    return next(found, CODECS[file.suffix.lower()])


def _decoder(codec: str) -> VideoCodecContext:
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, VideoCodecContext)
    context.thread_count = 1
    return context


def _read_header(file: Path) -> _Header | None:
    """What the beginning of a picture says; None if that cannot be read."""
    data = _bytes_of(file)
    codec = _codec_of(file, data)
    context = _decoder(codec)
    context.skip_frame = "ALL"
    head = without_metadata(data.partition(b"IDAT")[0][:-4]) + _NO_PIXELS if codec == "png" else data
    with suppress(av.error.FFmpegError, ValueError):  # the picture is not whole, but its header may be
        context.decode(av.Packet(head))
    name = context.pix_fmt
    if name is None or not context.width:
        return None
    profile = read_profile(data, codec)
    if name == "pal8" or codec == "webp" or any(mark in data for mark in _TURNED):
        try:
            own = _info_of(decode_picture(file), file, Fraction(1))
        except MediaError:
            return None
        own = upright_info(own)
        return _Header(codec, name, own.format, (own.width, own.height), profile)
    planar = planar_name(name)
    fmt = PixelFormat.parse(planar) if planar else None
    return _Header(codec, name, fmt, (context.width, context.height), profile)


def _info_of(native: av.VideoFrame, file: Path, rate: Fraction) -> SourceInfo:
    """What is known of one decoded picture."""
    planar = planar_name(native.format.name)
    if planar is None:
        raise MediaError(f"{file}: pixel format {native.format.name} is not supported")
    if native.format.name == "pal8" and planes_of(native)[-1].min() == 255:
        planar = "gbrp"
    fmt = PixelFormat.parse(planar)
    colour = Colour.from_tags(
        fmt,
        native.height,
        matrix_tag=native.colorspace,
        range_tag=RANGE_FULL if native.format.name.startswith("yuvj") else native.color_range,
        primaries=native.color_primaries,
        transfer=native.color_trc,
        siting="center" if fmt.family == "yuv" else None,
    )
    return SourceInfo(
        path=str(file),
        width=native.width,
        height=native.height,
        format=fmt,
        colour=colour,
        rate=rate,
        time_base=1 / rate,
        display_matrix=display_matrix(native),
        codec=CODECS[file.suffix.lower()],
        hdr=HdrMetadata.of_frame(native),
    )


def _common_format(formats: Iterable[PixelFormat], name: str, mixed: bool) -> PixelFormat:
    """The pixel format that holds pictures of all these formats without loss.

    Args:
        formats: Of the pictures.
        name: What messages call them.
        mixed: Whether they come from different decoders, whose YUV does not mean the same.
    """
    formats = list(formats)
    families = {fmt.family for fmt in formats}
    depth = max(fmt.depth for fmt in formats)
    if depth == 32 and any(fmt.depth != 32 for fmt in formats):
        raise MediaError(f"{name}: holds images of floats (EXR) and others, which do not mean the same light")
    alpha = any(fmt.alpha for fmt in formats)
    tail = "f32le" if depth == 32 else f"{depth}le" if depth > 8 else ""
    if families == {"grey"} and not alpha:
        return PixelFormat.parse(f"gray{tail}")
    if "rgb" in families or families == {"grey"} or mixed:
        return PixelFormat.parse(f"gbr{'a' if alpha else ''}p{tail}")
    yuv = [fmt for fmt in formats if fmt.family == "yuv"]
    chroma = min(fmt.log2_chroma[0] for fmt in yuv), min(fmt.log2_chroma[1] for fmt in yuv)
    code = {(1, 1): "420", (1, 0): "422", (0, 1): "440", (2, 0): "411", (2, 2): "410"}.get(chroma, "444")
    return PixelFormat.parse(f"yuv{'a' if alpha else ''}{code}p{tail}")


def _meaning(colour: Colour) -> tuple[str, bool]:
    return colour.matrix, colour.full_range


def _natural(file: Path) -> list[tuple[int, str]]:
    """The key that sorts names with their numbers as numbers."""
    return [(int(digits or -1), text) for digits, text in re.findall(r"(\d+)|(\D+)", file.name)]
