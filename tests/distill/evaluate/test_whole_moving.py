"""Trusted flow: it moves where a picture slides, and not where it stands or where nobody can know."""

import cv2
import numpy as np
import pytest

from distill.data.teachers import Rife
from distill.evaluate.whole_moving import moving_gaps, trusted_motion, whole_moving


@pytest.fixture(scope="module")
def teacher() -> Rife:
    return Rife("vfi-s", "cpu", times=(0.5,))


@pytest.fixture(scope="module")
def sheet() -> np.ndarray:
    small = np.random.default_rng(0).integers(0, 256, (24, 40, 3)).astype(np.uint8)
    return cv2.resize(small, (320, 192), interpolation=cv2.INTER_CUBIC)


def test_a_sliding_picture_moves(teacher, sheet):
    assert trusted_motion(sheet[:, :256], sheet[:, 4:260], teacher)[32:-32, 32:-32].mean() > 0.5


def test_a_picture_that_stands_or_creeps_does_not(teacher, sheet):
    assert not trusted_motion(sheet[:, :256], sheet[:, :256], teacher).any()
    assert trusted_motion(sheet[:, :256], sheet[:, 1:257], teacher).mean() < 0.02


def test_another_picture_is_not_to_be_trusted(teacher, sheet):
    other = np.random.default_rng(1).integers(0, 256, (192, 256, 3)).astype(np.uint8)
    assert trusted_motion(sheet[:, :256], other, teacher).mean() < 0.02


def test_a_gap_in_which_something_stands_is_not_whole_moving(sheet):
    first, second = sheet[:, :256].copy(), sheet[:, 5:261].copy()
    assert whole_moving(first, second)
    first[:, :80] = second[:, :80] = sheet[:, :80]
    assert not whole_moving(first, second)


def test_clips_give_gaps(clips):
    gaps = list(moving_gaps(clips, seed=1, weights="vfi-s"))
    assert {gap.clip for gap in gaps} == {"slide.avi"}
    assert all(len(gap.frames) == 2 and gap.moving.shape == (320, 320) for gap in gaps)
