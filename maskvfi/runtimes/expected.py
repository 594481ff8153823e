"""The size of frames that a runtime expects."""

from __future__ import annotations

from torch import Tensor


class ExpectedSize:
    """A padded size in px; none before the first `change`."""

    def __init__(self) -> None:
        self._size: tuple[int, int] | None = None

    def change(self, height: int, width: int) -> bool:
        """Expect frames of this size from now on. Returns whether it differs from the size before."""
        before, self._size = self._size, (height, width)
        return before != self._size

    def fits(self, given: list[Tensor]) -> bool:
        """Whether these inputs are whole frames of that size with a batch size of 1."""
        return given[0].shape[0] == 1 and given[0].shape[-2:] == self._size
