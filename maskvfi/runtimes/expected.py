"""The one size of frames that a runtime was told to expect."""

from __future__ import annotations

from torch import Tensor


class ExpectedSize:
    """A padded size in px; none until `change` sets one."""

    def __init__(self) -> None:
        self._size: tuple[int, int] | None = None

    def change(self, height: int, width: int) -> bool:
        """Expect this size from now on; returns whether it is another one than before."""
        before, self._size = self._size, (height, width)
        return before != self._size

    def fits(self, given: list[Tensor]) -> bool:
        """Whether these are whole frames of that size, one at a time."""
        return given[0].shape[0] == 1 and given[0].shape[-2:] == self._size
