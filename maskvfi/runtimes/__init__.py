"""What computes the interpolation network: torch, or something faster where it is installed."""

from __future__ import annotations

from importlib.util import find_spec

import torch

from maskvfi.rife.network import IFNet

RUNTIMES = ("torch", "openvino", "onnx")
PACKAGES = {"openvino": "openvino", "onnx": "onnxruntime"}


def choose_runtime(name: str, device: torch.device, network: IFNet) -> tuple[str, str]:
    """The runtime of a name, and why. Raises ValueError for an unknown name or one that cannot be had here.

    "auto" is OpenVINO on a CPU where it is installed, for networks whose time it shortens: a DIS start stays
    outside, and what follows it is then too small to gain. ONNX Runtime has to be asked for: on a CPU it is slower
    than torch.
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


def with_runtime(network: IFNet, name: str, dtype: torch.dtype) -> IFNet:
    """The network as the runtime (a name that `choose_runtime` gave) computes it. Raises ValueError for a dtype it
    does not know.
    """
    if name == "openvino":
        from maskvfi.runtimes.openvino import OpenVinoIFNet

        return OpenVinoIFNet(network, dtype)
    if name == "onnx":
        from maskvfi.runtimes.onnx import OnnxIFNet

        return OnnxIFNet(network, dtype)
    return network


def _obstacle(name: str, device: torch.device, network: IFNet) -> str:
    if device.type != "cpu":
        return f"{name} takes frames from the CPU, this is {device}"
    if find_spec(PACKAGES[name]) is None:
        return f"{name} is not installed (pip install maskvfi[{name}])"
    if network.variant.dynamic_scale:
        return f"RIFE {network.variant.family} changes its scales by what it sees"
    return ""
