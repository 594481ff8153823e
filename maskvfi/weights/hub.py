"""Networks as folders, here or on the Hugging Face Hub, as huggingface_hub's `PyTorchModelHubMixin` lays them out.

Network classes know nothing of this; `add_hub_methods` gives them the three methods that users of the Hub expect.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from maskvfi.errors import WeightsError
from maskvfi.models.base import InterpolationNetwork
from maskvfi.models.static.network import StaticMaskNet
from maskvfi.paths import PathLike
from maskvfi.weights.load import Vfi, load_static, load_vfi, save_weights

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


def find_pretrained(source: PathLike, **download: Any) -> Path:
    """The weights file in a local folder, or of a repository on the Hub ("owner/name"), fetched if need be.

    Args:
        source: The folder or the repository.
        **download: revision, cache_dir, force_download, local_files_only and token, as `hf_hub_download` takes them.

    Raises:
        WeightsError: A folder without weights, a repository that cannot be had, or huggingface_hub is missing.
    """
    folder = Path(source)
    if folder.is_dir():
        if not (folder / WEIGHTS).is_file():
            raise WeightsError(f"{folder}: holds no {WEIGHTS}")
        return folder / WEIGHTS
    hub = _huggingface_hub()
    try:
        return Path(hub.hf_hub_download(os.fspath(source), WEIGHTS, **download))
    except (OSError, ValueError) as error:
        cause = str(error).strip().splitlines() or [type(error).__name__]
        raise WeightsError(f"{source}: no such folder, and not to be had from the Hub ({cause[0]})") from None


def save_pretrained(network: Vfi | StaticMaskNet, folder: PathLike) -> None:
    """Write model.safetensors (whose header alone says how to build the network), config.json, and, where there is
    none, a model card.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(folder / WEIGHTS, network)
    if isinstance(network, StaticMaskNet):
        config, task = network.config.to_dict(), "image-segmentation"
    else:
        config, task = network.config(), "video-to-video"
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    if not (folder / CARD).exists():
        name = type(network).__name__
        (folder / CARD).write_text(
            f"---\nlibrary_name: maskvfi\npipeline_tag: {task}\ntags:\n- video-frame-interpolation\n---\n\n"
            f'Load it with `maskvfi.{name}.from_pretrained("owner/name")`.\n',
            encoding="utf-8",
        )


def push_to_hub(
    network: Vfi | StaticMaskNet,
    repo_id: str,
    *,
    commit_message: str = "Weights",
    private: bool | None = None,
    token: str | None = None,
    branch: str | None = None,
    create_pr: bool = False,
) -> str:
    """Upload what `save_pretrained` writes to a repository on the Hub, made if it is not there.

    Returns:
        The commit's address.

    Raises:
        WeightsError: huggingface_hub is missing; what it raises itself passes through.
    """
    api = _huggingface_hub().HfApi(token=token)
    repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
    if branch is not None:
        api.create_branch(repo_id, branch=branch, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(network, folder)
        commit = api.upload_folder(
            repo_id=repo_id,
            folder_path=folder,
            commit_message=commit_message,
            revision=branch,
            create_pr=create_pr,
        )
    return str(commit)


def add_hub_methods(network: type, load: Callable[[Path], Any]) -> None:
    """Give a network class `from_pretrained`, `save_pretrained` and `push_to_hub`."""

    def from_pretrained(cls: type, source: PathLike, **download: Any) -> Any:
        """The network in a local folder or on the Hub, see `maskvfi.weights.hub.find_pretrained`."""
        return load(find_pretrained(source, **download))

    methods = {
        "from_pretrained": classmethod(from_pretrained),
        "save_pretrained": save_pretrained,
        "push_to_hub": push_to_hub,
    }
    for name, method in methods.items():
        setattr(network, name, method)


def _huggingface_hub() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise WeightsError("the Hub needs huggingface_hub (pip install maskvfi[hub])") from None
    return huggingface_hub


add_hub_methods(InterpolationNetwork, load_vfi)
add_hub_methods(StaticMaskNet, load_static)
