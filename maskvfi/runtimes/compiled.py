"""torch.compile: kernels made for frames of one size; on CUDA they are recorded as one CUDA graph."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from maskvfi.rife.network import IFNet
from maskvfi.runtimes.delegated import DelegatedIFNet


class CompiledIFNet(DelegatedIFNet):
    """`IFNet` compiled by torch for the frames it was told to `expect`; all others torch computes as ever.

    The first frame takes a minute or two.
    """

    def __init__(self, network: IFNet) -> None:
        super().__init__(network)
        self._compiled: dict[str, Any] = {}

    def forget_sizes(self) -> None:
        self._compiled = {}

    def compute(self, name: str, module: nn.Module, given: list[Tensor], side: int) -> list[Tensor]:
        run: Any = module
        if expected := self.expected(given):
            if name not in self._compiled:
                mode = "reduce-overhead" if given[0].is_cuda else None
                self._compiled[name] = torch.compile(module, fullgraph=True, dynamic=False, mode=mode)
            run = self._compiled[name]
        found = run(*given)
        made = [found] if isinstance(found, Tensor) else list(found)
        # The next run of a CUDA graph writes over what the last one made.
        return [x.clone() for x in made] if expected and given[0].is_cuda else made
