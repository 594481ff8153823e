"""The judges that are measured side by side: mask networks, and baselines that need no training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol, cast

import cv2
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from distill.arrays import Bools, Floats, Image
from distill.data.teachers import Dis, Rife
from distill.data.tensors import as_batch
from distill.training.published import PublishedUNet
from maskvfi.errors import WeightsError
from maskvfi.models.static import StaticMaskNet
from maskvfi.options import DEFAULT_VFI
from maskvfi.weights.load import load_static

PUBLISHED_PREFIX = "published:"
CODES = -np.geomspace(64, 0.5, 43)
SPEEDS = -np.geomspace(16, 0.02, 59)
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
        unit: "" where scores are probabilities; else scores are changes in this unit, with a minus sign.
        replaced: From N frames [H,W,3] to [N-1,H,W] bool, the pixels whose content was replaced in place; None for
            judges that do not know this.
    """

    name: str
    scores: Callable[[list[Image]], Floats]
    thresholds: Floats
    unit: str = ""
    replaced: Callable[[list[Image]], Bools] | None = None


def load_judge(name: str) -> MaskNetwork:
    """Load a mask network.

    Args:
        name: A name or a path of mask weights, or "published:PATH" for a safetensors file of the published UNet.

    Raises:
        WeightsError: The weights are missing, damaged or of another kind.
    """
    if not name.startswith(PUBLISHED_PREFIX):
        return load_static(name)
    path, network = Path(name.removeprefix(PUBLISHED_PREFIX)), PublishedUNet()
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

    @torch.inference_mode()
    def replaced(frames: list[Image]) -> Bools:
        still, swapped = cast(StaticMaskNet, network).classify(as_batch(frames)[None])
        assert swapped is not None
        return ((swapped >= 0.5) & (swapped > still))[0].numpy()

    knows = isinstance(network, StaticMaskNet) and network.config.replaced
    return Judge(name, scores, PROBABILITIES, replaced=replaced if knows else None)


def difference_judge() -> Judge:
    """A baseline: the absolute difference of neighbouring frames, the largest of the colours, blurred by 1.5 px."""

    return Judge("|difference|", lambda frames: -_changes(frames), CODES, "code values")


def unchanged_judge(frames: int = 3) -> Judge:
    """A live tool's mask: a pixel is still if it did not change in the last `frames`; see `difference_judge`."""

    def scores(seen: list[Image]) -> Floats:
        changes = _changes(seen)
        return -np.stack([changes[max(0, k + 2 - frames) : k + 1].max(axis=0) for k in range(len(changes))])

    return Judge(f"unchanged for {frames} frames", scores, CODES, "code values")


def hysteresis_judge(ratio: float = 2.0) -> Judge:
    """A live tool's mask: a still pixel stays still until it changes by `ratio` times the threshold.

    That is a threshold on e, where e(k) = min(d(k), max(e(k-1), d(k) / ratio)) and d is what `difference_judge` sees.
    """

    def scores(frames: list[Image]) -> Floats:
        held: list[Floats] = []
        for change in _changes(frames):
            held.append(np.minimum(change, np.maximum(held[-1], change / ratio)) if held else change)
        return -np.stack(held)

    return Judge("with hysteresis", scores, CODES, "code values")


def rife_judge(weights: str = DEFAULT_VFI) -> Judge:
    """A baseline, StaticMaskNet's own teacher: the larger of the speeds that RIFE sees from the middle of the gap."""
    teacher = Rife(weights, "cpu", times=(0.5,))

    def scores(frames: list[Image]) -> Floats:
        images = as_batch(frames)
        return -teacher.motion(images[:-1], images[1:]).speeds().amax(dim=1).numpy()

    return Judge(f"flow of {Path(weights).stem}", scores, SPEEDS, "px")


def dis_judge() -> Judge:
    """A baseline: the larger of the speeds that DIS sees in both directions."""

    def scores(frames: list[Image]) -> Floats:
        images = as_batch(frames)
        return -Dis().motion(images[:-1], images[1:]).speeds().amax(dim=1).numpy()

    return Judge("DIS consensus", scores, SPEEDS, "px")


def _changes(frames: list[Image]) -> Floats:
    changes = [cv2.absdiff(*pair).max(axis=2).astype(np.float32) for pair in pairwise(frames)]
    return np.stack([cv2.GaussianBlur(change, (0, 0), 1.5) for change in changes])
