"""torch.compile: kernels for frames of one size, on CUDA recorded as one CUDA graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from maskvfi.models.base import Runtime
from maskvfi.runtimes.expected import ExpectedSize


class TorchCompile(Runtime):
    """Computes modules compiled by torch for the expected size, and without compilation for all others.

    The first frame takes one or two minutes.
    """

    def __init__(self) -> None:
        self._expected = ExpectedSize()
        self._compiled: dict[str, Any] = {}

    def expect(self, height: int, width: int) -> None:
        if self._expected.change(height, width):
            self._compiled = {}

    def compute(self, name: str, module: nn.Module, given: list[Tensor], multiple: int) -> list[Tensor]:
        if not self._expected.fits(given):
            return super().compute(name, module, given, multiple)
        compiled: Any = self._compiled.get(name)  # another thread may expect another size meanwhile
        if compiled is None:
            mode = "reduce-overhead" if given[0].is_cuda else None
            compiled = torch.compile(module, fullgraph=True, dynamic=False, mode=mode)
            self._compiled[name] = compiled
        made = super().compute(name, compiled, given, multiple)
        # The next run of a CUDA graph overwrites the outputs of this one.
        return [x.clone() for x in made] if given[0].is_cuda else made
