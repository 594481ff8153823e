"""What a reader hands out and a writer takes: frames with exact times, and what is known of their source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from types import TracebackType
from typing import Any, Protocol

import av
import numpy as np

from maskvfi.video.hdr import HdrMetadata
from maskvfi.video.planes import Colour, PixelFormat


@dataclass(slots=True)
class Frame:
    """One picture: planes [h,w] of code values (uint8, uint16 or float32; alpha last) and when it is shown.

    `pts` and `duration` are seconds on the source's own clock. `native` is the decoder's frame, which a
    writer gives to the encoder untouched; a made frame has None. Planes may be read-only views of it.
    """

    planes: tuple[np.ndarray, ...]
    format: PixelFormat
    pts: Fraction
    duration: Fraction
    native: av.VideoFrame | None = None


@dataclass(frozen=True)
class SourceInfo:
    """What is known of a source before its frames are read. Times are seconds, `rate` frames per second."""

    path: str
    width: int
    height: int
    format: PixelFormat
    colour: Colour
    rate: Fraction
    time_base: Fraction
    start_time: Fraction = Fraction(0)  # pts of the first frame
    sample_aspect_ratio: Fraction = Fraction(1)
    rotation: int = 0  # degrees counter-clockwise
    display_matrix: tuple[int, ...] | None = None
    frames_estimate: int | None = None
    duration: Fraction | None = None
    has_audio: bool = False
    codec: str = ""
    hdr: HdrMetadata = field(default_factory=HdrMetadata)


class Source(Protocol):
    """Frames in presentation order, with what is known of them."""

    warnings: list[str]

    @property
    def info(self) -> SourceInfo: ...
    def __iter__(self) -> Iterator[Frame]: ...
    def close(self) -> None: ...
    def __enter__(self) -> Source: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Sink(Protocol):
    """A whole file, or nothing: finished when the `with` block ends, gone when it fails.

    A sink that can be resumed keeps what is encoded: `kept` is the number of frames that an earlier run left, `state`
    is what that run was told by `mark` where they end. Other sinks keep nothing.
    """

    warnings: list[str]

    @property
    def kept(self) -> int: ...
    @property
    def state(self) -> dict[str, Any]: ...
    def mark(self, state: dict[str, Any]) -> None:
        """Say that a run can go on from here, and what it has to know for that, in terms of JSON."""

    def write(self, frame: Frame) -> None: ...
    def finish(self) -> None: ...
    def abort(self) -> None: ...
    def __enter__(self) -> Sink: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
