"""Networks as folders, here or on the Hugging Face Hub, in the layout of huggingface_hub's `PyTorchModelHubMixin`.

Importing this module gives the network classes the three methods that users of the Hub expect.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from maskvfi.errors import MediaError, WeightsError, reason
from maskvfi.extras import install_command
from maskvfi.models.base import InterpolationNetwork
from maskvfi.models.static.network import StaticMaskNet
from maskvfi.paths import PathLike, written_whole
from maskvfi.weights.download import forbidden
from maskvfi.weights.load import Vfi, load_static, load_vfi, save_weights
from maskvfi.weights.locate import PRETRAINED
from maskvfi.weights.read import first_line

CONFIG, CARD = "config.json", "README.md"


def find_pretrained(source: PathLike, **download: Any) -> Path:
    """Find the weights file in a local folder or a repository on the Hub, which is downloaded if necessary.

    Args:
        source: The folder, or the repository ("owner/name").
        **download: revision, cache_dir, force_download, local_files_only and token, as `hf_hub_download` takes them.

    Raises:
        WeightsError: A folder without weights, a repository that cannot be had, or huggingface_hub is missing; or the
            environment forbids downloads, and there is no earlier one.
    """
    folder = Path(source)
    if folder.is_dir():
        if not (folder / PRETRAINED).is_file():
            raise WeightsError(f"{folder}: holds no {PRETRAINED}")
        return folder / PRETRAINED
    hub = _huggingface_hub()
    if forbidden():
        download["local_files_only"] = True
    try:
        return Path(hub.hf_hub_download(os.fspath(source), PRETRAINED, **download))
    except Exception as error:  # the client's own types, which depend on its version
        raise WeightsError(
            f"{os.fspath(source)}: no such folder, and not to be had from the Hub ({first_line(error)})"
        ) from None


def save_pretrained(network: Vfi | StaticMaskNet, folder: PathLike) -> None:
    """Write a network into a folder: model.safetensors, config.json and, if there is none, a model card.

    Args:
        network: The network. The header of model.safetensors alone is enough to load it again.
        folder: Made if it is not there.

    Raises:
        MediaError: The folder cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MediaError(f"{folder}: cannot be made ({reason(error)})") from error
    save_weights(folder / PRETRAINED, network)
    if isinstance(network, StaticMaskNet):
        config, task = network.config.to_dict(), "image-segmentation"
    else:
        config, task = network.config(), "video-to-video"
    with written_whole(folder / CONFIG) as partial:
        partial.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    if not (folder / CARD).exists():
        name = "StaticMaskNet" if isinstance(network, StaticMaskNet) else "InterpolationNetwork"
        text = (
            f"---\nlibrary_name: maskvfi\npipeline_tag: {task}\ntags:\n- video-frame-interpolation\n---\n\n"
            f'Load it with `maskvfi.{name}.from_pretrained("owner/name")`.\n'
        )
        with written_whole(folder / CARD) as partial:
            partial.write_text(text, encoding="utf-8")


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
    """Upload a network to a repository on the Hub, as `save_pretrained` writes it.

    Args:
        network: The network.
        repo_id: "owner/name", or a name under the token's account; made if it is not there.
        commit_message: Of the commit.
        private: Whether a new repository is private; None: as the account's default is.
        token: An access token; None: the saved one.
        branch: The branch, made if it is not there; None: the main one.
        create_pr: Open a pull request instead.

    Returns:
        The commit's address.

    Raises:
        WeightsError: huggingface_hub is missing. Its own exceptions are not caught.
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
    """Give a network class `from_pretrained`, `save_pretrained` and `push_to_hub`.

    Args:
        network: The class; its subclasses inherit them.
        load: Loads a network from a weights file.
    """

    def from_pretrained(cls: type, source: PathLike, **download: Any) -> Any:
        """Load a network from a local folder or the Hub.

        Args:
            source: The folder, or the repository ("owner/name").
            **download: revision, cache_dir, force_download, local_files_only and token, see `hf_hub_download`.

        Returns:
            The network in evaluation mode, on the CPU, in float32.

        Raises:
            WeightsError: The weights are missing, damaged, or those of another class of network.
        """
        found = load(find_pretrained(source, **download))
        if not (isinstance(found, cls) or issubclass(cls, type(found))):
            raise WeightsError(
                f"{os.fspath(source)}: holds {type(found).__name__} weights, not {cls.__name__} weights"
            )
        return found

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
        raise WeightsError(f"the Hub needs huggingface_hub: {install_command('hub')}") from None
    return huggingface_hub


add_hub_methods(InterpolationNetwork, load_vfi)
add_hub_methods(StaticMaskNet, load_static)
