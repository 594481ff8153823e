"""The videos of a folder, and shards of pictures.

A shard is a tar in webdataset's layout (KEY.0.jpg, KEY.1.jpg ..., KEY.json).
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import cv2
import numpy as np

Image = np.ndarray  # uint8 [H,W,3]
Sample = tuple[str, list[Image], dict[str, Any]]  # key, pictures, facts

VIDEO_SUFFIXES = {".mp4", ".mkv", ".webm", ".mov", ".avi", ".ts", ".gif"}
CUT = 0.10  # mean change of a 32x32 thumbnail, of 1, from one frame to the next


@dataclass(frozen=True, slots=True)
class Clip:
    path: Path
    kind: str
    frames: int


def find_clips(folder: Path) -> list[Clip]:
    """The videos of a folder, with kinds from a manifest.json in it or above it where there is one.

    Raises ValueError when the folder holds no video.
    """
    kinds: dict[str, str] = {}
    for place in (folder, folder.parent):
        if (place / "manifest.json").is_file():
            kinds |= {
                Path(entry["file"]).name: entry["kind"]
                for entry in json.loads((place / "manifest.json").read_text())
            }
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    if not paths:
        raise ValueError(f"{folder}: holds no video")
    counted = ((path, int(cv2.VideoCapture(os.fspath(path)).get(cv2.CAP_PROP_FRAME_COUNT))) for path in paths)
    return [Clip(path, kinds.get(path.name, "natural"), frames) for path, frames in counted]


def write_shard(path: Path, samples: Iterable[Sample], kind: str) -> int:
    """Store samples, pictures as BGR [H,W,3] or as labels [H,W] in the format `kind`, "jpg" or "png"; returns how many.

    The shard is there when it is whole; of no samples there is none. Two that write the same do not meet.
    """
    part, count = path.with_suffix(f".{uuid4().hex}.part"), 0
    quality = [cv2.IMWRITE_JPEG_QUALITY, 96] if kind == "jpg" else []
    try:
        with tarfile.open(part, "w") as tar:
            for key, pictures, facts in samples:
                for number, picture in enumerate(pictures):
                    _put(
                        tar, f"{key}.{number}.{kind}", cv2.imencode(f".{kind}", picture, quality)[1].tobytes()
                    )
                _put(tar, f"{key}.json", json.dumps(facts).encode())
                count += 1
        if count:
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return count


def _put(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


class Shards:
    """Random access to the samples of a folder's `PREFIX*.tar`, or of one tar; safe to share between processes.

    Raises ValueError where there is none, or a damaged one.
    """

    def __init__(self, folder: Path, prefix: str = "tuples") -> None:
        self.paths = [folder] if folder.is_file() else sorted(folder.glob(f"{prefix}*.tar"))
        if not self.paths:
            raise ValueError(f"{folder}: holds no {prefix}*.tar (run `python -m distill prepare` first)")
        entries: dict[str, dict[str, tuple[int, int, int]]] = {}
        for number, path in enumerate(self.paths):
            for name, place, size in _contents(path):
                key, _, part = name.partition(".")
                entries.setdefault(key, {})[part] = (number, place, size)
        self.keys = [*entries]
        self.samples = [*entries.values()]
        self.facts: list[dict[str, Any]] = [json.loads(self._read(sample["json"])) for sample in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def pictures(self, index: int) -> int:
        """How many pictures a sample has."""
        return len(self.samples[index]) - 1

    def frames(self, index: int) -> list[Image]:
        """The pictures of one sample in order: RGB [H,W,3], or [H,W] where they are labels."""
        parts = {
            int(name.partition(".")[0]): place
            for name, place in self.samples[index].items()
            if name != "json"
        }
        return [self._picture(parts[number]) for number in sorted(parts)]

    def _picture(self, place: tuple[int, int, int]) -> Image:
        picture = cv2.imdecode(np.frombuffer(self._read(place), np.uint8), cv2.IMREAD_UNCHANGED)
        if picture is None:
            raise ValueError(f"{self.paths[place[0]]}: holds a damaged picture")
        return picture[..., ::-1] if picture.ndim == 3 else picture

    def _read(self, place: tuple[int, int, int]) -> bytes:
        number, offset, size = place
        with open(self.paths[number], "rb") as file:
            return os.pread(file.fileno(), size, offset)


def _contents(path: Path) -> list[tuple[str, int, int]]:
    """Name, place and size of what a tar holds. Raises ValueError."""
    try:
        with tarfile.open(path) as tar:
            return [(member.name, member.offset_data, member.size) for member in tar]
    except tarfile.TarError as error:
        raise ValueError(f"{path}: damaged shard ({error})") from None
