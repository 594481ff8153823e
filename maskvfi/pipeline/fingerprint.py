"""The facts that an output depends on. A resumed run compares them with those of the run before."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import av
import cv2
import scenedetect
import torch

from maskvfi.options import MaskOptions
from maskvfi.paths import PathLike, sha256
from maskvfi.runtimes.base import PACKAGES
from maskvfi.version import __version__
from maskvfi.video.images import is_image_source
from maskvfi.video.pictures import find_pictures

SAMPLE = 1 << 20  # bytes that are hashed at the beginning and at the end of a file


def facts_of(
    source: PathLike,
    options: MaskOptions,
    computed_by: Mapping[str, Any],
    weights: Sequence[Mapping[str, str]],
) -> dict[str, Any]:
    """The facts that an output depends on. A run can be resumed only if they are equal.

    Args:
        source: The input.
        options: All options of the run.
        computed_by: Device, precision and runtime, by these names; other entries count too.
        weights: Name, path and SHA-256 of the weights, as in `Report.weights`.

    Returns:
        The facts by name, as JSON types.
    """
    painted = [path for path in (options.protect, options.release) if path is not None]
    libraries = {each.__name__: each.__version__ for each in (torch, av, cv2, scenedetect)}
    if package := PACKAGES.get(str(computed_by.get("runtime"))):
        libraries[package] = import_module(package).__version__
    return {
        "version": __version__,
        "input": fingerprint(source),
        "options": options.to_dict(),
        "weights": [each["sha256"] for each in weights],
        "painted masks": [sha256(Path(path)) for path in painted],
        **computed_by,
        "libraries": libraries,
    }


def fingerprint(source: PathLike) -> str:
    """Hash a file, a folder of files or the images of a pattern, without reading large files whole.

    Args:
        source: The file, folder or pattern, or an address.

    Returns:
        SHA-256, in hex, of the size and the first and last MiB of the file, or of every picture with its name; of an
        address, the hash of its text.
    """
    path, digest = Path(source), hashlib.sha256()
    many = is_image_source(source)
    if not many and not path.is_file():
        digest.update(os.fsencode(source))
    for file in find_pictures(source) if many else [path] if path.is_file() else []:
        size = file.stat().st_size
        digest.update(os.fsencode(f"{file.name if many else ''} {size}\n"))
        with file.open("rb") as data:
            digest.update(data.read(SAMPLE))
            data.seek(max(size - SAMPLE, 0))
            digest.update(data.read(SAMPLE))
    return digest.hexdigest()
