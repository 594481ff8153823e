"""What a reader gives and a writer takes: frames with exact times, and what is known of their source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from types import TracebackType
from typing import Any, Protocol

import av
import numpy as np

from maskvfi.video.hdr import HdrMetadata
from maskvfi.video.pixel_format import Colour, PixelFormat


def shortest_rest(rate: Fraction) -> Fraction:
    """How much longer, in seconds, a frame must still be shown when a window begins, to belong to the window.

    Args:
        rate: The source's frames per second.
    """
    return min(2 / rate, Fraction(1, 4))


@dataclass(slots=True)
class Frame:
    """One picture and when it is shown.

    Attributes:
        planes: Arrays [h,w] of code values (uint8, uint16 or float32), alpha last. They may be read-only views of
            `native`.
        format: The planar pixel format of the planes.
        pts: When it is shown, in seconds on the source's own clock.
        duration: How long it is shown, in seconds.
        native: The decoder's frame, which a writer gives to the encoder untouched; None for a computed frame.
        origin: The decoder's frame whose HDR metadata the frame has: `native`, or one that it was computed from.
    """

    planes: tuple[np.ndarray, ...]
    format: PixelFormat
    pts: Fraction
    duration: Fraction
    native: av.VideoFrame | None = None
    origin: av.VideoFrame | None = None

    def __post_init__(self) -> None:
        if self.native is not None:
            self.origin = self.native


@dataclass(frozen=True)
class SourceInfo:
    """What is known of a source before its frames are read.

    Attributes:
        path: The name that messages call it.
        width, height: The size of a stored picture, in pixels.
        format: The planar pixel format.
        colour: What code values mean.
        rate: The average frame rate, in frames per second.
        time_base: Seconds per tick of the container.
        start_time: The pts of the first frame, in seconds.
        sample_aspect_ratio: The width of a pixel divided by its height.
        display_matrix: FFmpeg's display matrix, nine integers; None where the picture is shown as it is stored.
        frames_estimate: About how many frames there are; None where nothing says so.
        duration: The length in seconds; None where nothing says so.
        has_audio: Whether the file has sound.
        codec: FFmpeg's name of the decoder.
        hdr: Mastering display and content light.
        profile: The ICC profile of pictures; empty where there is none.
        plays: How often an animation plays, 0 for ever; None for other sources.
        described: What else its pictures say of themselves, in words (`side_data.DESCRIBED`).
    """

    path: str
    width: int
    height: int
    format: PixelFormat
    colour: Colour
    rate: Fraction
    time_base: Fraction
    start_time: Fraction = Fraction(0)
    sample_aspect_ratio: Fraction = Fraction(1)
    display_matrix: tuple[int, ...] | None = None
    frames_estimate: int | None = None
    duration: Fraction | None = None
    has_audio: bool = False
    codec: str = ""
    hdr: HdrMetadata = field(default_factory=HdrMetadata)
    profile: bytes = b""
    plays: int | None = None
    described: tuple[str, ...] = ()

    @property
    def length(self) -> float:
        """The length in seconds; without a duration it is estimated from the number of frames, and 0 without that."""
        return float(self.duration or (self.frames_estimate or 0) / self.rate)


class Source(Protocol):
    """A reader: an iterable of frames in the order of presentation.

    Attributes:
        warnings: What is odd about the source, one line each.
    """

    warnings: list[str]

    @property
    def info(self) -> SourceInfo:
        """What is known of the source before its frames are read."""

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:
        """Stop decoding and close the source."""

    def __enter__(self) -> Source: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Sink(Protocol):
    """A writer: its output is whole when the `with` block ends well, and not there when the block fails.

    A sink that can be resumed keeps encoded frames when it is interrupted. Other sinks keep nothing.

    Attributes:
        warnings: What could not be kept of the source, one line each.
    """

    warnings: list[str]

    @property
    def kept(self) -> int:
        """How many frames are kept: those of an earlier run, and those of this one that are safe by now."""

    @property
    def state(self) -> dict[str, Any]:
        """What `mark` was given after the last of the `kept` frames."""

    def mark(self, state: dict[str, Any]) -> None:
        """Say that a run can continue after the last written frame; `state` is what it needs, in terms of JSON."""

    def write(self, frame: Frame) -> None:
        """Queue the next frame, in the order of presentation."""

    def finish(self) -> None:
        """Write what waits, and rename the finished output to the target."""

    def abort(self) -> None:
        """Stop, and leave nothing behind but the `kept` frames."""

    def __enter__(self) -> Sink: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
