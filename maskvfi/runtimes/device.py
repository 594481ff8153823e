"""Choose the device that computes, and the number formats of the networks on it."""

from __future__ import annotations

from typing import Any

import torch

from maskvfi.errors import OptionError
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


def choose_precision(precision: str, device: torch.device, runtime: str = "auto") -> tuple[str, torch.dtype]:
    """Choose a number format for the networks.

    Args:
        precision: One of PRECISIONS, or "auto": fp16 on CUDA, fp32 elsewhere and in ONNX Runtime.
        device: The device that computes.
        runtime: What computes, as `choose_runtime` takes it.

    Returns:
        Its name, and the torch type.

    Raises:
        OptionError: The name is unknown.
    """
    if precision == "auto":
        precision = "fp16" if device.type == "cuda" and runtime != "onnx" else "fp32"
    if precision not in PRECISIONS:
        raise OptionError(f"precision must be auto, {', '.join(PRECISIONS)}, not {precision!r}")
    return precision, DTYPES[precision]


def choose_mask_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Choose a number format for the mask network.

    In bfloat16 the mask is as good as in float32 (F1 in docs/speed.md), but flow is not. So "auto" takes it for the
    mask alone, and only on processors that multiply it faster than float32; of Intel's those are the ones with AMX.

    Args:
        precision: As for `choose_precision`.
        device: The device that computes.

    Returns:
        The torch type.
    """
    abilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    intel = "intel" in str(abilities.get("cpu_name", "")).lower()
    faster = abilities.get("amx_bf16") or (abilities.get("avx512_bf16") and not intel)
    if precision == "auto" and device.type == "cpu" and faster:
        return torch.bfloat16
    return choose_precision(precision, device)[1]
