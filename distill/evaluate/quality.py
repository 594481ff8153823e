"""How well the frames between are made: by clip, by kind and size of motion, and around what stands still."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from distill.arrays import Bools, Image, Rng
from distill.data.clips import Clip, find_clips
from distill.data.dis import search
from distill.data.frames import decoded
from distill.data.labels import surely_moves
from distill.data.tensors import as_batch, as_picture, grey
from distill.data.testsets import find_runs
from distill.evaluate.cases import standing
from distill.evaluate.methods import Method, blend, dis, find_minterpolate, network
from distill.evaluate.psnr import psnr
from distill.evaluate.regions import RING, regions_of
from distill.evaluate.similarity import Similarity
from distill.options import MEASURES, PLACES, TIMES
from distill.synthetic.degrade import with_noise
from distill.synthetic.overlays import Composite, paste, random_overlays
from distill.synthetic.text import PLAIN
from maskvfi.synthesis.interpolator import Interpolator

TOGETHER = 4  # gaps whose masks are computed together, as `maskvfi interpolate` does
STILL = 0.5  # mean change between a run's ends, in code values, under which there is nothing to interpolate
MOTION = (4.0, 16.0)  # px from end to end, the limits of small and of middling motion
NOISE = 10.0  # code values, the deviation of the noise in the second of the tables under overlays
# Parts of a picture: all of it; inside overlays; RING px around them; the rest; the part of the rest that surely moves.
REGIONS = ("all", "inside", "ring", "elsewhere", "moving")

Measures = dict[str, float]  # by name
Maker = Callable[["Run"], list[Image]]  # a run -> the frames between its ends


@dataclass(frozen=True, slots=True)
class Run:
    """A short run of frames, of which the ends are given.

    Attributes:
        truth: Consecutive RGB frames [H,W,3].
        given: What a mask sees at once: every times-th frame of the clip around the run, with the two ends of the run.
        gap: Where in `given` the run's first frame lies.
    """

    truth: list[Image]
    given: list[Image]
    gap: int

    def made(self, maker: Maker) -> list[Image]:
        """The run with the frames between its ends as they are made."""
        return [self.truth[0], *maker(self), self.truth[-1]]


@dataclass(frozen=True, slots=True)
class Score:
    """What a method earned on one run of frames.

    Attributes:
        clip, kind: The clip's name, and the kind of its footage.
        motion: The 95th percentile of DIS flow between the run's ends, in px.
        method: The method's name.
        measures: By name.
    """

    clip: str
    kind: str
    motion: float
    method: str
    measures: Measures


@dataclass(frozen=True, slots=True)
class Quality:
    """All scores of a bench.

    Attributes:
        plain: On footage as it is.
        overlaid: Under overlays; the measures are PSNR by REGIONS.
        noisy: Under overlays and noise, measured against the clean truth in the same way.
        missing: Measures that could not be taken, each with what it needs.
    """

    plain: list[Score]
    overlaid: list[Score] = field(default_factory=list)
    noisy: list[Score] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def measure_quality(
    clips: Path,
    vfi: str,
    mask: str | None = None,
    runs: int = PLACES,
    times: int = TIMES,
    seed: int = 1,
    wanted: Sequence[str] = MEASURES,
) -> Quality:
    """Make frames between the real ones of clips by several methods, and compare them with the true frames.

    Args:
        clips: A folder of videos.
        vfi: Interpolation weights: a name or a path.
        mask: Mask weights: a name or a path; None leaves out the network under the mask, and the scores under overlays.
        runs: Moving places per clip, at most.
        times: Every times-th frame is kept, and those between are made.
        seed: Equal seeds give equal overlays and noise.
        wanted: Some of MEASURES, taken where the tool is installed.

    Raises:
        WeightsError: The weights are missing or damaged.
        ValueError: The folder holds no video in which something moves, or there is no such measure.
    """
    interpolators, similarity = _interpolators(vfi, mask), Similarity(wanted)
    methods, missing = _methods(interpolators)
    quality = Quality([], missing=[*similarity.missing, *missing])
    alone, *masked = interpolators.values()
    covered = _UnderOverlays(alone, masked[0], wanted) if masked else None
    found = find_clips(clips)
    for number, clip in enumerate(track(found, "quality", console=Console(stderr=True))):
        places = list(moving_runs(clip, runs, times))
        motions = [_motion(run.truth[0], run.truth[-1]) for run in places]
        for name, method in methods.items():
            for motion, measures in zip(motions, _plain_measures(method, places, similarity), strict=True):
                quality.plain.append(Score(clip.path.name, clip.kind, motion, name, measures))
        if covered is None:
            continue
        for index, (run, motion) in enumerate(zip(places, motions, strict=True)):
            rng = np.random.default_rng((seed, number, index))
            for name, clean, noisy in covered.measures(run.truth, rng):
                quality.overlaid.append(Score(clip.path.name, clip.kind, motion, name, clean))
                quality.noisy.append(Score(clip.path.name, clip.kind, motion, name, noisy))
    if not quality.plain:
        raise ValueError(f"{clips}: nothing moves in its videos, so there is nothing to interpolate")
    return quality


def measure_set(
    name: str,
    folder: Path,
    vfi: str,
    mask: str | None = None,
    runs: int | None = None,
    times: int | None = None,
    wanted: Sequence[str] = MEASURES,
) -> Quality:
    """Make the frames that a published test set asks for, by several methods, and compare them with the true ones.

    Args:
        name: One of SETS.
        folder: The set's.
        vfi: Interpolation weights: a name or a path.
        mask: Mask weights; the network is measured with and without them. None: only without.
        runs: How many of each part of the set, evenly spread; None: all.
        times: As `find_runs` takes it.
        wanted: Some of MEASURES, taken where the tool is installed.

    Returns:
        Plain scores, of which the kind is the part of the set.

    Raises:
        WeightsError: The weights are missing or damaged.
        ValueError: The folder does not have the set's layout, or there is no such measure.
    """
    found, similarity = find_runs(name, folder, times, runs), Similarity(wanted)
    methods, missing = _methods(_interpolators(vfi, mask))
    quality = Quality([], missing=[*similarity.missing, *missing])
    for run in track(found, name, console=Console(stderr=True)):
        truth = run.frames()
        motion = _motion(truth[0], truth[-1])
        for title, method in methods.items():
            made = Run(truth, [truth[0], truth[-1]], 0).made(method)
            measured = similarity.measures(made, truth)
            if vmaf := similarity.vmaf([made], [truth]):
                measured["vmaf"] = vmaf[0]
            quality.plain.append(Score(run.name, run.part, motion, title, measured))
    return quality


def set_tables(quality: Quality, name: str) -> list[Table]:
    """Tables of a test set for the console, one for each of its parts."""
    parts = dict.fromkeys(score.kind for score in quality.plain)
    tables = []
    for part in parts:
        scores = [score for score in quality.plain if score.kind == part]
        count = len({score.clip for score in scores})
        tables.append(_by_method(scores, f"{name} {part}".strip() + f", mean over {count} runs"))
    return tables


def _interpolators(vfi: str, mask: str | None) -> dict[str, Interpolator]:
    """The network alone, and the network under the mask if there is one, by name."""
    name = Path(vfi).name
    alone = {name: Interpolator(vfi, None)}
    return alone | ({f"{name} + {Path(mask).name}": Interpolator(vfi, mask)} if mask else {})


def _methods(interpolators: dict[str, Interpolator]) -> tuple[dict[str, Maker], list[str]]:
    """What is measured side by side, by name; and what is missing, with what it needs."""
    found, missing = find_minterpolate()
    known = {name: of_ends(method) for name, method in ({"blend": blend, "DIS": dis} | found).items()}
    return known | {name: partial(_frames_between, each) for name, each in interpolators.items()}, missing


def of_ends(method: Method) -> Maker:
    """Frames from the ends of a run alone."""
    return lambda run: method(run.truth[0], run.truth[-1], len(run.truth) - 1)


def _frames_between(interpolator: Interpolator, run: Run) -> list[Image]:
    """Our frames between the ends of a run; a mask sees all frames that are given, as in `maskvfi interpolate`."""
    views = [interpolator.view(as_batch([frame])) for frame in run.given]
    copied = interpolator.copied(views)[run.gap]
    start, end = views[run.gap : run.gap + 2]
    times = len(run.truth) - 1
    made = (interpolator.between(start, end, k / times, copied=copied) for k in range(1, times))
    return [as_picture(frame.cpu()) for frame in made]


def _plain_measures(method: Maker, runs: list[Run], similarity: Similarity) -> list[Measures]:
    """What a method earns on each run of a clip."""
    truths = [run.truth for run in runs]
    made = [run.made(method) for run in runs]
    measured = [similarity.measures(*pair) for pair in zip(made, truths, strict=True)]
    vmaf = similarity.vmaf(made, truths) if truths else None
    for measures, score in zip(measured, vmaf or (), strict=False):
        measures["vmaf"] = score
    return measured


class _UnderOverlays:
    """Measures a network under overlays: without a mask, with a mask, and with the true mask.

    Args:
        unmasked, masked: The network without and with the mask.
        wanted: Measures; PSNR by region is always taken, and of these ST-LPIPS of the whole picture.
    """

    def __init__(self, unmasked: Interpolator, masked: Interpolator, wanted: Sequence[str]) -> None:
        self._unmasked, self._masked = unmasked, masked
        self._whole = Similarity([name for name in wanted if name == "stlpips"])

    def measures(self, truth: list[Image], rng: Rng) -> Iterator[tuple[str, Measures, Measures]]:
        """Paste random overlays on a run and make the frames between.

        Args:
            truth: The run, as `moving_runs` yields it.
            rng: Chooses overlays and noise.

        Yields:
            A method's name, its measures, and its measures if the frames that it gets are noisy.
        """
        composite, moves = _overlaid(truth, rng), surely_moves([truth[0], truth[-1]])[0]
        clean = (composite.frames[0], composite.frames[-1])
        noisy = tuple(with_noise(frame, NOISE, rng) for frame in clean)
        still = torch.from_numpy(composite.static.all(axis=0)).float()
        known = Interpolator(self._unmasked.vfi, None, protect=still)
        named = {"mask off": self._unmasked, "mask on": self._masked, "true mask": known}
        for name, interpolator in named.items():
            found = []
            for start, end in (clean, noisy):
                between = network(interpolator)(start, end, len(truth) - 1)
                by_region = _by_region(composite, moves, between)
                found.append(by_region | self._whole.measures([start, *between, end], composite.frames))
            yield name, found[0], found[1]


def moving_runs(clip: Clip, count: int, times: int = TIMES) -> Iterator[Run]:
    """Short runs of frames in which something moves, evenly spread over a clip.

    Args:
        clip: The video.
        count: How many, at most.
        times: Gaps in a run.

    Yields:
        times + 1 consecutive frames, and those given.
    """
    last, most = clip.frames - 1, max(clip.frames - times, 0)
    ends = sorted({int(place) for place in np.linspace(times, last, min(count, most))})
    given = {end: _given(end, times, clip.frames) for end in ends}
    needed = {number for end in ends for number in (*range(end - times, end + 1), *given[end])}
    kept: dict[int, Image] = {}
    for number, frame in decoded(clip.path, needed):
        kept[number] = np.ascontiguousarray(frame[..., ::-1])
        while ends and number >= max(ends[0], given[ends[0]][-1]):
            end = ends.pop(0)
            yield from _moving_run(kept, end, times, given[end])
            first = min((given[each][0] for each in ends), default=last)
            kept = {each: kept[each] for each in kept if each >= first}
    for end in ends:  # the video ends before the length that it states
        if all(each in kept for each in range(end - times, end + 1)):
            yield from _moving_run(kept, end, times, [each for each in given[end] if each in kept])
        else:
            Console(stderr=True).print(
                f"{clip.path}: frame {end} cannot be read, left out", markup=False, soft_wrap=True
            )


def _moving_run(kept: Mapping[int, Image], end: int, times: int, given: list[int]) -> Iterator[Run]:
    """The run that ends at a frame, if something moves in it."""
    truth = [kept[each] for each in range(end - times, end + 1)]
    if float(cv2.absdiff(truth[0], truth[-1]).mean()) > STILL:
        yield Run(truth, [kept[each] for each in given], given.index(end - times))


def _given(end: int, times: int, frames: int) -> list[int]:
    """The frames that a mask sees of a clip from which every times-th frame is kept: the gap that ends here is the
    second of `TOGETHER`, or another one where the clip begins or ends."""
    kept = list(range(end % times, frames, times))
    first = max(min(kept.index(end) - 2, len(kept) - TOGETHER - 1), 0)
    return kept[first : first + TOGETHER + 1]


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
            table = Table("", *REGIONS, *seen, title=title)
            for method in _names(scores):
                cells = [f"{_mean(scores, method, region):.2f}" for region in REGIONS]
                cells += [f"{_mean(scores, method, name):.4f}" for name in seen.values()]
                table.add_row(method, *cells)
            tables.append(table)
    return tables


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
    table = Table("", *(titles[name] for name in measures), title=title)
    for method in _names(scores):
        table.add_row(method, *(f"{_mean(scores, method, name):.4g}" for name in measures))
    return table


def _measure_table(
    title: str,
    scores: Sequence[Score],
    group: Callable[[Score], str],
    measure: str = "psnr",
    digits: int = 2,
) -> Table:
    methods = _names(scores)
    table = Table("", "runs", *methods, title=title)
    for name in dict.fromkeys(sorted(map(group, scores))):
        inside = [score for score in scores if group(score) == name]
        means = (_mean(inside, method, measure) for method in methods)
        table.add_row(name, str(len(inside) // len(methods)), *(f"{mean:.{digits}f}" for mean in means))
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
        f" 0 to {small:g} px"
        if motion < small
        else f" {small:g} to {large:g} px"
        if motion < large
        else f"{large:g} px and more"
    )


def _motion(start: Image, end: Image) -> float:
    """The 95th percentile of DIS flow, in px."""
    return float(np.percentile(np.hypot(*search(grey(start), grey(end))), 95))


def _overlaid(truth: list[Image], rng: Rng) -> Composite:
    """A run with random overlays that stand still on top of it."""
    height, width = truth[0].shape[:2]
    overlays = random_overlays(len(truth), height, width, rng, fonts=PLAIN)
    return paste(truth, [standing(overlay, False, rng) for overlay in overlays])


def _by_region(composite: Composite, moves: Bools, made: Sequence[Image]) -> Measures:
    """PSNR in REGIONS of the frames between against those of the composite."""
    still = np.asarray(composite.static.all(axis=0), bool)
    places = {"all": np.ones_like(still), **regions_of(still)}
    places["moving"] = moves & places["elsewhere"]
    return {
        region: float(np.mean([psnr(a, b, where) for a, b in zip(made, composite.frames[1:-1], strict=True)]))
        for region, where in places.items()
        if where.any()
    }
