"""Write a module as an ONNX graph."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

OPSET = 18


def write_graph(
    module: nn.Module,
    example: tuple[Tensor, ...],
    inputs: list[str],
    outputs: list[str] | None,
    axes: Mapping[str, tuple[str, ...]],
    path: Path,
) -> None:
    """Trace a module and write it as ONNX.

    Args:
        module: In evaluation mode.
        example: Its inputs, small, since the tracer computes them.
        inputs, outputs: Their names; outputs may be None.
        axes: For each of these a name for every dimension that may change, "" for those that may not.
        path: The file to write.
    """
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about sizes taken as constants; the tests compare other sizes
        torch.onnx.export(
            module,
            example,
            str(path),
            input_names=inputs,
            output_names=outputs,
            dynamic_axes={
                key: {k: name for k, name in enumerate(names) if name} for key, names in axes.items()
            },
            opset_version=OPSET,
            dynamo=False,
        )
