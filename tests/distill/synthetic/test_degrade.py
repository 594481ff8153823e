"""Degradation changes what frames look like, not where things are."""

import cv2
import numpy as np
import pytest

from distill.data.clips import Shards
from distill.synthetic.degrade import degrade, encode
from distill.synthetic.overlays import paste, random_overlays


def test_overlays_and_degradation_keep_size_and_type():
    rng = np.random.default_rng(5)
    for _ in range(20):
        frames = paste([np.zeros((96, 128, 3), np.uint8)] * 3, random_overlays(3, 96, 128, rng)).frames
        out = degrade(frames, rng)
        assert [(f.shape, f.dtype) for f in out] == [((96, 128, 3), np.uint8)] * 3


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_codecs_blur_but_do_not_move(shards, codec):
    frames = Shards(shards).frames(0)
    coded = encode(frames, codec, 24)
    assert len(coded) == len(frames)
    errors = [cv2.absdiff(a, b).mean() for a, b in zip(frames, coded, strict=True)]
    assert min(errors) > 0
    assert max(errors) < 0.5 * cv2.absdiff(frames[0], frames[-1]).mean()
