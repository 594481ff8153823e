"""Judges: baselines and networks give scores of one kind."""

import numpy as np
import pytest
from safetensors.torch import save_file

from distill.evaluate.judges import (
    difference_judge,
    dis_judge,
    hysteresis_judge,
    load_judge,
    network_judge,
    rife_judge,
    unchanged_judge,
)
from distill.training.average import with_replaced
from distill.training.published import PublishedUNet
from maskvfi.errors import WeightsError
from maskvfi.weights.load import load_static, save_weights

BLANK = np.zeros((10, 10, 3), np.uint8)


def test_baselines_call_equal_frames_still_and_a_pan_moving(clips, cases):
    frame = cases[0].frames[0]
    for judge in (difference_judge(), unchanged_judge(), hysteresis_judge(), dis_judge()):
        assert (judge.scores([frame, frame]) >= judge.thresholds[-1]).mean() > 0.95
        pan = judge.scores([frame, np.roll(frame, 20, axis=1)])
        assert (pan < judge.thresholds[len(judge.thresholds) // 2]).mean() > 0.5


def test_the_flow_of_rife_weights_is_a_mask(cases):
    judge, frame = rife_judge("vfi-s"), cases[0].frames[0]
    assert judge.name == "flow of vfi-s"
    assert (judge.scores([frame, frame]) >= -1.0).mean() > 0.95
    assert (judge.scores([frame, np.roll(frame, 6, axis=1)]) >= -1.0).mean() < 0.5


def test_published_weights_are_judges_too(tmp_path, weights):
    path = tmp_path / "published.safetensors"
    save_file(PublishedUNet().state_dict(), path)
    assert network_judge(f"published:{path}").scores([BLANK] * 3).shape == (2, 10, 10)
    for wrong in (weights, tmp_path / "none.safetensors"):
        with pytest.raises(WeightsError, match="no weights of the published network"):
            load_judge(f"published:{wrong}")


def blinking(*levels: int) -> list[np.ndarray]:
    return [np.full((10, 10, 3), level, np.uint8) for level in levels]


def test_a_pixel_that_changed_lately_is_not_unchanged():
    frames = blinking(0, 40, 40, 40)
    assert difference_judge().scores(frames)[:, 5, 5].tolist() == [-40, 0, 0]
    assert unchanged_judge(3).scores(frames)[:, 5, 5].tolist() == [-40, -40, 0]
    assert unchanged_judge(2).scores(frames)[:, 5, 5].tolist() == [-40, 0, 0]


def test_hysteresis_is_a_threshold_on_what_is_held():
    frames = blinking(0, 2, 20, 50, 53, 83)
    changes = -difference_judge().scores(frames)[:, 5, 5]
    held = -hysteresis_judge(2.0).scores(frames)[:, 5, 5]
    for threshold in (2.5, 6.0, 11.0, 16.0, 29.0, 40.0):
        still, expected = False, []
        for change in changes:
            still = change < threshold or (still and change < 2 * threshold)
            expected.append(still)
        assert (held < threshold).tolist() == expected


def test_only_networks_with_a_second_output_say_what_was_replaced(weights, tmp_path):
    assert network_judge(weights).replaced is None
    save_weights(tmp_path / "both.safetensors", with_replaced(load_static(weights)))
    said = network_judge(str(tmp_path / "both.safetensors")).replaced([BLANK] * 3)
    assert said.shape == (2, 10, 10)
    assert not said.any()
