"""Find cuts, over which nothing is interpolated, and duplicates, frames that repeat the one before."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from einops import rearrange
from scenedetect import AdaptiveDetector, ContentDetector, FrameTimecode
from scenedetect.detector import FlashFilter, SceneDetector

from maskvfi.options import OFF
from maskvfi.video import Frame, SourceInfo
from maskvfi.video.pixel_format import Colour, PixelFormat
from maskvfi.video.planes import opacity_of, over_backdrop, planes_to_rgb

THUMBNAIL_WIDTH, THUMBNAIL_HEIGHT = 256, 1024  # px, the largest
BLOCK = 16  # px; a frame is a duplicate if the mean change of no block exceeds NOISE
NOISE = 1.0  # 8-bit code values; the means of 8-bit planes are rounded
# At a cut the picture changes more than this many times the mean change of the frames before, and of those after.
CUT_RATIO = 1.5
CUT_RATIO_AT_ENDS = 3.0  # where the video has too few frames on one side; AdaptiveDetector's own threshold
HELD = 8  # repeats after which a picture counts as held: the frames before it are then judged without the next picture


@dataclass(frozen=True, slots=True)
class Watched:
    """A frame and what was found about it.

    Attributes:
        frame: The frame.
        cut: Whether a new scene starts with it.
        duplicate: Whether it repeats the frame before.
    """

    frame: Frame
    cut: bool
    duplicate: bool


class SceneWatcher:
    """Finds cuts and duplicates among the frames of one source.

    Cuts are found by PySceneDetect. Duplicates are not passed to it, since in animation on threes it would take every
    new drawing for a cut. Of the cuts that "auto" finds, only those count at which the picture changes more than around
    them. Otherwise the last step of a fade to black would be a cut, since hue means little near black, and so would any
    motion in a video of two or three frames.
    """

    def __init__(self, info: SourceInfo, scene_cut: str | float = "auto") -> None:
        """Set up the detector.

        Args:
            info: Of the source.
            scene_cut: "auto" (AdaptiveDetector), "off", or a threshold for ContentDetector, whose default is 27.
        """
        self._info = info
        self._delay = 0
        self._detector: SceneDetector | None = None
        if scene_cut == "auto":
            self._detector = AdaptiveDetector(min_scene_len=1, min_content_val=20.0)
            self._delay = self._detector.event_buffer_length
        elif scene_cut != OFF:
            self._detector = ContentDetector(
                float(scene_cut), min_scene_len=1, filter_mode=FlashFilter.Mode.SUPPRESS
            )
        width = min(THUMBNAIL_WIDTH, max(1, THUMBNAIL_HEIGHT * info.width // info.height))
        self._size = (width, max(1, width * info.height // info.width))
        self._shown = 0
        self._repeats = False  # whether a picture was held
        self._changes: dict[int, float] = {}  # mean change of the pictures that were shown last, by number

    def watch(self, frames: Iterable[Frame]) -> Iterator[Watched]:
        """Mark the frames of a source.

        Args:
            frames: In the order of time.

        Yields:
            The same frames, delayed by as many as the detector looks ahead.
        """
        waiting: deque[tuple[Watched, int]] = deque()
        cuts: set[int] = set()
        before: list[np.ndarray] | None = None
        picture: np.ndarray | None = None
        number, held = 0, 0

        def settled(upto: int) -> Iterator[Watched]:
            """The waiting frames whose number the detector has judged."""
            while waiting and waiting[0][1] <= upto:
                watched, place = waiting.popleft()
                cut = not watched.duplicate and place in cuts and self._stands_out(place)
                yield replace(watched, cut=cut)

        for frame in frames:
            seen = _seen(frame)
            duplicate = before is not None and all(map(_same, before, seen))
            before = seen
            self._repeats |= duplicate
            held = held + 1 if duplicate else 0
            if not duplicate:
                last, picture = picture, self._small(frame) if self._detector else None
                self._note_change(last, picture)
                # The detector compares a frame with its neighbours on both sides. The first frame is shown several
                # times, as the frames before it.
                cuts.update(self._show(picture, 1 if self._shown else 1 + self._delay))
                number = self._shown - 1
            elif held == HELD:  # else all frames of a slide would wait in memory for the next slide
                cuts.update(self._hold(picture))
            waiting.append((Watched(frame, False, duplicate), number))
            yield from settled(self._shown - 1 - self._delay)
        cuts.update(self._show(picture, self._delay))
        yield from settled(self._shown)

    def _note_change(self, last: np.ndarray | None, picture: np.ndarray | None) -> None:
        if last is not None and picture is not None:
            self._changes[self._shown] = float(cv2.absdiff(last, picture).mean())
            first = self._shown - 2 * self._delay - 1
            self._changes = {place: change for place, change in self._changes.items() if place >= first}

    def _hold(self, picture: np.ndarray | None) -> list[int]:
        """Show a picture that stays until the detector has judged it; returns the numbers of the cuts it finds."""
        found: list[int] = []
        for _ in range(self._delay):
            self._changes[self._shown] = 0.0
            found += self._show(picture, 1)
        return found

    def _stands_out(self, number: int) -> bool:
        """Whether a picture differs more from the one before than the pictures around it do."""
        if not self._delay:
            return True
        before, after = (
            [self._changes[k] for k in numbers if k in self._changes]
            for numbers in (range(number - self._delay, number), range(number + 1, number + self._delay + 1))
        )
        if len(before) == len(after) == self._delay:
            return self._changes[number] > CUT_RATIO * max(float(np.mean(side)) for side in (before, after))
        around = [*before, *after]
        if not around:  # there are only two pictures: a cut if one is repeated, else interpolate between them
            return self._repeats
        return self._changes[number] > CUT_RATIO_AT_ENDS * float(np.mean(around))

    def _small(self, frame: Frame) -> np.ndarray:
        return thumbnail(frame, self._info.colour, self._size)

    def _show(self, picture: np.ndarray | None, times: int) -> list[int]:
        """Pass a picture to the detector `times` times; returns the numbers of the cuts it finds."""
        found: list[int] = []
        for _ in range(times):
            if self._detector is not None and picture is not None:
                found += (
                    cut.frame_num
                    for cut in self._detector.process_frame(FrameTimecode(self._shown, 25.0), picture)
                )
            self._shown += 1
        return found


def thumbnail(frame: Frame, colour: Colour, size: tuple[int, int]) -> np.ndarray:
    """Make a small picture of a frame.

    Args:
        frame: The frame.
        colour: What its code values mean.
        size: Width and height in pixels.

    Returns:
        8-bit BGR [h,w,3], over the backdrop where the frame is transparent.
    """
    fmt = frame.format
    planes = [
        torch.from_numpy(cv2.resize(plane.astype(np.float32), size, interpolation=cv2.INTER_AREA))
        for plane in frame.planes
    ]
    opaque = planes_to_rgb(planes, replace(fmt, log2_chroma=(0, 0)), colour)
    rgb = over_backdrop(opaque, opacity_of(planes, fmt))[0]
    codes = rearrange(rgb.flip(0), "c h w -> h w c").mul(255).clamp(0, 255)
    return np.ascontiguousarray(codes.byte().numpy())


def _seen(frame: Frame) -> list[np.ndarray]:
    """What two frames are compared by: luma, or all three of RGB, premultiplied if there is alpha, and alpha."""
    fmt = frame.format
    colours = [_as_bytes(plane, fmt) for plane in frame.planes[: 3 if fmt.family == "rgb" else 1]]
    if not fmt.alpha:
        return colours
    alpha = _as_bytes(frame.planes[-1], fmt)
    return [*(cv2.multiply(plane, alpha, scale=1 / 255) for plane in colours), alpha]


def _as_bytes(plane: np.ndarray, fmt: PixelFormat) -> np.ndarray:
    """A plane in 8-bit code values; float32 if it has more than 8 bits."""
    if fmt.depth == 8:
        return plane
    return plane.astype(np.float32) * np.float32(255 / fmt.white)


def _same(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether no block of a plane of two frames differs by more than NOISE."""
    difference = cv2.absdiff(before, after)
    size = (max(1, after.shape[1] // BLOCK), max(1, after.shape[0] // BLOCK))
    return float(cv2.resize(difference, size, interpolation=cv2.INTER_AREA).max()) <= NOISE
