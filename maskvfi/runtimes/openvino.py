"""OpenVINO: the network compiled for this CPU."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskvfi.errors import OptionError
from maskvfi.runtimes.graph import GraphRuntime, Run, Shapes

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # with it OpenVINO reports its use
import openvino  # noqa: E402

HINTS = {torch.float32: "f32", torch.bfloat16: "bf16"}


class OpenVino(GraphRuntime):
    """Computes a network with OpenVINO on the CPU, in float32 or bfloat16."""

    name, version, suffix = "openvino", openvino.__version__, ".xml"

    def __init__(self, config: Mapping[str, Any], dtype: torch.dtype = torch.float32) -> None:
        """Start without graphs.

        Args:
            config: `InterpolationNetwork.config` of the network.
            dtype: float32 or bfloat16.

        Raises:
            OptionError: Another dtype.
        """
        if dtype not in HINTS:
            raise OptionError(f"OpenVINO computes in float32 or bfloat16 here, not in {dtype}")
        super().__init__(config)
        self._hint = HINTS[dtype]

    def convert(
        self, module: nn.Module, example: tuple[Tensor, ...], free: list[tuple[int, ...]], path: Path
    ) -> None:
        shapes = [
            [-1 if k in any_size else side for k, side in enumerate(x.shape)]
            for x, any_size in zip(example, free, strict=True)
        ]
        model = openvino.convert_model(module, example_input=example, input=shapes)
        openvino.save_model(model, path, compress_to_fp16=False)

    def load(self, path: Path, shapes: Shapes | None) -> Run:
        hints = {
            "INFERENCE_PRECISION_HINT": self._hint,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        if shapes is None:  # kept, one for every network; for a size of its own every video would leave one
            hints["CACHE_DIR"] = os.fspath(path.parent / "compiled")
            compiled = _core().compile_model(path, "CPU", hints)
        else:
            model = _core().read_model(path)
            model.reshape(dict(enumerate(map(openvino.PartialShape, map(list, shapes)))))
            compiled = _core().compile_model(model, "CPU", hints)

        # A request serves one call at a time. A thread must not keep one for itself: in a thread that Python did not
        # start, such as VapourSynth's, it would be destroyed when the call ends, and that crashes the process.
        idle: list[Any] = []

        def run(given: list[Tensor]) -> list[Tensor]:
            try:
                request = idle.pop()
            except IndexError:
                request = compiled.create_infer_request()
            found = request.infer([x.contiguous().numpy() for x in given], share_inputs=True)
            made = [torch.from_numpy(found[k].copy()) for k in range(len(found))]
            idle.append(request)
            return made

        return run


@cache
def _core() -> Any:
    """The only core of this process.

    A core installs a signal stack in the thread that loads it, and restores the stack before it when it is
    destroyed. If two cores are destroyed in the order of their creation, the second one restores the stack of the
    first, which has been freed, and the next signal crashes the process.
    """
    return openvino.Core()
