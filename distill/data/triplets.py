"""Training samples for the interpolation network: two frames, a time, the frame there, and its flow to both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from distill.arrays import Bools, Floats, Image, Rng, quantised
from distill.data.clips import Shards
from distill.data.dis import search
from distill.data.endless import Endless
from distill.data.tensors import grey
from distill.options import VfiTraining
from distill.synthetic.motion import random_scene
from distill.synthetic.overlays import Overlay, paste, random_overlays

SPANS = (2, 2, 2, 2, 2, 3)  # gaps of a tuple, if it has as many, between the two frames that are given


class Triplets(Endless):
    """Two frames, a time and the frame there. Sample k depends on the seed and on k alone.

    A sample has:

        img0, truth, img1   [3,S,S] uint8
        time                [1,1,1] in 0..1, when the truth is
        flow, trust         [4,S,S] in px from the truth to both ends, and [2,S,S] in 0..1, how far to trust each half
        covered             [1,S,S] bool, where an overlay stands still
        clear               [1,S,S] bool, where no overlay makes the truth unsure

    Real tuples have the flow that DIS measures from the middle frame, trusted where it explains that frame. Synthetic
    scenes have their exact flow.
    """

    def __init__(
        self,
        folder: Path,
        size: int = VfiTraining.size,
        synthetic: float = VfiTraining.synthetic,
        overlays: float = VfiTraining.overlays,
        seed: int = VfiTraining.seed,
        speed: float = VfiTraining.speed,
        noise: float = VfiTraining.noise,
        spans: tuple[int, ...] = SPANS,
    ) -> None:
        """Open the shards.

        Args:
            folder: The folder of shards that `prepare` made.
            size: Side of a sample in px.
            synthetic: Share of samples that are synthetic scenes.
            overlays: Share of samples with overlays.
            seed: Equal seeds give equal samples.
            speed: Fastest motion of synthetic scenes, px per gap.
            noise: Share of real tuples whose ends get more noise; the truth stays clean.
            spans: How many gaps of a real tuple may lie between both ends; one of them is drawn.

        Raises:
            ValueError: There are no such shards, or damaged ones, or their tuples are too small or too short.
        """
        super().__init__()
        self.tuples, self.textures = Shards(folder), Shards(folder, "textures")
        self.tuples.check_size(size)
        if (found := len(self.tuples.frames(0))) < 3:
            raise ValueError(f"{folder}: its tuples have {found} frames, interpolation is trained on 3")
        motion = np.array([facts["motion"] for facts in self.tuples.facts])
        chance = np.clip(motion, 0.5, 12) ** 0.5
        self.cumulative = np.cumsum(chance / chance.sum())
        self.size, self.seed, self.spans = size, seed, spans
        self.synthetic, self.overlays, self.speed, self.noise = synthetic, overlays, speed, noise

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.seed, index))
        if rng.random() < self.synthetic:
            frames, time, flow, trust = self._scene(rng)
        else:
            frames, time, flow, trust = self._real(rng)
        covered: Bools = np.zeros((self.size, self.size), bool)
        clear: Bools = ~covered
        if rng.random() < self.overlays:
            drawn = random_overlays(3, self.size, self.size, rng)
            composite = paste(frames, [_even(overlay, time) for overlay in drawn])
            covered = np.all(composite.static, axis=0)
            clear = ~np.any(composite.unsure | composite.moving, axis=0)
            frames = composite.frames
            flow = np.where(covered, 0, flow)
            trust = np.where(covered, 1, np.where(clear, trust, 0))
        start, middle, end = (
            rearrange(torch.from_numpy(np.ascontiguousarray(frame)), "h w c -> c h w") for frame in frames
        )
        return {
            "img0": start,
            "img1": end,
            "truth": middle,
            "time": torch.tensor([[[time]]], dtype=torch.float32),
            "flow": torch.from_numpy(np.ascontiguousarray(flow, np.float32)),
            "trust": torch.from_numpy(np.ascontiguousarray(trust, np.float32)),
            "covered": torch.from_numpy(covered)[None],
            "clear": torch.from_numpy(clear)[None],
        }

    def _scene(self, rng: Rng) -> tuple[list[Image], float, Floats, Floats]:
        time = 0.5 if rng.random() < 0.5 else float(rng.uniform(0.1, 0.9))
        scene = random_scene(self.textures, self.size, rng, self.speed)
        frames = [scene.frame(moment) for moment in (0.0, time, 1.0)]
        flow = np.concatenate((scene.flow(time, 0.0), scene.flow(time, 1.0)))
        if rng.random() < 0.6:
            _add_noise(frames, rng.uniform(0.5, 4), rng)
        return frames, time, flow, np.ones((2, self.size, self.size), np.float32)

    def _real(self, rng: Rng) -> tuple[list[Image], float, Floats, Floats]:
        index = min(int(np.searchsorted(self.cumulative, rng.random())), len(self.tuples) - 1)
        frames = self.tuples.frames(index)
        span = min(int(rng.choice(self.spans)), len(frames) - 1)
        first = int(rng.integers(0, len(frames) - span))
        middle = span // 2 if span % 2 == 0 and rng.random() < 0.6 else int(rng.integers(1, span))
        places = [first, first + middle, first + span]
        if rng.random() < 0.5:
            places.reverse()
        time = (places[1] - places[0]) / (places[2] - places[0])
        height, width = frames[0].shape[:2]
        y, x = int(rng.integers(0, height - self.size + 1)), int(rng.integers(0, width - self.size + 1))
        flips = (
            slice(None, None, 1 if rng.random() < 0.7 else -1),
            slice(None, None, 1 if rng.random() < 0.5 else -1),
        )
        crops = [np.ascontiguousarray(frames[p][y : y + self.size, x : x + self.size][flips]) for p in places]
        if rng.random() < 0.3:
            crops = [np.ascontiguousarray(crop.transpose(1, 0, 2)) for crop in crops]
        flow, trust = _measure(crops)
        if rng.random() < self.noise:
            _add_noise(crops, float(np.exp(rng.uniform(0, np.log(12)))), rng)
        return crops, time, flow, trust


def _add_noise(frames: list[Image], sigma: float, rng: Rng) -> None:
    """Add a sensor's noise to both ends; the frame between them, which is to be made, stays clean."""
    for side in (0, 2):
        noisy = frames[side] + rng.normal(0, sigma, frames[side].shape).astype(np.float32)
        frames[side] = quantised(noisy)


def _even(overlay: Overlay, time: float) -> Overlay:
    """The overlay; if it fades, then evenly over the gap, so that the frame at `time` is right."""
    first, _, last = overlay.opacity
    if not (first and last):
        return overlay
    return replace(overlay, opacity=(first, first + time * (last - first), last))


def _measure(frames: list[Image]) -> tuple[Floats, Floats]:
    """DIS flow [4,H,W] in px from the middle frame to both ends, and how far to trust each half, [2,H,W] in 0..1."""
    start, middle, end = (grey(frame) for frame in frames)
    height, width = middle.shape
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
    flows, trust = [], []
    for other in (start, end):
        flow = search(middle, other)
        place = grid + flow
        error = cv2.absdiff(
            cv2.remap(other, place[0], place[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), middle
        )
        inside = (place[0] >= 0) & (place[0] < width) & (place[1] >= 0) & (place[1] < height)
        flows.append(flow)
        trust.append(np.exp(-cv2.blur(error.astype(np.float32), (5, 5)) / 4) * inside)
    return np.concatenate(flows), np.stack(trust).astype(np.float32)
