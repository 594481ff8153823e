"""What was replaced is rare in training, so a mask says it too seldom: put the best threshold at one half."""

from __future__ import annotations

from pathlib import Path

import torch

from distill.data.clips import Shards, say
from distill.data.mask_samples import VISITS, Stills
from distill.networks import inherited_licence
from distill.options import MaskTraining
from maskvfi.models.static import StaticMaskNet
from maskvfi.weights.load import load_static, save_weights
from maskvfi.weights.locate import find_weights
from maskvfi.weights.read import sha256

LOGITS = torch.arange(-4.0, 2.01, 0.25)  # thresholds that are tried, before the sigmoid
SEED = 991  # of composites that no training has drawn; their footage is that of training


def balance(weights: str | Path, data: Path, out: Path, samples: int, overwrite: bool = True) -> float:
    """Write a mask whose second answer has its best F1 at a probability of 0.5. The first answer stays as it is.

    Args:
        weights: A name or path, of a mask that says what was replaced.
        data: The folder of shards that `prepare` made.
        out: The file to write.
        samples: Training samples in which something is replaced; F1 is the mean over their gaps.
        overwrite: Replace a file that exists.

    Returns:
        What was added to the answer's logits.

    Raises:
        WeightsError: The file is missing or damaged.
        MediaError: The file to write exists or cannot be written.
        ValueError: There are no such shards, or the mask has one answer only.
    """
    path = find_weights(weights)
    network = load_static(path).eval()
    if not network.config.replaced:
        raise ValueError(f"{path}: does not say what was replaced")
    best = int(_f1(network, _stills(data), samples).argmax())
    if best in (0, len(LOGITS) - 1):
        say(
            f"{path}: F1 of what was replaced is best at a logit of {LOGITS[best]:g} or beyond, where the search ends"
        )
    shift = -float(LOGITS[best])
    assert network.head.bias is not None
    with torch.no_grad():
        network.head.bias[4:] += shift
    kept = inherited_licence([path])
    save_weights(out, network, overwrite=overwrite, balanced_from=sha256(path), shift=shift, **kept)
    return shift


def _stills(data: Path) -> Stills:
    """Samples of the sizes of `train`, or smaller ones where the tuples are smaller."""
    first = Shards(data).frames(0)
    side = min(first[0].shape[:2])
    return Stills(data, min(MaskTraining.size, side - side % 2), min(MaskTraining.length, len(first)), SEED)


@torch.inference_mode()
def _f1(network: StaticMaskNet, stills: Stills, samples: int) -> torch.Tensor:
    """F1 of what was replaced at each of LOGITS, mean over the gaps that have any."""
    found: list[torch.Tensor] = []
    seen, index = 0, VISITS - 1  # the last visit of a composite: none is drawn twice
    while seen < samples:
        sample = stills[index]
        index += VISITS
        if not sample["replaced"].any():
            continue
        seen += 1
        logits = network.class_logits(sample["frames"][None].float() / 255).replaced
        assert logits is not None
        for logit, truth, sure in zip(logits[0], sample["replaced"], sample["replaced_sure"], strict=True):
            if truth.any():
                said = (logit[None] >= LOGITS[:, None, None]) & sure
                both, either = (said & truth).sum((1, 2)), said.sum((1, 2)) + truth.sum()
                found.append(2 * both / either)
    return torch.stack(found).mean(dim=0)
