"""What computes the interpolation network: torch, or something faster where it is installed."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from typing import TypeVar

import torch
from torch import nn

from maskvfi.rife.network import IFNet

RUNTIMES = ("torch", "compile", "openvino", "onnx")
Network = TypeVar("Network", bound=nn.Module)
PACKAGES = {"openvino": "openvino", "onnx": "onnxruntime"}
COMPILERS = ("g++", "clang++", "cl")


def choose_runtime(name: str, device: torch.device, network: IFNet) -> tuple[str, str]:
    """The runtime of a name, and why. Raises ValueError for an unknown name or one that cannot be had here.

    "auto" is OpenVINO on a CPU where it is installed, for networks whose time it shortens: a DIS start stays
    outside, and what follows it is then too small to gain. torch.compile and ONNX Runtime have to be asked for: on a
    CPU they are no faster than torch, on cards nobody has measured them.
    """
    if name not in ("auto", *RUNTIMES):
        raise ValueError(f"runtime must be auto, {', '.join(RUNTIMES)}, not {name!r}")
    if name == "torch":
        return name, "asked for"
    obstacle = _obstacle("openvino" if name == "auto" else name, device, network)
    if name != "auto":
        if obstacle:
            raise ValueError(f"the runtime {name} cannot be used: {obstacle}")
        return name, "asked for"
    if obstacle:
        return "torch", obstacle
    if network.variant.start:
        return "torch", "a network that starts from DIS is not faster elsewhere"
    return "openvino", "the fastest on a CPU"


def with_runtime(network: IFNet, name: str, device: torch.device, dtype: torch.dtype) -> IFNet:
    """The network as the runtime (a name that `choose_runtime` gave) computes it. Raises ValueError for a dtype it
    does not know.
    """
    if name == "openvino":
        from maskvfi.runtimes.openvino import OpenVinoIFNet

        return OpenVinoIFNet(network, dtype)
    if name == "onnx":
        from maskvfi.runtimes.onnx import OnnxIFNet

        return OnnxIFNet(network.to(device), dtype)
    network = on_device(network, device, dtype)
    if name == "compile":
        from maskvfi.runtimes.compiled import CompiledIFNet

        return CompiledIFNet(network)
    return network


def on_device(network: Network, device: torch.device, dtype: torch.dtype) -> Network:
    """The network itself, moved; in half precision with its channels last, which convolutions then want."""
    layout = torch.preserve_format if dtype == torch.float32 else torch.channels_last
    network.to(device, dtype, memory_format=layout)  # type: ignore[call-overload]
    return network


def _obstacle(name: str, device: torch.device, network: IFNet) -> str:
    if name == "openvino" and device.type != "cpu":
        return f"{name} takes frames from the CPU, this is {device}"
    if name in PACKAGES and find_spec(PACKAGES[name]) is None:
        return f"{name} is not installed (pip install maskvfi[{name}])"
    if name == "onnx" and device.type != "cpu" and not _onnx_drives(device):
        return f"the installed onnxruntime does not drive {device} (onnxruntime-gpu drives CUDA)"
    if name == "compile" and device.type == "cpu" and not any(map(shutil.which, COMPILERS)):
        return f"torch compiles for a CPU with a C++ compiler, and none of {', '.join(COMPILERS)} is there"
    if name == "compile" and device.type == "cuda" and find_spec("triton") is None:
        return "torch compiles for CUDA with triton, which is not installed"
    if network.variant.dynamic_scale:
        return f"RIFE {network.variant.family} changes its scales by what it sees"
    return ""


def _onnx_drives(device: torch.device) -> bool:
    import onnxruntime

    return device.type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
