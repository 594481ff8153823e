"""The reader or writer for a path: a video file, a folder of images, or a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from maskvfi.errors import MediaError
from maskvfi.paths import PathLike
from maskvfi.video.encoders import LEAST_X265, is_mpeg2_rate, playing_note
from maskvfi.video.frames import Sink, Source, SourceInfo
from maskvfi.video.hdr import HDR10_PLUS
from maskvfi.video.images import ImageFolderReader, ImageFolderWriter, is_image_source, is_image_target
from maskvfi.video.kept import others_in
from maskvfi.video.muxer import VideoWriter
from maskvfi.video.pixel_format import Colour, is_unspecified
from maskvfi.video.reader import VideoReader
from maskvfi.video.stdin import StandardInput
from maskvfi.video.streams import check_hwaccel
from maskvfi.video.webp import AnimatedWebpReader, is_webp_animation

PIPE = "-"
_PIPE_FORMAT, _PIPE_CODEC = "yuv4mpegpipe", "wrapped_avframe"
_CODEC_OF_SUFFIX = {
    **{".webm": "libvpx-vp9", ".ogv": "libvpx", ".y4m": "wrapped_avframe"},
    **{".gif": "gif", ".apng": "apng", ".webp": "libwebp_anim", ".avif": "libsvtav1"},
    # These do not take H.264, or do not say when its frames are shown.
    **{
        ".wmv": "wmv2",
        ".asf": "wmv2",
        ".hevc": "libx265",
        ".265": "libx265",
        ".mjpeg": "mjpeg",
        ".ivf": "libvpx-vp9",
    },
    **dict.fromkeys((".mpg", ".mpeg", ".vob", ".m2v"), "mpeg2video"),
}
_PHONES = (".mp4", ".m4v", ".mov")  # suffixes that phones, browsers and QuickTime play
_DYNAMIC_HDR = (*_PHONES, ".mkv", ".ts", ".m2ts")  # suffixes that keep HDR metadata of each frame
_DEEP_CODEC = "libx265"  # the default codec for these suffixes if the source has more than 8 bits


def open_source(
    path: PathLike,
    *,
    start: Fraction | None = None,
    end: Fraction | None = None,
    rate: Fraction | None = None,
    hwaccel: str | None = None,
    interlaced: str = "auto",
    strict: bool = True,
) -> Source:
    """A reader of a video, a folder of images or a pipe.

    Args:
        path: A video file or address, a folder or pattern of images, or `-` (yuv4mpeg on stdin).
        start: Give only frames from here on, in seconds from the first frame.
        end: Give only frames before this time, in seconds from the first frame.
        rate: Frames per second of a folder of images, 24 by default, or of a raw stream.
        hwaccel: The device that decodes a video file, one of `streams.HWACCELS`; software by default.
        interlaced: What is done with interlaced frames, one of `options.INTERLACED`.
        strict: Whether an image of a folder that cannot be read is an error; otherwise the one before is shown.

    Returns:
        The opened reader.

    Raises:
        MediaError: The source cannot be read.
        OptionError: There is no such `hwaccel`.
    """
    check_hwaccel(hwaccel)
    how: dict[str, Any] = {"start": start, "end": end, "rate": rate}
    if os.fspath(path) == PIPE:
        reader: Source = _from_pipe(**how, interlaced=interlaced)
    elif is_image_source(path):
        reader = ImageFolderReader(path, **how, strict=strict)
    elif is_webp_animation(path):
        reader = AnimatedWebpReader(path, **how)
    else:
        return VideoReader(path, **how, hwaccel=hwaccel, interlaced=interlaced)
    if hwaccel is not None:
        reader.warnings.append(f"{reader.info.path}: {hwaccel} cannot decode it; decoded in software")
    if interlaced == "deinterlace" and os.fspath(path) != PIPE:
        reader.warnings.append(f"{reader.info.path}: images are not deinterlaced")
    return reader


def _from_pipe(**how: Any) -> VideoReader:
    pipe = StandardInput()
    try:
        reader = VideoReader(pipe, **how, container_format=_PIPE_FORMAT)
    except MediaError as error:
        if pipe.interrupted:
            raise KeyboardInterrupt from None
        raise MediaError(f"{error}; a pipe takes yuv4mpeg: ffmpeg -i FILE -f yuv4mpegpipe -") from error
    if pipe.interrupted:
        reader.close()
        raise KeyboardInterrupt
    return reader


def open_sink(
    path: PathLike,
    info: SourceInfo,
    *,
    rate: Fraction,
    codec: str | None = None,
    options: dict[str, str] | None = None,
    pix_fmt: str | None = None,
    copy_from: PathLike | None = None,
    overwrite: bool = False,
    start: Fraction | None = None,
    end: Fraction | None = None,
    slow: Fraction = Fraction(1),
    facts: Mapping[str, Any] | None = None,
    resume: bool = False,
) -> Sink:
    """A writer of a video, a folder of images or a pipe.

    Args:
        path: A video file, a folder of images (`out/`, `out`, `out/%06d.png`), or `-` (yuv4mpeg on stdout).
        info: What is known of the source of the frames.
        rate: The average frame rate of the output, in frames per second.
        codec: FFmpeg's name of the encoder; by default libx264, or what the suffix needs. Of images and pipes it is
            given: another one is named in a warning.
        options: The encoder's options. Those that images or a pipe do not have are named in a warning.
        pix_fmt: FFmpeg's name of the pixel format to write; chosen by default, see `choose_encoding`.
        copy_from: The file whose other streams are copied; a pipe or a folder has none.
        overwrite: Replace an output that exists.
        start, end, slow, facts, resume: As `VideoWriter` has them; images and pipes ignore them.

    Returns:
        The opened writer.

    Raises:
        MediaError: The output cannot be written, or `resume` is set and it is not a video file.
        OptionError: The encoder is unknown or does not have one of `options`.
    """
    if resume and (os.fspath(path) == PIPE or is_image_target(path)):
        raise MediaError(f"{os.fspath(path)}: only a video file can be resumed")
    if copy_from is not None and _has_pictures_alone(copy_from):
        copy_from = None
    if os.fspath(path) == PIPE:
        return _pipe(info, rate, codec, options or {}, pix_fmt, copy_from)
    if is_image_target(path):
        images = ImageFolderWriter(path, info, overwrite=overwrite, options=options, pix_fmt=pix_fmt)
        own = images.encoding.codec
        if codec not in (None, own):
            images.warnings.append(
                f"images are written with {own}, as their suffix says: codec {codec} left out"
            )
        images.warnings += _others_left_out("a folder of images", copy_from)
        return images
    suffix = Path(path).suffix.lower()
    animated = suffix == ".png" and info.codec == "apng"
    plain = pix_fmt is None and {"crf", "preset"} >= set(options or ())
    chosen = codec or ("apng" if animated else _codec_for(suffix, info, rate, plain))
    writer = VideoWriter(
        path,
        info,
        rate=rate,
        codec=chosen,
        options=options,
        pix_fmt=pix_fmt,
        copy_from=copy_from,
        overwrite=overwrite,
        start=start,
        end=end,
        slow=slow,
        facts=facts,
        resume=resume,
        container_format="apng" if animated else "mp4" if suffix == ".m4v" else None,  # ipod holds less
    )
    if pix_fmt is None and suffix in (*_PHONES, ".webm"):
        writer.warnings += playing_note(writer.encoding)
    if codec is None and chosen == _DEEP_CODEC != _CODEC_OF_SUFFIX.get(suffix):
        writer.warnings.append(
            f"the source has more than 8 bits: written with {_DEEP_CODEC} (HEVC), since few players take such H.264"
        )
    return writer


def _has_pictures_alone(path: PathLike) -> bool:
    return os.fspath(path) == PIPE or is_image_source(path) or is_webp_animation(path)


def _codec_for(suffix: str, info: SourceInfo, rate: Fraction, plain: bool) -> str:
    """The default encoder for a suffix.

    Args:
        suffix: Of the file to write.
        info: What is known of the source of the frames.
        rate: The frame rate of the output.
        plain: Whether nothing is asked of the encoder but what all of them understand.
    """
    wide = info.width + info.width % 2 >= LEAST_X265
    deep = info.format.family == "yuv" and info.format.depth > 8 and wide
    dynamic = HDR10_PLUS in info.hdr.dynamic or info.hdr.is_dolby_profile_8
    if plain and deep and suffix in (_DYNAMIC_HDR if dynamic else _PHONES):
        return _DEEP_CODEC
    codec = _CODEC_OF_SUFFIX.get(suffix, "libx264")
    return "libx264" if codec == "mpeg2video" and not is_mpeg2_rate(rate) else codec


def _others_left_out(target: str, copy_from: PathLike | None) -> list[str]:
    """A warning if the source has other streams than pictures, which the target cannot keep."""
    others = [] if copy_from is None else others_in(copy_from)
    return [f"{target} keeps no {' and no '.join(others)}: left out"] if others else []


def _colours_left_out(colour: Colour) -> list[str]:
    """A warning if colours have tags, which a pipe cannot keep."""
    tags = {
        "primaries": colour.primaries,
        "transfer function": colour.transfer,
        "matrix": colour.matrix_tag,
    }
    lost = [word for word, tag in tags.items() if not is_unspecified(tag)]
    return [f"a pipe keeps no {' and no '.join(lost)} of the colours: left out"] if lost else []


def _pipe(
    info: SourceInfo,
    rate: Fraction,
    codec: str | None,
    options: Mapping[str, str],
    pix_fmt: str | None,
    copy_from: PathLike | None,
) -> VideoWriter:
    if sys.stdout is None:
        raise MediaError("-: standard output is closed")
    writer = VideoWriter(
        sys.stdout.buffer,
        info,
        rate=rate,
        codec=_PIPE_CODEC,
        pix_fmt=pix_fmt,
        container_format=_PIPE_FORMAT,
    )
    if left := [*(["codec"] if codec not in (None, _PIPE_CODEC) else []), *options]:
        writer.warnings.append(f"a pipe has no options of an encoder: {', '.join(left)} left out")
    writer.warnings += _others_left_out("a pipe", copy_from) + _colours_left_out(writer.encoding.colour)
    return writer
