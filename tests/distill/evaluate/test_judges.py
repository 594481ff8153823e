"""Judges: baselines and networks give scores of one kind."""

import numpy as np
import pytest
from safetensors.torch import save_file

from distill.evaluate.judges import (
    difference_judge,
    dis_judge,
    load_judge,
    network_judge,
)
from distill.training.published import PublishedUNet
from maskvfi.errors import WeightsError

BLANK = np.zeros((10, 10, 3), np.uint8)


def test_baselines_call_equal_frames_still_and_a_pan_moving(clips, cases):
    frame = cases[0].frames[0]
    for judge in (difference_judge(), dis_judge()):
        assert (judge.scores([frame, frame]) >= judge.thresholds[-1]).mean() > 0.95
        pan = judge.scores([frame, np.roll(frame, 20, axis=1)])
        assert (pan < judge.thresholds[len(judge.thresholds) // 2]).mean() > 0.5


def test_published_weights_are_judges_too(tmp_path, weights):
    path = tmp_path / "published.safetensors"
    save_file(PublishedUNet().state_dict(), path)
    assert network_judge(f"published:{path}").scores([BLANK] * 3).shape == (2, 10, 10)
    for wrong in (weights, tmp_path / "none.safetensors"):
        with pytest.raises(WeightsError, match="no weights of the published network"):
            load_judge(f"published:{wrong}")
