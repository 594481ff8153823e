"""Find weights files by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from maskvfi.errors import WeightsError
from maskvfi.models.rife.ncnn import is_ncnn
from maskvfi.models.rife.variants import version_of
from maskvfi.paths import PathLike, cache_folder
from maskvfi.weights.catalogue import SOURCES
from maskvfi.weights.read import read_header, sha256

SUFFIXES = (".safetensors", ".pkl", ".pth", ".pt", ".zip")
PRETRAINED = "model.safetensors"  # the weights in a folder that `save_pretrained` wrote
PACKAGE_DATA = "weight_files"  # in an installed package: the folder with the files of weights/


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A weights file that can be loaded by name.

    Attributes:
        name: Its name.
        path: Where it is.
        kind: "vfi", "static", "unknown" or "unreadable".
    """

    name: str
    path: Path
    kind: str

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file."""
        return sha256(self.path)


def find_weights(name: PathLike) -> Path:
    """Find the file, or the folder of an ncnn port, that a name means.

    Args:
        name: A name such as "vfi-s" or "4.25", or a path.

    Raises:
        WeightsError: There is none; the message says where it was searched.
    """
    path = Path(name)
    if path.is_file() or is_ncnn(path):
        return path
    if (path / PRETRAINED).is_file():
        return path / PRETRAINED
    if len(path.parts) > 1 and path.is_dir():
        raise WeightsError(f"{path}: a folder without flownet.param and flownet.bin, or {PRETRAINED}")
    if path.suffix in SUFFIXES or len(path.parts) > 1:
        raise WeightsError(f"{path}: no such weights file")
    rife = f"rife-{version_of(path.name)}"
    for folder in weight_folders():
        for stem in (path.name, rife):
            for suffix in SUFFIXES:
                candidate = folder / f"{stem}{suffix}"
                if candidate.is_file():
                    return candidate
    places = " or ".join(str(folder) for folder in weight_folders())
    if any(source.name == rife for source in SOURCES):
        raise WeightsError(f"no {rife} in {places}; `maskvfi weights get {rife}` downloads it")
    known = ", ".join(sorted(file.name for file in list_weights())) or "none"
    raise WeightsError(
        f"unknown weights {str(name)!r}: no such file, and none of that name in {places}; there are: {known}"
    )


def list_weights() -> Iterator[WeightsFile]:
    """The weights files that `find_weights` finds by name: those of the package, then the user's own."""
    seen = set()
    for folder in weight_folders():
        # Others are half-written, or what macOS keeps beside a file.
        files = [path for path in folder.glob("[!.]*") if path.suffix in SUFFIXES]
        for path in sorted(files, key=lambda path: (path.stem, SUFFIXES.index(path.suffix))):
            if path.stem not in seen:
                seen.add(path.stem)
                yield WeightsFile(path.stem, path, _kind(path))


def name_of(path: Path) -> str:
    """The name of weights in reports: that of a file without its suffix, or that of an ncnn folder."""
    return path.name if path.is_dir() else path.stem


def own_folder() -> Path:
    """The folder of downloaded and own weights: MASKVFI_WEIGHTS, or the cache folder."""
    return Path(os.environ.get("MASKVFI_WEIGHTS") or cache_folder())


def weight_folders() -> list[Path]:
    """The folders that are searched for a name: that of the package, then the user's own."""
    package = Path(__file__).parents[1]
    bundled = [folder for folder in (package / PACKAGE_DATA, package.parent / "weights") if folder.is_dir()]
    return [*bundled[:1], own_folder()]


def _kind(path: Path) -> str:
    """What a weights file is for, by its header."""
    try:
        return str(read_header(path).get("kind", "vfi" if path.stem.startswith("rife") else "unknown"))
    except WeightsError:
        return "unreadable"
