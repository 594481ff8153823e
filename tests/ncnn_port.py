"""Networks as the ncnn ports lay them out: a graph of layers as text, and their numbers one after another."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
from seeded import seeded_state_dict
from torch import Tensor

from maskvfi import IFNet
from maskvfi.models.rife import find_variant
from maskvfi.models.rife.network import Block, FrameEncoder, ResConv


def network_like(version: str) -> IFNet:
    """A network of the form of `version`, narrow, with seeded weights."""
    form = find_variant(version)
    narrow = tuple(8 - 2 * (n > 2) for n in range(len(form.channels)))
    network = IFNet(replace(form, family="narrow", versions=(), channels=narrow))
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    state = {key: torch.from_numpy(value) for key, value in seeded_state_dict(shapes).items()}
    network.load_state_dict(state)
    return network.eval()


def write_port(folder: Path, network: IFNet, half: bool = False, folded: bool = False) -> Path:
    """Write `network` into `folder` and give that.

    Block k reads the blob `in<k>` and writes `out<k>`, before its pixel shuffle; what the ports compute between the
    blocks holds no weights. half: 2-byte floats. folded: the residuals' factors are multiplied into the convolutions.
    """
    port = _Port(half, folded)
    if not folded:
        for name, module in network.named_modules():
            if isinstance(module, ResConv):
                port.layer("MemoryData", [], f"{name}.beta", f"0=1 1=1 2={module.beta.numel()}")
                port.write(module.beta)
    if network.variant.encoder:
        for frame in (0, 1):
            port.encoder(network.encode, f"frame{frame}")
    for index, block in enumerate(network.blocks):
        port.block(block, index)
    folder.mkdir(parents=True, exist_ok=True)
    head = f"7767517\n{len(port.lines)} {port.blobs}\n"
    (folder / "flownet.param").write_text(head + "\n".join(port.lines) + "\n")
    (folder / "flownet.bin").write_bytes(bytes(port.data))
    return folder


class _Port:
    def __init__(self, half: bool, folded: bool) -> None:
        self.half, self.folded = half, folded
        self.lines: list[str] = []
        self.data = bytearray()
        self.blobs = 0

    def layer(
        self, kind: str, inputs: list[str], output: str, parameters: str = "", copies: int = 1
    ) -> list[str]:
        outputs = [output] if copies == 1 else [f"{output}_{n}" for n in range(copies)]
        name = f"{kind.lower()}_{len(self.lines)}"
        counts = f"{len(inputs)} {len(outputs)}"
        self.lines.append(" ".join([f"{kind:24} {name:24} {counts}", *inputs, *outputs, parameters]).rstrip())
        self.blobs += len(outputs)
        return outputs

    def write(self, values: Tensor, tagged: bool = False) -> None:
        array = values.detach().float().numpy()
        if tagged:
            self.data += struct.pack("<I", 0x01306B47 if self.half else 0)
            array = array.astype("<f2") if self.half else array
        self.data += np.ascontiguousarray(array).tobytes()
        self.data += bytes(-len(self.data) % 4)

    def blob(self) -> str:
        return f"b{self.blobs}"

    def convolution(self, source: str, module: nn.Module, leaky: bool, beta: Tensor | None = None) -> str:
        assert isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
        assert module.bias is not None
        weight, bias = module.weight, module.bias
        kind = "Convolution"
        if isinstance(module, nn.ConvTranspose2d):
            kind, weight = "Deconvolution", weight.transpose(0, 1)
        elif module.groups > 1:
            kind = "ConvolutionDepthWise"
        if beta is not None:
            weight, bias = weight * beta.view(-1, 1, 1, 1), bias * beta.flatten()
        parameters = (
            f"0={len(bias)} 1={module.kernel_size[0]} 3={module.stride[0]} 4=1 5=1 6={weight.numel()}"
        )
        parameters += f" 7={module.groups}" if module.groups > 1 else ""
        parameters += " 9=2 -23310=1,2.000000e-01" if leaky else ""
        (out,) = self.layer(kind, [source], self.blob(), parameters)
        self.write(weight, tagged=True)
        self.write(bias)
        return out

    def activated(self, source: str, layers: nn.Module) -> str:
        """A convolution, which takes a leaky ReLU in, or is followed by a PReLU."""
        convolution, activation = layers.children()
        out = self.convolution(source, convolution, leaky=isinstance(activation, nn.LeakyReLU))
        if isinstance(activation, nn.PReLU):
            (out,) = self.layer("PReLU", [out], self.blob(), f"0={activation.weight.numel()}")
            self.write(activation.weight)
        return out

    def residual(self, source: str, module: ResConv, name: str) -> str:
        kept, used = self.layer("Split", [source], self.blob(), copies=2)
        out = self.convolution(used, module.conv, False, module.beta if self.folded else None)
        if not self.folded:
            (out,) = self.layer("BinaryOp", [out, f"{name}.beta"], self.blob(), "0=2")
        (out,) = self.layer("BinaryOp", [out, kept], self.blob(), "0=0")
        return self.layer("ReLU", [out], self.blob(), "0=2.000000e-01")[0]

    def block(self, block: Block, index: int) -> None:
        (x,) = self.layer("Input", [], f"in{index}")
        for layers in block.conv0:
            x = self.activated(x, layers)
        kept = ""
        if block.skip:
            kept, x = self.layer("Split", [x], self.blob(), copies=2)
        for number, layers in enumerate(block.convblock):
            if isinstance(layers, ResConv):
                x = self.residual(x, layers, f"block{index}.convblock.{number}")
            else:
                x = self.activated(x, layers)
        if kept:
            (x,) = self.layer("BinaryOp", [x, kept], self.blob(), "0=0")
        head = block.lastconv if block.deconv else next(block.lastconv.children())
        x = self.convolution(x, head, leaky=False)
        self.lines[-1] = self.lines[-1].replace(f" {x} ", f" out{index} ")

    def encoder(self, encoder: FrameEncoder, name: str) -> None:
        (x,) = self.layer("Input", [], name)
        for layer in encoder.children():
            x = self.convolution(x, layer, leaky=encoder.activate and isinstance(layer, nn.Conv2d))
