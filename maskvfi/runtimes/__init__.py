"""What computes the interpolation network: torch, or something faster where it is installed."""

from __future__ import annotations

from importlib.util import find_spec

import torch

from maskvfi.rife.network import IFNet

RUNTIMES = ("torch", "openvino")


def choose_runtime(name: str, device: torch.device, network: IFNet) -> tuple[str, str]:
    """The runtime of a name, and why. Raises ValueError for an unknown name or one that cannot be had here.

    "auto" is OpenVINO on a CPU where it is installed, for networks whose time it shortens: a DIS start stays
    outside, and what follows it is then too small to gain.
    """
    if name not in ("auto", *RUNTIMES):
        raise ValueError(f"runtime must be auto, {', '.join(RUNTIMES)}, not {name!r}")
    obstacle = _obstacle(device, network)
    if name == "openvino" and obstacle:
        raise ValueError(f"the runtime openvino cannot be used: {obstacle}")
    if name != "auto":
        return name, "asked for"
    if obstacle:
        return "torch", obstacle
    if network.variant.start:
        return "torch", "a network that starts from DIS is not faster elsewhere"
    return "openvino", "the fastest on a CPU"


def with_runtime(network: IFNet, name: str, dtype: torch.dtype) -> IFNet:
    """The network as the runtime (a name that `choose_runtime` gave) computes it."""
    if name == "torch":
        return network
    from maskvfi.runtimes.openvino import OpenVinoIFNet

    return OpenVinoIFNet(network, dtype)


def _obstacle(device: torch.device, network: IFNet) -> str:
    if device.type != "cpu":
        return f"OpenVINO is for CPUs, this is {device}"
    if find_spec("openvino") is None:
        return "OpenVINO is not installed (pip install openvino)"
    if network.variant.dynamic_scale:
        return f"RIFE {network.variant.family} changes its scales by what it sees"
    return ""
