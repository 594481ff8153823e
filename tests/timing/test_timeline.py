"""Output times: exact, without drift, nothing lost at the ends."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskvfi.options import Options, parse_rate
from maskvfi.timing.timeline import ByFactor, ByRate, Slot, Timeline, choose_timeline

gaps = st.lists(st.fractions(Fraction(1, 240), Fraction(2), max_denominator=90000), min_size=1, max_size=40)


def lay_out(timeline: Timeline, times: list[Fraction], last: Fraction) -> list[Slot]:
    slots = [slot for a, b in itertools.pairwise(times) for slot in timeline.gap(a, b)]
    return [*slots, *timeline.tail(times[-1], last)]


def times_of(durations: list[Fraction]) -> list[Fraction]:
    return [sum(durations[:k], Fraction(0)) for k in range(len(durations))]


@given(gaps, st.integers(1, 9))
def test_a_factor_gives_n_minus_1_times_k_plus_1_frames_and_keeps_every_source_time(durations, factor):
    times = times_of(durations)
    slots = lay_out(ByFactor(factor), times, durations[-1])
    assert len(slots) == (len(times) - 1) * factor + 1
    assert [slot.pts for slot in slots[::factor]] == times
    assert slots[-1].pts + slots[-1].duration == times[-1] + durations[-1]
    assert all(a.pts + a.duration == b.pts for a, b in itertools.pairwise(slots))


@given(gaps, st.fractions(Fraction(1), Fraction(240), max_denominator=1001))
def test_a_rate_gives_an_even_grid_from_the_first_frame_to_the_end_of_the_last(durations, rate):
    times = times_of(durations)
    slots = lay_out(ByRate(rate), times, durations[-1])
    end = times[-1] + durations[-1]
    assert [slot.pts for slot in slots] == [n / rate for n in range(len(slots))]
    assert slots[-1].pts < end <= slots[-1].pts + 1 / rate
    assert slots[-1].pts + slots[-1].duration == end or slots[-1].pts < times[-1]


def test_film_to_ntsc_does_not_drift_over_100000_frames():
    film, rate = Fraction(24000, 1001), Fraction(60000, 1001)
    timeline = ByRate(rate)
    count, last = 0, None
    for n in range(99_999):
        for slot in timeline.gap(n / film, (n + 1) / film):
            assert slot.pts == count / rate
            count, last = count + 1, slot
    tail = list(timeline.tail(99_999 / film, 1 / film))
    assert count + len(tail) == 250_000
    assert tail[-1].pts + tail[-1].duration == 100_000 / film
    assert last is not None
    assert last.pts.denominator <= 60000


def test_slow_motion_of_once_changes_nothing():
    timeline, rate = choose_timeline(Options(slow=1), Fraction(30))
    assert isinstance(timeline, ByFactor)
    assert (timeline.factor, rate) == (1, 30)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("60", Fraction(60)),
        ("59.94", Fraction(60000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        ("23.98", Fraction(24000, 1001)),  # as ffmpeg prints it
        ("29.97", Fraction(30000, 1001)),
        ("24.02", Fraction(1201, 50)),
        ("60000/1001", Fraction(60000, 1001)),
        ("12.5", Fraction(25, 2)),
        (47.952, Fraction(48000, 1001)),
    ],
)
def test_rates_as_people_write_them(text, rate):
    assert parse_rate(text) == rate


@pytest.mark.parametrize("bad", ["fast", "1/0", "0", "-24", "nan"])
def test_what_is_no_rate_is_refused(bad):
    with pytest.raises(ValueError, match="frame rate must be"):
        parse_rate(bad)


@pytest.mark.parametrize("bad", [0, -2, 1.5])
def test_what_is_no_factor_is_refused(bad):
    with pytest.raises(ValueError, match="factor must be a whole number"):
        ByFactor(bad)
