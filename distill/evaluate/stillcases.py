"""Cases of the still-things benchmark: frames as a viewer's file has them, and the true frames between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from distill.arrays import Bools, Image, Rng
from distill.data.labels import Rule
from distill.evaluate.footage import RUN, Footage, footages
from distill.synthetic.changes import random_changes
from distill.synthetic.degrade import encode, with_noise
from distill.synthetic.motion import random_scene
from distill.synthetic.overlays import SHOWS, Overlay, paste, random_overlays
from distill.synthetic.text import PLAIN

KINDS = ("hud", "glass", "fade", "codec", "noise", "replaced", "wall")
SIDE = 256  # px
MOVES = 2.0  # mean change from end to end, in code values, above which real frames are a background
LEAST, MOST = 0.004, 0.6  # the smallest and the largest share of the picture that stands still
MOST_WALL = 0.95  # the largest share in cases of the kind "wall"
RULE = Rule()


@dataclass(frozen=True, slots=True)
class StillCase:
    """Three frames of which something stands still, and what lies between them.

    Attributes:
        kind: One of KINDS.
        clip: The name of the clip that it is made of.
        given: The frames [S,S,3] that a method gets, coded or noisy where the kind says so.
        clean: The same frames before they were coded or got noise.
        truths: The clean frames in the two middles. Where something was replaced there are two pairs, since that
            may have happened before the middle or after it. Both are right.
        inside: [S,S], what stands still, or is replaced in place.
        counted: The numbers of the middles that count: where things are replaced, those of gaps in which this happens.
    """

    kind: str
    clip: str
    given: list[Image]
    clean: list[Image]
    truths: list[list[Image]]
    inside: Bools
    counted: tuple[int, ...] = (0, 1)


def still_cases(clips: Path, count: int, seed: int) -> Iterator[StillCase]:
    """Composites over the clips of a folder; the kinds take turns.

        hud       overlays stand still over what moves
        glass     they are half-transparent
        fade      their opacity changes evenly
        codec     hud, and the given frames went through H.264 or HEVC
        noise     hud, and the given frames are noisy
        replaced  digits, subtitles or pages change in place
        wall      a still camera with things that move before it

    A background is five frames: of the clip, in the crop that moves most, or synthetic motion of its pictures where
    nothing moves. The second and the fourth are the truth, the others are given.

    Args:
        clips: The folder.
        count: Composites per clip.
        seed: Equal seeds give equal cases.

    Raises:
        ValueError: The folder holds no video, or one that cannot be read.
    """
    for number, clip, footage in footages(clips, SIDE, seed):
        for index in range(count):
            kind = KINDS[(number * count + index) % len(KINDS)]
            rng = np.random.default_rng((seed, number, index))
            yield (_wall(clip, footage, rng) if kind == "wall" else _overlaid(kind, clip, footage, rng))


def _overlaid(kind: str, clip: str, footage: Footage, rng: Rng) -> StillCase:
    background = _background(footage, rng)
    while True:
        if kind == "replaced":
            changes = random_changes(RUN // 2 + 1, SIDE, SIDE, rng, fonts=PLAIN)[:1]
            pasted = [
                paste(background, [_spread(change, already) for change in changes])
                for already in (False, True)
            ]
            truths = [composite.frames[1::2] for composite in pasted]
            replaced = [cv2.absdiff(*pair).max(axis=2) > SHOWS for pair in zip(*truths, strict=True)]
            inside = np.any(replaced, axis=0)
            counted = tuple(middle for middle, found in enumerate(replaced) if found.any())
        else:
            overlays = random_overlays(RUN, SIDE, SIDE, rng, fonts=PLAIN)
            pasted = [paste(background, [_standing(overlay, kind, rng) for overlay in overlays])]
            truths, inside = [pasted[0].frames[1::2]], pasted[0].static.all(axis=0)
            counted = (0, 1)
        if LEAST < inside.mean() < MOST:
            clean = pasted[0].frames[::2]
            return StillCase(kind, clip, _degraded(kind, clean, rng), clean, truths, inside, counted)


def _wall(clip: str, footage: Footage, rng: Rng) -> StillCase:
    while True:
        scene = random_scene(footage, SIDE, rng, speed=48.0, still_camera=1.0, still_objects=0.0)
        inside = scene.reach(tuple(np.linspace(0, 2, 9))) < RULE.still_below
        if LEAST < inside.mean() < MOST_WALL:
            frames = [scene.frame(k / 2) for k in range(RUN)]
            return StillCase("wall", clip, frames[::2], frames[::2], [frames[1::2]], inside)


def _background(footage: Footage, rng: Rng) -> list[Image]:
    for index in rng.permutation(len(footage.runs)):
        run = footage.runs[index]
        if cv2.absdiff(run[0], run[-1]).mean() > MOVES:
            return run
    scene = random_scene(footage, SIDE, rng, speed=24.0, still_camera=0.0, still_objects=0.0)
    return [scene.frame(k / 2) for k in range(RUN)]


def _standing(overlay: Overlay, kind: str, rng: Rng) -> Overlay:
    """An overlay's first drawing, which stands still and has the opacity that the kind asks for."""
    steady = replace(Overlay.steady(overlay.drawings[0], RUN), blur=overlay.blur)
    if kind == "glass":
        return replace(steady, opacity=(float(rng.uniform(0.35, 0.7)),) * RUN)
    if kind == "fade":
        first = float(rng.uniform(0.35, 1.0))
        last = float(rng.uniform(0.35, 0.6) if first > 0.7 else rng.uniform(0.75, 1.0))
        return replace(steady, opacity=tuple(map(float, np.linspace(first, last, RUN))))
    return steady


def _spread(change: Overlay, already: bool) -> Overlay:
    """An overlay of the three given frames over all five.

    A frame between shows the given frame before it or, where content has changed `already`, the one after it.
    """
    shown = [(k + already) // 2 for k in range(RUN)]
    return replace(
        change,
        drawings=tuple(change.drawings[k] for k in shown),
        opacity=tuple(change.opacity[k] for k in shown),
        offsets=tuple(change.offsets[k] for k in shown),
    )


def _degraded(kind: str, frames: list[Image], rng: Rng) -> list[Image]:
    if kind == "codec":
        return encode(frames, str(rng.choice(["libx264", "libx265"])), int(rng.integers(23, 35)))
    if kind == "noise":
        sigma = rng.uniform(4, 10)
        return [with_noise(frame, sigma, rng) for frame in frames]
    return frames
