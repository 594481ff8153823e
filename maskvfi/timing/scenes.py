"""Cuts and duplicates: gaps that must not be interpolated, and frames that are only repeats."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from scenedetect import AdaptiveDetector, ContentDetector, FrameTimecode
from scenedetect.detector import FlashFilter, SceneDetector

from maskvfi.video import Frame, SourceInfo
from maskvfi.video.planes import planes_to_rgb

THUMBNAIL_WIDTH = 256
BLOCK = 16  # px; a block that changes by more than NOISE has moved
NOISE = 1.0  # code values of 255


@dataclass(frozen=True, slots=True)
class Watched:
    """A frame, whether a new scene starts with it, and whether it repeats the frame before."""

    frame: Frame
    cut: bool
    duplicate: bool


class SceneWatcher:
    """Marks the frames of one source with cuts and duplicates.

    scene_cut is "auto" (PySceneDetect's AdaptiveDetector), "off", or a threshold for its ContentDetector
    (27 is PySceneDetect's own). Repeats are not shown to the detector: on animation drawn on threes they
    would make every drawing a cut. Raises ValueError for another scene_cut.
    """

    def __init__(self, info: SourceInfo, scene_cut: str | float = "auto") -> None:
        self._info = info
        self._delay = 0
        self._detector: SceneDetector | None = None
        if scene_cut == "auto":
            self._detector = AdaptiveDetector(min_scene_len=1, min_content_val=20.0)
            self._delay = self._detector.event_buffer_length
        elif scene_cut != "off":
            try:
                threshold = float(scene_cut)
            except ValueError:
                raise ValueError(
                    f'scene cut must be "auto", "off" or a threshold, not {scene_cut!r}'
                ) from None
            self._detector = ContentDetector(
                threshold, min_scene_len=1, filter_mode=FlashFilter.Mode.SUPPRESS
            )
        self._shown = 0

    def watch(self, frames: Iterable[Frame]) -> Iterator[Watched]:
        """The same frames in order, marked; runs as many frames behind as the detector needs to look ahead."""
        waiting: deque[tuple[Watched, int]] = deque()
        cuts: set[int] = set()
        before: np.ndarray | None = None
        thumbnail: np.ndarray | None = None

        def settled(upto: int) -> Iterator[Watched]:
            while waiting and waiting[0][1] <= upto:
                watched, number = waiting.popleft()
                yield replace(watched, cut=not watched.duplicate and number in cuts)

        for frame in frames:
            luma = _as_bytes(frame)
            duplicate = before is not None and _same(before, luma)
            before = luma
            if not duplicate:
                thumbnail = self._thumbnail(frame) if self._detector else None
                # The detector judges a frame by its neighbours on both sides; the first one stands in for
                # those before it.
                cuts.update(self._show(thumbnail, 1 if self._shown else 1 + self._delay))
            waiting.append((Watched(frame, False, duplicate), self._shown - 1))
            yield from settled(self._shown - 1 - self._delay)
        cuts.update(self._show(thumbnail, self._delay))
        yield from settled(self._shown)

    def _show(self, thumbnail: np.ndarray | None, times: int) -> list[int]:
        found: list[int] = []
        for _ in range(times):
            if self._detector is not None and thumbnail is not None:
                found += (
                    cut.frame_num
                    for cut in self._detector.process_frame(FrameTimecode(self._shown, 25.0), thumbnail)
                )
            self._shown += 1
        return found

    def _thumbnail(self, frame: Frame) -> np.ndarray:
        """The frame as the detector wants it: small, 8 bits, BGR."""
        fmt = self._info.format
        size = (THUMBNAIL_WIDTH, max(1, THUMBNAIL_WIDTH * self._info.height // self._info.width))
        planes = [
            torch.from_numpy(cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_AREA))
            for plane in frame.planes[: fmt.colour_planes]
        ]
        rgb = planes_to_rgb(planes, replace(fmt, log2_chroma=(0, 0)), self._info.colour)[0]
        return np.ascontiguousarray(rgb.flip(0).permute(1, 2, 0).mul(255).clamp(0, 255).byte().numpy())


def _as_bytes(frame: Frame) -> np.ndarray:
    """The first plane (luma or green) scaled to 0..255, as float32 where it has more than 8 bits."""
    plane, depth = frame.planes[0], frame.format.depth
    if depth == 8:
        return plane
    return plane.astype(np.float32) * np.float32(255.0 if depth == 32 else 255 / (2**depth - 1))


def _same(before: np.ndarray, luma: np.ndarray) -> bool:
    difference = cv2.absdiff(before, luma)
    size = (max(1, luma.shape[1] // BLOCK), max(1, luma.shape[0] // BLOCK))
    return float(cv2.resize(difference, size, interpolation=cv2.INTER_AREA).max()) <= NOISE
