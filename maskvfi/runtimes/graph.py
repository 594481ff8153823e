"""Modules of a network as graphs of another runtime, converted once and cached on disk."""

from __future__ import annotations

import atexit
import copy
import hashlib
import json
import os
import shutil
import tempfile
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from maskvfi.errors import MediaError, reason, short_of_memory
from maskvfi.models.base import Runtime
from maskvfi.paths import cache_folder
from maskvfi.runtimes.expected import ExpectedSize

FORMAT = 5  # of cached graphs; raise it when the network's code computes something else

Run = Callable[[list[Tensor]], list[Tensor]]
Shapes = tuple[tuple[int, ...], ...]


class GraphRuntime(Runtime, ABC):
    """Computes modules as graphs, for inputs of any size.

    The first use of a network takes some seconds, in which its modules are converted. The result is kept in the cache
    folder for the next time, if that can be written.

    Attributes:
        name: Of the runtime, and of its cache folder.
        version: Of what converts modules; another version does not read the cached graphs.
        suffix: Of a graph's file.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    suffix: ClassVar[str]

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Start without graphs.

        Args:
            config: `InterpolationNetwork.config` of the network.
        """
        self._config = config
        self._expected = ExpectedSize()
        self._loaded: dict[tuple[str, Shapes | None], Run] = {}

    @abstractmethod
    def convert(
        self, module: nn.Module, example: tuple[Tensor, ...], free: list[tuple[int, ...]], path: Path
    ) -> None:
        """Convert a module to a graph.

        Args:
            module: In float32 and evaluation mode.
            example: Inputs to trace it with.
            free: For each input, the dimensions that may change.
            path: The file to write; others beside it may belong to it.
        """

    @abstractmethod
    def load(self, path: Path, shapes: Shapes | None) -> Run:
        """Load a graph.

        Args:
            path: A file that `convert` wrote.
            shapes: The only shapes of inputs that will be given; None: any.

        Returns:
            A function from inputs to outputs.
        """

    def expect(self, height: int, width: int) -> None:
        if self._expected.change(height, width):
            # Another thread may load one meanwhile.
            self._loaded = {key: run for key, run in list(self._loaded.items()) if key[1] is None}

    def compute(self, name: str, module: nn.Module, given: list[Tensor], multiple: int) -> list[Tensor]:
        shapes = tuple(tuple(x.shape) for x in given) if self._expected.fits(given) else None
        run = self._loaded.get((name, shapes))  # another thread may expect another size meanwhile
        if run is None:
            run = self._loaded[name, shapes] = self._load(name, module, given, multiple, shapes)
        return run(given)

    def _load(
        self, name: str, module: nn.Module, given: list[Tensor], multiple: int, shapes: Shapes | None
    ) -> Run:
        """Load the graph of a module. If the file in the cache is damaged it is converted anew."""
        path = self._graph(name, module, given, multiple)
        try:
            return self.load(path, shapes)
        except Exception as error:  # runtimes have many types for it
            if short_of_memory(error):
                raise
            path.unlink(missing_ok=True)
        return self.load(self._graph(name, module, given, multiple), shapes)

    def _graph(self, name: str, module: nn.Module, given: list[Tensor], multiple: int) -> Path:
        """The file of the converted module; it is converted if that is not there.

        Raises:
            MediaError: It cannot be written.
        """
        path = _writable(cache_folder() / self.name) / f"{self._fingerprint(name, module)}{self.suffix}"
        if path.is_file():
            return path
        # Small inputs, since the tracer computes them.
        sizes = [(1, 1) if x.shape[-2:] == (1, 1) else (multiple, 2 * multiple) for x in given]
        example = tuple(
            torch.rand(1, x.shape[1], *size, device=x.device) for x, size in zip(given, sizes, strict=True)
        )
        free: list[tuple[int, ...]] = [(0,) if size == (1, 1) else (0, 2, 3) for size in sizes]
        try:
            # A folder, since a graph may be several files, which refer to each other by name.
            with tempfile.TemporaryDirectory(dir=path.parent) as folder:
                part = Path(folder) / path.name
                with torch.no_grad(), warnings.catch_warnings():
                    # The tracer warns of sizes taken as constants; the tests compare other sizes.
                    warnings.simplefilter("ignore")
                    self.convert(copy.deepcopy(module).float().eval(), example, free, part)
                # The graph itself is moved last, so that the others are there when it is.
                for file in sorted(Path(folder).iterdir(), key=lambda file: file == part):
                    os.replace(file, path.parent / file.name)
        except OSError as error:
            raise MediaError(f"{path.parent}: cannot be written ({reason(error)})") from error
        return path

    def _fingerprint(self, name: str, module: nn.Module) -> str:
        """A hash of everything on which the graph of a module depends."""
        facts = [FORMAT, self.version, dict(self._config), name]
        digest = hashlib.sha256(json.dumps(facts).encode())
        for key, value in sorted(module.state_dict().items()):
            digest.update(key.encode() + value.float().contiguous().cpu().numpy().tobytes())
        return digest.hexdigest()[:32]


@cache
def _writable(folder: Path) -> Path:
    """The folder, or, if nothing can be written there, one that lasts as long as this process."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        temporary = Path(tempfile.mkdtemp(prefix="maskvfi-"))
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        return temporary
