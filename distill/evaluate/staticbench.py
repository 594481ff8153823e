"""StaticBench: how well masks find what stands still, whether their probabilities are true, and where they fail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from distill.arrays import Bools, Floats, Image
from distill.data.clips import find_clips
from distill.evaluate.cases import KINDS, SIDE, Case, motion_shows, static_cases
from distill.evaluate.footage import Footage
from distill.evaluate.judges import (
    Judge,
    difference_judge,
    dis_judge,
    hysteresis_judge,
    network_judge,
    rife_judge,
    unchanged_judge,
)
from distill.evaluate.tables import console_table
from distill.evaluate.whole_moving import MovingGap, moving_gaps

PAIRS = "by pairs"  # the cases of "sequence", every gap judged by its own two frames
TARGET = ("hud", "fade", "still")  # the kinds whose mean the project aims at
GIVEN = "edges given"  # the cases of TARGET, pixels within EDGE px of a true edge taken as right
COLUMNS = (*KINDS, PAIRS, GIVEN)
EDGE = 2  # px
BINS = 10
PAN = 20  # px
KEPT = 4  # examples of a kind
MIN_PIXELS = 5000  # of a clip that a trusted flow must see moving, for a share of them to mean anything


@dataclass(frozen=True, slots=True)
class Example:
    """A case, the first mask's scores [S,S] of its first gap, and their F1 at 0.5."""

    case: Case
    said: Floats
    f1: float


@dataclass(frozen=True, slots=True)
class Result:
    """What a judge earned. Arrays run over its thresholds, dictionaries over COLUMNS.

    reliability, identical and pan mean nothing for baselines, which give no probabilities.

    Attributes:
        judge: Who was measured.
        f1: Of the class that is rarer in a gap, mean over gaps.
        precision, recall: Of the class that is rarer in a kind, over all its pixels.
        reliability: [BINS,3], for each bin of probability its mean, the share that truly is still, and its pixels.
        identical: The share of equal frames that is called still.
        pan: The share of panned frames that is called still, where the pan shows.
        moving: By clip, the share of the pixels that is called still although a trusted flow sees them moving, in gaps
            in which everything moves, at every threshold.
        swapped: The share of replaced pixels that is called still, at every threshold.
        flicker: The share of the pixels of sequences that change sides from one gap to the next although the truth does
            not, at every threshold.
        swap_f1: F1 of what was replaced, mean over gaps; NaN for judges that do not know this.
    """

    judge: Judge
    f1: dict[str, Floats]
    precision: dict[str, Floats]
    recall: dict[str, Floats]
    reliability: Floats
    identical: float
    pan: float
    moving: dict[str, Floats]
    swapped: Floats
    flicker: Floats
    swap_f1: float

    def common(self) -> int:
        """The index of the threshold with the best mean F1 over KINDS."""
        return int(np.mean([self.f1[kind] for kind in KINDS], axis=0).argmax())

    def middle(self) -> int:
        """The index of the threshold nearest to 0.5."""
        return int(np.abs(self.judge.thresholds - 0.5).argmin())

    def calibration_error(self) -> float:
        """The expected calibration error (Naeini et al., AAAI 2015), 0..1."""
        said, observed, pixels = self.reliability.T
        return float((np.abs(said - observed) * pixels).sum() / max(pixels.sum(), 1))


@dataclass(frozen=True, slots=True)
class Bench:
    """All results.

    Attributes:
        results: One for every judge, networks first.
        cases: How many there are, by kind.
        examples: The first mask's best and worst cases, by kind.
    """

    results: list[Result]
    cases: dict[str, int]
    examples: dict[str, list[Example]]


@dataclass(slots=True)
class _Tally:
    """A judge's counts so far.

    `gaps` holds, by column and for every gap, two histograms over the number of thresholds that a pixel passes: of
    still pixels and of moving ones.
    """

    judge: Judge
    gaps: dict[str, list[tuple[Floats, Floats]]] = field(default_factory=lambda: {c: [] for c in COLUMNS})
    bins: Floats = field(default_factory=lambda: np.zeros((BINS, 3)))
    identical: list[float] = field(default_factory=list)
    pan: list[float] = field(default_factory=list)
    moving: dict[str, Floats] = field(default_factory=dict)
    swapped: Floats = field(init=False)
    swaps: list[float] = field(default_factory=list)
    crossings: Floats = field(init=False)
    compared: int = 0

    def __post_init__(self) -> None:
        self.swapped, self.crossings = self._levels(np.zeros(0)), self._levels(np.zeros(0))

    def add(self, case: Case) -> Floats:
        """Count a case. Returns the judge's scores [N-1,S,S]."""
        scores = self.judge.scores(case.frames)
        self._count(case.kind, scores, case)
        self._compare(scores, case)
        if case.kind == "sequence":
            pairs = [self.judge.scores(case.frames[k : k + 2]) for k in range(len(scores))]
            self._count(PAIRS, np.concatenate(pairs), case)
        if case.replaced is not None and case.vague is not None:
            self.swapped += self._levels(scores[case.replaced])
            if self.judge.replaced is not None:
                for said, truth, counts in zip(
                    self.judge.replaced(case.frames), case.replaced, ~case.vague, strict=True
                ):
                    right, total = (said & truth & counts).sum(), (said & counts).sum() + truth.sum()
                    self.swaps.append(float(2 * right / max(total, 1)))
        return scores

    def add_moving(self, gap: MovingGap) -> None:
        """Count the pixels of a gap that a trusted flow sees moving."""
        levels = self._levels(self.judge.scores(gap.frames)[0][gap.moving])
        self.moving[gap.clip] = self.moving.get(gap.clip, 0) + levels

    def _levels(self, scores: Floats) -> Floats:
        """How many scores pass no threshold, one, two and so on."""
        return np.bincount(self._passed(scores), minlength=len(self.judge.thresholds) + 1).astype(float)

    def _passed(self, scores: Floats) -> Floats:
        """How many thresholds each score passes."""
        passed: Floats = np.searchsorted(self.judge.thresholds, scores, side="right")
        return passed

    def _compare(self, scores: Floats, case: Case) -> None:
        """Count the pixels whose score passes a threshold in one gap and not in the next."""
        passed, size = self._passed(scores), len(self.crossings)
        same = ~case.unsure[1:] & ~case.unsure[:-1] & (case.static[1:] == case.static[:-1])
        low, high = (bound(passed[1:], passed[:-1])[same] for bound in (np.minimum, np.maximum))
        self.crossings += np.bincount(low, minlength=size) - np.bincount(high, minlength=size)
        self.compared += int(same.sum())

    def _count(self, column: str, scores: Floats, case: Case) -> None:
        count = len(self.judge.thresholds) + 1
        passed = self._passed(scores)
        for level, static, sure in zip(passed, case.static, ~case.unsure, strict=True):
            self.gaps[column].append(_histograms(level, static, sure, count))
            if column in TARGET:
                given = np.where(_near_edges(static), (count - 1) * static, level)
                self.gaps[GIVEN].append(_histograms(given, static, sure, count))
        if column in KINDS and not self.judge.unit:
            said, truth = scores[~case.unsure], case.static[~case.unsure]
            place = np.minimum((said * BINS).astype(int), BINS - 1)
            for index, weights in enumerate((said, truth, None)):
                self.bins[:, index] += np.bincount(place, weights, BINS)

    def result(self) -> Result:
        counts = {column: np.array([_rarer(*gap) for gap in gaps]) for column, gaps in self.gaps.items()}
        pooled = {column: _rarer(*np.sum(gaps, axis=0)) for column, gaps in self.gaps.items()}
        f1 = {c: (2 * n[:, 0] / np.maximum(n[:, 1] + n[:, 2], 1)).mean(axis=0) for c, n in counts.items()}
        # Where nothing is called still precision counts as 1, so that every curve ends there.
        precision = {c: np.where(n[1] > 0, n[0] / np.maximum(n[1], 1), 1.0) for c, n in pooled.items()}
        recall = {c: n[0] / np.maximum(n[2], 1) for c, n in pooled.items()}
        reliability = np.column_stack((self.bins[:, :2] / np.maximum(self.bins[:, 2:], 1), self.bins[:, 2]))
        identical, pan = (float(np.mean(share)) for share in (self.identical, self.pan))
        moving = {clip: _shares(levels) for clip, levels in self.moving.items() if levels.sum() > MIN_PIXELS}
        swap_f1 = float(np.mean(self.swaps)) if self.swaps else float("nan")
        return Result(
            self.judge,
            f1,
            precision,
            recall,
            reliability,
            identical,
            pan,
            moving,
            _shares(self.swapped),
            np.cumsum(self.crossings)[:-1] / max(self.compared, 1),
            swap_f1,
        )


def measure_static(clips: Path, masks: list[str], cases: int, seed: int = 1) -> Bench:
    """Run the benchmark for masks and for baselines.

    Args:
        clips: A folder of videos.
        masks: Names as `load_judge` takes them.
        cases: Composites per kind and clip.
        seed: Equal seeds give equal composites.

    Raises:
        ValueError: Clips or weights cannot be read.
    """
    baselines = [difference_judge(), unchanged_judge(), hysteresis_judge(), dis_judge(), rife_judge()]
    judges = [*(network_judge(name) for name in masks), *baselines]
    composites, total = static_cases(clips, cases, seed), len(find_clips(clips)) * cases * len(KINDS)
    progress = track(composites, "StaticBench", total, console=Console(stderr=True))
    return judge_cases(judges, progress, list(_pans(clips, seed)), moving_gaps(clips, seed))


def judge_cases(
    judges: list[Judge],
    cases: Iterable[Case],
    pans: list[tuple[Image, Image]],
    gaps: Iterable[MovingGap] = (),
) -> Bench:
    """Measure judges.

    Args:
        judges: Networks first.
        cases: What they judge.
        pans: Pairs of frames in which all pixels move, and some of them show it.
        gaps: Real gaps, with the pixels that a trusted flow sees moving.

    Raises:
        ValueError: There is no case of some kind.
    """
    tallies = [_Tally(judge) for judge in judges]
    examples: dict[str, list[Example]] = {kind: [] for kind in KINDS}
    count = dict.fromkeys(KINDS, 0)
    for case in cases:
        count[case.kind] += 1
        said, *_ = [tally.add(case) for tally in tallies]
        earned = f1(said[0] >= 0.5, case.static[0], case.unsure[0])
        kept = sorted((*examples[case.kind], Example(case, said[0], earned)), key=lambda e: -e.f1)
        examples[case.kind] = kept if len(kept) <= KEPT else kept[: KEPT // 2] + kept[-(KEPT // 2) :]
    if missing := [kind for kind, found in count.items() if not found]:
        raise ValueError(f"the clips give no case of {', '.join(missing)}")
    for gap in gaps:
        if gap.moving.any():
            for tally in tallies:
                tally.add_moving(gap)
    for tally in tallies:
        for first, second in pans:
            tally.identical.append(float((tally.judge.scores([first, first]) >= 0.5).mean()))
            panned = tally.judge.scores([first, second])[0][motion_shows(first, second)]
            tally.pan.append(float((panned >= 0.5).mean()))
    return Bench([tally.result() for tally in tallies], count, examples)


def f1(said: Bools, truth: Bools, unsure: Bools) -> float:
    """F1 of the class that is rarer in the truth.

    Args:
        said: The pixels that are called still.
        truth: Those that are still.
        unsure: Those that do not count.
    """
    said, truth = said[~unsure], truth[~unsure]
    if truth.sum() > truth.size / 2:
        said, truth = ~said, ~truth
    right = (said & truth).sum()
    return float(2 * right / max(said.sum() + truth.sum(), 1))


def static_table(bench: Bench) -> Table:
    """F1 by judge and kind, for the console: at 0.5, at the best threshold for all kinds, and at each kind's best."""
    rows, ends = [], []
    for result in bench.results:
        for number, (rule, row) in enumerate(f1_rows(result)):
            rows.append([result.judge.name if number == 0 else "", rule, *(f"{x:.3f}" for x in row)])
        ends.append(len(rows) - 1)
    totals = bench.cases | {PAIRS: bench.cases["sequence"], GIVEN: sum(bench.cases[c] for c in TARGET)}
    counts = [str(totals[column]) for column in (*TARGET, *OTHERS)]
    rows.append(["cases", "", *counts[: len(TARGET)], "", *counts[len(TARGET) :]])
    title = "StaticBench: F1 of the rarer class (mean: over hud, fade, still)"
    return console_table(title, STATIC_HEADERS, rows, ends)


def failures_table(bench: Bench) -> Table:
    """What judges wrongly call still, and what networks find replaced, for the console."""
    title = "Called still by mistake (at 0.5 or the common threshold), found replaced, and flicker"
    return console_table(title, FAILURE_HEADERS, failure_rows(bench))


def failure_rows(bench: Bench) -> list[list[str]]:
    """Rows of text under FAILURE_HEADERS."""
    rows = []
    for result in bench.results:
        place = result.common() if result.judge.unit else result.middle()
        shares = {clip: float(levels[place]) for clip, levels in result.moving.items()}
        worst = max(shares, key=lambda clip: shares[clip], default="")
        found = "-" if np.isnan(result.swap_f1) else f"{result.swap_f1:.3f}"
        mean = f"{np.mean([*shares.values()]):.2%}" if shares else "-"
        named = f"{shares[worst]:.2%} ({worst})" if shares else "-"
        flicker = f"{result.flicker[place]:.2%}"
        rows.append([result.judge.name, mean, named, f"{result.swapped[place]:.1%}", found, flicker])
    return rows


def calibration_table(bench: Bench) -> Table:
    """Calibration of the networks, for the console."""
    title = "Probabilities: are they true, is 0.5 the right threshold, and two things to expect"
    return console_table(title, CALIBRATION_HEADERS, calibration_rows(bench))


def f1_rows(result: Result) -> list[tuple[str, list[float]]]:
    """F1 by the rule that chooses the threshold: of TARGET, their mean, then of the other COLUMNS."""
    rows = []
    if not result.judge.unit:
        rows.append(("0.5", {c: float(v[result.middle()]) for c, v in result.f1.items()}))
    common = result.common()
    limit = float(abs(result.judge.thresholds[common]))
    rule = f"common {limit:.3g} {result.judge.unit}".rstrip()
    rows.append((rule, {column: float(values[common]) for column, values in result.f1.items()}))
    rows.append(("each its best", {column: float(values.max()) for column, values in result.f1.items()}))
    return [
        (rule, [*(by[c] for c in TARGET), float(np.mean([by[c] for c in TARGET])), *(by[c] for c in OTHERS)])
        for rule, by in rows
    ]


OTHERS = tuple(column for column in COLUMNS if column not in TARGET)
STATIC_HEADERS = (
    ("judge", "left"),
    ("threshold", "left"),
    *((column, "right") for column in (*TARGET, "mean", *OTHERS)),
)
FAILURE_HEADERS = (
    ("judge", "left"),
    ("whole-moving clips: still", "right"),
    ("worst clip", "right"),
    ("replaced: still", "right"),
    ("replaced: F1", "right"),
    ("flicker", "right"),
)
CALIBRATION_HEADERS = (
    ("mask", "left"),
    ("calibration error", "right"),
    ("F1 at 0.5", "right"),
    ("best F1, one threshold", "right"),
    ("at", "right"),
    ("identical frames: still", "right"),
    (f"pan of {PAN} px: still", "right"),
)


def calibration_rows(bench: Bench) -> list[list[str]]:
    """Rows of text under CALIBRATION_HEADERS, one for every network; F1 is the mean over all KINDS."""
    rows = []
    for result in bench.results:
        if not result.judge.unit:
            mean = np.mean([result.f1[kind] for kind in KINDS], axis=0)
            best = result.common()
            figures = (result.calibration_error(), mean[result.middle()], mean[best])
            threshold = f"{result.judge.thresholds[best]:.2f}"
            shares = (f"{result.identical:.2%}", f"{result.pan:.2%}")
            rows.append([result.judge.name, *(f"{x:.3f}" for x in figures), threshold, *shares])
    return rows


def _histograms(level: Floats, static: Bools, sure: Bools, count: int) -> tuple[Floats, Floats]:
    """How many still and how many moving pixels pass each number of thresholds."""
    still, moving = (np.bincount(level[sure & part], minlength=count) for part in (static, ~static))
    return still, moving


def _near_edges(static: Bools) -> Bools:
    """The pixels within EDGE px of the border between what stands still and the rest."""
    square = np.ones((2 * EDGE + 1, 2 * EDGE + 1), np.uint8)
    edges: Bools = cv2.morphologyEx(static.astype(np.uint8), cv2.MORPH_GRADIENT, square) > 0
    return edges


def _rarer(static: Floats, moving: Floats) -> tuple[Floats, Floats, Floats]:
    """The right, said and true pixels of the rarer class for every threshold, from the histograms of `_Tally`."""
    if static.sum() > moving.sum():
        right, wrong, total = np.cumsum(moving)[:-1], np.cumsum(static)[:-1], moving.sum()
    else:
        right, wrong, total = *(np.cumsum(part[::-1])[-2::-1] for part in (static, moving)), static.sum()
    return right, right + wrong, np.full_like(right, total)


def _shares(levels: Floats) -> Floats:
    """The share that passes each threshold, from how many scores pass none, one, two and so on."""
    return np.cumsum(levels[::-1])[-2::-1] / max(levels.sum(), 1)


def _pans(clips: Path, seed: int) -> Iterator[tuple[Image, Image]]:
    """Three pictures of every clip, each paired with itself PAN px further."""
    for number, clip in enumerate(find_clips(clips)):
        footage = Footage(clip, SIDE, np.random.default_rng((seed, number)), textures=3, runs=0)
        for index in range(len(footage)):
            picture = footage.frames(index)[0][:SIDE]
            first, second = picture[:, :SIDE], picture[:, PAN : PAN + SIDE]
            if motion_shows(first, second).any():
                yield first, second
