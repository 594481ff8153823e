"""Highlights are compressed in order, and nothing else is changed."""

import torch

from maskvfi.ops.highlights import BRIGHTEST, KNEE, compress_highlights


def test_colours_up_to_the_knee_stay_and_brighter_ones_keep_their_order():
    dark = torch.linspace(0, KNEE, 100)
    assert torch.equal(compress_highlights(dark), dark)
    bright = torch.linspace(KNEE, BRIGHTEST, 1000)
    made = compress_highlights(bright)
    assert (made.diff() > 0).all()
    assert made[-1] == 1
    assert compress_highlights(torch.tensor([-3.0, 1e6])).tolist() == [0, 1]
