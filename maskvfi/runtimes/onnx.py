"""ONNX Runtime: the network on whatever its execution providers drive, DirectML or ROCm for instance."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import torch
from torch import Tensor, nn

from maskvfi.export import OPSET, write_graph
from maskvfi.rife.network import IFNet
from maskvfi.runtimes.graph import GraphIFNet, Run, Shapes

# In order of preference; those that torch does not drive itself. The CPU takes what is left over.
PROVIDERS = (
    "DmlExecutionProvider",
    "MIGraphXExecutionProvider",
    "ROCMExecutionProvider",
    "CPUExecutionProvider",
)


class OnnxIFNet(GraphIFNet):
    """`IFNet` in ONNX Runtime, in float32. Raises ValueError for another type."""

    runtime, version, suffix = "onnx", f"{torch.__version__} opset {OPSET}", ".onnx"

    def __init__(self, network: IFNet, dtype: torch.dtype = torch.float32) -> None:
        if dtype != torch.float32:
            raise ValueError(f"ONNX Runtime computes in float32 here, not in {dtype}")
        super().__init__(network)

    def convert(
        self, module: nn.Module, example: tuple[Tensor, ...], free: list[tuple[int, ...]], path: Path
    ) -> None:
        names = [f"input{k}" for k in range(len(example))]
        axes = {
            name: tuple(f"{name}_{k}" if k in any_size else "" for k in range(4))
            for name, any_size in zip(names, free, strict=True)
        }
        write_graph(module, example, names, None, axes, path)

    def load(self, path: Path, shapes: Shapes | None) -> Run:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        known = set(onnxruntime.get_available_providers())
        providers = [name for name in PROVIDERS if name in known]
        session = onnxruntime.InferenceSession(path, options, providers=providers)
        names = [x.name for x in session.get_inputs()]

        def run(given: list[Tensor]) -> list[Tensor]:
            feed = {name: x.contiguous().numpy() for name, x in zip(names, given, strict=False)}
            return [torch.from_numpy(x) for x in session.run(None, feed)]

        return run
