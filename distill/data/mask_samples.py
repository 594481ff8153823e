"""Training samples for the student: frames as a viewer gets them, and which pixels truly stood still."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from distill.data.clips import Image, Shards
from distill.synthetic.degrade import degrade
from distill.data.labels import STATIC, UNSURE, Rule, as_batch, static_labels
from distill.synthetic.motion import Scene, random_scene
from distill.synthetic.overlays import paste, random_overlays
from distill.data.teachers import Dis

Bools = np.ndarray  # bool
Labelled = tuple[list[Image], Bools, Bools]
RULE = Rule()
VISITS, LAG = 3, 40
NOISE, NOISY = 14.0, 0.7  # code values: the heaviest; the chance of any
SHOWN, NEAR = 3.0, 61  # code values of mean change from which on motion can be seen; px


class Stills(Dataset[dict[str, Tensor]]):
    """Sample `index` depends on (seed, index) alone: `frames` [N,3,S,S] uint8, `static` and `sure` [N-1,S,S].

    Some samples lie over real footage, with the stored labels of a teacher where there are any, else those of
    DIS; the others over synthetic scenes with exact labels. Most carry overlays. The labels are of the clean
    frames, the frames are degraded. Every composite comes VISITS times, LAG composites apart, turned and degraded
    anew each time: drawing one costs more than a training step on it (data echoing, Choi et al. 2019).
    """

    def __init__(
        self, folder: Path, size: int = 224, length: int = 5, seed: int = 0, clean: bool = False
    ) -> None:
        cv2.setNumThreads(1)  # before workers fork: in them it would wait for threads that stayed behind
        self.tuples = Shards(folder)
        self.backdrops = Backdrops(Shards(folder, "textures"), self.tuples)
        self.labels = Shards(folder, "labels") if any(folder.glob("labels-*.tar")) else None
        if self.labels and self.labels.keys != self.tuples.keys:
            raise ValueError(
                f"{folder}: the labels are not those of all its tuples (run `python -m distill label` again)"
            )
        if (found := len(self.tuples.frames(0))) < length:
            raise ValueError(f"{folder}: its tuples have {found} frames, the mask is trained on {length}")
        motion = np.array([facts["motion"] for facts in self.tuples.facts])
        chance = np.clip(motion, 1, 16) ** 0.5
        self.cumulative = np.cumsum(chance / chance.sum())
        self.size, self.length, self.seed, self.clean = size, length, seed, clean
        self._drawn: dict[int, Labelled] = {}

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        newest, visit = divmod(index, VISITS)
        frames, static, unsure = self._composite(newest + LAG * (VISITS - 1 - visit))
        rng = np.random.default_rng((self.seed, 78, index))
        frames, static, unsure = _turned(frames, static, unsure, rng)
        if not self.clean and rng.random() < 0.85:
            frames = degrade(frames, rng, NOISE, NOISY)
        stacked = np.stack(frames).transpose(0, 3, 1, 2)
        return {
            "frames": torch.from_numpy(np.ascontiguousarray(stacked)),
            "static": torch.from_numpy(np.ascontiguousarray(static)),
            "sure": torch.from_numpy(~unsure),
        }

    def _composite(self, number: int) -> Labelled:
        """Clean frames and their labels, kept for as long as they will be asked for."""
        if number not in self._drawn:
            self._drawn[number] = self._draw(np.random.default_rng((self.seed, 77, number)))
            for old in [known for known in self._drawn if known < number - LAG * VISITS]:
                del self._drawn[old]
        return self._drawn[number]

    def _draw(self, rng: np.random.Generator) -> Labelled:
        dice = rng.random()
        if dice < 0.3:
            frames, static, unsure = self.footage(rng)
        elif dice < 0.66:
            frames, static, unsure = self._scene(rng, 60.0, 0.1)
        elif dice < 0.94:
            frames, static, unsure = self._scene(rng, 60.0, 1.0)
        else:
            frames, static, unsure = self._scene(rng, 1.2, 0.0)
        if rng.random() < (0.9 if dice < 0.66 else 0.4):
            composite = paste(frames, random_overlays(self.length, self.size, self.size, rng))
            frames = composite.frames
            static = (static & ~composite.unsure) | composite.static
            unsure = (unsure | composite.unsure) & ~composite.static
        return frames, static, unsure

    def footage(self, rng: np.random.Generator) -> Labelled:
        """A crop of a real tuple, without overlays, and its labels."""
        index = min(int(np.searchsorted(self.cumulative, rng.random())), len(self.tuples) - 1)
        frames = self.tuples.frames(index)
        height, width = frames[0].shape[:2]
        y, x = int(rng.integers(0, height - self.size + 1)), int(rng.integers(0, width - self.size + 1))
        flip = slice(None, None, 1 if rng.random() < 0.5 else -1)
        order = slice(None, None, 1 if rng.random() < 0.5 else -1)

        def cut(pictures: list[Image], count: int) -> list[Image]:
            crops = (picture[y : y + self.size, x : x + self.size][:, flip] for picture in pictures[order])
            return [np.ascontiguousarray(crop) for crop in crops][:count]

        frames = cut(frames, self.length)
        if self.labels:
            codes = np.stack(cut(self.labels.frames(index), self.length - 1))
            return frames, codes == STATIC, codes == UNSURE
        images = as_batch(frames)
        motion = Dis().motion(images[:-1], images[1:])
        static, unsure = static_labels(motion, images[:-1], images[1:], RULE)
        return frames, static.numpy(), unsure.numpy()

    def _scene(self, rng: np.random.Generator, speed: float, still: float) -> Labelled:
        """A scene whose camera stands still with chance `still`; objects move unless they are still too."""
        scene = random_scene(self.backdrops, self.size, rng, speed, still, still_objects=min(still, 0.15))
        frames = [scene.frame(float(time)) for time in range(self.length)]
        labels = [_gap(scene, time, *pair) for time, pair in enumerate(pairwise(frames))]
        return frames, np.stack([label[0] for label in labels]), np.stack([label[1] for label in labels])


class Backdrops:
    """Pictures for synthetic scenes, `Textures` of motion.py: stills and frames of footage, also enlarged, soft,
    dark or pale. Number `index` is always the same. What moves unseen is where a mask fails, so there is much of it.
    """

    def __init__(self, pictures: Shards, tuples: Shards) -> None:
        self.pictures, self.tuples = pictures, tuples

    def __len__(self) -> int:
        return 1 << 31

    def frames(self, index: int) -> list[Image]:
        rng = np.random.default_rng((79, index))
        source = self.pictures if rng.random() < 0.5 else self.tuples
        picture = source.frames(int(rng.integers(len(source))))[0]
        zoom = 384 / min(picture.shape[:2]) * np.exp(max(0.0, rng.normal(0, 0.4)))
        picture = cv2.resize(picture, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
        y, x = (int(rng.integers(0, side - 383)) for side in picture.shape[:2])
        picture = picture[y : y + 384, x : x + 384]
        if rng.random() < 0.2:
            picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.7, 4)))
        if rng.random() < 0.3:
            contrast, level = np.float32(rng.uniform(0.1, 0.8)), np.float32(rng.uniform(0, 255))
            picture = np.clip(np.rint(level + contrast * (picture - level)), 0, 255).astype(np.uint8)
        return [np.ascontiguousarray(picture)]


def _turned(frames: list[Image], static: Bools, unsure: Bools, rng: np.random.Generator) -> Labelled:
    """Mirrored, transposed, played backwards, with its colours exchanged: stillness survives all of it."""
    flips = tuple(slice(None, None, int(step)) for step in rng.choice([-1, 1], 3))
    colours = rng.permutation(3) if rng.random() < 0.3 else np.arange(3)
    cube, static, unsure = np.stack(frames)[flips][..., colours], static[flips], unsure[flips]
    if rng.random() < 0.3:
        cube, static, unsure = cube.swapaxes(1, 2), static.swapaxes(1, 2), unsure.swapaxes(1, 2)
    return [np.ascontiguousarray(frame) for frame in cube], static, unsure


def _gap(scene: Scene, start: int, frame0: Image, frame1: Image) -> tuple[Bools, Bools]:
    """Static and unsure pixels; what moves unseen, far from anything seen to move, is unsure: nobody could tell."""
    distance = scene.reach((float(start), start + 0.25, start + 0.5, start + 0.75, start + 1.0))
    moves = distance > RULE.moving_above
    change = cv2.blur(cv2.absdiff(frame0, frame1).mean(axis=2, dtype=np.float32), (5, 5))
    seen = (moves & (change > SHOWN)).astype(np.uint8)
    near = cv2.dilate(seen, np.ones((NEAR, NEAR), np.uint8)) > 0
    static = distance < RULE.still_below
    return static, ~static & ~(moves & near)
