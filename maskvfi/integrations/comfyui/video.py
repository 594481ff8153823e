"""Videos, interpolated or protected: from file to file, so that no frames are held in memory."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

from maskvfi.integrations.comfyui import server
from maskvfi.integrations.comfyui.networks import Networks
from maskvfi.options import Options, ProtectOptions, StillOptions
from maskvfi.pipeline.protect import protect
from maskvfi.pipeline.report import Report
from maskvfi.pipeline.run import interpolate
from maskvfi.video import open_source

MP4 = (".mp4", ".m4v", ".mov")
_SHORTER = 0.5  # seconds by which a part is shorter than its file at least
LOG = logging.getLogger("maskvfi")
Made = tuple[Any, str]  # a video of the server, and what could not be kept of the input, a line each


def interpolate_video(networks: Networks, video: Any, **fields: Any) -> Made:
    """Raise the frame rate of a video; sound and all other streams are kept.

    Args:
        networks: What computes it.
        video: The server's object of type VIDEO, or a path.
        **fields: Options of `maskvfi.interpolate`, by name.

    Returns:
        The new video, in the server's folder for temporary files, and what could not be kept of the input, a line each.

    Raises:
        MediaError, OptionError: As `maskvfi.interpolate` does; then nothing is left behind.
    """
    asked = networks.options.to_dict()

    def make(folder: Path, inputs: Path) -> tuple[Path, Report]:
        source, part = _file_of(video, inputs / "source")
        options = Options.of(None, asked | part | fields)
        target = _target(source, folder)
        with networks.ready(*_dimensions(video)) as (interpolator, watch):
            return target, interpolate(
                source, target, options=options, interpolator=interpolator, progress=watch.advance
            )

    return _made(make)


def protect_video(networks: Networks, video: Any, interpolated: Any, **fields: Any) -> Made:
    """Put still pixels of a video back into another program's version of it at a higher frame rate.

    Args:
        networks: Only the mask is used.
        video: The source, as for `interpolate_video`.
        interpolated: The other version: of the same size, or of 2, 3 ... times the width and height.
        **fields: Options of `maskvfi.protect`, by name.

    Returns:
        As `interpolate_video`.

    Raises:
        MediaError, OptionError: As `maskvfi.protect` does; then nothing is left behind.
    """
    still = networks.options.values_of_group(StillOptions)

    def make(folder: Path, inputs: Path) -> tuple[Path, Report]:
        # Of the source a part cannot be asked for, so one that is trimmed is written.
        place = inputs / "source"
        source = _written(video, place) if _trimmed(video) else _file_of(video, place)[0]
        other, part = _file_of(interpolated, inputs / "interpolated")
        options = ProtectOptions.of(None, still | part | fields)
        target = _target(other, folder)
        with networks.ready(*_dimensions(video)) as (interpolator, watch):
            return target, protect(
                source, other, target, options=options, interpolator=interpolator, progress=watch.advance
            )

    return _made(make)


def _made(make: Callable[[Path, Path], tuple[Path, Report]]) -> Made:
    """What `make` writes into a temporary folder, which goes if it fails. A second one, for copies of inputs, goes."""
    folder, inputs = server.temporary_folder(), server.temporary_folder()
    try:
        target, report = make(folder, inputs)
    except BaseException:  # the server's exception for Cancel is no Exception
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(inputs, ignore_errors=True)
    lines = [*report.warnings, *filter(None, [report.damage])]
    for line in lines:
        LOG.warning(line)
    return server.video_of(target), "\n".join(lines)


def _target(source: Path, folder: Path) -> Path:
    suffix = ".mp4" if source.suffix.lower() in MP4 else ".mkv"
    return folder / f"{source.stem}_maskvfi{suffix}"


def _file_of(video: Any, place: Path) -> tuple[Path, dict[str, Any]]:
    """The file that a video is read from, and the options for its part of the file.

    A video that the server holds in memory, or has changed, is written to `place`, with a suffix: only what it shows.
    """
    if isinstance(video, str | Path):
        return Path(video), {}
    source = getattr(video, "get_stream_source", None)  # servers before 0.3.43 have only save_to
    if source is None:
        return _written(video, place), {}
    stream = source()
    if isinstance(stream, str | Path):
        file = Path(stream)
        return (file, _trimmed(video)) if _is_whole(video, file) else (_written(video, place), {})
    file = place.with_suffix(".mp4" if "mp4" in video.get_container_format() else ".mkv")
    stream.seek(0)
    with file.open("wb") as copy:
        shutil.copyfileobj(stream, copy)
    if _is_whole(video, file):
        return file, _trimmed(video)
    return _written(video, place.with_stem(f"{place.stem}-part")), {}


def _is_whole(video: Any, file: Path) -> bool:
    """Whether a video shows its file as it is, if perhaps for a part of its time.

    A node may crop or scale it, and older servers do not say which part is cut out.
    """
    edited = getattr(video, "has_pending_frame_edits", None)
    if edited is not None and edited():
        return False
    with open_source(file) as reader:
        info = reader.info
    sides, length = {info.width, info.height}, info.length
    if hasattr(video, "get_dimensions") and {*video.get_dimensions()} != sides:
        return False
    tells_part = hasattr(video, "get_active_trim_window") or not hasattr(video, "get_duration")
    return tells_part or video.get_duration() > length - _SHORTER


def _written(video: Any, place: Path) -> Path:
    """A file that the server writes of a video, at `place` with a suffix."""
    path = place.with_suffix(".mp4")
    video.save_to(str(path))
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
