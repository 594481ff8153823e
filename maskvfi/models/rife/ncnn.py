"""Read RIFE 4.x from the two files of an ncnn port: the layers in flownet.param, their weights in flownet.bin."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

GRAPH, NUMBERS = "flownet.param", "flownet.bin"
MAGIC = "7767517"  # first line of an ncnn graph
FULL, HALF = (0, 0x0002C056), 0x01306B47  # tags of a layer's weights: 4-byte or 2-byte floats
CONVOLUTIONS = ("Convolution", "ConvolutionDepthWise")
MAX_GRAPH_BYTES, MAX_BYTES = 1 << 20, 2 << 30
STEPS_OF_BLOCK = 10  # convolutions before the transposed one


@dataclass(slots=True, eq=False)
class Layer:
    """A line of flownet.param.

    Attributes:
        kind: The type of the layer, such as "Convolution".
        name: Its name, which ports choose freely.
        inputs, outputs: Names of the blobs that it reads and writes.
        parameters: By number, as ncnn's documentation lists them for each type.
        tensors: Its weights from flownet.bin.
    """

    kind: str
    name: str
    inputs: list[str]
    outputs: list[str]
    parameters: dict[int, float]
    tensors: list[Tensor] = field(default_factory=list)

    def number(self, key: int, default: int = 0) -> int:
        """A parameter as an integer."""
        return int(self.parameters.get(key, default))


@dataclass(slots=True)
class Step:
    """One convolution of a stack, with what follows it up to the next one.

    Attributes:
        weight: [out,in,kh,kw].
        bias: [out].
        slope: [out], of a PReLU after it.
        beta: [out], a factor per channel of a residual convolution.
        residual: Whether an earlier layer's output is added.
    """

    weight: Tensor
    bias: Tensor
    slope: Tensor | None = None
    beta: Tensor | None = None
    residual: bool = False


def is_ncnn(folder: Path) -> bool:
    """Whether a folder holds the two files of a port."""
    return (folder / GRAPH).is_file() and (folder / NUMBERS).is_file()


def read_ncnn(folder: Path) -> dict[str, Tensor]:
    """Read a port as a state dict.

    Ports name layers freely, repeat the encoder for the second frame (and every block for ensemble mode), and may have
    multiplied a residual's `beta` into the convolution. So the parts of the network are found by their stacks: the
    convolutions before each transposed convolution.

    Args:
        folder: With flownet.param and flownet.bin.

    Returns:
        float32 tensors under the names of an official checkpoint.

    Raises:
        ValueError: The files are damaged or quantised, or hold no RIFE 4.x network.
    """
    for name, limit in ((GRAPH, MAX_GRAPH_BYTES), (NUMBERS, MAX_BYTES)):
        if (folder / name).stat().st_size > limit:
            raise ValueError(f"{name} is larger than any network's")
    layers = list(_parse((folder / GRAPH).read_text(encoding="utf-8")))
    makers = _makers(layers)
    _fill(layers, (folder / NUMBERS).read_bytes())
    state: dict[str, Tensor] = {}
    heads: list[Layer] = []
    blocks = 0
    for head in layers:
        if head.kind != "Deconvolution" or any(torch.equal(head.tensors[0], x.tensors[0]) for x in heads):
            continue
        heads.append(head)
        steps = _stack(head, makers)
        if len(steps) == STEPS_OF_BLOCK:
            state |= _block(f"block{blocks}", steps, head)
            blocks += 1
        elif len(steps) in (1, 3) and steps[0].weight.shape[1] == 3:
            state |= _encoder(steps, head)
    if not blocks:
        raise ValueError(f"{GRAPH} holds no RIFE 4.x network")
    return state


def _parse(text: str) -> Iterator[Layer]:
    magic, _, *lines = [*text.strip().splitlines(), "", ""]
    if magic.strip() != MAGIC:
        raise ValueError(f"{GRAPH} is not an ncnn graph")
    for line in filter(str.strip, lines):
        try:
            kind, name, inputs, outputs, *rest = line.split()
            middle, end = int(inputs), int(inputs) + int(outputs)
            single = [entry.split("=") for entry in rest[end:] if not entry.startswith("-233")]
            parameters = {int(key): float(value) for key, value in single}
        except ValueError:
            raise ValueError(f"{GRAPH} has a line that is no layer: {line.strip()[:60]}") from None
        yield Layer(kind, name, rest[:middle], rest[middle:end], parameters)


def _makers(layers: list[Layer]) -> dict[str, Layer]:
    """The layer that writes each blob; checks that every layer comes after those whose output it reads."""
    makers: dict[str, Layer] = {}
    for layer in layers:
        if not makers.keys() >= set(layer.inputs) or makers.keys() & set(layer.outputs):
            raise ValueError(f"{GRAPH} connects layer {layer.name} to what is not there")
        makers |= dict.fromkeys(layer.outputs, layer)
    return makers


def _fill(layers: list[Layer], data: bytes) -> None:
    """Give every layer its weights, which are stored in the order of the layers."""
    at = 0

    def take(layer: Layer, *shape: int, tagged: bool = False) -> None:
        nonlocal at
        kind = np.dtype("<f4")
        if tagged:
            flag = int.from_bytes(data[at : at + 4], "little")
            if flag not in (*FULL, HALF):
                raise ValueError(f"layer {layer.name} is quantised, which is not read")
            kind, at = np.dtype("<f2" if flag == HALF else "<f4"), at + 4
        size = math.prod(shape) * kind.itemsize
        if min(shape) <= 0 or at + size > len(data):
            raise ValueError(f"{NUMBERS} does not hold what layer {layer.name} asks for")
        values = np.frombuffer(data[at : at + size], kind).astype(np.float32)
        layer.tensors.append(torch.from_numpy(values.reshape(shape)))
        at += -(-size // 4) * 4

    for layer in layers:
        planes = layer.number(0)
        if layer.kind in (*CONVOLUTIONS, "Deconvolution"):
            width, size = layer.number(1), layer.number(6)
            height = layer.number(11, width)
            take(layer, planes, size // max(planes * width * height, 1), height, width, tagged=True)
            if layer.number(5):
                take(layer, planes)
            else:
                layer.tensors.append(torch.zeros(planes))
        elif layer.kind == "PReLU":
            take(layer, planes)
        elif layer.kind == "MemoryData":
            take(layer, math.prod(layer.number(key) or 1 for key in (0, 1, 11, 2)))
    if at != len(data):
        raise ValueError(f"{NUMBERS} is not as long as {GRAPH} says")


def _stack(head: Layer, makers: dict[str, Layer]) -> list[Step]:
    """The convolutions before `head`, in order, back to the first layer that cannot belong to a block."""
    steps: list[Step] = []
    after: dict[str, Any] = {}
    layer = head
    while layer.inputs:
        inputs = [makers[blob] for blob in layer.inputs]
        if len(inputs) == 2:
            constant = next(
                (x for x in map(partial(_unsplit, makers), inputs) if x.kind == "MemoryData"), None
            )
            after |= {"beta": constant.tensors[0]} if constant else {"residual": True}
            # The other input is an earlier output, which a Split layer repeats.
            inputs = [x for x in inputs if x.kind not in ("Split", "MemoryData")] or inputs
        layer = inputs[0]
        if layer.kind in CONVOLUTIONS:
            weight, bias = layer.tensors
            steps.insert(0, Step(weight, bias, **after))
            after = {}
        elif layer.kind == "PReLU":
            after["slope"] = layer.tensors[0]
        elif layer.kind not in ("ReLU", "Split", "BinaryOp"):
            break
    return steps


def _unsplit(makers: dict[str, Layer], layer: Layer) -> Layer:
    """The layer before a Split layer; any other layer itself."""
    return makers[layer.inputs[0]] if layer.kind == "Split" and layer.inputs else layer


def _block(name: str, steps: list[Step], head: Layer) -> dict[str, Tensor]:
    """A block's tensors by name; where `beta` was multiplied into the convolution it is 1."""
    residual = all(step.residual for step in steps[2:])
    state: dict[str, Tensor] = {}
    for index, step in enumerate(steps):
        place = f"{name}.conv0.{index}" if index < 2 else f"{name}.convblock.{index - 2}"
        layer = f"{place}.conv" if residual and index >= 2 else f"{place}.0"
        state |= {f"{layer}.weight": step.weight, f"{layer}.bias": step.bias}
        if residual and index >= 2:
            beta = torch.ones(len(step.bias)) if step.beta is None else step.beta
            state[f"{place}.beta"] = rearrange(beta, "c -> 1 c 1 1")
        elif step.slope is not None:
            state[f"{place}.1.weight"] = step.slope
    return state | _transposed(
        f"{name}.lastconv" if len(head.tensors[1]) == 5 else f"{name}.lastconv.0", head
    )


def _encoder(steps: list[Step], head: Layer) -> dict[str, Tensor]:
    """The encoder's tensors by name."""
    names = ("0", "1") if len(steps) == 1 else ("cnn0", "cnn1", "cnn2", "cnn3")
    state = _transposed(f"encode.{names[-1]}", head)
    for name, step in zip(names, steps, strict=False):
        state |= {f"encode.{name}.weight": step.weight, f"encode.{name}.bias": step.bias}
    return state


def _transposed(name: str, head: Layer) -> dict[str, Tensor]:
    """A transposed convolution's tensors by name."""
    weight, bias = head.tensors
    return {
        f"{name}.weight": rearrange(weight, "cout cin h w -> cin cout h w").contiguous(),
        f"{name}.bias": bias,
    }
