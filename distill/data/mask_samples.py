"""Training samples for the mask network: frames as a viewer gets them, and which pixels truly stand still."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from distill.arrays import Bools, Image, Rng, quantised
from distill.data.clips import Shards
from distill.data.endless import Endless
from distill.data.labels import STATIC, TRAINING, UNSURE, origin, static_labels
from distill.data.mining import Hard
from distill.data.teachers import Dis
from distill.data.tensors import as_batch
from distill.options import MaskTraining
from distill.synthetic.changes import random_changes
from distill.synthetic.degrade import degrade
from distill.synthetic.motion import Scene, random_scene
from distill.synthetic.overlays import Overlay, moving_overlay, paste, random_overlays
from distill.synthetic.patterns import drifting_scene, repeating_scene

Labelled = tuple[list[Image], Bools, Bools]  # N frames [H,W,3], still and unsure pixels [N-1,H,W]
RULE = TRAINING
# What samples lie over, each up to its number of 0..1: real footage, then synthetic scenes whose camera moves, stands
# still or hardly moves, then textures that repeat; the others lie over soft drifts.
FOOTAGE, MOVING, STANDING_CAMERA, SLOW, REPEATING = 0.36, 0.56, 0.74, 0.78, 0.92
BACKDROP = 384  # px, least side of a texture
HARD = 1 / 2  # share of the real footage that is taken from mined tuples
VISITS = 3  # samples that are made of one composite
LAG = 40  # composites between two samples of one composite
NOISE = 14.0  # code values, the heaviest noise
NOISY = 0.7  # chance of any noise
FAINT_NOISE = 3.0  # the same over soft drifts, whose motion heavier noise would hide
SHOWN = 3.0  # code values of mean change above which motion can be seen
FAINTLY_SHOWN = 1.0  # the same over soft drifts
NEAR = 61  # px, side of the square around seen motion in which unseen motion counts as moving
NEAR_OWN = 181  # px, the same around seen motion of the same layer
LEAPING = 0.15  # chance that an object leaps
STANDING = 0.35  # chance that a texture that repeats, or a soft one, stands still
WANDERING = 1 / 16  # chance of an overlay that moves by itself, such as a pointer


class Composed(NamedTuple):
    """Clean frames with what lies over them, and their labels.

    Attributes:
        frames: N pictures [H,W,3].
        static, unsure: [N-1,H,W], the pixels that stand still, and those of which it is not known.
        replaced, vague: [N-1,H,W], the pixels whose content was replaced in place, and those of which it is not known.
        noise: Code values, the heaviest noise that leaves the labels right.
    """

    frames: list[Image]
    static: Bools
    unsure: Bools
    replaced: Bools
    vague: Bools
    noise: float


class Stills(Endless):
    """Sequences, and which of their pixels stand still. Sample k depends on the seed and on k alone.

    A sample is "frames" [N,3,S,S] uint8, and "static", "sure", "replaced" and "replaced_sure" [N-1,S,S] bool.

    Some samples lie over real footage, with a teacher's stored labels where there are any, else with those of DIS.
    Where `mine` has found tuples on which a mask fails, one half of the footage is these. The other samples lie over
    synthetic scenes with exact labels, some of them with repeating or drifting textures. Most carry overlays, and some
    of these change. The labels are made from clean frames, and the frames are degraded afterwards. Every composite is
    used VISITS times, LAG composites apart, turned and degraded anew each time, because drawing one costs more than a
    training step on it (data echoing, Choi et al. 2019). Each worker of a loader draws its own composites, so that
    with several workers fewer are used again.
    """

    def __init__(
        self,
        folder: Path,
        size: int = MaskTraining.size,
        length: int = MaskTraining.length,
        seed: int = MaskTraining.seed,
        clean: bool = False,
    ) -> None:
        """Open the shards.

        Args:
            folder: The folder of shards that `prepare` made.
            size: Side of a sample in px.
            length: Frames in a sample.
            seed: Equal seeds give equal samples.
            clean: Leave the frames as they are, instead of degrading them.

        Raises:
            ValueError: There are no such shards, their labels are not those of their tuples, or tuples are too short.
        """
        super().__init__()
        self.tuples = Shards(folder)
        self.backdrops = Backdrops(Shards(folder, "textures"), self.tuples, max(BACKDROP, size))
        self.labels = Shards(folder, "labels") if any(folder.glob("labels-*.tar")) else None
        if self.labels and self.labels.keys != self.tuples.keys:
            raise ValueError(
                f"{folder}: the labels are not those of all its tuples (run `python -m distill label` again)"
            )
        if self.labels and any(origin(each) != origin(self.labels.facts[0]) for each in self.labels.facts):
            raise ValueError(
                f"{folder}: its labels are those of several teachers (run `python -m distill label` again)"
            )
        if (found := len(self.tuples.frames(0))) < length:
            raise ValueError(f"{folder}: its tuples have {found} frames, the mask is trained on {length}")
        self.tuples.check_size(size)
        if size % 2:
            raise ValueError(f"samples must be an even number of px wide, as video is, not {size}")
        motion = np.array([facts["motion"] for facts in self.tuples.facts])
        chance = np.clip(motion, 1, 16) ** 0.5
        self.cumulative = np.cumsum(chance / chance.sum())
        self.hard = Hard(folder, self.tuples.keys)
        self.size, self.length, self.seed, self.clean = size, length, seed, clean
        self._drawn: dict[int, Composed] = {}

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        newest, visit = divmod(index, VISITS)
        composed = self._composite(newest + LAG * (VISITS - 1 - visit))
        rng = np.random.default_rng((self.seed, 78, index))
        composed = _turned(composed, rng)
        frames = composed.frames
        if not self.clean and rng.random() < 0.85:
            frames = degrade(frames, rng, composed.noise, NOISY)
        labels = {
            "static": composed.static,
            "sure": ~composed.unsure,
            "replaced": composed.replaced,
            "replaced_sure": ~composed.vague,
        }
        stacked = {"frames": rearrange(np.stack(frames), "n h w c -> n c h w"), **labels}
        return {name: torch.from_numpy(planes.copy()) for name, planes in stacked.items()}

    def _composite(self, number: int) -> Composed:
        """Clean frames and their labels, kept for as long as they will be asked for."""
        if number not in self._drawn:
            self._drawn[number] = self._draw(np.random.default_rng((self.seed, 77, number)))
            for old in [known for known in self._drawn if known < number - LAG * VISITS]:
                del self._drawn[old]
        return self._drawn[number]

    def _draw(self, rng: Rng) -> Composed:
        kind = rng.random()
        frames, static, unsure = self._ground(kind, rng)
        replaced = vague = np.zeros_like(static)
        if overlays := self._overlays(kind, rng):
            composite = paste(frames, overlays)
            frames, replaced = composite.frames, composite.replaced
            static = (static & ~composite.unsure & ~composite.moving) | composite.static
            vague = composite.unsure & ~replaced
            unsure = (unsure | vague) & ~composite.static & ~composite.moving & ~replaced
        noise = NOISE if kind < REPEATING else FAINT_NOISE
        return Composed(frames, static, unsure, replaced, vague, noise)

    def _ground(self, kind: float, rng: Rng) -> Labelled:
        """What overlays lie over; the number `kind` chooses it."""
        if kind < FOOTAGE:
            return self.footage(rng)
        if kind < MOVING:
            return self._scene(self._random_scene(rng, 60.0, 0.1))
        if kind < STANDING_CAMERA:
            return self._scene(self._random_scene(rng, 60.0, 1.0))
        if kind < SLOW:
            return self._scene(self._random_scene(rng, 1.2, 0.0, leaping=0.0))
        if kind < REPEATING:
            return self._scene(repeating_scene(self.backdrops, self.size, rng, STANDING))
        return self._scene(drifting_scene(self.backdrops, self.size, rng, still=STANDING), FAINTLY_SHOWN)

    def _overlays(self, kind: float, rng: Rng) -> list[Overlay]:
        """What lies over a sample, from below to above."""
        overlays = []
        if rng.random() < (0.85 if kind < MOVING else 0.4):
            overlays += random_overlays(self.length, self.size, self.size, rng)
        if rng.random() < WANDERING:
            overlays.append(moving_overlay(self.length, self.size, self.size, rng))
        if rng.random() < 0.3:
            changes = random_changes(self.length, self.size, self.size, rng, self.backdrops.any)
            overlays = [*changes, *overlays] if rng.random() < 0.5 else [*overlays, *changes]
        return overlays

    def footage(self, rng: Rng) -> Labelled:
        """A crop of a real tuple, without overlays, and its labels.

        Args:
            rng: Chooses tuple and crop.
        """
        stored: list[Image] | None = None
        if self.hard.indices and rng.random() < HARD:
            place = int(rng.choice(len(self.hard.indices), p=self.hard.chance))
            index, stored = self.hard.indices[place], self.hard.codes(place)
        else:
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
        if stored is None and self.labels:
            stored = self.labels.frames(index)
        if stored is not None:
            codes = np.stack(cut(stored, self.length - 1))
            return frames, codes == STATIC, codes == UNSURE
        images = as_batch(frames)
        motion = Dis().motion(images[:-1], images[1:])
        static, unsure = static_labels(motion, images[:-1], images[1:], RULE)
        return frames, static.numpy(), unsure.numpy()

    def _random_scene(self, rng: Rng, speed: float, still: float, leaping: float = LEAPING) -> Scene:
        """A scene whose camera stands still with chance `still`; objects move unless they are still too."""
        return random_scene(self.backdrops, self.size, rng, speed, still, min(still, 0.15), leaping)

    def _scene(self, scene: Scene, shown: float = SHOWN) -> Labelled:
        frames = [scene.frame(float(time)) for time in range(self.length)]
        labels = [_gap(scene, time, *pair, shown) for time, pair in enumerate(pairwise(frames))]
        return frames, np.stack([label[0] for label in labels]), np.stack([label[1] for label in labels])


class Backdrops:
    """Textures for synthetic scenes: photographs and frames of footage, some of them enlarged, soft, dark or pale.

    Texture k is always the same. Masks fail where motion is hard to see, so many textures are faint.

    Args:
        pictures, tuples: Where they are cut from.
        side: Of a texture, in px.
    """

    def __init__(self, pictures: Shards, tuples: Shards, side: int) -> None:
        self.pictures, self.tuples, self.side = pictures, tuples, side

    def __len__(self) -> int:
        return 1 << 31

    def any(self, rng: Rng) -> Image:
        """One of them, [S,S,3]."""
        return self.frames(int(rng.integers(len(self))))[0]

    def frames(self, index: int) -> list[Image]:
        rng = np.random.default_rng((79, index))
        source = self.pictures if rng.random() < 0.5 else self.tuples
        picture = source.frames(int(rng.integers(len(source))))[0]
        zoom = self.side / min(picture.shape[:2]) * np.exp(max(0.0, rng.normal(0, 0.4)))
        picture = cv2.resize(picture, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
        y, x = (int(rng.integers(0, side - self.side + 1)) for side in picture.shape[:2])
        picture = picture[y : y + self.side, x : x + self.side]
        if rng.random() < 0.2:
            picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.7, 4)))
        if rng.random() < 0.3:
            contrast, level = np.float32(rng.uniform(0.1, 0.8)), np.float32(rng.uniform(0, 255))
            picture = quantised(level + contrast * (picture - level))
        return [np.ascontiguousarray(picture)]


def _turned(composed: Composed, rng: Rng) -> Composed:
    """Frames and labels, mirrored, transposed, played backwards, their colours exchanged: stillness survives that."""
    flips = tuple(slice(None, None, int(step)) for step in rng.choice([-1, 1], 3))
    colours = rng.permutation(3) if rng.random() < 0.3 else np.arange(3)
    cube = np.stack(composed.frames)[flips][..., colours]
    labels = [x[flips] for x in (composed.static, composed.unsure, composed.replaced, composed.vague)]
    if rng.random() < 0.3:
        cube, labels = cube.swapaxes(1, 2), [each.swapaxes(1, 2) for each in labels]
    static, unsure, replaced, vague = labels
    frames = [np.ascontiguousarray(frame) for frame in cube]
    return Composed(frames, static, unsure, replaced, vague, composed.noise)


def _gap(scene: Scene, start: int, frame0: Image, frame1: Image, shown: float) -> tuple[Bools, Bools]:
    """Still and unsure pixels of a gap; motion that cannot be seen, far from any that can be, is unsure.

    A flat place moves with its layer, so motion of the same layer counts from farther away.
    """
    distance = scene.reach((float(start), start + 0.25, start + 0.5, start + 0.75, start + 1.0))
    moves = distance > RULE.moving_above
    change = cv2.blur(cv2.absdiff(frame0, frame1).mean(axis=2, dtype=np.float32), (5, 5))
    seen = (moves & (change > shown)).astype(np.uint8)
    near = _near(seen, NEAR)
    shown_layer = scene.visible(float(start))
    for layer in range(len(scene.layers)):
        own = shown_layer == layer
        near |= own & _near(seen * own, NEAR_OWN)
    static = distance < RULE.still_below
    return static, ~static & ~(moves & near)


def _near(found: Image, side: int) -> Bools:
    """The pixels [S,S] that have one of `found`, 0 or 1, in the square of `side` px around them."""
    return cv2.dilate(found, np.ones((side, side), np.uint8)) > 0
