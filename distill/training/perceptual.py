"""ST-LPIPS: how different two pictures look to a person; a shift by a pixel counts little."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PACKAGE = "stlpips_pytorch"
WEIGHTS = Path("weights", "vST0.0", "alex_shift_tolerant.pth")  # inside the package
# The convolutions: name in the weights file, planes in and out, kernel, padding.
LAYERS = (
    ("slice1.0", 3, 64, 11, 2),
    ("slice2.5", 64, 192, 5, 2),
    ("slice3.9", 192, 384, 3, 1),
    ("slice4.11", 384, 256, 3, 1),
    ("slice5.13", 256, 256, 3, 1),
)
POOLED = (1, 2)  # layers whose input is first maximised over 2 or 3 px and halved
MEAN = (-0.030, -0.088, -0.188)  # of pictures in -1..1, as the backbone was trained
SPREAD = (0.458, 0.448, 0.450)


class STLPIPS(nn.Module):
    """Shift-tolerant LPIPS on AlexNet (Ghildyal and Liu, ECCV 2022), frozen and differentiable.

    Like LPIPS (Zhang et al., CVPR 2018) it is a distance of deep features. Its backbone blurs before every halving,
    so that a shift by a pixel changes little. The formula is written anew here; the weights are those of the package
    stlpips-pytorch (BSD-2-Clause), of which no code runs.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(inputs, outputs, kernel, padding=padding)
            for _, inputs, outputs, kernel, padding in LAYERS
        )
        self.heads = nn.ModuleList(nn.Conv2d(outputs, 1, 1, bias=False) for _, _, outputs, _, _ in LAYERS)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("spread", torch.tensor(SPREAD).view(1, 3, 1, 1))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """The distance of pictures.

        Args:
            a, b: [B,3,H,W], RGB in 0..1, at least 32 px on a side.

        Returns:
            [B]; 0 for equal pictures, more for less alike ones.
        """
        # Half precision would round small distances away.
        with torch.autocast(a.device.type, enabled=False):
            return self._distance(a.float(), b.float())

    def _distance(self, a: Tensor, b: Tensor) -> Tensor:
        total = a.new_zeros(a.shape[0])
        for head, x, y in zip(self.heads, self._features(a), self._features(b), strict=True):
            total = total + head((_unit(x) - _unit(y)).square()).mean(dim=(1, 2, 3))
        return total

    def _features(self, image: Tensor) -> list[Tensor]:
        x = (2 * image - 1 - self.mean) / self.spread
        found = []
        for index, convolution in enumerate(self.convolutions):
            if index == 0:
                x = F.relu(_halved(convolution(x)))
            else:
                if index in POOLED:
                    x = _halved(F.max_pool2d(x, 3, 1))
                x = F.relu(convolution(x))
            found.append(x)
        return found


def load_perceptual() -> STLPIPS:
    """ST-LPIPS with its published weights.

    Returns:
        The distance in evaluation mode, frozen, on the CPU.

    Raises:
        ValueError: The package that holds the weights is missing, or holds others.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("ST-LPIPS needs the weights in stlpips-pytorch: pip install stlpips-pytorch==0.0.2")
    path = Path(spec.submodule_search_locations[0], WEIGHTS)
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    network = STLPIPS()
    try:
        named = {
            f"convolutions.{index}.{leaf}": state[f"net.{layer[0]}.{leaf}"]
            for index, layer in enumerate(LAYERS)
            for leaf in ("weight", "bias")
        }
        named |= {
            f"heads.{index}.weight": state[f"lin{index}.model.1.weight"] for index in range(len(LAYERS))
        }
        network.load_state_dict(named, strict=False)
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{path}: not the weights of ST-LPIPS ({error})") from None
    return network.eval().requires_grad_(False)


def _halved(x: Tensor) -> Tensor:
    """Every other pixel, after a blur by 1-2-1 in both directions (Zhang, ICML 2019)."""
    row = x.new_tensor([0.25, 0.5, 0.25])
    kernel = torch.outer(row, row).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=x.shape[1])


def _unit(x: Tensor) -> Tensor:
    """Features [B,C,H,W] of length one at every place."""
    return x / (x.square().sum(dim=1, keepdim=True).add(1e-12).sqrt() + 1e-10)
