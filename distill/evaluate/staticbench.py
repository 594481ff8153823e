"""StaticBench: composites over real footage whose still pixels are known exactly."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.table import Table

from distill.clips import Image, find_clips
from distill.degrade import degrade
from distill.labels import Rule
from distill.motion import random_scene
from distill.overlays import Overlay, paste, random_overlays
from maskvfi.hub import load_static

KINDS = ("hud", "fade", "still")
SIDE = 320
RULE = Rule()
THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(1, 20))
DIFFERENCES = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0)  # code values


@dataclass(frozen=True, slots=True)
class Case:
    """Two frames, the pixels that stand still, and those nobody should be judged on."""

    kind: str
    frames: list[Image]
    static: NDArray[np.bool_]
    unsure: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Score:
    """F1 of the rarer class, averaged over the cases of a kind: at 0.5, at its best threshold, and the baseline."""

    kind: str
    cases: int
    f1: float
    best_f1: float
    best_threshold: float
    difference_f1: float


def measure_static(clips: Path, mask: str, cases: int, seed: int = 1) -> list[Score]:
    """Scores by kind on `cases` composites per kind and clip of the folder."""
    network = load_static(mask)
    found: dict[str, list[tuple[list[float], list[float]]]] = {kind: [] for kind in KINDS}
    for case in static_cases(clips, cases, seed):
        tensor = torch.from_numpy(np.stack(case.frames)).permute(0, 3, 1, 2)[None].float() / 255
        with torch.inference_mode():
            probability = network.sequence(tensor)[0, 0].numpy()
        ours = [f1(probability >= t, case.static, case.unsure) for t in THRESHOLDS]
        change = cv2.GaussianBlur(cv2.absdiff(*case.frames).max(axis=2).astype(np.float32), (0, 0), 1.5)
        plain = [f1(change <= limit, case.static, case.unsure) for limit in DIFFERENCES]
        found[case.kind].append((ours, plain))
    scores = []
    for kind, rows in found.items():
        ours, plain = (np.mean([row[k] for row in rows], axis=0) for k in (0, 1))
        best = int(ours.argmax())
        middle = THRESHOLDS.index(0.5)
        scores.append(
            Score(
                kind, len(rows), float(ours[middle]), float(ours[best]), THRESHOLDS[best], float(plain.max())
            )
        )
    return scores


def static_table(scores: list[Score]) -> Table:
    table = Table(
        "kind", "cases", "F1 at 0.5", "best F1", "at", "best |difference|", title="F1 of the rarer class"
    )
    for s in scores:
        table.add_row(
            s.kind,
            str(s.cases),
            f"{s.f1:.3f}",
            f"{s.best_f1:.3f}",
            f"{s.best_threshold}",
            f"{s.difference_f1:.3f}",
        )
    mean = [float(np.mean([getattr(s, name) for s in scores])) for name in ("f1", "best_f1", "difference_f1")]
    table.add_row("mean", "", f"{mean[0]:.3f}", f"{mean[1]:.3f}", "", f"{mean[2]:.3f}")
    return table


def f1(said: NDArray[np.bool_], truth: NDArray[np.bool_], unsure: NDArray[np.bool_]) -> float:
    """F1 of whichever class is rarer in `truth`, over the pixels that are not `unsure`."""
    said, truth = said[~unsure], truth[~unsure]
    if truth.sum() > truth.size / 2:
        said, truth = ~said, ~truth
    right = (said & truth).sum()
    return float(2 * right / max(said.sum() + truth.sum(), 1))


def static_cases(clips: Path, count: int, seed: int) -> Iterator[Case]:
    """`count` cases per kind and clip: overlays that stand, overlays that fade, still scenes with movers.

    hud and fade lie over footage that is made to move throughout, so that everything uncovered moves.
    """
    for number, clip in enumerate(find_clips(clips)):
        pictures = _Pictures(clip.path)
        for index in range(count):
            rng = np.random.default_rng((seed, number, index))
            for kind in KINDS:
                yield _still(pictures, rng) if kind == "still" else _overlaid(kind, pictures, rng)


def _overlaid(kind: str, pictures: _Pictures, rng: np.random.Generator) -> Case:
    scene = random_scene(pictures, SIDE, rng, 24.0, 0.0, 0.0)
    frames = [scene.frame(0.0), scene.frame(1.0)]
    moves = scene.reach((0.0, 0.5, 1.0)) > RULE.moving_above
    while True:
        overlays = [_steady(overlay, kind, rng) for overlay in random_overlays(2, SIDE, SIDE, rng, most=5)]
        composite = paste(frames, overlays)
        if composite.static[0].sum() > 0.004 * SIDE * SIDE:
            break
    unsure = composite.unsure[0] | (~moves & ~composite.static[0])
    return Case(kind, degrade(composite.frames, rng), composite.static[0], unsure)


def _steady(overlay: Overlay, kind: str, rng: np.random.Generator) -> Overlay:
    levels = (float(rng.uniform(0.35, 1.0)), float(rng.uniform(0.35, 1.0))) if kind == "fade" else (1.0, 1.0)
    return replace(Overlay.steady(overlay.drawings[0], 2), opacity=levels)


def _still(pictures: _Pictures, rng: np.random.Generator) -> Case:
    while True:
        scene = random_scene(pictures, SIDE, rng, 24.0, 1.0, 0.0)
        distance = scene.reach((0.0, 0.25, 0.5, 0.75, 1.0))
        if (distance > RULE.moving_above).mean() > 0.004:
            break
    frames = degrade([scene.frame(0.0), scene.frame(1.0)], rng)
    return Case(
        "still",
        frames,
        distance < RULE.still_below,
        (distance >= RULE.still_below) & (distance <= RULE.moving_above),
    )


class _Pictures:
    """Frames of one clip as textures."""

    def __init__(self, path: Path, count: int = 6, size: int = 448) -> None:
        video = cv2.VideoCapture(os.fspath(path))
        total = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        wanted = {int(k) for k in np.linspace(0, total - 1, count)}
        self._pictures: list[Image] = []
        for number in range(total):
            found, frame = video.read()
            if found and number in wanted:
                factor = size / min(frame.shape[:2])
                frame = cv2.resize(
                    frame, None, fx=factor + 1e-3, fy=factor + 1e-3, interpolation=cv2.INTER_AREA
                )
                self._pictures.append(np.ascontiguousarray(frame[:size, -size:, ::-1]))
        if not self._pictures:
            raise ValueError(f"{path}: no frame could be read")

    def __len__(self) -> int:
        return len(self._pictures)

    def frames(self, index: int) -> Sequence[Image]:
        return [self._pictures[index]]
