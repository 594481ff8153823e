"""A network whose costly parts, its encoder and its blocks, something else computes."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from maskvfi.rife.network import IFNet, PreparedPair


class DelegatedIFNet(IFNet):
    """`IFNet` with a network's weights, on its device and of its type, that leaves encoder and blocks to `compute`."""

    def __init__(self, network: IFNet) -> None:
        super().__init__(network.variant)
        self.load_state_dict(network.state_dict())
        self.to(next(network.parameters(), torch.empty(0)))
        self.eval().requires_grad_(False)
        self._expected: tuple[int, int] | None = None

    @abstractmethod
    def compute(self, name: str, module: nn.Module, given: list[Tensor], side: int) -> list[Tensor]:
        """What `module`, always the same one under a name, makes of tensors [B,C,H,W] of any B, H and W that are
        multiples of `side`, or 1.
        """

    def forget_sizes(self) -> None:
        """From now on other frames are expected: what was made for one size alone can go."""

    def expect(self, height: int, width: int, scale: float = 1.0) -> None:
        multiple = self.multiple(scale)
        expected = height + -height % multiple, width + -width % multiple
        if expected != self._expected:
            self._expected = expected
            self.forget_sizes()

    def expected(self, given: list[Tensor]) -> bool:
        """Whether these are whole frames, one at a time, of the size that was announced."""
        return given[0].shape[0] == 1 and given[0].shape[-2:] == self._expected

    def encoded(self, planes: Tensor) -> Tensor:
        (found,) = self.compute("encoder", self.encode, [planes], self.variant.modulo)
        return found

    def answer(self, pair: PreparedPair, time: Tensor, scale: float, ensemble: bool) -> tuple[Tensor, Tensor]:
        given = [*pair.planes, time.float().expand(len(pair.start.planes), 1, 1, 1)]
        if (begin := self.begin(pair, time)) is not None:
            given.append(begin)
        blocks = Blocks(self, scale, ensemble)
        flow, logit = self.compute(f"blocks {scale:g} {ensemble}", blocks, given, self.multiple(scale))
        return flow, logit


class Blocks(nn.Module):
    """From prepared planes to flow and logit, as a module that can be traced."""

    def __init__(self, network: IFNet, scale: float, ensemble: bool) -> None:
        super().__init__()
        self.network = network
        self.scales = [s / scale for s in network.variant.scales]
        self.ensemble_from = 0 if ensemble else len(self.scales)

    def forward(
        self, planes0: Tensor, planes1: Tensor, time: Tensor, begin: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        *_, last = self.network.refine((planes0, planes1), time, self.scales, self.ensemble_from, begin)
        return last.flow, last.logit
