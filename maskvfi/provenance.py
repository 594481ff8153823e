"""What the frames of a run depend on: whoever goes on with it must find the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import torch

from maskvfi import hub
from maskvfi.version import __version__

SAMPLE = 1 << 20  # bytes at either end of a file that tell it from others


def facts_of(
    source: str | os.PathLike[str],
    options: Mapping[str, Any],
    computed_by: Mapping[str, str],
    weights: Sequence[Mapping[str, str]],
) -> dict[str, Any]:
    """Facts in terms of JSON; options are `interpolate`'s, weights the report's, computed_by its device, precision and
    runtime.
    """
    painted = [options[name] for name in ("protect", "release") if options[name] is not None]
    return {
        "version": __version__,
        "input": fingerprint(Path(source)),
        "options": {name: _plain(value) for name, value in options.items()},
        "weights": [each["sha256"] for each in weights],
        "painted masks": [hub.sha256(Path(path)) for path in painted],
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


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | dict) else str(value)
