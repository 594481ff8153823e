"""A network whose encoder and blocks are graphs of another runtime: converted once, kept, found again."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from maskvfi.hub import cache_folder
from maskvfi.rife.network import IFNet, PreparedPair

FORMAT = 4  # of the stored graphs; to be raised when the network computes something else

Run = Callable[[list[Tensor]], list[Tensor]]
Shapes = tuple[tuple[int, ...], ...]


class GraphIFNet(IFNet):
    """`IFNet` with its encoder and its blocks as graphs, for frames of any size.

    The first use of weights takes some seconds, in which they are converted; the result is kept beside the
    downloaded weights and found there the next time.
    """

    runtime: ClassVar[str]
    version: ClassVar[str]
    suffix: ClassVar[str]

    def __init__(self, network: IFNet) -> None:
        super().__init__(network.variant)
        self.load_state_dict(network.state_dict())
        self.eval().requires_grad_(False)
        self._loaded: dict[tuple[str, Shapes | None], Run] = {}
        self._expected: tuple[int, int] | None = None

    @abstractmethod
    def convert(
        self, module: nn.Module, example: tuple[Tensor, ...], free: list[tuple[int, ...]], path: Path
    ) -> None:
        """Write the graph of `module` to `path`; `free` says which dimensions of each input may change."""

    @abstractmethod
    def load(self, path: Path, shapes: Shapes | None) -> Run:
        """The graph that was written to `path`, to be called; for inputs of these shapes alone, if they are given."""

    def expect(self, height: int, width: int, scale: float = 1.0) -> None:
        multiple = self.multiple(scale)
        expected = height + -height % multiple, width + -width % multiple
        if expected != self._expected:
            self._expected = expected
            self._loaded = {key: run for key, run in self._loaded.items() if key[1] is None}

    def encoded(self, planes: Tensor) -> Tensor:
        (found,) = self._run("encoder", self.encode, [planes], self.variant.modulo)
        return found

    def answer(self, pair: PreparedPair, time: Tensor, scale: float, ensemble: bool) -> tuple[Tensor, Tensor]:
        given = [*pair.planes, time.float().expand(len(pair.start.planes), 1, 1, 1)]
        if (begin := self.begin(pair, time)) is not None:
            given.append(begin)
        blocks = Blocks(self, scale, ensemble)
        flow, logit = self._run(f"blocks {scale:g} {ensemble}", blocks, given, self.multiple(scale))
        return flow, logit

    def _run(self, name: str, module: nn.Module, given: list[Tensor], side: int) -> list[Tensor]:
        """What `module` makes of tensors [B,C,H,W] of any B, H and W that are multiples of `side`."""
        expected = given[0].shape[0] == 1 and given[0].shape[-2:] == self._expected
        shapes = tuple(tuple(x.shape) for x in given) if expected else None
        if (name, shapes) not in self._loaded:
            self._loaded[name, shapes] = self.load(self._graph(name, module, given, side), shapes)
        return self._loaded[name, shapes](given)

    def _graph(self, name: str, module: nn.Module, given: list[Tensor], side: int) -> Path:
        """The converted module's file, made if it is not there."""
        path = cache_folder() / self.runtime / f"{self._fingerprint(name)}{self.suffix}"
        if path.is_file():
            return path
        # From small frames, since the tracer computes what it traces.
        sizes = [(1, 1) if x.shape[-2:] == (1, 1) else (side, 2 * side) for x in given]
        example = tuple(torch.rand(1, x.shape[1], *size) for x, size in zip(given, sizes, strict=True))
        free: list[tuple[int, ...]] = [(0,) if size == (1, 1) else (0, 2, 3) for size in sizes]
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            part = Path(folder) / path.name
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the tracer doubts sizes, which the parity tests vouch for
                self.convert(module, example, free, part)
            # The graph itself last: one that is there is whole.
            for file in sorted(Path(folder).iterdir(), key=lambda file: file == part):
                os.replace(file, path.parent / file.name)
        return path

    def _fingerprint(self, name: str) -> str:
        facts = [FORMAT, self.version, self.variant.to_dict(), name]
        digest = hashlib.sha256(json.dumps(facts).encode())
        for key, value in sorted(self.state_dict().items()):
            digest.update(key.encode() + value.float().contiguous().numpy().tobytes())
        return digest.hexdigest()[:32]


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
