"""A video in, a smoother one out: from file to file, so that no frames are held in memory."""

from __future__ import annotations

import logging
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

from maskvfi.integrations.comfyui import server
from maskvfi.integrations.comfyui.networks import Networks
from maskvfi.options import Options
from maskvfi.pipeline.run import interpolate

MP4 = (".mp4", ".m4v", ".mov")
LOG = logging.getLogger("maskvfi")


def interpolate_video(networks: Networks, video: Any, **fields: Any) -> tuple[Any, str]:
    """Raise the frame rate of a video; sound and all other streams are kept.

    Args:
        networks: What computes it.
        video: The server's object of type VIDEO, or a path.
        **fields: Options by name.

    Returns:
        The new video, in the server's folder for temporary files, and what could not be kept of the input, a line each.

    Raises:
        MediaError, OptionError: As `maskvfi.interpolate` does; then nothing is left behind.
    """
    folder = server.temporary_folder()
    try:
        source = _file_of(video, folder)
        target = folder / f"{source.stem}_maskvfi{'.mp4' if source.suffix.lower() in MP4 else '.mkv'}"
        options = Options.of(None, networks.options.to_dict() | _trimmed(video) | fields)
        with networks.ready(*_dimensions(video)) as (interpolator, watch):
            report = interpolate(
                source, target, options=options, interpolator=interpolator, progress=watch.advance
            )
    except BaseException:  # the server's exception for Cancel is no Exception
        shutil.rmtree(folder, ignore_errors=True)
        raise
    for line in report.warnings:
        LOG.warning(line)
    return server.video_of(target), "\n".join(report.warnings)


def _file_of(video: Any, folder: Path) -> Path:
    """The file that a video is read from. One that the server holds in memory is written first."""
    if isinstance(video, str | Path):
        return Path(video)
    stream = video.get_stream_source()
    if isinstance(stream, str | Path):
        return Path(stream)
    suffix = ".mp4" if "mp4" in video.get_container_format() else ".mkv"
    path = folder / f"source{suffix}"
    stream.seek(0)
    with path.open("wb") as file:
        shutil.copyfileobj(stream, file)
    return path


def _trimmed(video: Any) -> dict[str, Any]:
    """The options for the part of its file that a video is."""
    window = getattr(video, "get_active_trim_window", None)
    start, duration = (
        Fraction(each).limit_denominator(1_000_000) for each in (window() if window else (0, 0))
    )
    found = {"start": start} if start else {}
    return found | ({"end": start + duration} if duration else {})


def _dimensions(video: Any) -> tuple[int, int]:
    """Width and height of a video; 1920x1080 where nothing says so."""
    ask = getattr(video, "get_dimensions", None)
    return ask() if ask else (1920, 1080)
