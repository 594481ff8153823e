"""How well the frames between are made: by clip, by kind and size of motion, and around what stands still."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from distill.clips import Image, find_clips
from distill.evaluate.cases import standing
from distill.evaluate.methods import Method, blend, dis, find_ffmpeg, minterpolate, network
from distill.evaluate.similarity import Similarity, psnr
from distill.lettering import PLAIN
from distill.overlays import paste, random_overlays
from maskvfi.interpolator import Interpolator

STILL = 0.5  # mean change between a run's ends, in code values, under which there is nothing to interpolate
MOTION = (4.0, 16.0)  # px from end to end that part small from middling from large motion
RING = 12  # px around what stands still
REGIONS = ("all", "standing", "ring", "elsewhere")


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
    """All scores on plain footage; those under overlays, whose measures are PSNR by REGIONS; measures not to be had."""

    plain: list[Score]
    overlaid: list[Score] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def measure_quality(
    clips: Path, vfi: str, mask: str | None = None, runs: int = 12, times: int = 2, seed: int = 1
) -> Quality:
    """Every times-th frame of up to `runs` moving places per clip is kept, those between are made and compared.

    Without a mask there are no overlays. Raises WeightsError for bad weights, ValueError where there is no video.
    """
    plain, similarity = network(Interpolator(vfi, None)), Similarity()
    methods: dict[str, Method] = {"blend": blend, "DIS": dis}
    if ffmpeg := find_ffmpeg("minterpolate"):
        methods["minterpolate"] = minterpolate(ffmpeg)
    methods[Path(vfi).name] = plain
    masked = {"mask off": plain, "mask on": network(Interpolator(vfi, mask))} if mask else {}
    quality = Quality([], [], similarity.missing + ([] if ffmpeg else ["minterpolate (needs ffmpeg)"]))
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
                for name, measures in _under_overlays(truth, masked, rng):
                    quality.overlaid.append(Score(clip.path.name, clip.kind, motion, name, measures))
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
    if quality.overlaid:
        table = Table("", *REGIONS, title=f"PSNR in dB under overlays (ring: {RING} px around what stands)")
        for method in _names(quality.overlaid):
            table.add_row(method, *(f"{_mean(quality.overlaid, method, r):.2f}" for r in REGIONS))
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


def _under_overlays(
    truth: list[Image], methods: dict[str, Method], rng: np.random.Generator
) -> Iterator[tuple[str, dict[str, float]]]:
    """By method: PSNR in REGIONS of the run with random overlays that stand still on top of it."""
    height, width = truth[0].shape[:2]
    overlays = random_overlays(len(truth), height, width, rng, fonts=PLAIN)
    composite = paste(truth, [standing(overlay, False, rng) for overlay in overlays])
    still = composite.static.all(axis=0)
    around = cv2.dilate(still.astype(np.uint8), np.ones((2 * RING + 1,) * 2, np.uint8)) > 0
    places = (np.ones_like(still), still, around & ~still, ~around)
    frames = composite.frames
    for name, method in methods.items():
        made = method(frames[0], frames[-1], len(frames) - 1)
        yield (
            name,
            {
                region: float(np.mean([psnr(a, b, where) for a, b in zip(made, frames[1:-1], strict=True)]))
                for region, where in zip(REGIONS, places, strict=True)
                if where.any()
            },
        )
