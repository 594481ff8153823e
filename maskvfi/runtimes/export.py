"""A network as one ONNX file, for programs that know nothing of maskvfi."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskvfi.errors import OptionError, WeightsError
from maskvfi.models.base import InterpolationNetwork
from maskvfi.models.rife.network import IFNet, PreparedPair
from maskvfi.models.static.network import StaticMaskNet
from maskvfi.paths import PathLike, check_target
from maskvfi.weights.load import load_static, load_vfi
from maskvfi.weights.locate import find_weights
from maskvfi.weights.read import read_header

OPSET = 18
BATCH, PICTURE = ("batch",), ("batch", "", "height", "width")


def export(name: PathLike, target: PathLike, overwrite: bool = False) -> list[str]:
    """Write a network as one ONNX file (opset 18, float32).

    Inputs img0, img1 [B,3,H,W], RGB in 0..1, of any B, H and W. An interpolation network also takes timestep
    [B,1,1,1] in 0..1 and gives frame [B,3,H,W]; one that starts from a calculated flow ("vfi-s", "dis") takes that as
    flow [B,4,H,W] in px, too, as `maskvfi.ops.dis.dis_flow` finds it, for OpenCV is no part of a graph. A mask network
    gives probability [B,1,H,W].

    Args:
        name: Weights, by name or path.
        target: The file.
        overwrite: Replace it where it exists.

    Returns:
        The names of the graph's inputs.

    Raises:
        WeightsError: The weights are bad or make no fixed graph.
        MediaError: The target exists or cannot be written.
        OptionError: The onnx package is missing.
    """
    if find_spec("onnx") is None:
        raise OptionError("the export needs onnx (pip install maskvfi[onnx])")
    path, target = find_weights(name), check_target(target, overwrite)
    module: _Mask | _Frame
    if read_header(path).get("kind") == "static":
        module, output = _Mask(load_static(path)), "probability"
    else:
        network = load_vfi(path)
        if network.traits.no_graph:
            raise WeightsError(f"{path}: {network.traits.no_graph}, which no graph can")
        module, output = _Frame(network), "frame"
    inputs = module.example()
    with tempfile.TemporaryDirectory(dir=target.absolute().parent) as folder:
        part = Path(folder) / target.name
        axes = {key: BATCH if key == "timestep" else PICTURE for key in (*inputs, output)}
        write_graph(module, tuple(inputs.values()), list(inputs), [output], axes, part)
        _say_channels(part, 3 if output == "frame" else 1)
        os.replace(part, target)
    return list(inputs)


def write_graph(
    module: nn.Module,
    example: tuple[Tensor, ...],
    inputs: list[str],
    outputs: list[str] | None,
    axes: Mapping[str, tuple[str, ...]],
    path: Path,
) -> None:
    """Trace `module` on example tensors and write it to `path`; axes name the dimensions that may change ("": none)."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer doubts sizes, which the parity tests vouch for
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


def _say_channels(path: Path, channels: int) -> None:
    """Write into a graph how many channels its output has, which the tracer does not see."""
    import onnx

    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = channels
    onnx.save(model, path)


class _Mask(nn.Module):
    def __init__(self, network: StaticMaskNet) -> None:
        super().__init__()
        self.network = network

    def example(self) -> dict[str, Tensor]:
        return {name: torch.rand(1, 3, 69, 101) for name in ("img0", "img1")}

    def forward(self, img0: Tensor, img1: Tensor) -> Tensor:
        found: Tensor = self.network(img0, img1)
        return found


class _Frame(nn.Module):
    """An interpolation network that takes the flow it starts from instead of calculating it."""

    def __init__(self, network: InterpolationNetwork[Any, Any]) -> None:
        super().__init__()
        self.network = network

    def example(self) -> dict[str, Tensor]:
        """Small frames, since the tracer computes what it traces, that need padding, so that it sees it."""
        multiple = self.network.traits.multiple
        height, width = multiple + 5, 2 * multiple + 3
        given = {name: torch.rand(1, 3, height, width) for name in ("img0", "img1")}
        given["timestep"] = torch.full((1, 1, 1, 1), 0.5)
        if isinstance(self.network, IFNet) and self.network.variant.start:
            given["flow"] = torch.rand(1, 4, height, width)
        return given

    def forward(self, img0: Tensor, img1: Tensor, timestep: Tensor, flow: Tensor | None = None) -> Tensor:
        first, last = self.network.prepare(img0), self.network.prepare(img1)
        pair = self.network.pair(first, last) if flow is None else PreparedPair(first, last, flow)
        return self.network.between(pair, timestep).frame
