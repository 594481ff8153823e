"""Videos, image folders and pipes: frames of planes in, frames of planes out."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from maskvfi.errors import MediaError
from maskvfi.video.frames import Frame, Sink, Source, SourceInfo
from maskvfi.video.images import ImageFolderReader, ImageFolderWriter, is_image_target
from maskvfi.video.muxer import VideoWriter
from maskvfi.video.planes import Colour, PixelFormat
from maskvfi.video.reader import VideoReader

__all__ = [
    "Colour",
    "Frame",
    "ImageFolderReader",
    "ImageFolderWriter",
    "MediaError",
    "PixelFormat",
    "Sink",
    "Source",
    "SourceInfo",
    "VideoReader",
    "VideoWriter",
    "open_sink",
    "open_source",
]

_PIPE = "-"
_PIPE_FORMAT = "yuv4mpegpipe"
_CODEC_OF_SUFFIX = {".webm": "libvpx-vp9", ".gif": "gif", ".y4m": "wrapped_avframe"}


def open_source(
    path: str | os.PathLike[str],
    *,
    start: Fraction | None = None,
    end: Fraction | None = None,
    rate: Fraction | None = None,
    queue: int = 4,
    hwaccel: str | None = None,
) -> Source:
    """A reader for a video, a folder of images (shown at `rate`, 24 if None) or `-` (yuv4mpeg on stdin).

    The arguments are those of the readers.
    """
    if os.fspath(path) == _PIPE:
        return VideoReader(sys.stdin.buffer, start=start, end=end, queue=queue, container_format=_PIPE_FORMAT)
    if Path(path).is_dir():
        return ImageFolderReader(path, rate=rate, start=start, end=end, queue=queue)
    return VideoReader(path, start=start, end=end, queue=queue, hwaccel=hwaccel)


def open_sink(
    path: str | os.PathLike[str],
    info: SourceInfo,
    *,
    rate: Fraction,
    codec: str | None = None,
    options: dict[str, str] | None = None,
    copy_from: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    start: Fraction | None = None,
    end: Fraction | None = None,
    queue: int = 4,
    time_base: Fraction | None = None,
    slow: Fraction = Fraction(1),
    facts: Mapping[str, Any] | None = None,
    resume: bool = False,
) -> Sink:
    """A writer for a video, a folder of images (`out/`, `out`, `out/%06d.png`) or `-` (yuv4mpeg on stdout).

    `codec` None is libx264, or what the container needs. The other arguments are `VideoWriter`'s. Raises MediaError
    where `resume` is asked of what is no video file.
    """
    if resume and (os.fspath(path) == _PIPE or is_image_target(path)):
        raise MediaError(f"{os.fspath(path)}: only a video file can be resumed")
    if os.fspath(path) == _PIPE:
        return VideoWriter(
            sys.stdout.buffer,
            info,
            rate=rate,
            codec="wrapped_avframe",
            queue=queue,
            container_format=_PIPE_FORMAT,
        )
    if copy_from is not None and (os.fspath(copy_from) == _PIPE or Path(copy_from).is_dir()):
        copy_from = None
    if is_image_target(path):
        images = ImageFolderWriter(path, info, overwrite=overwrite, queue=queue)
        if copy_from is not None and info.has_audio:
            images.warnings.append("a folder of images keeps no sound: left out")
        return images
    return VideoWriter(
        path,
        info,
        rate=rate,
        codec=codec or _CODEC_OF_SUFFIX.get(Path(path).suffix.lower(), "libx264"),
        options=options,
        copy_from=copy_from,
        overwrite=overwrite,
        start=start,
        end=end,
        queue=queue,
        time_base=time_base,
        slow=slow,
        facts=facts,
        resume=resume,
    )
