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
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console

from distill.arrays import Image
from maskvfi.paths import VIDEO_SUFFIXES, written_whole

Sample = tuple[str, list[Image], dict[str, Any]]  # key, pictures, facts

MOST_FRAMES = 10**8  # more is not a video's length, but a container that does not know it


@dataclass(frozen=True, slots=True)
class Clip:
    """A video, its kind of footage, the number of frames its container promises, and its split ("" if not known)."""

    path: Path
    kind: str
    frames: int
    split: str


def find_clips(folder: Path) -> list[Clip]:
    """The videos of a folder and of the folders in it.

    Args:
        folder: Where to look. A manifest.json there, or one folder up, says the kind of footage and the split
            ("train", "dev" ...) of each video.

    Returns:
        The clips, in order of their paths; without a manifest their kind is "natural".

    Raises:
        ValueError: There is no such folder, no video, or none that can be read. Others that cannot be read are left
            out by name.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder")
    said: dict[str, tuple[str, str]] = {}
    for place in (folder.parent, folder):  # the folder's own manifest wins
        said |= _kinds(place / "manifest.json")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    if not paths:
        raise ValueError(f"{folder}: holds no video")
    clips = []
    for path in paths:
        if frames := _count(path):
            kind, split = said.get(os.fspath(path), said.get(path.name, ("natural", "")))
            clips.append(Clip(path, kind, frames, split))
        else:
            say(f"{path}: cannot be read, left out")
    if not clips:
        raise ValueError(f"{folder}: holds no video that can be read")
    return clips


def say(line: str) -> None:
    """Print a line beside the progress bar."""
    Console(stderr=True, markup=False).print(line, soft_wrap=True)


def _kinds(manifest: Path) -> dict[str, tuple[str, str]]:
    """Kind and split by path, and by name, since a folder may be moved; none where a manifest is another program's."""
    try:
        entries = json.loads(manifest.read_text())
    except (OSError, ValueError):
        return {}
    said = {}
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("file"), str):
            facts = str(entry.get("kind", "natural")), str(entry.get("split", ""))
            said[Path(entry["file"]).name] = said[os.fspath(manifest.parent / entry["file"])] = facts
    return said


def _count(path: Path) -> int:
    """How many frames a video has, 0 if the first cannot be read.

    That is what its container says, or what can be read where that says nothing.
    """
    video = cv2.VideoCapture(os.fspath(path))
    promised = video.get(cv2.CAP_PROP_FRAME_COUNT)
    if not video.grab():
        return 0
    if 0 < promised < MOST_FRAMES:
        return int(promised)
    count = 1
    while video.grab():
        count += 1
    return count


def write_shard(path: Path, samples: Iterable[Sample], kind: str) -> int:
    """Write samples as one shard, which appears when it is whole. Several processes may write the same one.

    Args:
        path: The tar to write; what lies there is replaced. Without samples there is no file.
        samples: Their pictures are BGR [H,W,3], or labels [H,W].
        kind: The format of the pictures, "jpg" or "png".

    Returns:
        How many samples there were.

    Raises:
        MediaError: The shard cannot be written.
    """
    samples, count = iter(samples), 0
    if (first := next(samples, None)) is None:
        path.unlink(missing_ok=True)
        return 0
    quality = [cv2.IMWRITE_JPEG_QUALITY, 96] if kind == "jpg" else []
    with written_whole(path) as partial, tarfile.open(partial, "w") as tar:
        for key, pictures, facts in chain([first], samples):
            for number, picture in enumerate(pictures):
                data = cv2.imencode(f".{kind}", picture, quality)[1].tobytes()
                _put(tar, f"{key}.{number}.{kind}", data)
            _put(tar, f"{key}.json", json.dumps(facts).encode())
            count += 1
    return count


def remove_partial(folder: Path, prefix: str) -> None:
    """Delete the unfinished shards PREFIX-*.tar that killed runs left in a folder."""
    for left in folder.glob(f".{prefix}-*.partial.tar"):
        left.unlink(missing_ok=True)


def _put(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


class Shards:
    """Random access to the samples in shards; safe to share between processes.

    Attributes:
        paths: The tars.
        keys: Of the samples, in order.
        facts: What is stored of each sample beside its pictures.
    """

    def __init__(self, folder: Path, prefix: str = "tuples") -> None:
        """Look up what the shards hold.

        Args:
            folder: One tar, or the folder of tars named PREFIX*.tar.
            prefix: See folder.

        Raises:
            ValueError: There is no such shard, or a damaged one.
        """
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
        if damaged := next(
            (sample for sample in self.samples if len(sample) < 2 or "json" not in sample), None
        ):
            path = self.paths[next(iter(damaged.values()))[0]]
            raise ValueError(f"{path}: damaged shard (it ends too soon)")
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

    def check_size(self, size: int) -> None:
        """Raise ValueError if squares of `size` px do not fit into the pictures of the first sample."""
        side = min(self.frames(0)[0].shape[:2])
        if side < size:
            raise ValueError(
                f"{self.paths[0]}: its pictures are {side} px wide, samples of {size} px do not fit"
            )

    def _picture(self, place: tuple[int, int, int]) -> Image:
        picture = cv2.imdecode(np.frombuffer(self._read(place), np.uint8), cv2.IMREAD_UNCHANGED)
        if picture is None:
            raise ValueError(f"{self.paths[place[0]]}: holds a damaged picture")
        return picture[..., ::-1] if picture.ndim == 3 else picture

    def _read(self, place: tuple[int, int, int]) -> bytes:
        number, offset, size = place
        with open(self.paths[number], "rb") as file:
            file.seek(offset)
            return file.read(size)


def _contents(path: Path) -> list[tuple[str, int, int]]:
    """Name, place and size of what a tar holds. Raises ValueError."""
    try:
        with tarfile.open(path) as tar:
            return [(member.name, member.offset_data, member.size) for member in tar]
    except tarfile.TarError as error:
        raise ValueError(f"{path}: damaged shard ({error})") from None
