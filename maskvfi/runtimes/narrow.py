"""Mends a fault of torch 2.13: on CPUs with AMX, convolutions that halve planes 1 or 2 px wide, in bfloat16."""

from __future__ import annotations

from typing import cast

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

LEAST = 3  # px; planes of this width and more are convolved rightly


def mend_narrow_planes(network: nn.Module) -> None:
    """Make a network's convolutions compute narrow planes anew, wider by zeros.

    What torch returns for them is read from memory that was never written: old values, or NaN.

    Args:
        network: Any module; it is changed.
    """
    for module in network.modules():
        halves = isinstance(module, nn.Conv2d) and module.stride == (2, 2) and module.kernel_size == (3, 3)
        if halves and _compute_anew not in module._forward_hooks.values():
            module.register_forward_hook(_compute_anew)


def _compute_anew(module: nn.Module, inputs: tuple[Tensor], made: Tensor) -> Tensor:
    """A convolution's output [B,C,h,w]. Its padding is zeros, so further ones do not change the only column of it."""
    conv, (x,) = cast(nn.Conv2d, module), inputs
    if x.shape[-1] >= LEAST:
        return made
    wide = F.pad(x, (0, LEAST - x.shape[-1]))
    return F.conv2d(wide, conv.weight, conv.bias, conv.stride, conv.padding)[..., :1]
