"""Read weights files as untrusted input: header, tensors and hash. No code in them is executed."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from pathlib import Path, PurePosixPath
from pickle import UnpicklingError
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from maskvfi import paths
from maskvfi.errors import WeightsError
from maskvfi.models.rife.ncnn import NUMBERS, read_ncnn

HEADER = "maskvfi"  # key of our header in the metadata of a safetensors file
MAX_BYTES = 2 << 30  # of a download, and of an unpacked archive
MAX_CAUSE = 200  # characters of an error message


def read_header(path: Path) -> dict[str, Any]:
    """Read the header that `save_weights` wrote.

    Args:
        path: A weights file.

    Returns:
        The header; empty for a file of another origin.

    Raises:
        WeightsError: A safetensors file that cannot be read.
    """
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(HEADER, "{}"))
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({first_line(error)})") from None
    return header if isinstance(header, dict) else {}


def sha256(path: Path) -> str:
    """The SHA-256 of a weights file, or of an ncnn folder's flownet.bin, in hexadecimal digits."""
    return paths.sha256(data_of(path))


def count_parameters(path: Path) -> int | None:
    """The number of parameters in a weights file, or None if it cannot be read."""
    try:
        return sum(value.numel() for value in read_state(path).values())
    except WeightsError:
        return None


def read_state(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a weights file without executing code in it.

    Args:
        path: .safetensors, a pickle of torch, a zip archive with flownet.pkl, or the folder of an ncnn port.

    Returns:
        Tensors by name.

    Raises:
        WeightsError: The file cannot be read.
    """
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
    except Exception as error:  # a damaged file can make the unpickler raise any type of exception
        why = (
            "its pickle is damaged, or holds more than tensors"
            if isinstance(error, UnpicklingError)
            else first_line(error)
        )
        raise WeightsError(f"{path}: not readable as weights ({why})") from None


def _unpickled(file: IO[bytes], path: Path) -> dict[str, Tensor]:
    """The state dict in a pickle of torch; `path` is for messages."""
    if zipfile.is_zipfile(file):  # the format of torch since 1.6
        _checked_members(file)
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about pickle protocols that a damaged file seems to have
        state = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path}: holds no state dict (tensors by name)")
    # One stored number can stand for a tensor of any size (a stride of 0), and for many tensors. All are copied then.
    storages = [value.untyped_storage() for value in state.values() if not value.is_meta]
    stored = sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
    if len(storages) < len(state) or stored < sum(value.nbytes for value in state.values()):
        raise WeightsError(f"{path}: holds fewer numbers than its tensors have")
    return state


def _flownet_in(path: Path) -> str | None:
    """The name of the network's file in an official archive, which also holds code; None if there is none."""
    return next((name for name in _checked_members(path) if PurePosixPath(name).name == "flownet.pkl"), None)


def _checked_members(file: Any) -> list[str]:
    """The names in a zip archive, after checks of its size and of the names.

    Raises:
        ValueError: A name leads out of the archive, or it would unpack to more than MAX_BYTES.
    """
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
    if sum(member.file_size for member in members) > MAX_BYTES:
        raise ValueError("its contents are larger than any network")
    for member in members:
        if member.filename.startswith("/") or ".." in PurePosixPath(member.filename).parts:
            raise ValueError(f"the name {member.filename!r} in it leads out of the archive")
    return [member.filename for member in members]


def data_of(path: Path) -> Path:
    """The file with the numbers: the path itself, or flownet.bin in an ncnn folder."""
    return path / NUMBERS if path.is_dir() else path


def first_line(error: BaseException) -> str:
    """An error's message in one line: its first, with the second if the first one ends in a colon, as torch's do."""
    lines = [line.strip() for line in (str(error).strip() or type(error).__name__).splitlines()]
    return (" ".join(lines[:2]) if lines[0].endswith(":") else lines[0])[:MAX_CAUSE]
