"""A stream of gaps: masks of neighbouring gaps are made together, never across a cut, and not far ahead."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from clips import make_clip

import maskvfi
from maskvfi.errors import MediaError
from maskvfi.synthesis.renderer import MAX_GAPS, Renderer
from maskvfi.timing.gaps import Gap
from maskvfi.timing.timeline import Slot
from maskvfi.video import open_source


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """The info and 7 frames of a clip in which everything moves."""
    path = make_clip(tmp_path_factory.mktemp("render") / "in.mp4", times=7)
    with open_source(path) as reader:
        return reader.info, list(reader)


def gaps(frames, cut_at=()):
    half = Fraction(1, 2)
    for k, (start, end) in enumerate(pairwise(frames)):
        slots = ((Slot(start.pts, start.duration), Fraction(0)), (Slot(start.pts + half, half), half))
        yield Gap(start, end, k in cut_at, slots)


def test_neighbouring_gaps_are_seen_in_one_pass(material):
    info, frames = material
    interpolator = maskvfi.Interpolator("blend", device="cpu")
    renderer = Renderer(interpolator, info)
    found = [weight for _, weight in renderer.masks(gaps(frames[: MAX_GAPS + 1]))]
    views = [renderer._load(frame).view for frame in frames[: MAX_GAPS + 1]]
    expected = interpolator.copied(views)
    assert len(found) == MAX_GAPS
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.weight, theirs.weight)


def test_tiles_begin_at_whole_chroma_samples(tmp_path):
    """A network that takes any size, and a frame of odd size in 4:2:0."""
    source = make_clip(tmp_path / "a.mkv", times=2, codec="ffv1", options={}, size=(1203, 701))
    whole, cut = tmp_path / "whole.mkv", tmp_path / "cut.mkv"
    for target, tile in ((whole, "off"), (cut, 512)):
        maskvfi.interpolate(source, target, vfi="blend", mask=None, codec="ffv1", tile=tile)
    with open_source(whole) as one, open_source(cut) as other:
        for a, b in zip(one, other, strict=True):
            for plane, tiled in zip(a.planes, b.planes, strict=True):
                assert np.abs(plane.astype(int) - tiled).max() <= 1  # where tiles fade into each other


def test_a_cut_and_equal_frames_part_the_gaps(material):
    info, frames = material
    frames = [*frames[:4], replace(frames[3], pts=frames[4].pts), *frames[5:]]
    interpolator = maskvfi.Interpolator("blend", device="cpu")
    found = list(Renderer(interpolator, info).masks(gaps(frames, cut_at={1})))
    assert [weight is None for _, weight in found] == [False, True, False, True, False, False]
    alone = Renderer(interpolator, info).masks([found[0][0]])
    torch.testing.assert_close(next(alone)[1].weight, found[0][1].weight)


def test_the_stream_is_not_read_further_ahead_than_said(material):
    info, frames = material
    taken = []

    def counted():
        for gap in gaps(frames):
            taken.append(gap)
            yield gap

    next(Renderer(maskvfi.Interpolator("blend", device="cpu"), info).groups(counted()))
    assert len(taken) <= MAX_GAPS + 1


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """The info and the two frames of a clip of 1024x640."""
    path = make_clip(tmp_path_factory.mktemp("large") / "in.mp4", times=2, size=(1024, 640))
    with open_source(path) as reader:
        return reader.info, list(reader)


def short_of_memory(limit: int, error: Exception | None = None) -> maskvfi.Interpolator:
    """An interpolator whose device has no memory for more than so many px at once."""
    interpolator = maskvfi.Interpolator("vfi-m", None, "cpu", runtime="torch")
    whole = interpolator.vfi.between

    def between(pair, *rest):
        if pair.start.size[0] * pair.start.size[1] > limit:
            raise error or torch.OutOfMemoryError("out of memory")
        return whole(pair, *rest)

    interpolator.vfi.between = between
    return interpolator


@pytest.mark.parametrize("error", [None, RuntimeError("MPS backend out of memory (allocated 9 GB)")])
def test_a_device_short_of_memory_gets_smaller_tiles(large, error):
    info, frames = large
    renderer = Renderer(short_of_memory(400_000, error), info)
    whole = Renderer(maskvfi.Interpolator("vfi-m", None, "cpu", runtime="torch"), info)
    (_, made), (_, wanted) = (list(each.render([next(gaps(frames))])) for each in (renderer, whole))
    assert "short of memory" in renderer.warnings[0]
    assert renderer.tally == whole.tally
    difference = np.abs(made.planes[0].astype(int) - wanted.planes[0])
    assert difference.mean() < 1


def test_another_error_is_no_lack_of_memory(large):
    info, frames = large
    with pytest.raises(RuntimeError, match="shapes differ"):
        list(
            Renderer(short_of_memory(1000, RuntimeError("shapes differ")), info).render([next(gaps(frames))])
        )


def test_a_device_with_hardly_any_memory_is_named(large):
    info, frames = large
    with pytest.raises(MediaError, match="cpu has too little memory"):
        list(Renderer(short_of_memory(1000), info).render([next(gaps(frames))]))
