"""Choose the device that computes, and the number formats of the networks on it."""

from __future__ import annotations

from typing import Any

import torch

from maskvfi.errors import OptionError
from maskvfi.models.base import InterpolationNetwork
from maskvfi.options import PRECISIONS

DTYPES = dict(zip(PRECISIONS, (torch.float32, torch.float16, torch.bfloat16), strict=True))


def choose_device(device: str | torch.device) -> torch.device:
    """Choose a torch device.

    Args:
        device: Its name, or "auto": CUDA, else MPS, else the CPU.

    Returns:
        The device.

    Raises:
        OptionError: This machine does not have it.
    """
    if device == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(name)
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen).cpu()  # "meta" is a device that gives nothing back
    except (RuntimeError, AssertionError, NotImplementedError, ValueError):
        raise OptionError(f"device {str(device)!r} is not available here") from None
    return chosen


def choose_precision(
    precision: str, device: torch.device, network: InterpolationNetwork[Any, Any], runtime: str = "auto"
) -> tuple[str, torch.dtype]:
    """Choose a number format for an interpolation network.

    Args:
        precision: One of PRECISIONS, or "auto": fp16 on CUDA, but not in ONNX Runtime; bf16 in torch on a CPU that
            multiplies it faster, for networks whose frames are as good in it; else fp32.
        device: The device that computes.
        network: What is to be computed.
        runtime: What computes, as `choose_runtime` takes it.

    Returns:
        Its name, and the torch type.

    Raises:
        OptionError: The name is unknown.
    """
    if precision == "auto":
        # OpenVINO rounds flow too, which costs quality (docs/speed.md).
        in_torch = runtime in ("auto", "torch")
        if device.type == "cuda" and runtime != "onnx":
            precision = "fp16"
        elif in_torch and network.traits.good_in_bf16 and _is_faster_in_bf16(device):
            precision = "bf16"
        else:
            precision = "fp32"
    return precision, _dtype(precision)


def choose_mask_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Choose a number format for the mask network, which is as good in bfloat16 as in float32 (F1 in docs/speed.md).

    Args:
        precision: One of PRECISIONS, or "auto": fp16 on CUDA, bf16 on a CPU that multiplies it faster, else fp32.
        device: The device that computes.

    Returns:
        The torch type.

    Raises:
        OptionError: The name is unknown.
    """
    if precision == "auto":
        precision = "fp16" if device.type == "cuda" else "bf16" if _is_faster_in_bf16(device) else "fp32"
    return _dtype(precision)


def _is_faster_in_bf16(device: torch.device) -> bool:
    """Whether a CPU multiplies bfloat16 faster than float32; of Intel's those with AMX do."""
    abilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    intel = "intel" in str(abilities.get("cpu_name", "")).lower()
    faster = abilities.get("amx_bf16") or (abilities.get("avx512_bf16") and not intel)
    return device.type == "cpu" and bool(faster)


def _dtype(precision: str) -> torch.dtype:
    if precision not in PRECISIONS:
        raise OptionError(f"precision must be auto, {', '.join(PRECISIONS)}, not {precision!r}")
    return DTYPES[precision]
