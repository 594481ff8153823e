"""How a picture is turned and mirrored when it is shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch

from maskvfi.video.frames import Frame, SourceInfo
from maskvfi.video.pixel_format import SITINGS, Colour, PixelFormat
from maskvfi.video.planes import planes_to_rgb, quantise, rgb_to_planes, to_tensors

# Suffixes of the containers that say how a picture is turned when it is shown.
_KEEPING = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avif", ".3gp", ".3g2", ".f4v", ".ismv")

Picture = TypeVar("Picture", np.ndarray, torch.Tensor)


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight orientations: rows and columns are exchanged first, then mirrored.

    Attributes:
        transposed: Rows become columns.
        flip_x, flip_y: Left and right, or top and bottom, are exchanged.
    """

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def inverse(self) -> Orientation:
        """The orientation that takes a shown picture back to how it is stored."""
        if not self.transposed:
            return self
        return Orientation(True, self.flip_y, self.flip_x)

    def turn(self, picture: Picture) -> Picture:
        """Turn a picture.

        Args:
            picture: An array or tensor [...,H,W].

        Returns:
            [...,W,H] if it is transposed, else [...,H,W].
        """
        turned = picture.swapaxes(-1, -2) if self.transposed else picture
        axes = tuple(axis for axis, flipped in ((-1, self.flip_x), (-2, self.flip_y)) if flipped)
        if isinstance(turned, np.ndarray):
            return np.flip(turned, axes)
        return turned.flip(axes)


def keeps_rotation(name: str) -> bool:
    """Whether the container of a file of this name says how a picture is turned when it is shown."""
    return name.lower().endswith(_KEEPING)


def orientation_of(info: SourceInfo) -> Orientation | None:
    """How the pictures of a source are turned when they are shown.

    Args:
        info: What is known of the source.

    Returns:
        None where they are shown as they are stored, and for angles between the right ones.
    """
    return None if info.display_matrix is None else orientation_of_matrix(info.display_matrix)


def orientation_of_matrix(matrix: tuple[int, ...]) -> Orientation | None:
    """How FFmpeg's display matrix, nine integers, turns a picture; None as for `orientation_of`."""
    a, b, _, c, d = matrix[:5]
    if not (b or c) and a and d:
        found = Orientation(False, a < 0, d < 0)
    elif not (a or d) and b and c:
        found = Orientation(True, c < 0, b < 0)
    else:
        return None
    return found if found != Orientation() else None


def turned(picture: Picture, info: SourceInfo) -> Picture:
    """A picture as it is shown.

    Args:
        picture: [...,H,W], as the source stores it.
        info: What is known of the source.

    Returns:
        The picture turned and mirrored; the same where it is shown as it is stored.
    """
    orientation = orientation_of(info)
    return picture if orientation is None else orientation.turn(picture)


def upright_info(info: SourceInfo) -> SourceInfo:
    """The facts of a source whose pictures are stored as they are shown.

    Args:
        info: The facts of the source as it is.

    Returns:
        The same, with the size, pixel format and chroma siting that `upright_frame` gives.
    """
    orientation = orientation_of(info)
    if orientation is None:
        return info
    info = replace(info, display_matrix=None)
    if not orientation.transposed:
        return info
    return replace(
        info,
        width=info.height,
        height=info.width,
        format=_transposed(info.format),
        colour=replace(info.colour, siting=_siting(info.colour, transposed=True)),
        sample_aspect_ratio=1 / info.sample_aspect_ratio,
    )


def upright_frame(frame: Frame, info: SourceInfo) -> Frame:
    """A frame as it is shown.

    Samples are only moved, except where chroma samples would not sit where the pixel format has them.

    Args:
        frame: A frame of the source.
        info: What is known of the source.

    Returns:
        The frame for `upright_info(info)`.
    """
    orientation = orientation_of(info)
    if orientation is None:
        return frame
    shown = upright_info(info)
    if _samples_fit(orientation, info):
        planes = tuple(np.ascontiguousarray(orientation.turn(plane)) for plane in frame.planes)
    else:
        rgb = orientation.turn(planes_to_rgb(to_tensors(frame.planes, "cpu"), frame.format, info.colour))
        planes = quantise(rgb_to_planes(rgb, shown.format, shown.colour), shown.format)
        if info.format.alpha:
            planes = (*planes, np.ascontiguousarray(orientation.turn(frame.planes[-1])))
    return Frame(planes, shown.format, frame.pts, frame.duration, origin=frame.origin)


def _samples_fit(orientation: Orientation, info: SourceInfo) -> bool:
    """Whether turned chroma samples sit where they belong: mirrored ones must be halfway between luma samples."""
    fmt = info.format
    if fmt.family != "yuv":
        return True
    if orientation.transposed and _transposed(fmt).log2_chroma != fmt.log2_chroma[::-1]:
        return False
    steps = fmt.log2_chroma[::-1] if orientation.transposed else fmt.log2_chroma
    size = (info.height, info.width) if orientation.transposed else (info.width, info.height)
    at = SITINGS[_siting(info.colour, orientation.transposed)]
    flips = (orientation.flip_x, orientation.flip_y)
    return all(
        not flip or not step or (place == 0.5 and length % 2**step == 0)
        for flip, step, place, length in zip(flips, steps, at, size, strict=True)
    )


def _transposed(fmt: PixelFormat) -> PixelFormat:
    """The pixel format after exchanging rows and columns; 4:4:4 where there is none with such chroma."""
    if fmt.log2_chroma[0] == fmt.log2_chroma[1]:
        return fmt
    at = fmt.name.index("p")
    code = {"422": "440", "440": "422"}.get(fmt.name[at - 3 : at], "444")
    return PixelFormat.parse(f"yuv{'a' if fmt.alpha else ''}{code}{fmt.name[at:]}")


def _siting(colour: Colour, transposed: bool) -> str:
    if not transposed:
        return colour.siting
    x, y = SITINGS[colour.siting]
    return next(name for name, at in SITINGS.items() if at == (y, x))
