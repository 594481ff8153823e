"""Frames of videos: the wanted ones are decoded, and squares in which more moves are found."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from distill.data.frames import CUT, change, decoded, liveliest, random_squares, thumbnail

LEVELS = (20, 60, 100, 140, 180, 220)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A video whose frames are grey, each of another level."""
    path = tmp_path_factory.mktemp("levels") / "levels.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for level in LEVELS:
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(
    ("wanted", "numbers"), [({4, 1}, [1, 4]), (range(2, 99), [2, 3, 4, 5]), ((), []), (range(0), [])]
)
def test_the_wanted_frames_are_decoded_in_order(clip, wanted, numbers):
    found = list(decoded(clip, wanted))
    assert [number for number, _ in found] == numbers
    for number, frame in found:
        assert frame.mean() == pytest.approx(LEVELS[number], abs=3)


def test_a_jump_of_all_pixels_is_a_cut_and_a_slow_change_is_none(clip):
    first, second, *_, last = (thumbnail(frame) for _, frame in decoded(clip, range(6)))
    assert change(first, first) == 0
    assert change(first, last) > CUT
    assert change(first, last) == change(last, first)
    assert change(first, second * np.float32(0.5) + first * np.float32(0.5)) < CUT


def test_the_liveliest_square_is_where_most_moves():
    frames = [np.zeros((100, 100, 3), np.uint8) for _ in range(3)]
    frames[-1][:, 50:] = 200
    squares = random_squares(frames, 30, np.random.default_rng(0))
    (_, columns), motion = liveliest(squares)
    assert motion == max(each for _, each in squares)
    assert columns.start == max(square[1].start for square, _ in squares)
    assert motion == pytest.approx(200 * min(columns.stop - max(columns.start, 50), 30) / 30)
