"""Weights files as untrusted input: their header, their tensors and their hash; no code in them runs."""

from __future__ import annotations

import hashlib
import io
import json
import warnings
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from maskvfi.errors import WeightsError
from maskvfi.models.rife.ncnn import NUMBERS, read_ncnn

HEADER = "maskvfi"
MAX_BYTES = 2 << 30  # that a network in an archive may unpack to
MAX_CAUSE = 200  # characters


def read_header(path: Path) -> dict[str, Any]:
    """What a safetensors file of ours says of itself; empty for any other file."""
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(HEADER, "{}"))
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({first_line(error)})") from None
    return header if isinstance(header, dict) else {}


def sha256(path: Path) -> str:
    """The SHA-256 of a weights file, or of an ncnn folder's numbers."""
    with open(data_of(path), "rb") as file:
        return (
            hashlib.file_digest(file, "sha256").hexdigest()
            if hasattr(hashlib, "file_digest")
            else _digest(file)
        )


def count_parameters(path: Path) -> int:
    """How many numbers a weights file holds."""
    return sum(value.numel() for value in read_state(path).values())


def read_state(path: Path) -> dict[str, Tensor]:
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
        raise WeightsError(f"{path}: not readable as weights ({first_line(error)})") from None


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
    if sum(member.file_size for member in members) > MAX_BYTES:
        raise ValueError("what is in it is larger than any network")
    for member in members:
        if member.filename.startswith("/") or ".." in PurePosixPath(member.filename).parts:
            raise ValueError(f"{member.filename!r} in it leads out of it")
    return [member.filename for member in members]


def data_of(path: Path) -> Path:
    return path / NUMBERS if path.is_dir() else path


def _digest(file: Any) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()


def first_line(error: BaseException) -> str:
    """The cause in one line; torch puts the first mismatch on its second line."""
    lines = [line.strip() for line in (str(error).strip() or type(error).__name__).splitlines()]
    return (" ".join(lines[:2]) if lines[0].endswith(":") else lines[0])[:MAX_CAUSE]
