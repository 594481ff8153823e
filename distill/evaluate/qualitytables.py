"""The tables of `evaluate quality`, for the console."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from rich.table import Table

from distill.evaluate.quality import NOISE, REGIONS, Quality, Score
from distill.evaluate.regions import RING
from distill.evaluate.tables import console_table

MOTION = (4.0, 16.0)  # px from end to end, the limits of small and of middling motion


def quality_tables(quality: Quality) -> list[Table]:
    """Tables for the console: by method, by clip, by kind, by motion, and under overlays."""
    tables = [_by_method(quality.plain, "Frames between, mean over clips")]
    if "psnr" in quality.plain[0].measures:
        tables.append(_measure_table("PSNR in dB by clip", quality.plain, lambda score: score.clip))
    if "stlpips" in quality.plain[0].measures:
        by_clip = _measure_table("ST-LPIPS by clip", quality.plain, lambda score: score.clip, "stlpips", 4)
        tables.append(by_clip)
    if "psnr" in quality.plain[0].measures:
        tables.append(_measure_table("PSNR in dB by kind", quality.plain, lambda score: score.kind))
        tables.append(
            _measure_table("PSNR in dB by motion", quality.plain, lambda score: _size(score.motion))
        )
    under = f"PSNR in dB under overlays (ring: {RING} px around what stands)"
    for scores, title in (
        (quality.overlaid, under),
        (quality.noisy, f"{under}, noise of {NOISE:g} code values"),
    ):
        if scores:
            seen = {"ST-LPIPS of all": "stlpips"} if "stlpips" in scores[0].measures else {}
            rows = []
            for method in _names(scores):
                cells = [f"{_mean(scores, method, region):.2f}" for region in REGIONS]
                cells += [f"{_mean(scores, method, name):.4f}" for name in seen.values()]
                rows.append([method, *cells])
            tables.append(_table(title, ["", *REGIONS, *seen], rows))
    return tables


def _table(title: str, headers: Iterable[str], rows: Iterable[Sequence[str]]) -> Table:
    return console_table(title, [(header, "left") for header in headers], rows)


def _by_method(scores: Sequence[Score], title: str) -> Table:
    titles = {
        "psnr": "PSNR dB",
        "psnr_div": "PSNR dB where motion diverges",
        "stlpips": "ST-LPIPS",
        "sharpness": "sharpness",
        "ssim": "SSIM",
        "lpips": "LPIPS",
        "ssimulacra2": "SSIMULACRA2",
        "vmaf": "VMAF",
        "flicker": "flicker",
    }
    measures = [name for name in titles if name in scores[0].measures]
    rows = (
        [method, *(f"{_mean(scores, method, name):.4g}" for name in measures)] for method in _names(scores)
    )
    return _table(title, ["", *(titles[name] for name in measures)], rows)


def _measure_table(
    title: str,
    scores: Sequence[Score],
    group: Callable[[Score], str],
    measure: str = "psnr",
    digits: int = 2,
) -> Table:
    methods = _names(scores)
    rows = []
    for name in dict.fromkeys(sorted(map(group, scores))):
        inside = [score for score in scores if group(score) == name]
        means = (_mean(inside, method, measure) for method in methods)
        rows.append([name, str(len(inside) // len(methods)), *(f"{mean:.{digits}f}" for mean in means)])
    return _table(title, ["", "runs", *methods], rows)


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
        f" 0 to {small:g} px"
        if motion < small
        else f" {small:g} to {large:g} px"
        if motion < large
        else f"{large:g} px and more"
    )


def set_tables(quality: Quality, name: str) -> list[Table]:
    """Tables of a test set for the console, one for each of its parts."""
    parts = dict.fromkeys(score.kind for score in quality.plain)
    tables = []
    for part in parts:
        scores = [score for score in quality.plain if score.kind == part]
        count = len({score.clip for score in scores})
        tables.append(_by_method(scores, f"{name} {part}".strip() + f", mean over {count} runs"))
    return tables
