"""Pictures that are computed band by band, so that what lies between input and output takes little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from torch import Tensor

BAND_PIXELS = 1 << 22  # of a band


class Band(NamedTuple):
    """Some rows of a picture.

    Attributes:
        rows: The rows that are computed.
        seen: These, and the rows above and below that they depend on.
        inner: Where `rows` lies in `seen`.
    """

    rows: slice
    seen: slice
    inner: slice


def bands(height: int, width: int, halo: int, multiple: int) -> Iterator[Band]:
    """Divide a picture into bands of about BAND_PIXELS.

    Args:
        height, width: Of the picture in px.
        halo: How many rows above and below a row depends on; a multiple of `multiple`.
        multiple: In px; bands begin at multiples of it.

    Yields:
        The bands from top to bottom; one for a picture that is small enough.
    """
    step = height if height * width <= BAND_PIXELS else max(1, BAND_PIXELS // width // multiple) * multiple
    for top in range(0, height, step):
        bottom = min(top + step, height)
        first, last = max(0, top - halo), min(height, bottom + halo)
        yield Band(slice(top, bottom), slice(first, last), slice(top - first, bottom - first))


def in_bands(
    work: Callable[..., Sequence[Tensor | None]], planes: Sequence[Tensor | None], halo: int, multiple: int
) -> Sequence[Tensor | None]:
    """Do `work` band by band.

    Args:
        work: Takes a band of every plane, None for None; returns the same band of every result, or None for no result.
        planes: Each [...,H,W] or None; the first is a tensor.
        halo, multiple: As `bands` takes them.

    Returns:
        What `work` returns for whole planes.
    """
    assert planes[0] is not None
    height, width = planes[0].shape[-2:]
    whole: Sequence[Tensor | None] = ()
    for rows, seen, inner in bands(height, width, halo, multiple):
        if rows == seen:
            return work(*planes)
        found = work(*(None if plane is None else plane[..., seen, :] for plane in planes))
        whole = whole or [None if x is None else x.new_empty((*x.shape[:-2], height, width)) for x in found]
        for out, part in zip(whole, found, strict=True):
            if out is not None and part is not None:
                out[..., rows, :] = part[..., inner, :]
    return whole
