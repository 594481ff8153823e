"""OpenVINO: the network's blocks compiled for this CPU, for frames of any size."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from functools import cache
from typing import Any

import openvino
import torch
from torch import Tensor, nn

from maskvfi.hub import cache_folder
from maskvfi.rife.network import IFNet, PreparedPair

FORMAT = 2  # of the stored graphs; to be raised when the network computes something else
HINTS = {torch.float32: "f32", torch.bfloat16: "bf16"}


class OpenVinoIFNet(IFNet):
    """`IFNet` with its encoder and its blocks in OpenVINO.

    The first use of weights takes some ten seconds, in which they are converted; the result is kept beside the
    downloaded weights and found there the next time.
    """

    def __init__(self, network: IFNet, dtype: torch.dtype = torch.float32) -> None:
        if dtype not in HINTS:
            raise ValueError(f"OpenVINO computes in float32 or bfloat16 here, not in {dtype}")
        super().__init__(network.variant)
        self.load_state_dict(network.state_dict())
        self.eval().requires_grad_(False)
        self._hint = HINTS[dtype]
        self._compiled: dict[str, Any] = {}

    def encoded(self, planes: Tensor) -> Tensor:
        (found,) = self._run("encoder", self.encode, [planes], self.variant.modulo)
        return found

    def answer(self, pair: PreparedPair, time: Tensor, scale: float, ensemble: bool) -> tuple[Tensor, Tensor]:
        given = [*pair.planes, time.float().expand(len(pair.start.planes), 1, 1, 1)]
        if (begin := self.begin(pair, time)) is not None:
            given.append(begin)
        blocks = _Blocks(self, scale, ensemble)
        flow, logit = self._run(f"blocks {scale:g} {ensemble}", blocks, given, self.multiple(scale))
        return flow, logit

    def _run(self, name: str, module: nn.Module, given: list[Tensor], side: int) -> list[Tensor]:
        """What `module` makes of tensors [B,C,H,W] of any B, H and W that are multiples of `side`."""
        if name not in self._compiled:
            hints = {
                "INFERENCE_PRECISION_HINT": self._hint,
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            }
            self._compiled[name] = _core().compile_model(self._graph(name, module, given, side), "CPU", hints)
        found = self._compiled[name]([x.contiguous().numpy() for x in given])
        return [torch.from_numpy(found[k].copy()) for k in range(len(found))]

    def _graph(self, name: str, module: nn.Module, given: list[Tensor], side: int) -> Any:
        """The converted module: read where it was stored, else made and stored."""
        path = cache_folder() / "openvino" / f"{self._fingerprint(name)}.xml"
        if path.is_file():
            return _core().read_model(path)
        model = self._convert(module, given, side)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Weights first, under names of this process: a graph that is there is whole.
        part = path.with_suffix(f".{os.getpid()}.xml")
        openvino.save_model(model, part, compress_to_fp16=False)
        os.replace(part.with_suffix(".bin"), path.with_suffix(".bin"))
        os.replace(part, path)
        return model

    @staticmethod
    def _convert(module: nn.Module, given: list[Tensor], side: int) -> Any:
        """From small frames, since the tracer computes what it traces."""
        sizes = [(1, 1) if x.shape[-2:] == (1, 1) else (side, 2 * side) for x in given]
        example = tuple(torch.rand(1, x.shape[1], *size) for x, size in zip(given, sizes, strict=True))
        shapes = [
            [-1, x.shape[1], *((1, 1) if size == (1, 1) else (-1, -1))]
            for x, size in zip(given, sizes, strict=True)
        ]
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer doubts sizes, which the parity tests vouch for
            return openvino.convert_model(module, example_input=example, input=shapes)

    def _fingerprint(self, name: str) -> str:
        facts = [FORMAT, openvino.__version__, self.variant.to_dict(), name]
        digest = hashlib.sha256(json.dumps(facts).encode())
        for key, value in sorted(self.state_dict().items()):
            digest.update(key.encode() + value.float().contiguous().numpy().tobytes())
        return digest.hexdigest()[:32]


@cache
def _core() -> Any:
    """The one core of this process.

    A core gives the thread that loads it a signal stack and takes it back when it goes. Of two that go in the order
    they came, the second leaves a stack that the first has freed, and the next signal is a crash.
    """
    return openvino.Core()


class _Blocks(nn.Module):
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
