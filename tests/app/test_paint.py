"""What is painted becomes masks, and can be moved."""

import cv2
import numpy as np

from maskvfi.app.paint import PROTECT, RELEASE, fits, masks_of, moved, write_masks


def painted() -> list[np.ndarray]:
    """A layer of 8x6 px: one blue pixel, one nearly red one, one too faint to count."""
    layer = np.zeros((6, 8, 4), np.uint8)
    layer[1, 2] = *PROTECT, 255
    layer[3, 4] = RELEASE[0], RELEASE[1] + 20, RELEASE[2], 200
    layer[5, 5] = *PROTECT, 100
    return [layer]


def where(mask: np.ndarray) -> list[list[int]]:
    return np.argwhere(mask).tolist()


def test_each_colour_is_a_mask():
    masks = masks_of(painted(), 8, 6)
    assert where(masks["protect"]) == [[1, 2]]
    assert where(masks["release"]) == [[3, 4]]


def test_nothing_painted_is_no_mask():
    assert masks_of([], 8, 6) == {}
    assert masks_of([np.zeros((6, 8, 4), np.uint8)], 8, 6) == {}


def test_masks_have_the_size_of_the_video(tmp_path):
    written = write_masks(painted(), 16, 12, tmp_path)
    assert sorted(written) == ["protect", "release"]
    picture = cv2.imread(str(written["protect"]), cv2.IMREAD_GRAYSCALE)
    assert picture.shape == (12, 16)
    assert where(picture == 255) == [[2, 4], [2, 5], [3, 4], [3, 5]]


def test_paint_is_moved_and_what_leaves_the_picture_is_lost():
    masks = masks_of(moved(painted(), right=-3, down=2), 8, 6)
    assert "protect" not in masks
    assert where(masks["release"]) == [[5, 1]]


def test_paint_fits_videos_of_the_same_shape_only():
    assert fits(painted(), 16, 12)
    assert fits([], 1, 100)
    assert not fits(painted(), 16, 9)
