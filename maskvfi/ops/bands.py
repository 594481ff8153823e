"""Pictures that are computed band by band, so that what lies between input and output takes little memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

PIXELS = 1 << 22  # of a band


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
    """Divide a picture into bands of about PIXELS.

    Args:
        height, width: Of the picture in px.
        halo: How many rows above and below a row depends on; a multiple of `multiple`.
        multiple: In px; bands begin at multiples of it.

    Yields:
        The bands from top to bottom; one for a picture that is small enough.
    """
    step = height if height * width <= PIXELS else max(1, PIXELS // width // multiple) * multiple
    for top in range(0, height, step):
        bottom = min(top + step, height)
        first, last = max(0, top - halo), min(height, bottom + halo)
        yield Band(slice(top, bottom), slice(first, last), slice(top - first, bottom - first))
