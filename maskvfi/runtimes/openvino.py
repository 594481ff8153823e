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

FORMAT = 1  # of the stored graphs; to be raised when the network computes something else
HINTS = {torch.float32: "f32", torch.bfloat16: "bf16"}


class OpenVinoIFNet(IFNet):
    """`IFNet` with its blocks in OpenVINO; frames are prepared, and begun with, in torch.

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
        self._compiled: dict[tuple[float, bool], Any] = {}

    def answer(self, pair: PreparedPair, time: Tensor, scale: float, ensemble: bool) -> tuple[Tensor, Tensor]:
        time = time.float().expand(len(pair.start.planes), 1, 1, 1)
        given = [*pair.planes, time]
        if (begin := self.begin(pair, time)) is not None:
            given.append(begin)
        key = (scale, ensemble)
        if key not in self._compiled:
            model = self._graph(scale, ensemble)
            hints = {
                "INFERENCE_PRECISION_HINT": self._hint,
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            }
            self._compiled[key] = _core().compile_model(model, "CPU", hints)
        found = self._compiled[key]([x.contiguous().numpy() for x in given])
        flow, logit = (torch.from_numpy(found[k].copy()) for k in (0, 1))
        return flow, logit

    def _graph(self, scale: float, ensemble: bool) -> Any:
        """The converted network: read where it was stored, else made and stored."""
        path = cache_folder() / "openvino" / f"{self._fingerprint(scale, ensemble)}.xml"
        if path.is_file():
            return _core().read_model(path)
        model = self._convert(scale, ensemble)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Weights first, under names of this process: a graph that is there is whole.
        part = path.with_suffix(f".{os.getpid()}.xml")
        openvino.save_model(model, part, compress_to_fp16=False)
        os.replace(part.with_suffix(".bin"), path.with_suffix(".bin"))
        os.replace(part, path)
        return model

    def _convert(self, scale: float, ensemble: bool) -> Any:
        channels = 3 + self.variant.encoder
        small = torch.rand(1, channels, self.multiple(scale), 2 * self.multiple(scale))
        time = torch.full((1, 1, 1, 1), 0.5)
        example = [small, small.flip(-1), time]
        shapes = [[-1, channels, -1, -1], [-1, channels, -1, -1], [-1, 1, 1, 1]]
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer doubts sizes, which the parity tests vouch for
            if self.variant.start:
                example.append(torch.rand(1, 5, *small.shape[-2:]))
                shapes.append([-1, 5, -1, -1])
            blocks = _Blocks(self, scale, ensemble)
            return openvino.convert_model(blocks, example_input=tuple(example), input=shapes)

    def _fingerprint(self, scale: float, ensemble: bool) -> str:
        facts = [FORMAT, openvino.__version__, self.variant.to_dict(), scale, ensemble]
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
