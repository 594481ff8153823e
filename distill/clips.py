"""Videos into shards of frame tuples, and the shards back into arrays.

A shard is a tar in webdataset's layout (KEY.0.jpg, KEY.1.jpg ..., KEY.json). Tuples are drawn by kind of
clip and by how much moves, not by frame: most footage at hand hardly moves.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import cv2
import numpy as np
from rich.progress import track

from distill.layouts import PICTURE_SUFFIXES, find_sequences

Image = np.ndarray  # uint8 [H,W,3]

KIND_SHARE = {
    "natural": 0.46,
    "cg": 0.15,
    "static-camera": 0.15,
    "screen": 0.12,
    "gameplay": 0.06,
    "anime": 0.06,
}
VIDEO_SUFFIXES = {".mp4", ".mkv", ".webm", ".mov", ".avi", ".ts", ".gif"}
CUT = 0.10  # mean change of a 32x32 thumbnail, of 1, from one frame to the next
TUPLES_PER_SHARD = 500


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


def prepare(
    clips: Path, out: Path, tuples: int = 4000, length: int = 5, size: int = 256, seed: int = 0
) -> int:
    """Cut `tuples` tuples of `length` frames, `size` px square, out of a folder; returns how many were found.

    The folder holds videos or is a data set that `layouts.py` knows; what is longer than a tuple is also taken at a
    fraction of its frame rate, what is shorter as it is. Raises ValueError when there is neither.
    """
    out.mkdir(parents=True, exist_ok=True)
    if sequences := find_sequences(clips):
        rng = np.random.default_rng(seed)
        chosen = (
            rng.permutation(len(sequences))[:tuples] if tuples < len(sequences) else range(len(sequences))
        )
        with _ShardWriter(out, "tuples") as writer:
            for number in track(sorted(chosen), description="cutting tuples"):
                sequence = sequences[number]
                frames = [_read_picture(path) for path in _spread(sequence.paths, length, rng)]
                cut, motion = _choose_crop(frames, size, rng)
                writer.add(
                    sequence.name, cut, {"clip": sequence.name, "kind": sequence.kind, "motion": motion}
                )
            return writer.count
    found = find_clips(clips)
    total = sum(KIND_SHARE.get(kind, 0.1) for kind in {clip.kind for clip in found})
    weight = Counter({clip.path: clip.frames**0.5 for clip in found})
    per_kind = {
        kind: sum(weight[c.path] for c in found if c.kind == kind) for kind in {c.kind for c in found}
    }
    with _ShardWriter(out, "tuples") as writer:
        for index, clip in enumerate(track(found, description="cutting tuples")):
            share = KIND_SHARE.get(clip.kind, 0.1) / total * weight[clip.path] / per_kind[clip.kind]
            rng = np.random.default_rng((seed, index))
            for number, (frames, motion) in enumerate(
                _tuples(clip, round(tuples * share), length, size, rng)
            ):
                facts = {"clip": clip.path.name, "kind": clip.kind, "motion": motion}
                writer.add(f"{clip.path.stem}-{number:04d}".replace(".", "_"), frames, facts)
        return writer.count


def prepare_textures(pictures: Path, out: Path, count: int = 1600, size: int = 384, seed: int = 0) -> int:
    """Square crops of still pictures, the material of synthetic motion; returns how many were written."""
    paths = sorted(path for path in pictures.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not paths:
        raise ValueError(f"{pictures}: holds no picture")
    rng = np.random.default_rng(seed)
    out.mkdir(parents=True, exist_ok=True)
    with _ShardWriter(out, "textures") as writer:
        for index in track(range(count), description="cutting textures"):
            path = paths[index % len(paths)]
            picture = cv2.imread(os.fspath(path), cv2.IMREAD_COLOR)
            if picture is None:
                continue
            picture = _at_least(picture, size)
            if rng.random() < 0.5 and min(picture.shape[:2]) > 1.3 * size:
                picture = _at_least(
                    cv2.resize(picture, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA), size
                )
            writer.add(f"texture-{index:05d}", [_crop(picture, size, rng)], {"picture": path.name})
        return writer.count


def write_labels(path: Path, labels: Iterable[tuple[str, list[Image]]], facts: dict[str, Any]) -> None:
    """Store label pictures [H,W] of tuples, given with their keys, as one shard, which is there when it is whole."""
    with _Shard(path) as shard:
        for key, pictures in labels:
            shard.add(key, pictures, facts, "png")


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


class _ShardWriter:
    """Samples into as many shards as they need; shards of before go."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self.folder, self.prefix, self.count = folder, prefix, 0
        self.shard: _Shard | None = None

    def __enter__(self) -> _ShardWriter:
        for old in self.folder.glob(f"{self.prefix}-*"):
            if old.suffix in (".tar", ".part"):
                old.unlink()
        return self

    def __exit__(self, *failure: Any) -> None:
        if self.shard:
            self.shard.__exit__(*failure)

    def add(self, key: str, frames: list[Image], facts: dict[str, Any]) -> None:
        number, first = divmod(self.count, TUPLES_PER_SHARD)
        if first == 0:
            self.__exit__(None, None, None)
            self.shard = _Shard(self.folder / f"{self.prefix}-{number:04d}.tar")
        assert self.shard is not None
        self.shard.add(key, frames, facts, "jpg")
        self.count += 1


class _Shard:
    """One tar file of samples, named so when it is whole; two that write the same do not meet."""

    def __init__(self, path: Path) -> None:
        self.path, self.part = path, path.with_suffix(f".{uuid4().hex}.part")
        self.tar = tarfile.open(self.part, "w")  # noqa: SIM115

    def __enter__(self) -> _Shard:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.tar.close()
        if kind is None:
            self.part.replace(self.path)
        else:
            self.part.unlink()

    def add(self, key: str, frames: list[Image], facts: dict[str, Any], kind: str) -> None:
        for number, frame in enumerate(frames):
            _, data = cv2.imencode(f".{kind}", frame, [cv2.IMWRITE_JPEG_QUALITY, 96] if kind == "jpg" else [])
            self._put(f"{key}.{number}.{kind}", data.tobytes())
        self._put(f"{key}.json", json.dumps(facts).encode())

    def _put(self, name: str, data: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        self.tar.addfile(entry, io.BytesIO(data))


def _tuples(
    clip: Clip, wanted: int, length: int, size: int, rng: np.random.Generator
) -> Iterator[tuple[list[Image], float]]:
    """Tuples of BGR crops with no cut inside, and how much each moves (mean difference of its ends)."""
    last = clip.frames - length
    if last < 1 or not wanted:
        return
    starts: dict[int, list[int]] = {}
    for start in rng.integers(0, last, wanted * 2):
        step = int(rng.choice([1, 1, 1, 2, 3]))
        starts.setdefault(int(start) + (length - 1) * step, []).append(step)
    window: deque[Image] = deque(maxlen=(length - 1) * 3 + 1)
    jumps: deque[float] = deque(maxlen=(length - 1) * 3 + 1)
    found: list[tuple[list[Image], float]] = []
    before: Image | None = None
    for number, frame in enumerate(_decoded(clip.path)):
        thumb = cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        jumps.append(float(np.abs(thumb - before).mean()) if before is not None else 0.0)
        before = thumb
        window.append(frame)
        for step in starts.get(number, []):
            span = (length - 1) * step
            if len(window) <= span or max(list(jumps)[len(jumps) - span :]) > CUT:
                continue
            found.append(_choose_crop(list(window)[len(window) - 1 - span :: step], size, rng))
    order = np.argsort([-motion * rng.uniform(0.3, 1) for _, motion in found])[:wanted]
    yield from (found[index] for index in sorted(order))


def _spread(paths: tuple[Path, ...], length: int, rng: np.random.Generator) -> tuple[Path, ...]:
    """`length` of the files at an even step, in order; all, where there are fewer."""
    if len(paths) <= length:
        return paths
    step = int(rng.integers(1, (len(paths) - 1) // (length - 1) + 1))
    start = int(rng.integers(0, len(paths) - step * (length - 1)))
    return paths[start::step][:length]


def _read_picture(path: Path) -> Image:
    """BGR. Raises ValueError."""
    picture = cv2.imread(os.fspath(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{path}: cannot be read as a picture")
    return picture


def _decoded(path: Path) -> Iterator[Image]:
    """The BGR frames of a video."""
    video = cv2.VideoCapture(os.fspath(path))
    while True:
        found, frame = video.read()
        if not found:
            return
        yield frame


def _choose_crop(frames: list[Image], size: int, rng: np.random.Generator) -> tuple[list[Image], float]:
    if min(frames[0].shape[:2]) >= 2 * size and rng.random() < 0.5:
        frames = [cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for frame in frames]
    frames = [_at_least(frame, size) for frame in frames]
    height, width = frames[0].shape[:2]
    difference = cv2.absdiff(frames[0], frames[-1]).mean(axis=2)
    corners = [
        (int(rng.integers(0, height - size + 1)), int(rng.integers(0, width - size + 1))) for _ in range(4)
    ]
    motion = [float(difference[y : y + size, x : x + size].mean()) for y, x in corners]
    y, x = corners[int(np.argmax(motion)) if rng.random() < 0.8 else 0]
    crops = [np.ascontiguousarray(frame[y : y + size, x : x + size]) for frame in frames]
    return crops, float(difference[y : y + size, x : x + size].mean())


def _at_least(picture: Image, size: int) -> Image:
    factor = size / min(picture.shape[:2])
    return cv2.resize(picture, None, fx=factor + 1e-3, fy=factor + 1e-3) if factor > 1 else picture


def _crop(picture: Image, size: int, rng: np.random.Generator) -> Image:
    height, width = picture.shape[:2]
    y, x = int(rng.integers(0, height - size + 1)), int(rng.integers(0, width - size + 1))
    return picture[y : y + size, x : x + size]
