"""Load networks from weights files and save them; the header of our files says how to build the network."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save
from torch import Tensor

from maskvfi.errors import WeightsError
from maskvfi.models import registry
from maskvfi.models.base import InterpolationNetwork
from maskvfi.models.rife.variants import find_variant
from maskvfi.models.static.network import StaticConfig, StaticMaskNet
from maskvfi.options import DEFAULT_MASK
from maskvfi.paths import PathLike, check_target, written_whole
from maskvfi.weights.locate import find_weights, name_of
from maskvfi.weights.read import HEADER, data_of, first_line, read_header, read_state, sha256

Vfi = InterpolationNetwork[Any, Any]
N = TypeVar("N", Vfi, StaticMaskNet)
# The entries of a header that say how to build a network.
BUILD_KEYS = ("kind", "architecture", "variant", "config")


def load_vfi(source: PathLike | Mapping[str, Tensor], variant: str | None = None) -> Vfi:
    """Load an interpolation network.

    Args:
        source: A name ("vfi-s", "rife-4.25"), a state dict, or a path: .safetensors, .pkl, .pth, a .zip that holds a
            flownet.pkl, or a folder: one that `save_pretrained` wrote, or an ncnn port with flownet.param and
            flownet.bin.
        variant: A RIFE version such as "4.25.lite", "vfi-m" or "vfi-s"; by default the header says which network it is,
            else keys and shapes do. These do not tell `vfi-m` from RIFE 4.0, nor the scales of a network of your own:
            `save_weights` writes a header.

    Returns:
        The network in evaluation mode, on the CPU, in float32.

    Raises:
        WeightsError: The weights are missing, damaged or of another kind.
        OptionError: There is no such variant.
    """
    asked = {"variant": find_variant(variant).to_dict()} if variant else None
    label, state, header = _open(source, "vfi")
    id, config = ("rife", asked) if asked else (header.get("architecture"), header or None)
    return _filled(label, lambda: registry.build(state, id, config))


def load_static(source: PathLike | Mapping[str, Tensor] = DEFAULT_MASK) -> StaticMaskNet:
    """Load a static mask network.

    Args:
        source: A name ("static-s"), a path to a .safetensors file of ours, a folder that `save_pretrained` wrote, or a
            state dict.

    Returns:
        The network in evaluation mode, on the CPU, in float32.

    Raises:
        WeightsError: The weights are missing, damaged or of another kind.
    """
    label, state, header = _open(source, "static")
    config = header.get("config", {"replaced": _has_two_outputs(state)})
    return _filled(label, lambda: (StaticMaskNet(StaticConfig(**config)), state))


def load_any(source: PathLike) -> Vfi | StaticMaskNet:
    """Load a network of either kind, which the file's header tells.

    Args:
        source: A name or path.

    Returns:
        What `load_static` or `load_vfi` returns.

    Raises:
        WeightsError: The weights are missing or damaged.
    """
    is_mask = read_header(find_weights(source)).get("kind") == "static"
    return load_static(source) if is_mask else load_vfi(source)


def save_weights(
    path: PathLike, network: Vfi | StaticMaskNet, *, half: bool = False, overwrite: bool = True, **facts: Any
) -> None:
    """Write a network as one safetensors file whose header says how to build it.

    Args:
        path: The .safetensors file.
        network: The network that `load_vfi` or `load_static` will return.
        half: Store in float16, at half the size.
        overwrite: Replace a file that exists.
        **facts: More entries of the header, as JSON values.

    Raises:
        WeightsError: The name has another suffix, by which the file could not be loaded.
        MediaError: The file exists and is not to be replaced, or cannot be written.
    """
    _save(path, network, half, facts, overwrite)


def _save(
    path: PathLike, network: Vfi | StaticMaskNet, half: bool, facts: Mapping[str, Any], overwrite: bool
) -> None:
    """`save_weights`; facts may have any names, and do not replace what says how to build the network."""
    _check_suffix(path)
    if isinstance(network, StaticMaskNet):
        header: dict[str, Any] = {"kind": "static", "config": network.config.to_dict()}
    else:
        header = {"kind": "vfi", "architecture": network.architecture, **network.config()}
    dtype = torch.float16 if half else torch.float32
    state = {key: value.detach().to(dtype).cpu().contiguous() for key, value in network.state_dict().items()}
    data = save(state, metadata={"format": "pt", HEADER: json.dumps({**facts, **header})})
    with written_whole(path, overwrite=overwrite) as partial:
        partial.write_bytes(data)  # `save_file` would make a file that nobody else may read


def convert_weights(
    source: PathLike,
    target: PathLike,
    variant: str | None = None,
    overwrite: bool = False,
    **facts: Any,
) -> Path:
    """Convert weights of any readable kind to one .safetensors file of ours.

    Args:
        source, variant: As `load_vfi` takes them; mask weights, too.
        target: The file to write.
        overwrite: Replace it where it exists.
        **facts: More entries of the header, besides those of the source.

    Returns:
        The target.

    Raises:
        WeightsError: The weights cannot be read, or the target is no .safetensors file; then nothing is written.
        MediaError: The target exists or cannot be written.
    """
    path = find_weights(source)
    _check_suffix(target)
    target = check_target(target, overwrite)
    header = read_header(path)
    network = load_vfi(path, variant) if variant else load_any(path)
    kept = {key: value for key, value in header.items() if key not in BUILD_KEYS}
    origin = {"converted_from": path.name, "source_sha256": sha256(path)}
    _save(target, network, False, origin | kept | facts, overwrite)
    return target


def describe(name: PathLike) -> Iterator[tuple[str, str]]:
    """Describe weights.

    Args:
        name: A name or path.

    Yields:
        Pairs of a property and its value.

    Raises:
        WeightsError: The weights are missing or bad.
    """
    path = find_weights(name)
    header = read_header(path)
    yield "name", name_of(path)
    yield "path", str(path)
    yield "size", f"{data_of(path).stat().st_size:,} bytes"
    yield "sha256", sha256(path)
    network = load_any(path)
    kind = "static mask" if isinstance(network, StaticMaskNet) else f"interpolation, {network.traits.name}"
    yield "kind", kind
    yield "parameters", f"{sum(parameter.numel() for parameter in network.parameters()):,}"
    for key, value in header.items():
        if key != "kind":
            yield _printable(key), json.dumps(value) if isinstance(value, dict | list) else _printable(value)


def _printable(value: object) -> str:
    """Text of an untrusted file without characters that could command a terminal."""
    text = str(value)
    return text if text.isprintable() else json.dumps(text)


def _check_suffix(path: PathLike) -> None:
    if Path(path).suffix != ".safetensors":
        raise WeightsError(f"{os.fspath(path)}: weights are written as .safetensors only")


def _has_two_outputs(state: Mapping[str, Tensor]) -> bool:
    """Whether the mask network of a state dict also says what was replaced: its head has four rows per output."""
    return "head.weight" in state and state["head.weight"].shape[:1] == (8,)


def _open(
    source: PathLike | Mapping[str, Tensor], kind: str
) -> tuple[str, Mapping[str, Tensor], dict[str, Any]]:
    """A name for messages, the state dict and the header of weights for one kind of network."""
    if isinstance(source, Mapping):
        return "state dict", source, {}
    path = find_weights(source)
    header = read_header(path)
    if header.get("kind", kind) != kind:
        raise WeightsError(f"{path}: holds {header['kind']} weights, not {kind} weights")
    return str(path), read_state(path), header


def _filled(label: str, build: Callable[[], tuple[N, Mapping[str, Tensor]]]) -> N:
    """Load the state dict that `build` returns into the network that it returns.

    The network is built without memory for its parameters, since an untrusted header may ask for any size. Tensors are
    copied only when their names and shapes are known to be the network's.

    Raises:
        WeightsError: For any exception, since a damaged header or state dict can cause many types.
    """
    try:
        with torch.inference_mode(False), torch.device("meta"):
            network, state = build()
        shapes = {key: value.detach().to("meta", torch.float32) for key, value in state.items()}
        network.load_state_dict(shapes, assign=True)
        with torch.inference_mode(False):  # else the parameters could not be used outside of it
            own = {key: value.detach().to("cpu", torch.float32, copy=True) for key, value in state.items()}
            network.load_state_dict(own, assign=True)
    except Exception as error:
        raise WeightsError(f"{label}: {first_line(error)}") from None
    network.eval()
    return network
