"""How well the frames between are made: by clip, by kind and size of motion, and around what stands still."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from distill.arrays import Bools, Image, Rng
from distill.data.clips import find_clips
from distill.data.dis import search
from distill.data.labels import surely_moves
from distill.data.tensors import as_batch, as_picture, grey
from distill.data.testsets import find_runs
from distill.evaluate.cases import standing
from distill.evaluate.methods import Method, blend, dis, find_minterpolate, network
from distill.evaluate.psnr import psnr
from distill.evaluate.regions import regions_of
from distill.evaluate.runs import Maker, Run, moving_runs
from distill.evaluate.similarity import Similarity
from distill.options import MEASURES, PLACES, TIMES
from distill.synthetic.degrade import with_noise
from distill.synthetic.overlays import Composite, paste, random_overlays
from distill.synthetic.text import PLAIN
from maskvfi.synthesis.interpolator import Interpolator

NOISE = 10.0  # code values, the deviation of the noise in the second of the tables under overlays
# Parts of a picture: all of it; inside overlays; RING px around them; the rest; the part of the rest that surely moves.
REGIONS = ("all", "inside", "ring", "elsewhere", "moving")

Measures = dict[str, float]  # by name


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


def _interpolators(vfi: str, mask: str | None) -> dict[str, Interpolator]:
    """The network alone, and the network under the mask if there is one, by name."""
    name = Path(vfi).name
    alone = {name: Interpolator(vfi, None, precision="fp32")}
    return alone | (
        {f"{name} + {Path(mask).name}": Interpolator(vfi, mask, precision="fp32")} if mask else {}
    )


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
        known = Interpolator(self._unmasked.vfi, None, precision="fp32", protect=still)
        named = {"mask off": self._unmasked, "mask on": self._masked, "true mask": known}
        for name, interpolator in named.items():
            found = []
            for start, end in (clean, noisy):
                between = network(interpolator)(start, end, len(truth) - 1)
                by_region = _by_region(composite, moves, between)
                found.append(by_region | self._whole.measures([start, *between, end], composite.frames))
            yield name, found[0], found[1]


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
