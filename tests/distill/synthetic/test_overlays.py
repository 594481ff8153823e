"""Overlays: what stands still is known exactly, and text is drawn in every script."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from distill.synthetic.overlays import Overlay, moving_overlay, paste
from distill.synthetic.text import SCRIPTS, draw_text, fonts_by_script, words


def test_an_overlay_is_static_where_it_covers_and_unsure_at_its_rim():
    frames = [np.zeros((40, 40, 3), np.uint8), np.full((40, 40, 3), 200, np.uint8)]
    coverage = np.zeros((40, 40), np.float32)
    coverage[10:20, 10:20], coverage[20, 10:20] = 1, 0.3
    colour = np.full((40, 40, 3), 90, np.float32)
    steady = Overlay.steady((colour, coverage), 2)
    pasted = paste(frames, [steady])
    assert pasted.static[0].sum() == 100
    assert pasted.unsure[0].sum() == 10
    assert (pasted.frames[1][12, 12] == 90).all()
    fading = paste(frames, [replace(steady, opacity=(0.3, 1.0))])
    assert fading.static[0][12, 12]
    jumping = paste(frames, [replace(steady, offsets=((0, 0), (15, 0)))])
    assert not jumping.static[0].any()
    assert jumping.moving[0].sum() == 220
    other = colour.copy()
    other[10:20, 10:15] = 200
    changing = paste(frames, [replace(steady, drawings=((colour, coverage), (other, coverage)))])
    assert changing.static[0].sum() == 50
    assert changing.unsure[0][12, 12]


def test_every_script_that_a_font_has_is_drawn():
    rng = np.random.default_rng(0)
    for script, fonts in fonts_by_script().items():
        for font in fonts[:2]:
            assert draw_text(40, 200, SCRIPTS[script][:8], font, (100, 20), 18).max() > 0.9, (script, font)
    assert all(words(rng, 3, 9)[0] for _ in range(20))


def test_what_a_moving_overlay_covers_moves_and_nothing_else():
    background = [np.full((96, 128, 3), 90, np.uint8)] * 3
    for seed in range(8):
        wandering = moving_overlay(3, 96, 128, np.random.default_rng(seed))
        composite = paste(background, [wandering])
        changed = np.stack(
            [np.abs(a.astype(int) - b).max(axis=2) > 25 for a, b in pairwise(composite.frames)]
        )
        assert not (changed & ~composite.moving).any()
        assert not (composite.static & composite.moving).any()
