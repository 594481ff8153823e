"""Modules of a network as graphs of another runtime: converted once, kept, found again."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import tempfile
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from maskvfi.models.base import Runtime
from maskvfi.paths import cache_folder
from maskvfi.runtimes.expected import ExpectedSize

FORMAT = 5  # of the stored graphs; to be raised when the network computes something else

Run = Callable[[list[Tensor]], list[Tensor]]
Shapes = tuple[tuple[int, ...], ...]


class GraphRuntime(Runtime, ABC):
    """Modules as graphs, for inputs of any size.

    The first use of weights takes some seconds, in which they are converted. The result is kept in the cache folder
    and found there the next time.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    suffix: ClassVar[str]

    def __init__(self, config: Mapping[str, Any]) -> None:
        """config: that of the network whose modules are computed, see `InterpolationNetwork.config`."""
        self._config = config
        self._expected = ExpectedSize()
        self._loaded: dict[tuple[str, Shapes | None], Run] = {}

    @abstractmethod
    def convert(
        self, module: nn.Module, example: tuple[Tensor, ...], free: list[tuple[int, ...]], path: Path
    ) -> None:
        """Write the graph of `module` to `path`; `free` says which dimensions of each input may change."""

    @abstractmethod
    def load(self, path: Path, shapes: Shapes | None) -> Run:
        """The graph that was written to `path`, to be called; for inputs of these shapes alone, if they are given."""

    def expect(self, height: int, width: int) -> None:
        if self._expected.change(height, width):
            self._loaded = {key: run for key, run in self._loaded.items() if key[1] is None}

    def compute(self, name: str, module: nn.Module, given: list[Tensor], multiple: int) -> list[Tensor]:
        shapes = tuple(tuple(x.shape) for x in given) if self._expected.fits(given) else None
        if (name, shapes) not in self._loaded:
            self._loaded[name, shapes] = self.load(self._graph(name, module, given, multiple), shapes)
        return self._loaded[name, shapes](given)

    def _graph(self, name: str, module: nn.Module, given: list[Tensor], multiple: int) -> Path:
        """The converted module's file, made if it is not there."""
        path = cache_folder() / self.name / f"{self._fingerprint(name, module)}{self.suffix}"
        if path.is_file():
            return path
        # From small frames, since the tracer computes what it traces.
        sizes = [(1, 1) if x.shape[-2:] == (1, 1) else (multiple, 2 * multiple) for x in given]
        example = tuple(
            torch.rand(1, x.shape[1], *size, device=x.device) for x, size in zip(given, sizes, strict=True)
        )
        free: list[tuple[int, ...]] = [(0,) if size == (1, 1) else (0, 2, 3) for size in sizes]
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            part = Path(folder) / path.name
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the tracer doubts sizes, which the parity tests vouch for
                self.convert(copy.deepcopy(module).float().eval(), example, free, part)
            # The graph itself last: one that is there is whole.
            for file in sorted(Path(folder).iterdir(), key=lambda file: file == part):
                os.replace(file, path.parent / file.name)
        return path

    def _fingerprint(self, name: str, module: nn.Module) -> str:
        facts = [FORMAT, self.version, dict(self._config), name]
        digest = hashlib.sha256(json.dumps(facts).encode())
        for key, value in sorted(module.state_dict().items()):
            digest.update(key.encode() + value.float().contiguous().cpu().numpy().tobytes())
        return digest.hexdigest()[:32]
