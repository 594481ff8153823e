"""Export a network as one ONNX file, which other programs run without maskvfi."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskvfi.errors import MediaError, OptionError, WeightsError
from maskvfi.extras import install_command
from maskvfi.models.base import InterpolationNetwork
from maskvfi.models.static.network import StaticMaskNet
from maskvfi.paths import PathLike, check_target, written_whole
from maskvfi.runtimes.onnx_graph import write_graph
from maskvfi.weights.load import load_static, load_vfi
from maskvfi.weights.locate import find_weights
from maskvfi.weights.read import read_header

LAYOUTS = ("pair", "stacked")
BATCH, PICTURE = ("batch",), ("batch", "", "height", "width")  # names of dimensions that may change
ONE_PICTURE = ("", "", "height", "width")


def export(name: PathLike, target: PathLike, *, layout: str = "pair", overwrite: bool = False) -> list[str]:
    """Write a network as one ONNX file (opset 18, float32).

    The inputs are img0 and img1 [B,3,H,W], RGB in 0..1, of any B, H and W. A mask network returns probability
    [B,1,H,W]. An interpolation network has a third input, timestep [B,1,1,1] in 0..1, and returns frame [B,3,H,W].
    With the layout "stacked" a mask network has one input, images [1,6,H,W]: the channels of img0, then those of img1.
    vs-mlrt and other programs that give a network a single input take it.

    Args:
        name: Weights, by name or path.
        target: The file to write.
        layout: How the frames are given, "pair" or "stacked".
        overwrite: Replace it where it exists.

    Returns:
        The names of the graph's inputs.

    Raises:
        WeightsError: The weights are missing or bad, or the network cannot be one fixed graph.
        MediaError: The target exists, cannot be written, or is not named .onnx.
        OptionError: The onnx package is missing, there is no such layout, or an interpolation network is to be stacked.
    """
    if layout not in LAYOUTS:
        raise OptionError(f"layout must be one of {', '.join(LAYOUTS)}, not {layout!r}")
    if find_spec("onnx") is None:
        raise OptionError(f"the export needs onnx: {install_command('onnx')}")
    path, target = find_weights(name), check_target(target, overwrite)
    if target.suffix.lower() != ".onnx":
        raise MediaError(f"{target}: the name of a graph ends in .onnx")
    module: _Mask | _StackedMask | _Frame
    stacked = layout == "stacked"
    if read_header(path).get("kind") == "static":
        module, output = (_StackedMask if stacked else _Mask)(load_static(path)), "probability"
    elif stacked:
        raise OptionError(f"{path}: is no mask network, and only these have the layout stacked")
    else:
        network = load_vfi(path)
        if network.traits.no_graph:
            raise WeightsError(f"{path}: cannot be exported as one graph: {network.traits.no_graph}")
        module, output = _Frame(network), "frame"
    inputs = module.example()
    picture = ONE_PICTURE if stacked else PICTURE
    axes = {key: BATCH if key == "timestep" else picture for key in (*inputs, output)}
    with written_whole(target, overwrite=overwrite) as partial:
        write_graph(module, tuple(inputs.values()), list(inputs), [output], axes, partial)
        _set_sizes(partial, {1: 3 if output == "frame" else 1} | ({0: 1} if stacked else {}))
    return list(inputs)


def _set_sizes(path: Path, sizes: Mapping[int, int]) -> None:
    """Write sizes of the output by dimension, which the tracer does not find, into a graph."""
    import onnx

    model = onnx.load(path)
    for dimension, size in sizes.items():
        model.graph.output[0].type.tensor_type.shape.dim[dimension].dim_value = size
    onnx.save(model, path)


class _Mask(nn.Module):
    """A mask network, with an example of its inputs."""

    def __init__(self, network: StaticMaskNet) -> None:
        super().__init__()
        self.network = network

    def example(self) -> dict[str, Tensor]:
        return {name: torch.rand(1, 3, 69, 101) for name in ("img0", "img1")}

    def forward(self, img0: Tensor, img1: Tensor) -> Tensor:
        found: Tensor = self.network(img0, img1)
        return found


class _StackedMask(nn.Module):
    """A mask network whose only input is both frames, one channel after the other."""

    def __init__(self, network: StaticMaskNet) -> None:
        super().__init__()
        self.network = network

    def example(self) -> dict[str, Tensor]:
        return {"images": torch.rand(1, 6, 69, 101)}

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.network(images[:, :3], images[:, 3:])
        return found


class _Frame(nn.Module):
    """An interpolation network whose only output is the frame."""

    def __init__(self, network: InterpolationNetwork[Any, Any]) -> None:
        super().__init__()
        self.network = network

    def example(self) -> dict[str, Tensor]:
        """Inputs for the tracer: small, and of a size that needs padding, so that padding is traced."""
        multiple = self.network.traits.multiple
        height, width = multiple + 5, 2 * multiple + 3
        given = {name: torch.rand(1, 3, height, width) for name in ("img0", "img1")}
        given["timestep"] = torch.full((1, 1, 1, 1), 0.5)
        return given

    def forward(self, img0: Tensor, img1: Tensor, timestep: Tensor) -> Tensor:
        pair = self.network.pair(self.network.prepare(img0), self.network.prepare(img1))
        return self.network.between(pair, timestep).frame
