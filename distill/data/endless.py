"""What the data sets of training samples have in common: they are drawn by number, and never end."""

from __future__ import annotations

import cv2
from torch import Tensor
from torch.utils.data import Dataset


class Endless(Dataset[dict[str, Tensor]]):
    """Samples without end. Sample k must depend on the seed and on k alone, so that a run can be resumed."""

    def __init__(self) -> None:
        super().__init__()
        # A loader forks its workers. They would wait for OpenCV's threads, which a fork does not copy.
        cv2.setNumThreads(1)

    def __len__(self) -> int:
        return 1 << 40
