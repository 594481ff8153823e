"""What the frames of an output depend on, to be compared when a run is resumed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import torch

from maskvfi.options import Options
from maskvfi.paths import PathLike
from maskvfi.version import __version__
from maskvfi.weights.read import sha256

SAMPLE = 1 << 20  # bytes at either end of a file that tell it from others


def facts_of(
    source: PathLike,
    options: Options,
    computed_by: Mapping[str, Any],
    weights: Sequence[Mapping[str, str]],
) -> dict[str, Any]:
    """What the frames of an output depend on, in terms of JSON: a run that goes on with it must find the same.

    Args:
        source: The input.
        options: All of them count.
        computed_by: Device, precision and runtime.
        weights: As a `Report` has them.
    """
    painted = [path for path in (options.protect, options.release) if path is not None]
    return {
        "version": __version__,
        "input": fingerprint(Path(source)),
        "options": options.to_dict(),
        "weights": [each["sha256"] for each in weights],
        "painted masks": [sha256(Path(path)) for path in painted],
        **computed_by,
        "libraries": {"torch": torch.__version__, "av": av.__version__, "cv2": cv2.__version__},
    }


def fingerprint(path: Path) -> str:
    """Tells a file or a folder of files from others, by names, sizes, and what is in their beginnings and ends."""
    found = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if not file.is_file():
            continue
        size = file.stat().st_size
        found.update(f"{file.name if path.is_dir() else ''} {size}\n".encode())
        with file.open("rb") as data:
            found.update(data.read(SAMPLE))
            data.seek(max(size - SAMPLE, 0))
            found.update(data.read(SAMPLE))
    return found.hexdigest()
