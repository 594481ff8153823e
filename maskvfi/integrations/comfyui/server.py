"""What the ComfyUI server offers: a device, memory for networks, folders, progress and Cancel.

Outside of a server every function does without it, so that the nodes also run in a test or a notebook.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from maskvfi.runtimes.device import choose_device
from maskvfi.weights.locate import SUFFIXES

FOLDER = "frame_interpolation"  # of models/: where the server's own nodes read such networks


class NodeProgress:
    """Shows the progress of one node, and ends it if a person cancels."""

    def __init__(self) -> None:
        manager = _module("comfy.model_management")
        self._check = None if manager is None else manager.throw_exception_if_processing_interrupted
        self._bar: Any = None

    def check(self) -> None:
        """Raise the server's exception if the run was cancelled."""
        if self._check is not None:
            self._check()

    def advance(self, done: int, total: int | None) -> None:
        """Show how far the work has come, and check for Cancel.

        Args:
            done, total: Images or frames; a total of None is not known.
        """
        self.check()
        if self._check is None:
            return
        total = max(done, total or 0)
        if self._bar is None:
            self._bar = import_module("comfy.utils").ProgressBar(total)
        self._bar.update_absolute(done, total)


class _Checked(TorchFunctionMode):
    """Looks for Cancel before every operation of torch in this thread."""

    def __init__(self, watch: NodeProgress) -> None:
        super().__init__()
        self._watch = watch

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self._watch.check()
        return func(*args, **(kwargs or {}))


@contextmanager
def watching(every_operation: bool = True) -> Iterator[NodeProgress]:
    """Let the server end the block, and show its progress.

    Args:
        every_operation: Check for Cancel before every operation of torch. Without it Cancel is checked when progress
            is reported; torch.compile needs that, since it cannot trace the checks.

    Yields:
        The object to report progress to.
    """
    watch = NodeProgress()
    watch.check()
    with _Checked(watch) if every_operation else nullcontext():
        yield watch


def compute_device() -> torch.device:
    """The device that the server computes on."""
    manager = _module("comfy.model_management")
    return choose_device("auto") if manager is None else manager.get_torch_device()


def result_device(images: torch.Tensor) -> torch.device:
    """The device on which the server wants images: the GPU with --gpu-only, else the CPU."""
    manager = _module("comfy.model_management")
    return images.device if manager is None else manager.intermediate_device()


def refuses_half(device: torch.device) -> bool:
    """Whether the server forbids half precision on a device, by its options or for that GPU."""
    manager = _module("comfy.model_management")
    if manager is None:
        return False
    if device.type == "cuda":
        return not manager.should_use_fp16(device)
    return bool(getattr(manager, "FORCE_FP32", False))


def managed(network: nn.Module) -> Any:
    """Hand a network to the server, which moves it to its device and frees it for other models.

    Args:
        network: In the number format that it computes in.

    Returns:
        The server's ModelPatcher; None outside of a server.
    """
    manager = _module("comfy.model_management")
    if manager is None:
        return None
    patcher = import_module("comfy.model_patcher").ModelPatcher
    return patcher(network, manager.get_torch_device(), manager.unet_offload_device())


def load(patchers: Sequence[Any], needed: int) -> None:
    """Bring networks to the device; other models make room.

    Args:
        patchers: From `managed`.
        needed: The bytes that the networks need while they compute.
    """
    manager = _module("comfy.model_management")
    if manager is not None:
        manager.load_models_gpu(list(patchers), memory_required=needed, force_full_load=True)


def weights_files() -> dict[str, Path]:
    """The weights files in the server's folder models/frame_interpolation, by file name."""
    folders = _module("folder_paths")
    if folders is None:
        return {}
    if FOLDER not in folders.folder_names_and_paths:  # a server from before it had such nodes
        folders.add_model_folder_path(FOLDER, str(Path(folders.models_dir) / FOLDER))
    names = [name for name in folders.get_filename_list(FOLDER) if Path(name).suffix in SUFFIXES]
    return {name: Path(folders.get_full_path(FOLDER, name)) for name in sorted(names)}


def temporary_folder() -> Path:
    """Make an empty folder in the place that the server empties when it starts."""
    folders = _module("folder_paths")
    place = None if folders is None else Path(folders.get_temp_directory())
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)
    return Path(mkdtemp(prefix="maskvfi-", dir=place))


def video_of(path: Path) -> Any:
    """A value for a socket of type VIDEO: the server's object for a file; outside of a server the path."""
    for name in ("comfy_api.latest", "comfy_api.input_impl"):
        module = _module(name)
        found = getattr(getattr(module, "InputImpl", module), "VideoFromFile", None)
        if found is not None:
            return found(str(path))
    return path


def _module(name: str) -> Any:
    """A module of the server; None where there is no server."""
    try:
        return import_module(name)
    except ImportError:
        return None
