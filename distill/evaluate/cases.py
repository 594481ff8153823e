"""StaticBench's cases: composites over real footage whose still pixels are known exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from distill.arrays import Bools, Image, Rng, quantised
from distill.data.clips import say
from distill.data.labels import Rule, surely_moves
from distill.evaluate.footage import RUN, TRIES, Footage, TooFlat, footages
from distill.synthetic.changes import random_changes
from distill.synthetic.degrade import degrade, gaussian
from distill.synthetic.motion import Scene, random_scene
from distill.synthetic.overlays import Overlay, paste, random_overlays
from distill.synthetic.patterns import drifting_scene, repeating_scene
from distill.synthetic.text import PLAIN

KINDS = ("hud", "fade", "still", "light", "sequence", "repeat", "drift", "swap")
SIDE = 320
RULE = Rule()
MIN_CLASS = 0.004  # share of the picture that either class has in every gap
MIN_MOVING = 0.1  # share of a background that surely moves in every gap
SHOWN = 2.0  # mean change over 5x5 px, in code values, above which motion can be seen
FAINTLY_SHOWN = 0.7  # the same over soft drifts
NOISE = 9.0  # code values, the heaviest noise
FAINT_NOISE = 3.0  # the same over soft drifts


@dataclass(frozen=True, slots=True)
class Case:
    """A composite, and what is true of each gap between its frames.

    Attributes:
        kind: One of KINDS.
        clip: The name of the clip that it is made of.
        real: The background is real frames of the clip, not synthetic motion of its pictures.
        frames: N pictures [S,S,3].
        static: [N-1,S,S], the pixels that stand still.
        unsure: [N-1,S,S], the pixels that do not count.
        replaced: [N-1,S,S], those that neither stand still nor move: their content was replaced in place.
        vague: [N-1,S,S], those that do not count in that respect.
    """

    kind: str
    clip: str
    real: bool
    frames: list[Image]
    static: Bools
    unsure: Bools
    replaced: Bools | None = None
    vague: Bools | None = None


def static_cases(clips: Path, count: int, seed: int) -> Iterator[Case]:
    """Composites over the clips of a folder.

        hud       overlays that stand still, some half-transparent, over a background that moves
        fade      the same, with an opacity that changes between the frames
        still     a still camera with slow and fast movers
        light     hud or still, under changing light and shadow
        sequence  hud with heavy noise, RUN frames long; all others are pairs
        repeat    hud over a wall or a fence that repeats, under a camera that moves, often by a multiple of its period
        drift     hud over soft clouds that go slowly by
        swap      hud beside digits, subtitles and pages that are replaced; they do not stand still

    The background is synthetic motion in `still`, `repeat` and `drift`, and in about one half of the other cases. It is
    exact, and it counts wherever some picture of the gap shows it. Elsewhere it is real neighbouring frames. There the
    truth of overlays is exact, and uncovered pixels count only where both DIS, in both directions, and the difference
    of the clean frames say that they move. Afterwards `light` is relit, `sequence` gets noise, and all other frames
    are degraded, those of `drift` with little noise. Text is in Pillow's own font, so that cases do not depend on the
    fonts of a machine, but for rows of text in `repeat`.

    Args:
        clips: The folder.
        count: Cases per kind and clip; of a kind that needs motion, none of a clip in which no motion shows.
        seed: Equal seeds give equal cases.

    Raises:
        ValueError: The folder holds no video, or one that cannot be read.
    """
    for number, clip, footage in footages(clips, SIDE, seed):
        for index in range(count):
            for place, kind in enumerate(KINDS):
                rng = np.random.default_rng((seed, number, index, place))
                try:
                    yield _draw(kind, clip, footage, (number + index + place) % 2 == 0, rng)
                except TooFlat:
                    say(f"{clip}: gives no case of {kind}: no motion shows in it")


def motion_shows(first: Image, second: Image, shown: float = SHOWN) -> Bools:
    """Where [H,W] two clean frames [H,W,3] differ enough, by `shown` code values, to show motion."""
    change = cv2.absdiff(first, second).mean(axis=2, dtype=np.float32)
    return cv2.blur(change, (5, 5)) > shown


def _draw(kind: str, clip: str, footage: Footage, real: bool, rng: Rng) -> Case:
    if kind == "still" or (kind == "light" and rng.random() < 0.5):
        real = False
        frames, static, unsure = _still(footage, rng)
    elif kind in ("repeat", "drift"):
        real = False
        frames, static, unsure = _overlaid(kind, _misleading(kind, footage, rng), rng)
    elif kind == "swap":
        return _swapped(clip, footage, real, rng)
    else:
        count = RUN if kind == "sequence" else 2
        background = _real_motion(footage, count, rng) if real else None
        real = background is not None
        frames, static, unsure = _overlaid(kind, background or _synthetic_motion(footage, count, rng), rng)
    if kind == "light":
        frames = _relit(frames, rng)
    elif kind == "sequence":
        frames = _noisy(frames, float(np.exp(rng.uniform(np.log(4), np.log(12)))), rng)
    else:
        frames = degrade(frames, rng, FAINT_NOISE if kind == "drift" else NOISE)
    return Case(kind, clip, real, frames, static, unsure)


def _swapped(clip: str, footage: Footage, real: bool, rng: Rng) -> Case:
    background = _real_motion(footage, 2, rng) if real else None
    frames, moves = background or _synthetic_motion(footage, 2, rng)
    for _ in range(TRIES):
        steady = [standing(each, False, rng) for each in random_overlays(2, SIDE, SIDE, rng, 3, PLAIN)]
        changes = random_changes(2, SIDE, SIDE, rng, lambda rng: _page(footage, rng), PLAIN)
        composite = paste(frames, [*changes, *steady] if rng.random() < 0.5 else [*steady, *changes])
        vague = composite.unsure & ~composite.replaced
        unsure = ~composite.static & ~composite.replaced & (vague | ~moves)
        moving = ~composite.static & ~unsure
        if min(x.mean(axis=(1, 2)).min() for x in (composite.static, moving, composite.replaced)) > MIN_CLASS:
            real = background is not None
            seen = degrade(composite.frames, rng)
            return Case("swap", clip, real, seen, composite.static, unsure, composite.replaced, vague)
    raise TooFlat


def _page(footage: Footage, rng: Rng) -> Image:
    return footage.frames(int(rng.integers(len(footage))))[0]


def _misleading(kind: str, footage: Footage, rng: Rng) -> tuple[list[Image], Bools]:
    """A pair of frames in which a repeating or a soft texture moves, and where that shows."""
    shown = FAINTLY_SHOWN if kind == "drift" else SHOWN
    for _ in range(TRIES):
        if kind == "drift":
            scene = drifting_scene(footage, SIDE, rng)
        else:
            scene = repeating_scene(footage, SIDE, rng, still=0.0)
        moves = _truth(scene, 0, shown)[1]
        if moves.mean() > MIN_MOVING:
            return [scene.frame(0.0), scene.frame(1.0)], moves[None]
    raise TooFlat


def _still(footage: Footage, rng: Rng) -> tuple[list[Image], Bools, Bools]:
    for _ in range(TRIES):
        scene = random_scene(footage, SIDE, rng, speed=48.0, still_camera=1.0, still_objects=0.0)
        static, moves = (part[None] for part in _truth(scene, 0))
        if min(static.mean(), moves.mean()) > MIN_CLASS:
            return [scene.frame(0.0), scene.frame(1.0)], static, ~static & ~moves
    raise TooFlat


def _overlaid(kind: str, background: tuple[list[Image], Bools], rng: Rng) -> tuple[list[Image], Bools, Bools]:
    frames, moves = background
    for _ in range(TRIES):
        overlays = random_overlays(len(frames), SIDE, SIDE, rng, most=5, fonts=PLAIN)
        composite = paste(frames, [standing(overlay, kind == "fade", rng) for overlay in overlays])
        unsure = ~composite.static & (composite.unsure | ~moves)
        moving = ~composite.static & ~unsure
        if min(part.mean(axis=(1, 2)).min() for part in (composite.static, moving)) > MIN_CLASS:
            return composite.frames, composite.static, unsure
    raise TooFlat


def standing(overlay: Overlay, fades: bool, rng: Rng) -> Overlay:
    """An overlay that stands still.

    Args:
        overlay: Of which the first drawing is kept.
        fades: Its opacity changes over time; else it is opaque or half-transparent.
        rng: Chooses the opacity.
    """
    count = len(overlay.drawings)
    steady = replace(Overlay.steady(overlay.drawings[0], count), blur=overlay.blur)
    if fades:
        first = last = 0.0
        while abs(first - last) < 0.15:
            first, last = rng.uniform(0.35, 1.0, 2)
        return replace(steady, opacity=tuple(map(float, np.linspace(first, last, count))))
    level = float(rng.uniform(0.35, 1.0)) if rng.random() < 0.35 else 1.0
    return replace(steady, opacity=(level,) * count)


def _synthetic_motion(footage: Footage, count: int, rng: Rng) -> tuple[list[Image], Bools]:
    """Frames of a scene in which the camera and all objects move, and where they do."""
    for _ in range(TRIES):
        scene: Scene = random_scene(footage, SIDE, rng, speed=24.0, still_camera=0.0, still_objects=0.0)
        moves = np.stack([_truth(scene, gap)[1] for gap in range(count - 1)])
        if moves.mean(axis=(1, 2)).min() > MIN_MOVING:
            return [scene.frame(float(time)) for time in range(count)], moves
    raise TooFlat


def _real_motion(footage: Footage, count: int, rng: Rng) -> tuple[list[Image], Bools] | None:
    """Neighbouring frames and where they surely move; None: nothing in the clip moves enough."""
    for index in rng.permutation(len(footage.runs)):
        start = int(rng.integers(RUN - count + 1))
        frames = footage.runs[index][start : start + count]
        moves = surely_moves(frames)
        if moves.mean(axis=(1, 2)).min() > MIN_MOVING:
            return frames, moves
    return None


def _truth(scene: Scene, gap: int, shown: float = SHOWN) -> tuple[Bools, Bools]:
    """Where a scene stands still all through a gap, and where it moves so that some picture in the gap shows it.

    Black that slides over black is neither.
    """
    times = tuple(gap + step for step in (0.0, 0.25, 0.5, 0.75, 1.0))
    distance, first = scene.reach(times), scene.frame(times[0])
    seen = np.any([motion_shows(first, scene.frame(time), shown) for time in times[1:]], axis=0)
    return distance < RULE.still_below, (distance > RULE.moving_above) & seen


def _relit(frames: Sequence[Image], rng: Rng) -> list[Image]:
    """Noisy frames, each under its own brightness, contrast, gamma and tint, or with a wandering shadow, or both."""
    mood = rng.random()
    ys, xs = np.mgrid[: frames[0].shape[0], : frames[0].shape[1]].astype(np.float32)
    angle, edge, soft = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.8) * SIDE, rng.uniform(2, 40)
    depth, pace = rng.uniform(0.15, 0.6), rng.uniform(3, 60)
    across = np.cos(angle) * (xs - SIDE / 2) + np.sin(angle) * (ys - SIDE / 2) + SIDE / 2
    out = []
    for index, frame in enumerate(frames):
        lit = frame.astype(np.float32) / 255
        if mood < 0.7:
            gain, gamma = np.exp(rng.normal(0, 0.15, 2))
            tint = 1 + rng.normal(0, 0.04, 3)
            lit = lit ** np.float32(gamma) * (gain * tint).astype(np.float32) + np.float32(
                rng.normal(0, 0.04)
            )
        if mood > 0.4:
            shadow = 1 / (1 + np.exp(np.clip((across - edge - pace * index) / soft, -30, 30)))
            lit = lit * (1 - np.float32(depth) * shadow[..., None].astype(np.float32))
        out.append(quantised(lit * 255))
    return _noisy(out, float(rng.uniform(0, 5)), rng)


def _noisy(frames: Sequence[Image], sigma: float, rng: Rng) -> list[Image]:
    """Frames with Gaussian noise of `sigma` code values, in one half of the cases with grains of 2 px."""
    height, width = frames[0].shape[:2]
    grain, strength = (2, 1.5 * sigma) if rng.random() < 0.5 else (1, sigma)
    out = []
    for frame in frames:
        noise = gaussian((height // grain, width // grain, 3), strength, rng)
        noise = cv2.resize(noise, (width, height)) if grain > 1 else noise
        out.append(quantised(frame + noise))
    return out
