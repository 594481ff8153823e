"""Cut videos, data sets and pictures into shards: first a plan of what to cut, then one shard after another.

Tuples are drawn by kind of clip and by how much moves, not by frame, because most footage hardly moves.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

from distill.arrays import Floats, Image, Rng
from distill.data.clips import Clip, Sample, Shards, find_clips, remove_partial, say, write_shard
from distill.data.frames import (
    CUT,
    at_least,
    change,
    cropped,
    decoded,
    liveliest,
    random_squares,
    sometimes_halved,
    thumbnail,
)
from distill.data.layouts import PICTURE_SUFFIXES, FrameSequence, find_sequences
from distill.options import Recipe
from maskvfi.paths import written_whole

KIND_SHARE = {
    "natural": 0.46,
    "cg": 0.15,
    "static-camera": 0.15,
    "screen": 0.12,
    "gameplay": 0.06,
    "anime": 0.06,
}
PER_SHARD = 500  # samples, at most


@dataclass(frozen=True, slots=True)
class ClipPart:
    """A shard's part of a video: `wanted` tuples that begin at the frames from `first` up to `last`."""

    clip: Clip
    wanted: int
    first: int
    last: int

    def samples(self, recipe: Recipe, number: int) -> Iterator[Sample]:
        """The tuples of a shard, each with how much it moves.

        Args:
            recipe: Length and size of a tuple.
            number: Of the shard.
        """
        rng = np.random.default_rng((recipe.seed, number))
        for index, (frames, motion) in enumerate(self._tuples(recipe, rng)):
            facts = {"clip": self.clip.path.name, "kind": self.clip.kind, "motion": motion}
            yield f"{number:05d}-{self.clip.path.stem}-{index:04d}".replace(".", "_"), frames, facts

    def _tuples(self, recipe: Recipe, rng: Rng) -> Iterator[tuple[list[Image], float]]:
        """BGR crops without a cut inside, and how much each moves: the mean difference of its first and last frame."""
        starts: dict[int, list[int]] = {}
        for start in rng.integers(self.first, self.last, self.wanted * 2):
            step = int(rng.choice([1, 1, 1, 2, 3]))
            starts.setdefault(int(start) + (recipe.length - 1) * step, []).append(step)
        longest = (recipe.length - 1) * 3 + 1
        window: deque[Image] = deque(maxlen=longest)
        jumps: deque[float] = deque(maxlen=longest)
        found: list[tuple[list[Image], float]] = []
        before: Floats | None = None
        for number, frame in decoded(self.clip.path, range(self.first, max(starts) + 1)):
            small = thumbnail(frame)
            jumps.append(change(before, small) if before is not None else 0.0)
            before = small
            window.append(frame)
            for step in starts.get(number, []):
                span = (recipe.length - 1) * step
                if len(window) <= span or max(list(jumps)[len(jumps) - span :]) > CUT:
                    continue
                found.append(_choose_crop(list(window)[len(window) - 1 - span :: step], recipe.size, rng))
        order = np.argsort([-motion * rng.uniform(0.3, 1) for _, motion in found])[: self.wanted]
        yield from (found[index] for index in sorted(order))


@dataclass(frozen=True, slots=True)
class SequencePart:
    """A shard's part of a data set: a tuple of each of these sequences."""

    sequences: tuple[FrameSequence, ...]

    def samples(self, recipe: Recipe, number: int) -> Iterator[Sample]:
        """As `ClipPart.samples`."""
        rng = np.random.default_rng((recipe.seed, number))
        for sequence in self.sequences:
            frames = [_read_picture(path) for path in _spread(sequence.paths, recipe.length, rng)]
            cut, motion = _choose_crop(frames, recipe.size, rng)
            yield sequence.name, cut, {"clip": sequence.name, "kind": sequence.kind, "motion": motion}


Part = ClipPart | SequencePart


def prepare(clips: Path, out: Path, recipe: Recipe) -> int:
    """Cut tuples out of videos or of a data set.

    A clip is also taken at a half and a third of its frame rate. Shards that an earlier run of the same plan has cut
    are kept, those of another plan are deleted.

    Args:
        clips: A folder of videos, or a data set that `layouts.find_sequences` knows.
        out: The folder for the shards.
        recipe: How many tuples, how long and how large.

    Returns:
        How many tuples there are now.

    Raises:
        ValueError: The folder holds neither, or nothing long enough.
    """
    for number, part in track(uncut(clips, out, recipe), description="cutting tuples"):
        if not cut(part, number, out, recipe) and isinstance(part, ClipPart):
            say(f"{part.clip.path}: gave no tuple to shard {number}, too many cuts or no frames")
    return prepared(clips, out, recipe)


def prepared(clips: Path, out: Path, recipe: Recipe) -> int:
    """How many tuples were cut.

    Args:
        clips, out, recipe: As `prepare` has them.

    Raises:
        ValueError: There are none.
    """
    count = len(Shards(out)) if any(out.glob("tuples-*.tar")) else 0
    if not count:
        raise _nothing_to_cut(clips, recipe)
    return count


def _nothing_to_cut(clips: Path, recipe: Recipe) -> ValueError:
    return ValueError(f"{clips}: has no stretch of {recipe.length + 1} frames without a cut")


def uncut(clips: Path, out: Path, recipe: Recipe) -> list[tuple[int, Part]]:
    """The shards that still have to be cut, with their numbers.

    Shards of another plan are deleted, with their labels and with what was mined in them; a line says how many.
    Unfinished shards, which killed runs left behind, are deleted too.

    Args:
        clips, out, recipe: As `prepare` has them.

    Raises:
        ValueError: There is nothing to cut.
    """
    folder = clips.resolve()
    parts = plan(folder, recipe)
    # Paths inside the folder, so that it may be moved.
    written = json.dumps(
        [asdict(recipe), [asdict(part) for part in parts]],
        default=lambda path: os.path.relpath(path, folder),
        indent=1,
    )
    out.mkdir(parents=True, exist_ok=True)
    known = out / "tuples.json"
    same = known.is_file() and known.read_text() == written
    remove_partial(out, "tuples")
    if not same:
        old = [path for kind in ("tuples", "labels", "hard") for path in out.glob(f"{kind}-[0-9]*.tar")]
        if old:
            say(f"{out}: another plan; {len(old)} shards of the old one are deleted (tuples, labels, mined)")
        for path in old:
            path.unlink(missing_ok=True)
        with written_whole(known) as partial:
            partial.write_text(written)
    return [(number, part) for number, part in enumerate(parts) if not _shard(out, number).is_file()]


def plan(clips: Path, recipe: Recipe) -> list[Part]:
    """The part of the material that every shard is cut from.

    Args:
        clips, recipe: As `prepare` has them.

    Raises:
        ValueError: There is nothing to cut, or clips of several splits lie together.
    """
    if sequences := find_sequences(clips):
        rng = np.random.default_rng(recipe.seed)
        chosen = np.sort(rng.permutation(len(sequences))[: recipe.tuples])
        return [
            SequencePart(tuple(sequences[index] for index in chosen[start : start + PER_SHARD]))
            for start in range(0, len(chosen), PER_SHARD)
        ]
    found = find_clips(clips)
    if len(splits := {clip.split for clip in found} - {""}) > 1:
        raise ValueError(
            f"{clips}: holds clips of several splits ({', '.join(sorted(splits))}), name one's folder"
        )
    total = sum(KIND_SHARE.get(kind, 0.1) for kind in {clip.kind for clip in found})
    weight = {clip: clip.frames**0.5 for clip in found}
    per_kind: Counter[str] = Counter()
    for clip in found:
        per_kind[clip.kind] += weight[clip]
    parts: list[Part] = []
    share = 0.0  # of the clips so far; it is rounded where a clip ends, so that no tuple is lost
    for clip in found:
        before = round(recipe.tuples * share)
        share += KIND_SHARE.get(clip.kind, 0.1) / total * weight[clip] / per_kind[clip.kind]
        wanted, last = round(recipe.tuples * share) - before, clip.frames - recipe.length
        shards = math.ceil(wanted / PER_SHARD) if last > 0 else 0
        for k in range(shards):
            count = wanted * (k + 1) // shards - wanted * k // shards
            first = last * k // shards
            parts.append(ClipPart(clip, count, first, max(last * (k + 1) // shards, first + 1)))
    if not parts:
        raise _nothing_to_cut(clips, recipe)
    return parts


def cut(part: Part, number: int, out: Path, recipe: Recipe) -> int:
    """Cut one shard.

    Args:
        part, number: As `uncut` gives them.
        out, recipe: As `prepare` has them.

    Returns:
        How many tuples it holds: fewer than planned, or none, where a clip has too few stretches without a cut.
    """
    return write_shard(_shard(out, number), part.samples(recipe, number), "jpg")


def prepare_textures(pictures: Path, out: Path, count: int = 1600, size: int = 384, seed: int = 0) -> int:
    """Cut squares out of still pictures, the textures of synthetic motion.

    Args:
        pictures: The folder of pictures.
        out: The folder for the shards; textures that lie there are replaced.
        count: How many squares.
        size: Their side in px.
        seed: Equal seeds cut equal squares.

    Returns:
        How many were written; pictures that cannot be read are left out.

    Raises:
        ValueError: The folder holds no picture that can be read.
    """
    paths = find_pictures(pictures)
    out.mkdir(parents=True, exist_ok=True)
    remove_partial(out, "textures")
    rng = np.random.default_rng(seed)

    def crops(indices: range) -> Iterator[Sample]:
        for index in indices:
            path = paths[index % len(paths)]
            picture = cv2.imread(os.fspath(path), cv2.IMREAD_COLOR)
            if picture is None:
                continue
            picture = at_least(picture, size)
            if rng.random() < 0.5 and min(picture.shape[:2]) > 1.3 * size:
                picture = at_least(
                    cv2.resize(picture, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA), size
                )
            yield f"texture-{index:05d}", [_crop(picture, size, rng)], {"picture": path.name}

    starts = range(0, count, PER_SHARD)
    shards = [out / f"textures-{number:04d}.tar" for number in range(len(starts))]
    written = sum(
        write_shard(shard, crops(range(start, min(start + PER_SHARD, count))), "jpg")
        for shard, start in zip(track(shards, description="cutting textures"), starts, strict=True)
    )
    for old in {*out.glob("textures-[0-9]*.tar")} - {*shards}:
        old.unlink()
    return written


def find_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder and of the folders in it, in order.

    Raises:
        ValueError: There is none, or none that can be read.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    if not paths:
        raise ValueError(f"{folder}: holds no picture")
    if all(cv2.imread(os.fspath(path)) is None for path in paths):
        raise ValueError(f"{folder}: holds no picture that can be read")
    return paths


def _shard(out: Path, number: int) -> Path:
    return out / f"tuples-{number:05d}.tar"


def _spread(paths: tuple[Path, ...], length: int, rng: Rng) -> tuple[Path, ...]:
    """`length` of the files, evenly spaced and in order; all of them where there are fewer."""
    if len(paths) <= length:
        return paths
    step = int(rng.integers(1, (len(paths) - 1) // (length - 1) + 1))
    start = int(rng.integers(0, len(paths) - step * (length - 1)))
    return paths[start::step][:length]


def _read_picture(path: Path) -> Image:
    """Read a BGR picture. Raises ValueError."""
    picture = cv2.imread(os.fspath(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{path}: cannot be read as a picture")
    return picture


def _choose_crop(frames: list[Image], size: int, rng: Rng) -> tuple[list[Image], float]:
    """A square crop, mostly where much moves, and the mean difference of its first and last frame."""
    frames = [at_least(frame, size) for frame in sometimes_halved(frames, size, rng)]
    squares = random_squares(frames, size, rng)
    square, motion = liveliest(squares) if rng.random() < 0.8 else squares[0]
    return cropped(frames, square), motion


def _crop(picture: Image, size: int, rng: Rng) -> Image:
    height, width = picture.shape[:2]
    y, x = int(rng.integers(0, height - size + 1)), int(rng.integers(0, width - size + 1))
    return picture[y : y + size, x : x + size]
