"""Corrects what torch 2.13 computes wrongly: halving convolutions of narrow planes in bfloat16, on CPUs with AMX."""

from __future__ import annotations

from typing import cast

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

LEAST = 3  # px; torch computes planes of this width and more correctly


def mend_narrow_planes(network: nn.Module) -> None:
    """Make a network's 3x3 convolutions of stride 2 compute narrow planes again, padded with zeros to a width of LEAST.

    torch does not write its result for planes of 1 or 2 px: it holds what was in that memory before, even NaN.

    Args:
        network: Any module; hooks are added to its convolutions.
    """
    for module in network.modules():
        halves = isinstance(module, nn.Conv2d) and module.stride == (2, 2) and module.kernel_size == (3, 3)
        if halves and _compute_anew not in module._forward_hooks.values():
            module.register_forward_hook(_compute_anew)


def _compute_anew(module: nn.Module, inputs: tuple[Tensor], made: Tensor) -> Tensor:
    """A hook: the convolution's output [B,C,h,w]. Its own padding is zeros, so more of them change nothing."""
    conv, (x,) = cast(nn.Conv2d, module), inputs
    if x.shape[-1] >= LEAST:
        return made
    wide = F.pad(x, (0, LEAST - x.shape[-1]))
    return F.conv2d(wide, conv.weight, conv.bias, conv.stride, conv.padding)[..., :1]
