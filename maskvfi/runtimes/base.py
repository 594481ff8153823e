"""Choose the runtime that computes an interpolation network, and hand the network to it."""

from __future__ import annotations

import copy
import shutil
from importlib.util import find_spec
from typing import Any, TypeVar

import torch
from torch import nn

from maskvfi.errors import OptionError
from maskvfi.extras import install_command
from maskvfi.models.base import InterpolationNetwork, Runtime
from maskvfi.options import RUNTIMES
from maskvfi.runtimes.narrow import mend_narrow_planes

PACKAGES = {"openvino": "openvino", "onnx": "onnxruntime"}
COMPILERS = ("g++", "clang++", "cl")
Network = TypeVar("Network", bound=nn.Module)
Vfi = TypeVar("Vfi", bound=InterpolationNetwork[Any, Any])


def choose_runtime(
    name: str, device: torch.device, network: InterpolationNetwork[Any, Any]
) -> tuple[str, str]:
    """Choose a runtime.

    Args:
        name: One of RUNTIMES, or "auto": torch. On a CPU it starts first, and from 720p on none of the others is much
            faster with frames as good (docs/speed.md); on GPUs they have not been measured.
        device: Where frames are.
        network: What is to be computed.

    Returns:
        One of RUNTIMES, and the reason for it in words.

    Raises:
        OptionError: There is no such runtime, or it cannot be used here.
    """
    if name not in ("auto", *RUNTIMES):
        raise OptionError(f"runtime must be auto, {', '.join(RUNTIMES)}, not {name!r}")
    if name == "torch":
        return name, "asked for"
    if name == "auto":
        return "torch", "it starts first, and others are hardly faster from 720p on"
    if obstacle := _obstacle(name, device, network):
        raise OptionError(f"the runtime {name} cannot be used: {obstacle}")
    return name, "asked for"


def with_runtime(network: Vfi, name: str, device: torch.device, dtype: torch.dtype) -> Vfi:
    """Hand a network to a runtime.

    Args:
        network: Any number format; but for OpenVINO it is moved to the device.
        name: As `choose_runtime` returns it.
        device, dtype: Where and in which number format convolutions run.

    Returns:
        A network that computes its expensive modules with the runtime.

    Raises:
        OptionError: The runtime does not know the number format.
    """
    if name == "openvino":
        from maskvfi.runtimes.openvino import OpenVino

        return network.with_runtime(OpenVino(network.config(), dtype))
    if name == "onnx":
        from maskvfi.runtimes.onnx import OnnxRuntime

        return network.to(device).with_runtime(OnnxRuntime(network.config(), dtype, device))
    network = on_device(network.with_runtime(Runtime()), device, dtype)
    if name == "compile":
        from maskvfi.runtimes.torch_compile import TorchCompile

        return network.with_runtime(TorchCompile())
    return network


def on_device(
    network: Network, device: torch.device, dtype: torch.dtype, channels_last: bool = False
) -> Network:
    """Move a network, in half precision with channels last, the layout that is faster for its convolutions.

    Args:
        network: Any module; one that has the number format already is moved itself. In bfloat16 hooks are added to it
            (`mend_narrow_planes`).
        device, dtype: Where and in which number format it computes.
        channels_last: Whether that layout is the faster one in float32 too.

    Returns:
        The module; a copy if it is rounded, which would spoil the caller's.
    """
    channels_last |= dtype != torch.float32
    layout = torch.channels_last if channels_last else torch.preserve_format
    with torch.inference_mode(False):  # else its parameters could not be used outside of inference mode
        if _number_format(network) not in (dtype, None):
            network = (
                network.rounded(dtype)
                if isinstance(network, InterpolationNetwork)
                else copy.deepcopy(network).to(dtype)
            )
        if dtype == torch.bfloat16:
            mend_narrow_planes(network)
        return network.to(device, memory_format=layout)  # type: ignore[call-overload]


def _number_format(network: nn.Module) -> torch.dtype | None:
    """The number format of a network's convolutions; None if it has none."""
    if isinstance(network, InterpolationNetwork):
        return network.dtype
    return next((parameter.dtype for parameter in network.parameters()), None)


def _obstacle(name: str, device: torch.device, network: InterpolationNetwork[Any, Any]) -> str:
    """Why a runtime cannot compute the network on the device; "" if it can."""
    if name == "openvino" and device.type != "cpu":
        return f"{name} takes frames from the CPU, this is {device}"
    if name in PACKAGES and find_spec(PACKAGES[name]) is None:
        return f"{name} is not installed ({install_command(name)})"
    if name == "onnx" and device.type != "cpu" and not _onnx_drives(device):
        return f"the installed onnxruntime does not drive {device} (onnxruntime-gpu drives CUDA)"
    if name == "compile" and device.type == "cpu" and not any(map(shutil.which, COMPILERS)):
        return f"torch compiles for a CPU with a C++ compiler, and none of {', '.join(COMPILERS)} is there"
    if name == "compile" and device.type == "cuda" and find_spec("triton") is None:
        return "torch compiles for CUDA with triton, which is not installed"
    return network.traits.no_graph


def _onnx_drives(device: torch.device) -> bool:
    """Whether the installed ONNX Runtime computes on a device other than the CPU."""
    import onnxruntime

    return device.type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
