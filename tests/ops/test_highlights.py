"""Highlights are compressed in order, and nothing else is changed."""

import pytest
import torch

from maskvfi.ops.highlights import KNEE, MOST, compress_highlights


@pytest.mark.parametrize("brightest", [1.0, 1.01, 20.0, MOST])
def test_colours_up_to_the_knee_stay_and_brighter_ones_keep_their_order(brightest):
    dark = torch.linspace(0, KNEE, 100)
    assert torch.equal(compress_highlights(dark, brightest), dark)
    bright = torch.linspace(KNEE, brightest, 1000)
    made = compress_highlights(bright, brightest)
    assert (made.diff() > 0).all()
    assert made[-1] == 1
    assert compress_highlights(torch.tensor([-3.0, 1e6]), brightest).tolist() == [0, 1]


def test_white_is_hardly_compressed_where_nothing_is_brighter():
    colours = torch.linspace(0, 1, 100)
    assert (compress_highlights(colours, 1.0) - colours).abs().max() < 0.03
