"""ONNX Runtime: the network on the devices of its execution providers, such as TensorRT, DirectML and ROCm."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from onnxruntime import OrtValue
from torch import Tensor, nn

from maskvfi.errors import OptionError
from maskvfi.runtimes.graph import GraphRuntime, Run, Shapes
from maskvfi.runtimes.onnx_graph import OPSET, write_graph

# By the device of the frames, in order of preference; the last one computes what the others cannot.
PROVIDERS = {
    "cuda": ("TensorrtExecutionProvider", "CUDAExecutionProvider"),
    "cpu": (
        "DmlExecutionProvider",
        "MIGraphXExecutionProvider",
        "ROCMExecutionProvider",
        "CPUExecutionProvider",
    ),
}


class OnnxRuntime(GraphRuntime):
    """Computes a network with ONNX Runtime, in float32."""

    name, version, suffix = "onnx", f"{torch.__version__} opset {OPSET}", ".onnx"

    def __init__(
        self,
        config: Mapping[str, Any],
        dtype: torch.dtype = torch.float32,
        device: torch.device = torch.device("cpu"),  # noqa: B008
    ) -> None:
        """Start without graphs.

        Args:
            config: `InterpolationNetwork.config` of the network.
            dtype: float32.
            device: Where frames are.

        Raises:
            OptionError: Another dtype.
        """
        if dtype != torch.float32:
            raise OptionError("ONNX Runtime computes in float32 here: precision fp32 or auto")
        super().__init__(config)
        self._device = device

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
        device = self._device
        session = onnxruntime.InferenceSession(
            path, options, providers=_providers(device, path.parent, fixed=shapes is not None)
        )
        inputs, outputs = session.get_inputs(), session.get_outputs()

        def run(given: list[Tensor]) -> list[Tensor]:
            bound = session.io_binding()
            for node, x in zip(inputs, given, strict=True):
                bound.bind_ortvalue_input(node.name, OrtValue.from_dlpack(x.contiguous()))
            for node in outputs:
                bound.bind_output(node.name, device.type, device.index or 0)
            if device.type == "cuda":
                torch.cuda.current_stream(device).synchronize()  # the session uses another CUDA stream
            session.run_with_iobinding(bound)
            bound.synchronize_outputs()
            return [torch.from_dlpack(x) for x in bound.get_outputs()]

        return run


def _providers(device: torch.device, engines: Path, fixed: bool) -> list[tuple[str, dict[str, Any]]]:
    """Execution providers with their options, best first.

    TensorRT builds an engine for every shape, so it is one of them only if the shape is `fixed`.
    """
    options: dict[str, dict[str, Any]] = {
        "TensorrtExecutionProvider": {
            "device_id": device.index or 0,
            "trt_engine_cache_enable": True,
            "trt_engine_cache_path": str(engines),
        },
        "CUDAExecutionProvider": {"device_id": device.index or 0},
    }
    known = set(onnxruntime.get_available_providers())
    if not fixed:
        known.discard("TensorrtExecutionProvider")
    return [(name, options.get(name, {})) for name in PROVIDERS[device.type] if name in known]
