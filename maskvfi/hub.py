"""Weights: where a name leads, how a file is read without trusting it, how ours are written."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeVar

import torch
import torch.nn as nn
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from maskvfi.rife.detect import clean, detect, rename_encoder
from maskvfi.rife.ncnn import NUMBERS, is_ncnn, read_ncnn
from maskvfi.rife.network import IFNet
from maskvfi.rife.variants import Variant, find_variant
from maskvfi.sources import SOURCES
from maskvfi.static.network import StaticConfig, StaticMaskNet

DEFAULT_VFI = "vfi-s"
DEFAULT_STATIC = "static-s"
HEADER = "maskvfi"
LARGEST = 2 << 30  # bytes that a network in an archive may unpack to
LONGEST = 200  # characters of a cause
SUFFIXES = (".safetensors", ".pkl", ".pth", ".pt", ".zip")

N = TypeVar("N", IFNet, StaticMaskNet)


class WeightsError(ValueError):
    """Weights that are missing, damaged, or made for something else; the message names file and cause."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A weights file that a name leads to: where it lies and what it is for ("vfi", "static" or "unknown")."""

    name: str
    path: Path
    kind: str

    @property
    def sha256(self) -> str:
        return sha256(self.path)


def load_vfi(source: str | os.PathLike[str] | Mapping[str, Tensor], variant: str | None = None) -> IFNet:
    """An interpolation network in evaluation mode, on the CPU, in float32.

    source is a name ("vfi-s", "rife-4.25"), a state dict, or a path: .safetensors, .pkl, .pth, a .zip that holds a
    flownet.pkl, or a folder with flownet.param and flownet.bin of an ncnn port. The network is told from keys and
    shapes; variant (a family or a version such as "4.25.lite") overrides that. Raises WeightsError when the weights
    are missing, damaged or of another kind, ValueError for an unknown variant.
    """
    wanted = find_variant(variant) if variant else None
    label, state, header = _open(source, "vfi")
    state = clean(state)

    def build() -> tuple[IFNet, Mapping[str, Tensor]]:
        known = wanted or (Variant.from_dict(header["variant"]) if "variant" in header else detect(state))
        return IFNet(known), rename_encoder(state, known)

    return _filled(label, build)


def load_static(source: str | os.PathLike[str] | Mapping[str, Tensor] = DEFAULT_STATIC) -> StaticMaskNet:
    """A static mask network in evaluation mode, on the CPU, in float32.

    source is a name ("static-s"), a path to a .safetensors file of ours, or a state dict. Raises
    WeightsError when the weights are missing, damaged or of another kind.
    """
    label, state, header = _open(source, "static")
    return _filled(label, lambda: (StaticMaskNet(StaticConfig(**header.get("config", {}))), state))


def save_weights(path: str | os.PathLike[str], network: IFNet | StaticMaskNet, **facts: Any) -> None:
    """Write `network` as one safetensors file whose header says how to build it, and `facts` beside that."""
    if isinstance(network, IFNet):
        header: dict[str, Any] = {"kind": "vfi", "variant": network.variant.to_dict()}
    else:
        header = {"kind": "static", "config": network.config.to_dict()}
    state = {key: value.detach().float().cpu().contiguous() for key, value in network.state_dict().items()}
    part = Path(f"{os.fspath(path)}.part")
    try:
        save_file(state, part, metadata={"format": "pt", HEADER: json.dumps(header | facts)})
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def convert_weights(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    variant: str | None = None,
    overwrite: bool = False,
    **facts: Any,
) -> Path:
    """Write any weights that can be read as one .safetensors file of ours, and give its path.

    source and variant are as in `load_vfi`; facts go into the header, beside what the source's own says. Raises
    WeightsError when the weights cannot be read, or the target is of another kind or exists; then nothing is written.
    """
    path, target = find_weights(source), Path(target)
    if target.suffix != ".safetensors":
        raise WeightsError(f"{target}: weights are converted to .safetensors only")
    if target.exists() and not overwrite:
        raise WeightsError(f"{target}: exists; --overwrite replaces it")
    if not target.parent.is_dir():
        raise WeightsError(f"{target}: there is no folder {target.parent}")
    header = read_header(path)
    network = load_static(path) if header.get("kind") == "static" else load_vfi(path, variant)
    kept = {key: value for key, value in header.items() if key not in ("kind", "variant", "config")}
    origin = {"converted_from": path.name, "source_sha256": sha256(path)}
    save_weights(target, network, **(origin | kept | facts))
    return target


def find_weights(name: str | os.PathLike[str]) -> Path:
    """The file, or ncnn folder, behind a name or path. Raises WeightsError naming the places that were looked in."""
    path = Path(name)
    if path.is_file() or is_ncnn(path):
        return path
    if len(path.parts) > 1 and path.is_dir():
        raise WeightsError(f"{path}: a folder without flownet.param and flownet.bin")
    if path.suffix in SUFFIXES or len(path.parts) > 1:
        raise WeightsError(f"{path}: no such weights file")
    for folder in weight_folders():
        for stem in (path.name, f"rife-{path.name}"):
            for suffix in SUFFIXES:
                candidate = folder / f"{stem}{suffix}"
                if candidate.is_file():
                    return candidate
    places = " or ".join(str(folder) for folder in weight_folders())
    wanted = f"rife-{path.name.removeprefix('rife-')}"
    if any(source.name == wanted for source in SOURCES):
        raise WeightsError(f"no {wanted} in {places}; `maskvfi weights get {wanted}` downloads it")
    known = ", ".join(sorted(file.name for file in list_weights())) or "none"
    raise WeightsError(
        f"unknown weights {str(name)!r}: no such file, and none of that name in {places}; there are: {known}"
    )


def list_weights() -> Iterator[WeightsFile]:
    """Every weights file that has a name: those that came with the package, then the user's own."""
    seen = set()
    for folder in weight_folders():
        for path in sorted(folder.glob("*")):
            if path.suffix in SUFFIXES and path.stem not in seen:
                seen.add(path.stem)
                yield WeightsFile(path.stem, path, _kind(path))


def name_of(path: Path) -> str:
    """What weights are called in reports: a file without its suffix, an ncnn folder as it is."""
    return path.name if path.is_dir() else path.stem


def describe(name: str | os.PathLike[str]) -> Iterator[tuple[str, str]]:
    """What is known of weights: pairs of a property and its value. Raises WeightsError."""
    path = find_weights(name)
    header = read_header(path)
    yield "name", name_of(path)
    yield "path", str(path)
    yield "size", f"{_data_of(path).stat().st_size:,} bytes"
    yield "sha256", sha256(path)
    network: nn.Module
    if header.get("kind") == "static":
        network = load_static(path)
        yield "kind", "static mask"
    else:
        network = load_vfi(path)
        yield "kind", f"interpolation, RIFE family {network.variant.family}"
    yield "parameters", f"{sum(parameter.numel() for parameter in network.parameters()):,}"
    for key, value in header.items():
        if key != "kind":
            yield key, json.dumps(value) if isinstance(value, dict | list) else str(value)


def count_parameters(path: Path) -> int:
    """How many numbers a weights file holds."""
    return sum(value.numel() for value in _read_state(path).values())


def cache_folder() -> Path:
    """Where the user's own weights, and what is made of them, are kept: MASKVFI_HOME, or the platform's cache."""
    if home := os.environ.get("MASKVFI_HOME"):
        return Path(home)
    if sys.platform == "win32":
        caches = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        caches = Path.home() / "Library" / "Caches"
    else:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "maskvfi"


def own_folder() -> Path:
    """Where weights are downloaded to, and the user's own are found: MASKVFI_WEIGHTS, or the cache folder."""
    return Path(os.environ.get("MASKVFI_WEIGHTS") or cache_folder())


def weight_folders() -> list[Path]:
    """Where names are looked up: inside the package, then in the user's own folder."""
    package = Path(__file__).parent
    bundled = [folder for folder in (package / "weights", package.parent / "weights") if folder.is_dir()]
    return [*bundled[:1], own_folder()]


def read_header(path: Path) -> dict[str, Any]:
    """What a safetensors file of ours says of itself; empty for any other file."""
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(HEADER, "{}"))
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({_first_line(error)})") from None
    return header if isinstance(header, dict) else {}


def sha256(path: Path) -> str:
    """The SHA-256 of a weights file, or of an ncnn folder's numbers."""
    with open(_data_of(path), "rb") as file:
        return (
            hashlib.file_digest(file, "sha256").hexdigest()
            if hasattr(hashlib, "file_digest")
            else _digest(file)
        )


def _open(
    source: str | os.PathLike[str] | Mapping[str, Tensor], kind: str
) -> tuple[str, Mapping[str, Tensor], dict[str, Any]]:
    if isinstance(source, Mapping):
        return "state dict", source, {}
    path = find_weights(source)
    header = read_header(path)
    if header.get("kind", kind) != kind:
        raise WeightsError(f"{path}: holds {header['kind']} weights, not {kind} weights")
    return str(path), _read_state(path), header


def _filled(label: str, build: Callable[[], tuple[N, Mapping[str, Tensor]]]) -> N:
    """The network that `build` makes, with the tensors it names; no memory is taken for what a header promises.

    A header may hold anything, and there are as many errors as nonsense to write into it.
    """
    try:
        with torch.device("meta"):
            network, state = build()
        own = {key: value.detach().to(torch.float32, copy=True) for key, value in state.items()}
        network.load_state_dict(own, assign=True)
    except Exception as error:
        raise WeightsError(f"{label}: {_first_line(error)}") from None
    return network.eval()


def _read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a weights file; no code in it is run."""
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as tensors:
                return {key: tensors.get_tensor(key) for key in tensors.keys()}  # noqa: SIM118
        if path.is_dir():
            return read_ncnn(path)
        if zipfile.is_zipfile(path) and (member := _flownet_in(path)):
            with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
                return _unpickled(io.BytesIO(stream.read()), path)
        with open(path, "rb") as file:
            return _unpickled(file, path)
    except WeightsError:
        raise
    except Exception as error:  # an unpickler fails in as many ways as a file can be damaged
        raise WeightsError(f"{path}: not readable as weights ({_first_line(error)})") from None


def _unpickled(file: IO[bytes], path: Path) -> dict[str, Tensor]:
    if zipfile.is_zipfile(file):  # as torch writes it
        _members(file)
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd pickle protocols: a damaged file has them
        state = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path}: holds no state dict (tensors by name)")
    return state


def _flownet_in(path: Path) -> str | None:
    """The member of an official archive that holds the network; its code is not looked at."""
    return next((name for name in _members(path) if PurePosixPath(name).name == "flownet.pkl"), None)


def _members(file: Any) -> list[str]:
    """The names in a zip archive. Raises ValueError where they lead out of it or unpack to more than any network."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
    if sum(member.file_size for member in members) > LARGEST:
        raise ValueError("what is in it is larger than any network")
    for member in members:
        if member.filename.startswith("/") or ".." in PurePosixPath(member.filename).parts:
            raise ValueError(f"{member.filename!r} in it leads out of it")
    return [member.filename for member in members]


def _data_of(path: Path) -> Path:
    return path / NUMBERS if path.is_dir() else path


def _kind(path: Path) -> str:
    try:
        return str(read_header(path).get("kind", "vfi" if path.stem.startswith("rife") else "unknown"))
    except WeightsError:
        return "unreadable"


def _digest(file: Any) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def _first_line(error: BaseException) -> str:
    """The cause in one line; torch puts the first mismatch on its second line."""
    lines = [line.strip() for line in (str(error).strip() or type(error).__name__).splitlines()]
    return (" ".join(lines[:2]) if lines[0].endswith(":") else lines[0])[:LONGEST]
