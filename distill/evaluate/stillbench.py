"""The still-things benchmark: does what stands still stay as it was, and what does that cost around it?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from distill.arrays import Bools, Image
from distill.data.clips import find_clips
from distill.data.tensors import as_batch
from distill.evaluate.psnr import psnr
from distill.evaluate.regions import regions_of
from distill.evaluate.stillcases import KINDS, StillCase, still_cases
from distill.evaluate.stillmethods import Maker
from distill.evaluate.tables import console_table
from distill.training.perceptual import load_perceptual

REGIONS = ("inside", "ring", "elsewhere")


@dataclass(frozen=True, slots=True)
class StillScore:
    """What a method earned on one case.

    Attributes:
        kind: One of KINDS.
        method: Its name.
        psnr: In dB by region, the mean over the middles that count; without regions that the case does not have.
        stlpips: ST-LPIPS by region, of the last middle that counts; empty without stlpips-pytorch.
        flicker: Inside, by how much the steps between the five frames that are shown differ from the true steps, mean
            over pixels, in code values.
    """

    kind: str
    method: str
    psnr: dict[str, float]
    stlpips: dict[str, float]
    flicker: float


@dataclass(frozen=True, slots=True)
class StillExample:
    """A case, and its last middle that counts as each method made it.

    Attributes:
        case: The case.
        made: The frames [S,S,3], by method.
        truths: What each of them is compared with, by method.
    """

    case: StillCase
    made: dict[str, Image]
    truths: dict[str, Image]


@dataclass(frozen=True, slots=True)
class StillBench:
    """All scores.

    Attributes:
        scores: One for every case and method.
        examples: A case of each kind.
        cases: How many there are, by kind.
        missing: What could not be measured, each with what it needs.
    """

    scores: list[StillScore]
    examples: list[StillExample] = field(default_factory=list)
    cases: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    missing: list[str] = field(default_factory=list)

    @property
    def methods(self) -> list[str]:
        """Their names, in the order in which they were given."""
        return list(dict.fromkeys(score.method for score in self.scores))

    def mean(self, method: str, measure: str, region: str, kind: str | None = None) -> float:
        """The mean over kinds of the mean over a kind's cases, or over the cases of one kind; NaN without cases.

        Args:
            method: Its name.
            measure: "psnr", "stlpips" or "flicker".
            region: One of REGIONS, for the first two.
            kind: One of KINDS, or all.
        """
        by_kind: dict[str, list[float]] = {}
        for score in self.scores:
            if score.method == method and kind in (None, score.kind):
                found = score.flicker if measure == "flicker" else getattr(score, measure).get(region)
                if found is not None:
                    by_kind.setdefault(score.kind, []).append(found)
        return float(np.mean([np.mean(values) for values in by_kind.values()])) if by_kind else float("nan")

    def together(self, method: str, kind: str | None = None) -> float:
        """The mean of the PSNR of the three regions, in dB."""
        return float(np.mean([self.mean(method, "psnr", region, kind) for region in REGIONS]))


class RegionalDistance:
    """ST-LPIPS by region: the maps of its five layers, each at its own size, are spread over the picture and added."""

    def __init__(self) -> None:
        """Load the network. Raises ValueError where its weights are missing."""
        self._network = load_perceptual()
        self._maps: list[Tensor] = []
        for head in self._network.heads:
            head.register_forward_hook(lambda _, inputs, output: self._maps.append(output))

    @torch.inference_mode()
    def __call__(self, made: Image, truth: Image, regions: Mapping[str, Bools]) -> dict[str, float]:
        """The distance of two pictures [H,W,3] in each region [H,W]; a region without pixels is left out."""
        self._maps.clear()
        self._network(as_batch([made]), as_batch([truth]))
        size = truth.shape[:2]
        spread = [F.interpolate(each, size, mode="bilinear", align_corners=False) for each in self._maps]
        total = torch.stack(spread).sum(dim=0)[0, 0].numpy()
        return {name: float(total[where].mean()) for name, where in regions.items() if where.any()}


def measure_still(
    clips: Path, makers: Mapping[str, Maker], count: int, seed: int = 1, missing: Iterable[str] = ()
) -> StillBench:
    """Run the benchmark.

    Args:
        clips: A folder of videos.
        makers: The methods by name.
        count: Composites per clip; the kinds take turns.
        seed: Equal seeds give equal cases.
        missing: What is missing already.

    Raises:
        ValueError: The clips cannot be read, or a command fails.
    """
    cases = still_cases(clips, count, seed)
    total = len(find_clips(clips)) * count
    bench = judge_methods(track(cases, "still things", total, console=Console(stderr=True)), makers)
    bench.missing[:0] = missing
    return bench


def judge_methods(cases: Iterable[StillCase], makers: Mapping[str, Maker]) -> StillBench:
    """Measure methods on cases; see `measure_still`."""
    bench = StillBench([])
    try:
        distance: RegionalDistance | None = RegionalDistance()
    except (ValueError, OSError) as error:
        distance = None
        bench.missing.append(str(error))
    for case in cases:
        regions = regions_of(case.inside)
        example = StillExample(case, {}, {})
        for name, make in makers.items():
            frames = make(case)
            truths = nearest_truths(frames, case)
            pairs = [(frames[middle], truths[middle]) for middle in case.counted]
            example.made[name], example.truths[name] = pairs[-1]
            bench.scores.append(
                StillScore(
                    case.kind,
                    name,
                    {
                        region: float(np.mean([psnr(*pair, where) for pair in pairs]))
                        for region, where in regions.items()
                        if where.any()
                    },
                    distance(*pairs[-1], regions) if distance else {},
                    _flicker(case, frames, truths),
                )
            )
        if not bench.cases[case.kind]:
            bench.examples.append(example)
        bench.cases[case.kind] += 1
    return bench


def nearest_truths(frames: list[Image], case: StillCase) -> list[Image]:
    """For each middle the truth that is closest to the frame inside; where things are replaced there are two."""
    return [
        max(possible, key=lambda truth: psnr(frame, truth, case.inside))
        for frame, possible in zip(frames, zip(*case.truths, strict=True), strict=True)
    ]


def still_tables(bench: StillBench) -> list[Table]:
    """Tables for the console: all kinds together, and by kind."""
    tables = []
    for title, headers, rows in still_rows(bench):
        columns = [(header, "left" if header == "method" else "right") for header in headers]
        tables.append(console_table(title, columns, rows))
    return tables


def still_rows(bench: StillBench) -> list[tuple[str, list[str], list[list[str]]]]:
    """The tables as text: for each its title, its headers and its rows."""
    headers = ["method", *REGIONS, "together", *(f"ST-LPIPS {region}" for region in REGIONS), "flicker"]
    overall = [
        [
            method,
            *(f"{bench.mean(method, 'psnr', region):.2f}" for region in REGIONS),
            f"{bench.together(method):.2f}",
            *(f"{bench.mean(method, 'stlpips', region):.4f}" for region in REGIONS),
            f"{bench.mean(method, 'flicker', 'inside'):.2f}",
        ]
        for method in bench.methods
    ]
    kinds = [kind for kind, count in bench.cases.items() if count]
    counted = ["cases", *(str(bench.cases[kind]) for kind in kinds)]
    tables = [("PSNR in dB, ST-LPIPS and flicker, mean over kinds", headers, overall)]
    by_kind: list[tuple[str, Callable[[str, str], str]]] = [
        ("together, PSNR in dB by kind", lambda method, kind: f"{bench.together(method, kind):.2f}"),
        (
            "inside, PSNR in dB by kind",
            lambda method, kind: f"{bench.mean(method, 'psnr', 'inside', kind):.2f}",
        ),
    ]
    if any(score.stlpips for score in bench.scores):
        by_kind.append(
            (
                "inside, ST-LPIPS by kind",
                lambda method, kind: f"{bench.mean(method, 'stlpips', 'inside', kind):.4f}",
            )
        )
    for title, cell in by_kind:
        rows = [[method, *(cell(method, kind) for kind in kinds)] for method in bench.methods]
        tables.append((title, ["method", *kinds], [*rows, counted]))
    return tables


def _flicker(case: StillCase, frames: list[Image], truths: list[Image]) -> float:
    """See StillScore. The given frames may be noisy or coded, and then flicker themselves: a viewer sees that too."""
    shown, true = ([a[0], b[0], a[1], b[1], a[2]] for a, b in ((case.given, frames), (case.clean, truths)))
    counted = [
        2 * middle + half for middle in case.counted for half in (0, 1)
    ]  # steps to a middle and from it
    steps = [
        np.diff(np.stack(run).astype(np.float32), axis=0)[counted][:, case.inside] for run in (shown, true)
    ]
    return float(np.abs(steps[0] - steps[1]).mean())
