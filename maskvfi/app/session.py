"""The work of one visitor: previews of videos, and a queue of videos to make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import maskvfi
from maskvfi.app.paint import Layers, fits, write_masks
from maskvfi.app.previews import Previews
from maskvfi.app.queue import Job, Queue
from maskvfi.options import Options, ProtectOptions
from maskvfi.pipeline.reading import OnFrame, Progress
from maskvfi.pipeline.report import Report
from maskvfi.video import open_source
from maskvfi.video.orientation import upright_info

KEPT = (".mp4", ".mov", ".mkv")  # suffixes that a result keeps; any other becomes .mkv


class Session:
    """The work of one visitor.

    Args:
        root: The folder in which every result gets a folder.

    Attributes:
        previews: Shows frames of videos.
        queue: Makes videos.
        uploads: The paths of the videos that the visitor has sent.
    """

    def __init__(self, root: Path) -> None:
        self.previews = Previews()
        self.queue = Queue(root)
        self.uploads: set[str] = set()

    def interpolate(self, videos: Sequence[str], layers: Layers, asked: Mapping[str, Any]) -> None:
        """Put videos into the queue, to be interpolated.

        Args:
            videos: Their paths.
            layers: What was painted, RGBA uint8 [h,w,4]; it counts for every video of the same shape.
            asked: Options by name.

        Raises:
            OptionError: An option is wrong; nothing was added.
        """
        options = Options.of(None, asked)
        self.queue.add([_interpolation(Path(video), layers, options) for video in videos])

    def protect(self, source: str, interpolated: str, layers: Layers, asked: Mapping[str, Any]) -> None:
        """Put another program's version of a video into the queue, to get the still pixels back.

        Args:
            source: The path of the video.
            interpolated: The path of what the other program made of it.
            layers: What was painted over the source, RGBA uint8 [h,w,4].
            asked: Options by name.

        Raises:
            OptionError: An option is wrong; nothing was added.
        """
        options = ProtectOptions.of(None, asked)
        self.queue.add([_protection(Path(source), Path(interpolated), layers, options)])


def _interpolation(video: Path, layers: Layers, options: Options) -> Job:
    def make(folder: Path, progress: Progress, watch: OnFrame) -> Report:
        painted, unfit = _painted(video, layers, folder)
        target = folder / f"{video.stem}_smooth{_suffix(video)}"
        report = maskvfi.interpolate(
            video, target, options=Options.of(options, painted), progress=progress, watch=watch
        )
        report.warnings += unfit
        return report

    return Job(video.name, [video], make)


def _protection(source: Path, interpolated: Path, layers: Layers, options: ProtectOptions) -> Job:
    def make(folder: Path, progress: Progress, watch: OnFrame) -> Report:
        painted, unfit = _painted(source, layers, folder)
        target = folder / f"{interpolated.stem}_protected{_suffix(interpolated)}"
        report = maskvfi.protect(
            source,
            interpolated,
            target,
            options=ProtectOptions.of(options, painted),
            progress=progress,
            watch=watch,
        )
        report.warnings += unfit
        return report

    return Job(interpolated.name, [source, interpolated], make)


def _painted(video: Path, layers: Layers, folder: Path) -> tuple[dict[str, Path], list[str]]:
    """The painted masks of a video as options, and a line if they do not fit."""
    with open_source(video) as reader:
        info = upright_info(reader.info)
    if not fits(layers, info.width, info.height):
        return {}, [f"{video.name}: has another shape than what was painted on: the paint is left out"]
    return write_masks(layers, info.width, info.height, folder), []


def _suffix(video: Path) -> str:
    return video.suffix.lower() if video.suffix.lower() in KEPT else ".mkv"
