"""The clock of a video is found from small pictures of it and of its source."""

from fractions import Fraction

import numpy as np
import pytest

from maskvfi.timing.alignment import Samples, align

SIZE = 300
SHEET = np.random.default_rng(0).normal(128, 40, (64, SIZE)).cumsum(0) / 4


def pictures(times, sheet=SHEET) -> np.ndarray:
    """What a moving thing looks like at these times: every pixel changes smoothly."""
    waves = np.arange(1, 5)[None] * np.asarray(times, np.float64)[:, None]
    return (128 + np.sin(waves) @ sheet[:4] / 4 + np.cos(waves) @ sheet[4:8] / 4).astype(np.float32)


def samples(times, clock=lambda t: t, sheet=SHEET) -> Samples:
    """Of a video whose pictures at `times` are those of the source at `clock(times)`."""
    times = np.asarray(times, np.float64)
    return Samples(times, pictures(clock(times), sheet))


SOURCE = samples(np.arange(0, 4, 1 / 24))


@pytest.mark.parametrize("rate", [48, 60, 96, 25])
def test_equal_clocks_are_found_equal_at_any_rate(rate):
    found = align([(SOURCE, samples(np.arange(0, 4, 1 / rate)))])
    assert (found.offset, found.drift) == (0, 0)
    assert found.same_film


@pytest.mark.parametrize("late", [0.5, -0.25, 0.04])
def test_an_offset_is_found(late):
    found = align([(SOURCE, samples(np.arange(0, 5, 1 / 48), lambda t: t - late))])
    assert float(found.offset) == pytest.approx(late, abs=0.008)
    assert found.drift == 0
    assert float(found.source_time(Fraction(1))) == pytest.approx(1 - late, abs=0.008)


def test_a_drift_is_found():
    """A film of 24 fps shown at 25, as for PAL."""
    found = align([(SOURCE, samples(np.arange(0, 4 * 24 / 25, 1 / 50), lambda t: t * 25 / 24))], 24 / 25)
    assert float(found.drift) == pytest.approx(-0.04, abs=1e-4)
    assert abs(found.offset) < 0.002


def test_what_stands_still_has_no_offset():
    still = Samples(SOURCE.times, np.repeat(SOURCE.pictures[:1], len(SOURCE.times), 0))
    found = align([(still, Samples(np.arange(0, 4, 1 / 48), np.repeat(SOURCE.pictures[:1], 192, 0)))])
    assert (found.offset, found.drift) == (0, 0)
    assert found.same_film


def test_another_film_is_told_apart():
    other = samples(np.arange(0, 4, 1 / 48), sheet=SHEET[8:])
    assert not align([(SOURCE, other)]).same_film


def test_another_scene_before_the_same_camera_is_told_apart():
    """Most of the picture is equal; what little changes does so in another way."""
    ours, theirs = samples(SOURCE.times), samples(np.arange(0, 4, 1 / 48), sheet=SHEET[8:])
    for each in (ours, theirs):
        each.pictures[:, 20:] = 100
    found = align([(ours, theirs)])
    assert not found.same_film


def test_frames_that_differ_little_are_those_of_the_source():
    made = samples(np.arange(0, 4, 1 / 48))
    noise = np.random.default_rng(1).normal(0, 2, made.pictures.shape)
    assert align([(SOURCE, Samples(made.times, (made.pictures + noise).astype(np.float32)))]).same_film
