"""How well the frames between are made: by clip, by kind and size of motion, and around what stands still."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from distill.data.clips import Image, find_clips
from distill.evaluate.cases import standing
from distill.evaluate.methods import Method, blend, dis, find_ffmpeg, minterpolate, network
from distill.evaluate.similarity import Similarity, psnr
from distill.data.labels import Rule, as_batch, static_labels
from distill.synthetic.text import PLAIN
from distill.synthetic.overlays import Composite, paste, random_overlays
from distill.data.teachers import Dis
from maskvfi.synthesis.interpolator import Interpolator

STILL = 0.5  # mean change between a run's ends, in code values, under which there is nothing to interpolate
MOTION = (4.0, 16.0)  # px from end to end that part small from middling from large motion
RULE = Rule()
RING = 12  # px around what stands still
NOISE = 10.0  # code values: the deviation of the noise in the second of the tables under overlays
REGIONS = (
    "all",
    "standing",
    "ring",
    "elsewhere",
    "moving",
)  # moving: the part of elsewhere that surely moves


@dataclass(frozen=True, slots=True)
class Score:
    """What a method earned on one run of frames: measures by name.

    motion: the 95th percentile of DIS flow between the run's ends, in px.
    """

    clip: str
    kind: str
    motion: float
    method: str
    measures: dict[str, float]


@dataclass(frozen=True, slots=True)
class Quality:
    """All scores on plain footage; those under overlays, whose measures are PSNR by REGIONS, and under overlays and
    noise, against the clean truth; measures not to be had.
    """

    plain: list[Score]
    overlaid: list[Score] = field(default_factory=list)
    noisy: list[Score] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def measure_quality(
    clips: Path, vfi: str, mask: str | None = None, runs: int = 12, times: int = 2, seed: int = 1
) -> Quality:
    """Every times-th frame of up to `runs` moving places per clip is kept, those between are made and compared.

    Without a mask there are no overlays. Raises WeightsError for bad weights, ValueError where there is no video.
    """
    unmasked, similarity = Interpolator(vfi, None), Similarity()
    plain = network(unmasked)
    methods: dict[str, Method] = {"blend": blend, "DIS": dis}
    if ffmpeg := find_ffmpeg("minterpolate"):
        methods["minterpolate"] = minterpolate(ffmpeg)
    methods[Path(vfi).name] = plain
    masked = {"mask off": plain, "mask on": network(Interpolator(vfi, mask))} if mask else {}
    quality = Quality([], missing=similarity.missing + ([] if ffmpeg else ["minterpolate (needs ffmpeg)"]))
    found = find_clips(clips)
    for number, clip in enumerate(track(found, "quality", console=Console(stderr=True))):
        truths = list(moving_runs(clip.path, runs, times))
        motions = [_motion(truth[0], truth[-1]) for truth in truths]
        for name, method in methods.items():
            made = [[truth[0], *method(truth[0], truth[-1], times), truth[-1]] for truth in truths]
            measured = [similarity.measures(*pair) for pair in zip(made, truths, strict=True)]
            for measures, vmaf in zip(
                measured, similarity.vmaf(made, truths) or () if truths else (), strict=False
            ):
                measures["vmaf"] = vmaf
            quality.plain.extend(
                Score(clip.path.name, clip.kind, motion, name, measures)
                for motion, measures in zip(motions, measured, strict=True)
            )
        if masked:
            cases = zip(truths, motions, strict=True)
            for index, (truth, motion) in enumerate(cases):
                rng = np.random.default_rng((seed, number, index))
                composite, moves = _overlaid(truth, rng), _moves(truth)
                still = torch.from_numpy(composite.static.all(axis=0)).float()
                known = network(Interpolator(unmasked.vfi, None, protect=still))
                clean = [composite.frames[0], composite.frames[-1]]
                for scores, ends in (
                    (quality.overlaid, clean),
                    (quality.noisy, [_noisy(f, rng) for f in clean]),
                ):
                    for name, method in (masked | {"true mask": known}).items():
                        measures = _by_region(composite, moves, method(ends[0], ends[1], times))
                        scores.append(Score(clip.path.name, clip.kind, motion, name, measures))
    return quality


def moving_runs(path: Path, count: int, times: int = 2) -> Iterator[list[Image]]:
    """Up to `count` evenly spread runs of times + 1 consecutive RGB frames in which something moves."""
    video = cv2.VideoCapture(os.fspath(path))
    total = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    wanted = {int(place) for place in np.linspace(times, total - 1, min(count, max(total - times, 0)))}
    window: list[Image] = []
    for number in range(total):
        found, frame = video.read()
        if not found:
            return
        window = [*window[-times:], np.ascontiguousarray(frame[..., ::-1])]
        if number in wanted and float(cv2.absdiff(window[0], window[-1]).mean()) > STILL:
            yield window


def quality_tables(quality: Quality) -> list[Table]:
    """By method, by clip, by kind and motion, and under overlays."""
    tables = [_by_method(quality.plain)]
    tables.append(_psnr_table("PSNR in dB by clip", quality.plain, lambda score: score.clip))
    tables.append(_psnr_table("PSNR in dB by kind", quality.plain, lambda score: score.kind))
    tables.append(_psnr_table("PSNR in dB by motion", quality.plain, lambda score: _size(score.motion)))
    under = f"PSNR in dB under overlays (ring: {RING} px around what stands)"
    for scores, title in (
        (quality.overlaid, under),
        (quality.noisy, f"{under}, noise of {NOISE:g} code values"),
    ):
        if scores:
            table = Table("", *REGIONS, title=title)
            for method in _names(scores):
                table.add_row(method, *(f"{_mean(scores, method, r):.2f}" for r in REGIONS))
            tables.append(table)
    return tables


def _by_method(scores: Sequence[Score]) -> Table:
    titles = {"psnr": "PSNR dB", "ssim": "SSIM", "lpips": "LPIPS", "vmaf": "VMAF", "flicker": "flicker"}
    measures = [name for name in titles if name in scores[0].measures]
    table = Table("", *(titles[name] for name in measures), title="Frames between, mean over clips")
    for method in _names(scores):
        table.add_row(method, *(f"{_mean(scores, method, name):.4g}" for name in measures))
    return table


def _psnr_table(title: str, scores: Sequence[Score], group: Callable[[Score], str]) -> Table:
    methods = _names(scores)
    table = Table("", "runs", *methods, title=title)
    for name in dict.fromkeys(sorted(map(group, scores))):
        inside = [score for score in scores if group(score) == name]
        means = (_mean(inside, method, "psnr") for method in methods)
        table.add_row(name, str(len(inside) // len(methods)), *(f"{mean:.2f}" for mean in means))
    return table


def _mean(scores: Sequence[Score], method: str, measure: str) -> float:
    """Mean over clips of the mean over a clip's runs."""
    by_clip: dict[str, list[float]] = {}
    for score in scores:
        if score.method == method and measure in score.measures:
            by_clip.setdefault(score.clip, []).append(score.measures[measure])
    return float(np.mean([np.mean(values) for values in by_clip.values()]))


def _names(scores: Sequence[Score]) -> list[str]:
    return list(dict.fromkeys(score.method for score in scores))


def _size(motion: float) -> str:
    small, large = MOTION
    return (
        f"1 up to {small:g} px" if motion < small else f"2 up to {large:g} px" if motion < large else "3 more"
    )


def _motion(start: Image, end: Image) -> float:
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    first, last = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (start, end))
    flow = search.calc(first, last, None)
    return float(np.percentile(np.hypot(flow[..., 0], flow[..., 1]), 95))


def _overlaid(truth: list[Image], rng: np.random.Generator) -> Composite:
    """A run with random overlays that stand still on top of it."""
    height, width = truth[0].shape[:2]
    overlays = random_overlays(len(truth), height, width, rng, fonts=PLAIN)
    return paste(truth, [standing(overlay, False, rng) for overlay in overlays])


def _moves(truth: list[Image]) -> NDArray[np.bool_]:
    """Where [H,W] a run surely moves from end to end."""
    ends = as_batch([truth[0], truth[-1]])
    static, unsure = static_labels(Dis().motion(ends[:1], ends[1:]), ends[:1], ends[1:], RULE)
    moves: NDArray[np.bool_] = (~static & ~unsure)[0].numpy()
    return moves


def _noisy(frame: Image, rng: np.random.Generator) -> Image:
    noise = rng.standard_normal(frame.shape, np.float32) * np.float32(NOISE)
    return np.clip(np.rint(frame + noise), 0, 255).astype(np.uint8)


def _by_region(composite: Composite, moves: NDArray[np.bool_], made: Sequence[Image]) -> dict[str, float]:
    """PSNR in REGIONS of the frames between against those of the composite."""
    still = composite.static.all(axis=0)
    around = cv2.dilate(still.astype(np.uint8), np.ones((2 * RING + 1,) * 2, np.uint8)) > 0
    places = (np.ones_like(still), still, around & ~still, ~around, moves & ~around)
    return {
        region: float(np.mean([psnr(a, b, where) for a, b in zip(made, composite.frames[1:-1], strict=True)]))
        for region, where in zip(REGIONS, places, strict=True)
        if where.any()
    }
