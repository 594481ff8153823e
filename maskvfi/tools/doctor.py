"""Reports what this machine offers, and what maskvfi would use."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.util import find_spec

import av
import torch

from maskvfi.errors import reason
from maskvfi.extras import install_command
from maskvfi.models.rife import IFNet, find_variant
from maskvfi.options import DEFAULT_MASK, DEFAULT_VFI
from maskvfi.runtimes import choose_runtime
from maskvfi.runtimes.device import DTYPES, choose_device, choose_mask_dtype, choose_precision
from maskvfi.version import __version__
from maskvfi.video.streams import HWACCELS
from maskvfi.weights.load import load_vfi
from maskvfi.weights.locate import list_weights, weight_folders

ENCODERS = (
    *("libx264", "libx265", "libsvtav1", "libvpx-vp9", "ffv1", "prores_ks"),
    *("h264_nvenc", "hevc_nvenc", "av1_nvenc", "hevc_qsv", "hevc_videotoolbox"),
)
# Extras of the package: the modules that each brings, and what it is for.
EXTRAS = {
    "openvino": (("openvino",), "a runtime for CPUs, faster for small frames"),
    "onnx": (("onnx", "onnxruntime"), "`export`, and ONNX Runtime"),
    "ui": (("gradio",), "the page"),
    "ray": (("ray",), "`batch`"),
    "hub": (("huggingface_hub",), "weights from and to the Hugging Face Hub"),
}


def diagnose() -> Iterator[tuple[str, str]]:
    """Examine this machine.

    Yields:
        Pairs of a subject and a finding.
    """
    yield "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield "maskvfi", __version__
    yield "torch", f"{torch.__version__}, {torch.get_num_threads()} of {os.cpu_count()} CPU threads"
    libraries = ", ".join(
        f"{name} {'.'.join(map(str, v))}" for name, v in sorted(av.library_versions.items())
    )
    yield "pyav", f"{av.__version__} ({libraries})"
    yield "encoders", ", ".join(name for name in ENCODERS if name in av.codecs_available)
    yield "decoders", f"software; hwaccel {', '.join(HWACCELS)} on machines that have it"
    device = choose_device("auto")
    why = {
        "cuda": f"{torch.cuda.get_device_name()} is there" if device.type == "cuda" else "",
        "mps": "no CUDA, but Apple's GPU is there",
        "cpu": "neither CUDA nor Apple's GPU is there",
    }[device.type]
    yield "device", f"{device} ({why})"
    of_mask = choose_mask_dtype("auto", device)
    yield f"precision for {DEFAULT_MASK}", next(name for name, dtype in DTYPES.items() if dtype == of_mask)
    for name in ("4.25", DEFAULT_VFI):
        network = IFNet(find_variant(name)) if name[0].isdigit() else load_vfi(name)
        yield f"precision for {name}", choose_precision("auto", device, network)[0]
        yield f"runtime for {name}", "{} ({})".format(*choose_runtime("auto", device, network))
    for extra, (modules, purpose) in EXTRAS.items():
        there = all(find_spec(module) for module in modules)
        yield (
            f"extra {extra}",
            f"there: {purpose}" if there else f"missing: {purpose} ({install_command(extra)})",
        )
    for folder in weight_folders():
        yield "weights in", f"{folder}{'' if folder.is_dir() else ' (no such folder)'}"
    for file in list_weights():
        try:
            yield f"  {file.name}", f"{file.kind}, sha256 {file.sha256[:16]}"
        except OSError as error:
            yield f"  {file.name}", f"unreadable ({reason(error)})"
