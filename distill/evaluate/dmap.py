"""The D-map benchmark: which flows and masks see that figures and text over real frames stand still?

Overlays are drawn as the figure-text mixing of Exploring-Discontinuity-for-VFI (arXiv 2202.07291) is described. They
are the same in the first two of three frames, and the D-map says where. Then text jumps, stays, vanishes or appears.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from distill.arrays import Bools, Floats, Image, Rng
from distill.data.clips import find_clips
from distill.data.labels import PUBLISHED, Rule, static_labels
from distill.data.teachers import load_teacher
from distill.data.tensors import as_batch
from distill.evaluate.cases import motion_shows
from distill.evaluate.footage import Footage, footages
from distill.evaluate.judges import network_judge
from distill.evaluate.tables import console_table
from distill.synthetic.overlays import Drawing, Overlay, paste
from distill.synthetic.text import draw_text

SIDE = 256
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 "
RULES = {"our rule": Rule(), "published rule": PUBLISHED}

Method = Callable[[Image, Image], dict[str, Floats]]  # masks [H,W] of a gap, by name


@dataclass(frozen=True, slots=True)
class DmapCase:
    """Three frames with overlays, and what is true of them.

    Attributes:
        frames: Pictures [S,S,3].
        standing: The D-map [S,S]: where an overlay stands still from the first frame to the second.
        moving: [S,S], where the picture surely moves meanwhile; that is known under synthetic pans only.
        changed: [S,S], where text changes from the second frame to the third.
    """

    frames: list[Image]
    standing: Bools
    moving: Bools
    changed: Bools


@dataclass(frozen=True, slots=True)
class DmapScore:
    """What a method earned, over all pixels of all cases.

    The D-map marks overlays alone. Where it is 0, other things may stand still or move.

    Attributes:
        method: Its name.
        l1: Mean distance to the D-map where that is 1.
        found: The share of the D-map that the method calls still, at the threshold 0.5.
        false_static: The share of the moving area that it calls still.
        changed: The share of changed text that it calls still.
    """

    method: str
    l1: float
    found: float
    false_static: float
    changed: float


def measure_dmap(
    clips: Path, teachers: list[str], masks: list[str], cases: int, seed: int = 1
) -> list[DmapScore]:
    """Run the benchmark. One half of the composites lies over synthetic pans.

    Args:
        clips: A folder of videos.
        teachers: Names as `load_teacher` takes them; their flow becomes a mask by our rule and by the published one.
        masks: Names as `load_judge` takes them.
        cases: Composites per clip.
        seed: Equal seeds give equal composites.

    Returns:
        The scores, in order of L1.

    Raises:
        ValueError: Clips or weights cannot be read.
    """
    methods = [*(_flow_masks(name) for name in teachers), *(_network_mask(name) for name in masks)]
    sums: dict[str, Floats] = {}
    total = len(find_clips(clips)) * cases
    for case in track(
        dmap_cases(clips, cases, seed), total=total, description="D-map", console=Console(stderr=True)
    ):
        for method in methods:
            first, second = method(*case.frames[:2]), method(*case.frames[1:])
            for name, mask in first.items():
                sums[name] = sums.get(name, 0) + count_errors(mask, second[name], case)
    return sorted((_score(name, counts) for name, counts in sums.items()), key=lambda score: score.l1)


def dmap_table(scores: list[DmapScore]) -> Table:
    """The scores as a table for the console."""
    return console_table(
        "D-map: figures and text that stand, in order of L1", DMAP_HEADERS, dmap_rows(scores)
    )


DMAP_HEADERS = (
    ("method", "left"),
    ("L1 on overlays", "right"),
    ("overlays found", "right"),
    ("moving area said still", "right"),
    ("changed text said still", "right"),
)


def dmap_rows(scores: list[DmapScore]) -> list[list[str]]:
    """The scores as rows of text under DMAP_HEADERS."""
    return [
        [s.method, f"{s.l1:.3f}", *(f"{share:.1%}" for share in (s.found, s.false_static, s.changed))]
        for s in scores
    ]


def count_errors(first: Floats, second: Floats, case: DmapCase) -> Floats:
    """What a method's masks get right and wrong in a case.

    Args:
        first, second: [S,S], the masks of the case's two gaps.
        case: The truth.

    Returns:
        Seven sums over pixels: L1, found and all of the D-map; called still and all of the moving area; called still
        and all of the changed text.
    """
    over, under, after = first[case.standing], first[case.moving], second[case.changed]
    missed = (1 - over).sum()
    counts = [missed, (over >= 0.5).sum(), over.size]
    return np.array([*counts, (under >= 0.5).sum(), under.size, (after >= 0.5).sum(), after.size])


def dmap_cases(clips: Path, count: int, seed: int) -> Iterator[DmapCase]:
    """Composites over the clips of a folder, in turn over real neighbouring frames and over synthetic pans.

    Args:
        clips: The folder.
        count: Cases per clip.
        seed: Equal seeds give equal cases.

    Raises:
        ValueError: The folder holds no video, or one that cannot be read.
    """
    for number, _, footage in footages(clips, SIDE, seed):
        for index in range(count):
            rng = np.random.default_rng((seed, number, index))
            real = (number + index) % 2 == 0 and bool(footage.runs)
            frames = footage.runs[rng.integers(len(footage.runs))][:3] if real else _pan(footage, rng)
            yield mix_figures(frames, rng, pans=not real)


def mix_figures(frames: list[Image], rng: Rng, pans: bool) -> DmapCase:
    """Draw text, a circle and a rectangle, each with a chance of 0.5, until one of them stands still.

    Args:
        frames: Three pictures [S,S,3].
        rng: Chooses what is drawn.
        pans: The whole picture moves.
    """
    while True:
        text = _text(rng) if rng.random() < 0.5 else None
        figures = [Overlay.steady(draw(rng), 3) for draw in (_circle, _rectangle) if rng.random() < 0.5]
        composite = paste(frames, [*([text] if text else []), *figures])
        if composite.static[0].any():
            break
    moving = np.zeros((SIDE, SIDE), bool)
    if pans:
        moving = ~composite.static[0] & ~composite.unsure[0] & motion_shows(frames[0], frames[1])
    changed = np.zeros((SIDE, SIDE), bool)
    if text:
        before, after = (text.at(k)[1] * text.opacity[k] for k in (1, 2))
        changed = (np.abs(before - after) >= 0.6) & ~composite.static[1]
    return DmapCase(composite.frames, composite.static[0], moving, changed)


def _text(rng: Rng) -> Overlay:
    """5 to 29 characters that jump up or down, stay, vanish or appear after the second frame."""
    letters = "".join(rng.choice(list(LETTERS), int(rng.integers(5, 30))))
    place, size = (rng.uniform(0, SIDE), rng.uniform(0, SIDE)), int(rng.integers(10, 40))
    ink, edge, stroke = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3), int(rng.integers(0, 3))
    inner = draw_text(SIDE, SIDE, letters, None, place, size)
    outer = draw_text(SIDE, SIDE, letters, None, place, size, stroke)
    colour = (edge + inner[..., None] * (ink - edge)).astype(np.float32)
    steady = Overlay.steady((colour, np.maximum(inner, outer)), 3)
    mood = rng.random()
    if mood < 0.5:
        jump = int(rng.choice([0, 1, -1]) * rng.integers(21, 41))
        return Overlay(steady.drawings, steady.opacity, ((0, 0), (0, 0), (0, jump)))
    opacity = (1.0, 1.0, 0.0) if mood < 0.75 else (0.0, 0.0, 1.0)
    return Overlay(steady.drawings, opacity, steady.offsets)


def _circle(rng: Rng) -> Drawing:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    centre, radius = rng.uniform(0, SIDE, 2), int(rng.integers(5, 21))
    cv2.circle(mask, [int(x) for x in centre], radius, 255, int(rng.integers(1, 4)), cv2.LINE_AA)
    return _coloured(mask, rng)


def _rectangle(rng: Rng) -> Drawing:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    x, y = rng.integers(0, SIDE, 2)
    w, h = rng.integers(10, 41, 2)
    cv2.rectangle(mask, (int(x), int(y)), (int(x + w), int(y + h)), 255, int(rng.integers(1, 4)))
    return _coloured(mask, rng)


def _coloured(mask: NDArray[np.uint8], rng: Rng) -> Drawing:
    colour = np.broadcast_to(rng.uniform(0, 255, 3).astype(np.float32), (SIDE, SIDE, 3))
    return colour, mask.astype(np.float32) / 255


def _pan(footage: Footage, rng: Rng) -> list[Image]:
    """Three crops of a picture, 2 to 24 whole pixels apart."""
    picture = footage.frames(int(rng.integers(len(footage))))[0]
    speed, angle = np.exp(rng.uniform(np.log(2), np.log(24))), rng.uniform(0, 2 * np.pi)
    step = np.rint(speed * np.array([np.sin(angle), np.cos(angle)])).astype(int)
    room = picture.shape[0] - SIDE - 2 * np.abs(step)
    y, x = (int(c) for c in rng.integers(0, room + 1) + np.maximum(-2 * step, 0))
    corners = [(y + k * step[0], x + k * step[1]) for k in range(3)]
    return [np.ascontiguousarray(picture[top : top + SIDE, left : left + SIDE]) for top, left in corners]


def _flow_masks(name: str) -> Method:
    teacher = load_teacher(name)

    def masks(start: Image, end: Image) -> dict[str, Floats]:
        img0, img1 = as_batch([start]), as_batch([end])
        motion = teacher.motion(img0, img1)
        labels = {key: static_labels(motion, img0, img1, rule)[0] for key, rule in RULES.items()}
        return {f"{name}, {key}": static[0].float().numpy() for key, static in labels.items()}

    return masks


def _network_mask(name: str) -> Method:
    judge = network_judge(name)
    return lambda start, end: {name: judge.scores([start, end])[0]}


def _score(method: str, counts: Floats) -> DmapScore:
    missed, found, standing, still, moving, kept, changed = (float(count) for count in counts)
    return DmapScore(
        method,
        missed / max(standing, 1),
        found / max(standing, 1),
        still / max(moving, 1),
        kept / max(changed, 1),
    )
