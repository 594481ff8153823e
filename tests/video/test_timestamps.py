"""Frame times as ticks of a file."""

from fractions import Fraction
from itertools import pairwise

from maskvfi.video.timestamps import Clock

HALF = Fraction(1, 2)


def test_ticks_count_from_the_first_frame():
    clock = Clock(Fraction(1, 10))
    assert clock.place(Fraction(5), HALF) == (0, 5)
    assert clock.place(Fraction(11, 2), HALF) == (5, 5)


def test_a_frame_is_never_placed_at_or_before_the_last_one():
    clock = Clock(Fraction(1), Fraction(0))
    assert [clock.place(n * HALF / 2, HALF / 2) for n in range(3)] == [(0, 1), (1, 1), (2, 1)]
    assert clock.at.moved == 2


def test_frames_off_a_constant_rate_are_counted():
    clock = Clock(Fraction(1), Fraction(0), fixed_rate=True)
    for pts in (Fraction(0), Fraction(5, 4), Fraction(201, 100), Fraction(4)):
        clock.place(pts, Fraction(1))
    assert clock.at.off_grid == 1
    gapless = Clock(Fraction(1), Fraction(0), fixed_rate=True, gapless=True)
    for pts in (0, 1, 3):
        gapless.place(Fraction(pts), Fraction(1))
    assert gapless.at.off_grid == 1


def test_frames_that_are_all_late_by_one_part_of_a_tick_are_on_the_rate():
    clock = Clock(Fraction(1), Fraction(0), fixed_rate=True)
    placed = [clock.place(n + Fraction(1, 2) + Fraction(n % 2, 100), Fraction(1)) for n in range(6)]
    assert clock.at.off_grid == clock.at.moved == 0
    assert [b - a for (a, _), (b, _) in pairwise(placed)] == [1] * 5


def test_a_restored_clock_goes_on_where_the_other_was():
    clock, other = Clock(Fraction(1, 10)), Clock(Fraction(1, 10))
    clock.place(Fraction(1, 3), HALF)
    other.restore(clock.state())
    assert other == clock
    assert other.place(Fraction(1), HALF) == clock.place(Fraction(1), HALF)


def test_the_farthest_frame_from_its_time_is_known():
    clock = Clock(Fraction(1, 10), Fraction(0), fixed_rate=True)
    for pts in (Fraction(0), Fraction(1, 10), Fraction(1, 9), Fraction(1, 8)):
        clock.place(pts, Fraction(1, 10))
    assert round(clock.at.furthest, 3) == round(3 / 10 - 1 / 8, 3)
