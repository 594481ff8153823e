"""Content that is replaced in place: where it changed is known exactly, and nothing of it moves."""

from dataclasses import replace

import numpy as np
import pytest

from distill.synthetic.changes import (
    blinking,
    counter,
    highlight,
    random_changes,
    swapped_subtitle,
    turned_page,
)
from distill.synthetic.overlays import Overlay, paste

SIZE = 128
GREY = [np.full((SIZE, SIZE, 3), 120, np.uint8)] * 4


@pytest.mark.parametrize("draw", [blinking, counter, highlight, swapped_subtitle, turned_page])
def test_what_is_replaced_differs_between_the_frames_and_does_not_stand_still(draw):
    found = 0
    for seed in range(12):
        pasted = paste(GREY, [draw(4, SIZE, SIZE, np.random.default_rng(seed))])
        assert not (pasted.replaced & pasted.static).any()
        assert not (pasted.replaced & ~pasted.unsure).any()
        for gap, replaced in enumerate(pasted.replaced):
            first, second = (frame.astype(int) for frame in pasted.frames[gap : gap + 2])
            assert (np.abs(first - second).max(axis=2)[replaced] > 0).all()
            found += int(replaced.sum())
    assert found > 200


def test_a_fade_is_no_replacement_and_appearing_at_once_is():
    colour, coverage = np.full((SIZE, SIZE, 3), 250, np.float32), np.zeros((SIZE, SIZE), np.float32)
    coverage[20:60, 20:60] = 1
    steady = Overlay.steady((colour, coverage), 4)
    fading = paste(GREY, [replace(steady, opacity=(0.3, 0.5, 0.7, 1.0))])
    assert not fading.replaced.any()
    assert fading.static[:, 30, 30].all()
    appearing = paste(GREY, [replace(steady, opacity=(0.0, 1.0, 1.0, 0.0))])
    assert appearing.replaced[:, 30, 30].tolist() == [True, False, True]
    assert appearing.static[:, 30, 30].tolist() == [False, True, False]


def test_what_jumps_to_another_place_moves():
    colour, coverage = np.full((SIZE, SIZE, 3), 250, np.float32), np.zeros((SIZE, SIZE), np.float32)
    coverage[20:60, 20:60] = 1
    jumping = replace(Overlay.steady((colour, coverage), 4), offsets=((0, 0), (0, 0), (30, 0), (30, 0)))
    assert not paste(GREY, [jumping]).replaced.any()


def test_a_thing_that_stands_on_top_hides_what_is_replaced_below():
    pages = turned_page(4, SIZE, SIZE, np.random.default_rng(3))
    cover = np.ones((SIZE, SIZE), np.float32)
    above = Overlay.steady((np.full((SIZE, SIZE, 3), 50, np.float32), cover), 4)
    covered = paste(GREY, [pages, above])
    assert covered.static.all()
    assert not covered.replaced.any()


def test_a_counter_keeps_its_digits_in_their_cells():
    overlay = counter(4, SIZE, SIZE, np.random.default_rng(0))
    assert set(overlay.offsets) == {(0, 0)}
    assert set(overlay.opacity) == {1.0}


def test_pages_show_given_pictures():
    picture = np.full((SIZE, SIZE, 3), 77, np.uint8)
    drawn = [
        drawing[0]
        for seed in range(60)
        for overlay in random_changes(2, SIZE, SIZE, np.random.default_rng(seed), lambda rng: picture)
        for drawing in overlay.drawings
    ]
    assert any((colour == 77).all() for colour in drawn)
