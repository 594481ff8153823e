"""What is measured side by side: mask networks, and two baselines that need no training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from distill.arrays import Floats, Image
from distill.data.teachers import Dis
from distill.data.tensors import as_batch
from distill.training.published import PublishedUNet
from maskvfi.errors import WeightsError
from maskvfi.weights.load import load_static

PUBLISHED = "published:"
PROBABILITIES = np.round(np.arange(0.01, 1.0, 0.01), 2)


class MaskNetwork(Protocol):
    """A network that says which pixels stand still."""

    def sequence(self, frames: Tensor) -> Tensor:
        """From frames [B,N,3,H,W] in 0..1 to the probabilities [B,N-1,H,W] that pixels stand still."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Says how surely each pixel stands still.

    Attributes:
        name: In tables.
        scores: From N frames [H,W,3] to [N-1,H,W], higher for pixels that are stiller.
        thresholds: Ascending; a pixel counts as still if its score is at least this.
        unit: "" where scores are probabilities; else they are changes in this unit, less than zero.
    """

    name: str
    scores: Callable[[list[Image]], Floats]
    thresholds: Floats
    unit: str = ""


def load_judge(name: str) -> MaskNetwork:
    """Load a mask network.

    Args:
        name: A name or a path of mask weights, or "published:PATH" for a safetensors file of the published UNet.

    Raises:
        WeightsError: The weights are missing, damaged or of another kind.
    """
    if not name.startswith(PUBLISHED):
        return load_static(name)
    path, network = Path(name.removeprefix(PUBLISHED)), PublishedUNet()
    try:
        network.load_state_dict(load_file(path), strict=True)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise WeightsError(f"{path}: no weights of the published network ({error})") from None
    return network.eval()


def network_judge(name: str) -> Judge:
    """A mask network as a judge; the name is what `load_judge` takes."""
    network = load_judge(name)

    @torch.inference_mode()
    def scores(frames: list[Image]) -> Floats:
        return network.sequence(as_batch(frames)[None])[0].numpy()

    return Judge(name, scores, PROBABILITIES)


def difference_judge() -> Judge:
    """A baseline: the absolute difference of neighbouring frames, the largest of the colours, blurred by 1.5 px."""

    def scores(frames: list[Image]) -> Floats:
        changes = [cv2.absdiff(*pair).max(axis=2).astype(np.float32) for pair in pairwise(frames)]
        return -np.stack([cv2.GaussianBlur(change, (0, 0), 1.5) for change in changes])

    return Judge("|difference|", scores, -np.geomspace(64, 0.5, 43), "code values")


def dis_judge() -> Judge:
    """A baseline: the larger of the speeds that DIS sees in both directions."""

    def scores(frames: list[Image]) -> Floats:
        images = as_batch(frames)
        return -Dis().motion(images[:-1], images[1:]).speeds().amax(dim=1).numpy()

    return Judge("DIS consensus", scores, -np.geomspace(16, 0.02, 59), "px")
