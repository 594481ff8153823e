"""An animated WebP as a video. FFmpeg does not read these; OpenCV does, with libwebp."""

from __future__ import annotations

import io
import os
from collections.abc import Generator, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from cv2.utils import logging

from maskvfi.errors import MediaError
from maskvfi.paths import PathLike
from maskvfi.video.animation import plays_of, webp_durations
from maskvfi.video.chunks import riff_chunks
from maskvfi.video.frames import Frame, SourceInfo, shortest_rest
from maskvfi.video.icc import read_profile
from maskvfi.video.pixel_format import Colour, PixelFormat
from maskvfi.video.pump import ReadAhead
from maskvfi.video.streams import is_animated_webp

_PLANES = (1, 0, 2, 3)  # of a picture BGR or BGRA, in the order of a frame's planes: G, B, R, alpha
_AT_ONCE = 1 << 28  # bytes of pictures; OpenCV decodes those before them again
_TICK = Fraction(1, 1000)  # seconds
_SHOWN = 100  # ticks that a picture of 0 is shown for, as by browsers


def is_webp_animation(path: PathLike) -> bool:
    """Whether a path is that of an animated WebP."""
    path = Path(path)
    if not path.is_file() or not os.access(path, os.R_OK):
        return False
    with path.open("rb") as file:
        return is_animated_webp(file.read(32))


class AnimatedWebpReader(ReadAhead[Frame]):
    """Read an animated WebP as a video in RGB, 8 bits, with alpha where it has some.

    Args:
        path: The file.
        rate: It has times of its own, so a rate is named in a warning.
        start: Give only frames from here on, in seconds.
        end: Give only frames before this time, in seconds.
        queue: How many decoded frames may wait.

    Attributes:
        info: What is known of it.
        warnings: What is odd about it, one line each.

    Raises:
        MediaError: It cannot be read; also raised while iterating.
    """

    def __init__(
        self,
        path: PathLike,
        *,
        rate: Fraction | None = None,
        start: Fraction | None = None,
        end: Fraction | None = None,
        queue: int = 4,
    ) -> None:
        super().__init__(queue)
        self._name = os.fspath(path)
        self.warnings: list[str] = []
        if rate is not None:
            self.warnings.append(f"{self._name}: the rate is not used, its frames have times")
        self._data, self._cut = _whole_chunks(Path(path).read_bytes())
        first = self._decoded(0, 1)
        self._durations = [(ticks or _SHOWN) * _TICK for ticks in webp_durations(self._data)]
        if not first or not self._durations:
            raise MediaError(f"{self._name}: cannot be decoded; the file is damaged or empty")
        height, width = first[0].shape[:2]
        self._some = max(1, _AT_ONCE // first[0].nbytes)
        self._begun = self._decoded(0, self._some) or first
        fmt = PixelFormat.parse("gbrap" if self._may_have_alpha() else "gbrp")
        length = sum(self._durations, Fraction(0))
        info = SourceInfo(
            path=self._name,
            width=width,
            height=height,
            format=fmt,
            colour=Colour.from_tags(fmt, height),
            rate=len(self._durations) / length,
            time_base=_TICK,
            frames_estimate=len(self._durations),
            duration=length,
            codec="webp",
            profile=read_profile(self._data, "webp"),
            plays=plays_of(self._name),
        )
        self._begin, self._end = start or Fraction(0), length if end is None else min(end, length)
        if start or end is not None:
            length = max(Fraction(0), self._end - self._begin)
            info = replace(info, duration=length, frames_estimate=-(-length * info.rate // 1))
        self.info = info

    def _frames(self) -> Generator[Frame, None, None]:
        held = shortest_rest(self.info.rate)
        planes_each = 4 if self.info.format.alpha else 3
        time = Fraction(0)
        for picture, duration in zip(self._pictures(), self._durations, strict=False):
            begin, time = time, time + duration
            if begin >= self._end:
                return
            if begin < self._begin:
                if time - self._begin <= held:
                    continue
                begin = self._begin
            planes = tuple(np.ascontiguousarray(picture[..., k]) for k in _PLANES[:planes_each])
            yield Frame(planes, self.info.format, begin, min(time, self._end) - begin)

    def _pictures(self) -> Iterator[np.ndarray]:
        number = 0
        while number < len(self._durations):
            pictures = self._decoded(number, self._some) if number else self._begun
            if not pictures:
                raise MediaError(f"{self._name}: decoding stopped after frame {number}")
            yield from pictures
            number += len(pictures)
        if self._cut:
            raise MediaError(f"{self._name}: is cut off after frame {number}")

    def _may_have_alpha(self) -> bool:
        """Whether some pixel is not opaque, as far as all pictures are decoded; the file's parts often have alpha."""
        if self._begun[0].shape[2] == 3:
            return False
        return len(self._begun) < len(self._durations) or any(p[..., 3].min() < 255 for p in self._begun)

    def _decoded(self, number: int, count: int) -> list[np.ndarray]:
        """Up to `count` pictures [H,W,3 or 4] from that number on; none where the file is damaged."""
        level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)  # its words on damage would come beside ours
        try:
            _, animation = cv2.imdecodeanimation(np.frombuffer(self._data, np.uint8), number, count)
        except cv2.error:
            return []
        finally:
            logging.setLogLevel(level)
        return list(animation.frames)


def _whole_chunks(data: bytes) -> tuple[bytes, bool]:
    """A file without a last chunk that is there in part, as libwebp takes no such file; and whether there was one."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if len(data) >= end:
        return data, False
    end = max((each.after for each in riff_chunks(io.BytesIO(data)) if each.after <= len(data)), default=12)
    return data[:4] + (end - 8).to_bytes(4, "little") + data[8:end], True
